"""What could not be judged, and the verdicts that follow: no gap looks like health, and no gap is guilt."""

from __future__ import annotations

import msgspec
import pytest

from ahc_agent.measure import Measurement
from ahc_server.judge.model import Finding, Report
from tests.judge_helpers import STANDARD, Fleet, disturbed, inventory, judge, serious, verdicts

Metrics = tuple[tuple[str, str, str, str, bool, float, float], ...]

CORES: Metrics = tuple(("cpu", f"core{n}", "loops_per_s", "loops/s", True, 400.0, 1.0) for n in range(8))


def without(
    fleet: Fleet, name: str, component: str, part: str | None = None, quantity: str | None = None
) -> Fleet:
    def how(old: Measurement) -> Measurement | None:
        is_it = old.component == component and part in (None, old.part) and quantity in (None, old.quantity)
        return None if is_it else old

    return fleet.change(name, how)


def about(report: Report, name: str) -> list[Finding]:
    return [each for each in report.findings if each.element == f"node:{name}"]


# ── one node lacks what its peers have ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("component", ["cpu", "memory", "disk"])
def test_a_node_that_lacks_what_its_peers_have_is_unknown_and_not_accused(component: str) -> None:
    report = judge(without(Fleet(8).benchmarks(), "n5", component))
    [found] = report.findings
    assert (found.element, found.kind, found.severity) == ("node:n5", "not-measured", "info")
    assert found.component == component
    assert "not measured, which 7 peers have" in found.summary
    assert verdicts(report) == {f"n{n}": "unknown" if n == 5 else "pass" for n in range(1, 9)}


def test_one_lost_value_of_many_of_a_piece_hides_nothing() -> None:
    """The node's level is read from its other cores, so that all that matters is known of it."""
    report = judge(without(Fleet(8).benchmarks(CORES), "n5", "cpu", "core3"))
    assert report.findings == []
    assert report.counts.passed == 8


def test_a_gap_beside_a_fault_does_not_soften_the_verdict() -> None:
    report = judge(without(Fleet(8).benchmarks().slow("n5", "memory", 0.4), "n5", "disk"))
    assert verdicts(report)["n5"] == "fail"
    assert {each.kind for each in about(report, "n5")} == {"slow", "not-measured"}


def test_a_disk_that_is_gone_is_told_once_and_its_missing_numbers_are_explained() -> None:
    disks: Metrics = tuple(
        ("disk", name, "read_1M_bytes_per_s", "bytes/s", True, 200e6, 1.0) for name in ("disk0", "disk1")
    )
    fleet = Fleet(8).benchmarks(disks)
    fleet.inventories = dict.fromkeys(fleet.names, inventory(disks=(960 * 10**9, 960 * 10**9)))
    fleet.inventories["n5"] = inventory(disks=(960 * 10**9,))
    report = judge(without(fleet, "n5", "disk", "disk1"))
    [found] = report.findings
    assert (found.element, found.kind) == ("node:n5", "missing")
    assert verdicts(report)["n5"] != "pass"


# ── a group that cannot be judged ────────────────────────────────────────────────────────────────


def test_what_only_few_nodes_have_is_said_and_judges_nobody_by_it() -> None:
    fleet = Fleet(6).benchmarks()
    for name in fleet.names[2:]:
        without(fleet, name, "memory")
    report = judge(fleet.slow("n1", "memory", 0.5))
    [found] = report.findings
    assert (found.element, found.kind, found.severity) == ("group:g1", "not-measured", "info")
    assert "only 2 of its 6 nodes have values of memory, too few to compare" in found.summary


def test_a_task_that_most_were_asked_for_and_two_have_done_judges_nobody() -> None:
    fleet = Fleet(3).benchmarks()
    without(fleet, "n3", "memory")
    report = judge(fleet)
    assert report.counts.unknown == 3
    assert any(
        "too few of its 3 nodes have values of memory to compare" in each.summary for each in report.findings
    )
    assert serious(report) == []


def test_values_all_over_the_place_judge_nobody_and_say_so() -> None:
    fleet = Fleet(9, noise=0.003).benchmarks()
    for number, name in enumerate(fleet.names):
        fleet.slow(name, "disk", 0.3 * 1.35**number)
    report = judge(fleet)
    [found] = serious(report)
    assert (found.element, found.kind, found.component) == ("group:g1", "unstable", "disk")
    assert found.nodes == fleet.names
    assert "who is right cannot be told" in found.summary
    assert found.cause is None
    assert report.counts.unknown == 9


def test_values_all_over_the_place_are_laid_to_disturbances_where_there_were_some() -> None:
    fleet = Fleet(9, noise=0.003).benchmarks()
    for number, name in enumerate(fleet.names):
        fleet.slow(name, "disk", 0.3 * 1.35**number)
        fleet.change(name, lambda old: disturbed(old, 0.3))
    [found] = serious(judge(fleet))
    assert found.cause is not None and "took CPU time" in found.cause


def test_what_nobody_could_measure_beside_them_is_no_example_of_it() -> None:
    fleet = Fleet(9, noise=0.003).benchmarks(
        (
            ("memory", "all", "forked_1G_bytes_per_s", "bytes/s", True, 20e9, 1.0),
            ("memory", "all", "forked_2G_bytes_per_s", "bytes/s", True, 20e9, 1.0),
        )
    )
    for number, name in enumerate(fleet.names):
        fleet.slow(name, "memory", 0.3 * 1.35**number)
        fleet.change(name, lambda old: failed(old) if "1G" in old.quantity else old)
    [found] = serious(judge(fleet))
    assert "2G" in found.summary


def failed(old: Measurement) -> Measurement:
    return msgspec.structs.replace(old, value=None, error="sysbench: no memory")


def test_without_a_single_value_nobody_passes() -> None:
    report = judge(Fleet(5))
    assert report.counts.unknown == 5
    assert [each.severity for each in report.findings] == ["info"]


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────


def test_the_verdict_of_a_node_is_the_worst_that_is_said_of_it() -> None:
    fleet = Fleet(10, noise=0.001).benchmarks(STANDARD)
    fleet.slow("n1", "memory", 0.85).slow("n1", "disk", 0.3)
    fleet.slow("n2", "memory", 0.85)
    fleet.slow("n3", "disk", 4.0)
    fleet.lost["n4"] = "silent for 15 s"
    without(fleet, "n5", "disk")
    told = verdicts(judge(fleet))
    assert [told[f"n{n}"] for n in range(1, 7)] == ["fail", "warn", "pass", "unknown", "unknown", "pass"]


def test_counts_are_those_of_the_verdicts() -> None:
    fleet = Fleet(10, noise=0.001).benchmarks().slow("n1", "disk", 0.3).slow("n2", "memory", 0.85)
    fleet.lost["n4"] = "silent for 15 s"
    counts = judge(fleet).counts
    assert (counts.nodes, counts.passed, counts.warn, counts.fail, counts.unknown) == (10, 7, 1, 1, 1)
