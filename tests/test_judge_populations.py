"""Groups that are not one population: two halves, two levels, too many sheep; and what verdicts follow."""

from __future__ import annotations

import pytest

from ahc_server.judge.model import Finding, Report
from tests.judge_helpers import Fleet, inventory, judge, serious, verdicts

#: Halves of forty; noise of 0.3 %.
SIZE, SLOWER = 40, 18


def halved(factor: float, *, slower: int = SLOWER, size: int = SIZE, noise: float = 0.003) -> Fleet:
    fleet = Fleet(size, noise=noise).benchmarks()
    for name in fleet.names[:slower]:
        fleet.slow(name, "memory", factor)
    return fleet


def with_bios(fleet: Fleet, few: int) -> Fleet:
    for number, name in enumerate(fleet.names):
        known = inventory()
        known.system.bios.version = "1.2" if number < few else "1.4"
        fleet.inventories[name] = known
    return fleet


def of_group(report: Report) -> list[Finding]:
    return [each for each in report.findings if each.element.startswith("group:")]


def test_two_populations_are_one_warning_that_accuses_nobody() -> None:
    report = judge(halved(0.8))
    [found] = report.findings
    assert (found.element, found.severity, found.component) == ("group:g1", "warn", "memory")
    assert found.nodes == [f"n{number}" for number in range(1, SLOWER + 1)]
    assert "two populations in memory" in found.summary
    assert f"{SLOWER} of {SIZE} nodes are 20 % slower than the others" in found.summary
    assert "what divides them: no fact that is known" in found.summary
    assert "which of the two is right cannot be told from here" in found.summary
    assert found.effect == pytest.approx(-0.2, abs=0.01)


def test_nobody_of_the_slower_half_passes_and_nobody_fails() -> None:
    told = verdicts(judge(halved(0.8)))
    assert {told[f"n{number}"] for number in range(1, SLOWER + 1)} == {"unknown"}
    assert {told[f"n{number}"] for number in range(SLOWER + 1, SIZE + 1)} == {"pass"}


def test_what_divides_them_is_told() -> None:
    [found] = [each for each in of_group(judge(with_bios(halved(0.8), SLOWER))) if each.kind == "slow"]
    assert found.cause is not None and "BIOS" in found.cause and "1.2" in found.cause
    assert found.cause in found.summary


def test_a_sheep_in_one_half_is_named_beside_its_own_half() -> None:
    report = judge(halved(0.8).slow("n3", "memory", 0.5).slow("n30", "memory", 0.5))
    assert sorted(each.element for each in serious(report)) == ["group:g1", "node:n3", "node:n30"]
    assert (verdicts(report)["n3"], verdicts(report)["n30"]) == ("fail", "fail")


def test_two_levels_that_hardly_matter_are_a_remark() -> None:
    report = judge(halved(0.96))
    [found] = report.findings
    assert found.severity == "info"
    assert "two levels in memory" in found.summary
    assert "each is judged beside its own half" in found.summary
    assert report.counts.passed == SIZE


def test_smaller_differences_are_not_worth_a_word() -> None:
    assert judge(halved(0.985, noise=0.0005)).findings == []
    assert len(judge(halved(0.97, noise=0.0005)).findings) == 1


def test_a_visible_batch_of_small_difference_is_the_batch_s_and_no_population() -> None:
    report = judge(with_bios(halved(0.97), SLOWER))
    assert serious(report) == []
    assert report.counts.passed == SIZE


@pytest.mark.parametrize("slower", [1, 3, 8])
def test_few_that_are_slow_to_the_same_degree_are_sheep_each(slower: int) -> None:
    report = judge(halved(0.8, slower=slower))
    assert {each.element for each in serious(report)} == {f"node:n{n}" for n in range(1, slower + 1)}
    assert len(serious(report)) == slower


