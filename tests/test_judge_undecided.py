"""Small groups that do not tell who is right: nobody passes whom they may be hiding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ahc_agent.wire.messages import Identity
from ahc_server.judge import judge as judge_session
from tests.judge_helpers import Fleet, judge, serious, verdicts


def slowed(size: int, slower: int, factor: float, component: str = "memory", *, seed: int = 0) -> Fleet:
    fleet = Fleet(size, noise=0.003, seed=seed).benchmarks()
    for name in fleet.names[:slower]:
        fleet.slow(name, component, factor)
    return fleet


@pytest.mark.parametrize("size", [4, 6, 8, 10])
@pytest.mark.parametrize("component", ["cpu", "memory", "disk"])
def test_the_slower_half_of_a_small_group_is_unknown_and_nobody_is_accused(size: int, component: str) -> None:
    report = judge(slowed(size, size // 2, 0.8, component))
    told = verdicts(report)
    assert [told[f"n{number + 1}"] for number in range(size)] == ["unknown"] * (size // 2) + ["pass"] * (
        size // 2
    )
    assert serious(report) == []
    [found] = [each for each in report.findings if each.kind == "not-measured"]
    assert (found.element, found.component, found.severity) == ("group:g1", component, "info")
    assert found.nodes == [f"n{number + 1}" for number in range(size // 2)]
    assert f"among {size} nodes who is right cannot be told" in found.summary


@pytest.mark.parametrize(("size", "slower"), [(5, 3), (8, 5), (11, 7)])
def test_where_most_of_a_small_group_lost_something_they_do_not_pass(size: int, slower: int) -> None:
    told = verdicts(judge(slowed(size, slower, 0.75)))
    assert {told[f"n{number}"] for number in range(1, slower + 1)} == {"unknown"}


def test_losses_of_several_sizes_in_half_of_a_small_group_are_unknown_too() -> None:
    told = verdicts(judge(slowed(4, 2, 0.8).slow("n1", "memory", 0.8)))
    assert (told["n1"], told["n2"], told["n3"], told["n4"]) == ("unknown", "unknown", "pass", "pass")


def test_a_single_slow_node_is_accused_as_ever_and_a_single_fast_one_makes_nobody_unknown() -> None:
    assert verdicts(judge(slowed(4, 1, 0.8)))["n1"] == "warn"
    fast = judge(slowed(4, 1, 1.4))
    assert fast.counts.unknown == 0
    assert serious(fast) == []


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [4, 5, 7, 11])
def test_healthy_small_groups_of_usual_noise_are_told(size: int, seed: int) -> None:
    report = judge(Fleet(size, noise=0.02, seed=seed).benchmarks())
    assert not any("who is right" in each.summary for each in report.findings)


@pytest.mark.parametrize(("component", "verdict"), [("cpu", "pass"), ("memory", "pass"), ("disk", "unknown")])
def test_what_a_busy_host_gives_its_guests_by_turns_is_a_remark(component: str, verdict: str) -> None:
    session = slowed(6, 3, 0.75, component).session()
    for place, each in enumerate(session.nodes):
        session.nodes[place] = replace(each, identity=Identity(name=each.machine, physical_host="hv1"))
    report = judge_session(session, generated_at="").report
    assert {verdicts(report)[f"n{number}"] for number in (1, 2, 3)} == {verdict}
    assert any("who is right cannot be told" in each.summary for each in report.findings)


def test_a_disk_that_did_nothing_on_any_node_is_no_pass_though_other_disks_were_measured() -> None:
    rows = tuple(
        ("disk", part, "read_1M_bytes_per_s", "bytes/s", True, rate, 1.0)
        for part, rate in (("sda", 2e8), ("sdb", 0.0))
    )
    report = judge(Fleet(12, noise=0.003).benchmarks(rows))
    assert report.counts.unknown == 12
    [found] = report.findings
    assert (found.element, found.kind, found.component) == ("group:g1", "not-measured", "disk")
    assert "all that was measured is 0 on most of its 12 nodes" in found.summary