@pytest.mark.parametrize("size", [12, 20])
def test_where_more_than_a_third_is_slow_in_one_thing_or_another_the_others_may_be_the_odd_ones(
    size: int,
) -> None:
    """Eight nodes of twenty with losses of their own: no two halves, and still no majority to trust."""
    fleet = Fleet(size, noise=0.003).benchmarks()
    sheep = [name for number, name in enumerate(fleet.names) if number % 5 in (1, 3)]
    for number, name in enumerate(sheep):
        fleet.slow(name, ("cpu", "memory", "disk")[number % 3], 0.5 + 0.04 * number)
    report = judge(fleet)
    [found] = of_group(report)
    assert (found.severity, found.component) == ("warn", "system")
    assert f"two populations: {len(sheep)} of {size} nodes are slower than the rest" in found.summary
    assert found.nodes == sheep
    assert {each.element for each in serious(report)} == {"group:g1", *(f"node:{name}" for name in sheep)}


def test_up_to_a_third_they_are_sheep_and_nothing_is_said_of_the_group() -> None:
    fleet = Fleet(20, noise=0.003).benchmarks()
    for number in range(6):
        fleet.slow(f"n{number + 1}", ("cpu", "memory", "disk")[number % 3], 0.5 + 0.05 * number)
    report = judge(fleet)
    assert of_group(report) == []
    assert sorted(name for name, told in verdicts(report).items() if told != "pass") == [
        f"n{n}" for n in range(1, 7)
    ]


def test_halves_in_several_parts_that_agree_are_told_once() -> None:
    fleet = halved(0.8)
    for name in fleet.names[:SLOWER]:
        fleet.slow(name, "disk", 0.7)
    [found] = of_group(judge(fleet))
    assert found.component == "disk"
    assert found.summary.startswith("g1: two populations in disk disk0") and "and 3 more" in found.summary


def test_halves_that_lie_across_each_other_are_told_each() -> None:
    fleet = halved(0.8)
    for name in fleet.names[::2]:
        fleet.slow(name, "disk", 0.7)
    assert [each.component for each in of_group(judge(fleet))] == ["disk", "memory"]


@pytest.mark.parametrize("seed", range(8))
def test_halves_that_one_thing_shows_are_reckoned_in_what_shows_them_less(seed: int) -> None:
    """Ten of 24 nodes are 4 % slower in all they do: the CPU shows it, and single disks are too noisy to."""
    metrics = [("cpu", "all", "events_per_s", "events/s", True, 18_800.0, 0.2)]
    for number in range(8):
        for name in (
            "read_1M_iops",
            "read_1M_together_iops",
            "randread_4k_iops",
            "randread_4k_together_iops",
        ):
            metrics.append(("disk", f"disk{number}", name, "IOPS", True, 300.0, 0.6))
    made = Fleet(24, noise=0.01, seed=seed).benchmarks(metrics)
    for name in made.names:
        made.inventories[name] = inventory(disks=[4 * 10**12] * 8)
    for name in made.names[::2][:10]:
        made.slow(name, "cpu", 0.96).slow(name, "disk", 0.96)
    assert [each.summary for each in serious(judge(made))] == []


def test_a_node_without_its_first_disk_belongs_to_the_batch_of_its_other_disks() -> None:
    """Twelve of forty have another model of disk, 8 % slower, and one of the twelve lacks a disk."""
    metrics = [
        ("disk", f"disk{number}", name, "IOPS", True, 300.0, 0.5)
        for number in range(3)
        for name in ("read_1M_iops", "randread_4k_iops")
    ]
    made = Fleet(40, noise=0.01).benchmarks(metrics)
    for number, name in enumerate(made.names):
        known = made.inventories[name] = inventory(disks=[4 * 10**12] * 3)
        for disk in known.disks:
            disk.model = "HUS724" if number < 12 else "ST2000"
        if number < 12:
            made.slow(name, "disk", 0.92)
    lacking = made.inventories["n5"]
    assert lacking is not None
    lacking.disks = lacking.disks[1:]
    made.change("n5", lambda old: None if old.part == "disk0" else old)
    [found] = serious(judge(made))
    assert (found.nodes, found.kind) == (["n5"], "missing")
