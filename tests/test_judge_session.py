"""The judge on small fleets: who is named, with what, and who is not."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.facts import CollectorError
from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import TaskOutcome
from ahc_server.judge import judge_session
from ahc_server.judge.model import Report
from ahc_server.session import OutcomeRecord, Session
from tests.judge_helpers import GB, STANDARD, Fleet, inventory, judge, measurement, verdicts


def test_six_equal_nodes_pass_and_there_is_nothing_to_say() -> None:
    report = judge(Fleet(6).benchmarks().network())
    assert report.findings == []
    assert report.counts.passed == report.counts.nodes == 6


@pytest.mark.parametrize("size", [3, 4, 5, 6, 12])
def test_one_slow_disk_is_one_finding_however_many_metrics_carry_it(size: int) -> None:
    report = judge(Fleet(size).benchmarks().network().slow("n3", "disk", 0.41))
    [found] = report.findings
    assert (found.element, found.nodes, found.component) == ("node:n3", ["n3"], "disk")
    assert (found.kind, found.severity, found.cause) == ("slow", "fail", None)
    assert found.effect == pytest.approx(-0.59, abs=0.02)
    assert found.q is not None and found.q < 0.01
    assert {each.name for each in found.metrics} == {
        "disk.disk0.read_1M_bytes_per_s",
        "disk.disk0.randread_4k_iops",
        "disk.disk0.randread_4k_p50_us",
        "disk.disk0.randread_4k_p99_us",
    }
    assert "disk disk0" in found.summary and "check " in found.summary
    assert f"its {size - 1} peers" in found.summary
    assert [node for node, verdict in verdicts(report).items() if verdict != "pass"] == ["n3"]


def test_a_disk_that_is_slow_in_random_reads_only_is_found() -> None:
    def how(old: Measurement) -> Measurement:
        if old.quantity != "randread_4k_iops" or old.value is None:
            return old
        return measurement("disk", "disk0", old.quantity, old.unit, True, old.value * 0.6)

    [found] = judge(Fleet(8).benchmarks().change("n8", how)).findings
    assert [each.name for each in found.metrics] == ["disk.disk0.randread_4k_iops"]


def test_of_several_disks_the_slow_one_is_named() -> None:
    disks = tuple(
        ("disk", name, "read_1M_bytes_per_s", "bytes/s", True, 200e6, 1.0) for name in ("sda", "sdb", "sdc")
    )
    [found] = judge(Fleet(6).benchmarks(disks).slow("n2", "disk", 0.5, part="sdb")).findings
    assert "disk sdb:" in found.summary
    [found] = judge(Fleet(6).benchmarks(disks).slow("n2", "disk", 0.5)).findings
    assert "disks sda, sdb, sdc:" in found.summary


def test_one_slow_core_is_named() -> None:
    cores = tuple(("cpu", f"core{n}", "events_per_s", "events/s", True, 1180.0, 0.5) for n in range(16))
    [found] = judge(Fleet(6).benchmarks(cores).slow("n4", "cpu", 0.7, part="core11")).findings
    assert "CPU core 11: 826 events/s" in found.summary
    assert len(found.metrics) == 1


def test_a_slow_cpu_takes_the_blame_for_the_memory_that_it_slows() -> None:
    report = judge(Fleet(6).benchmarks().slow("n4", "cpu", 0.5).slow("n4", "memory", 0.52))
    [found] = report.findings
    assert found.component == "cpu"
    assert "memory" in found.summary
    assert any(each.name.startswith("memory.") for each in found.metrics)


def test_a_disk_far_slower_than_its_slow_cpu_is_a_finding_of_its_own() -> None:
    report = judge(Fleet(6).benchmarks().slow("n4", "cpu", 0.7).slow("n4", "disk", 0.2))
    assert [each.component for each in report.findings] == ["disk", "cpu"]


def test_a_small_loss_is_a_warning_and_a_large_one_a_failure() -> None:
    report = judge(Fleet(12, noise=0.001).benchmarks().slow("n2", "memory", 0.8).slow("n9", "memory", 0.6))
    assert verdicts(report)["n2"] == "warn"
    assert verdicts(report)["n9"] == "fail"


def test_two_kinds_of_hardware_are_judged_apart() -> None:
    fleet = Fleet(10).benchmarks().network()
    for name in ("n2", "n4", "n6", "n8"):
        fleet.inventories[name] = inventory(cpu="EPYC 7302", product="R6515")
        fleet.slow(name, "cpu", 1.6).slow(name, "memory", 0.7)
    fleet.slow("n8", "cpu", 0.8)
    report = judge(fleet)
    assert [group.nodes for group in report.groups] == [
        ["n1", "n3", "n5", "n7", "n9", "n10"],
        ["n2", "n4", "n6", "n8"],
    ]
    assert [each.element for each in report.findings] == ["node:n8"]


def test_odd_hardware_is_the_cause_where_it_is_slow_and_a_finding_where_it_is_not() -> None:
    fleet = Fleet(6).benchmarks()
    fleet.inventories["n5"] = inventory(memory=96 * 2**30)
    [found] = judge(fleet).findings
    assert (found.kind, found.severity, found.element) == ("missing", "fail", "node:n5")
    assert found.cause == "its usable memory: 96 GiB, where its peers have 192 GiB"
    [found] = judge(fleet.slow("n5", "memory", 0.55)).findings
    assert found.kind == "slow"
    assert found.cause == "its usable memory: 96 GiB, where its peers have 192 GiB"


def test_faster_is_a_remark_and_no_fault() -> None:
    report = judge(Fleet(8).benchmarks().slow("n3", "disk", 3.0))
    [found] = report.findings
    assert (found.kind, found.severity) == ("fast", "info")
    assert found.effect is not None and found.effect > 1.5
    assert report.counts.passed == 8


def ramp_up(sizes: list[int], slow: str | None = None) -> Session:
    """A job at growing numbers of hosts: every step has the first so many nodes."""
    fleet = Fleet(6)
    records = []
    for step, size in enumerate(sizes):
        for name in fleet.names[:size]:
            value = (20e6 if name == slow else 52e6) * (1 + 0.001 * int(name[1:]))
            taken = measurement("disk", "disk0", "read_1M_bytes_per_s", "bytes/s", True, value)
            records.append(
                OutcomeRecord(
                    f"{step}-{name}",
                    name,
                    "ramp",
                    "storage",
                    step,
                    size,
                    TaskOutcome(status="ok", measurements=[taken]),
                )
            )
    return replace(fleet.session(), outcomes=records)


def test_in_a_ramp_up_nobody_lacks_what_it_was_not_asked() -> None:
    report = judge_session(ramp_up([1, 2, 4, 6]), generated_at="")
    assert report.findings == []
    assert report.counts.passed == 6


def test_in_a_ramp_up_all_steps_carry_one_finding() -> None:
    [found] = judge_session(ramp_up([1, 2, 4, 6], slow="n2"), generated_at="").findings
    assert found.element == "node:n2"
    assert len(found.metrics) == 2


# ── the report as a whole ────────────────────────────────────────────────────────────────────────


def test_the_most_serious_comes_first() -> None:
    fleet = Fleet(9, noise=0.001).benchmarks().slow("n1", "memory", 0.8).slow("n2", "disk", 0.2)
    fleet.slow("n9", "cpu", 0.6).slow("n4", "disk", 3.0)
    fleet.lost["n5"] = "silent for 15 s"
    found = judge(fleet).findings
    assert [(each.element, each.severity) for each in found] == [
        ("node:n2", "fail"),
        ("node:n9", "fail"),
        ("node:n1", "warn"),
        ("node:n5", "warn"),
        ("node:n4", "info"),
    ]


def test_notes_tell_of_ids_and_of_collectors_that_failed() -> None:
    fleet = Fleet(3).benchmarks()
    fleet.notes["n2"] = "serial X7 is shared by 2 machines: UUID taken"
    for name in ("n1", "n3"):
        known = inventory()
        known.errors.append(CollectorError(collector="smart", error="smartctl: not installed"))
        fleet.inventories[name] = known
    assert judge(fleet).notes == [
        "id: serial X7 is shared by 2 machines: UUID taken (1 node: n2)",
        "inventory, smart: smartctl: not installed (2 nodes: n1, n3)",
    ]


def test_a_session_under_way_says_so() -> None:
    session = replace(Fleet(3).benchmarks().session(), state="running")
    assert judge_session(session, generated_at="").notes == ["the session is running: it may lack results"]


def sheep_of(report: Report) -> set[tuple[str, str, str]]:
    return {(each.element, each.component, each.severity) for each in report.findings}


def broken_fleet(size: int, seed: int) -> Fleet:
    return (
        Fleet(size, seed=seed)
        .benchmarks()
        .network(rx={"n1": 0.5}, base=3.0e9)
        .slow("n2", "disk", 0.4)
        .slow("n3", "cpu", 0.7)
    )


@settings(max_examples=15)
@given(st.permutations(list(range(8))), st.integers(0, 1000))
def test_the_order_of_nodes_and_outcomes_leaves_no_trace(order: list[int], seed: int) -> None:
    fleet = broken_fleet(8, 5)
    for number, record in enumerate(fleet.outcomes):
        if record.machine == "n6" and record.outcome.pair is not None:
            failed = TaskOutcome(status="failed", error=f"{record.task_id}: no answer")
            fleet.outcomes[number] = replace(record, outcome=failed)
    session = fleet.session()
    # Names that sort alike by their numbers.
    nodes = [replace(each, node={"n7": "n01"}.get(each.node, each.node)) for each in session.nodes]
    session = replace(session, nodes=nodes)
    mixed = [session.outcomes[n] for n in np.random.default_rng(seed).permutation(len(session.outcomes))]
    shuffled = replace(session, nodes=[session.nodes[n] for n in order], outcomes=mixed)
    plain, other = (judge_session(each, generated_at="") for each in (session, shuffled))
    assert msgspec.json.encode(plain) == msgspec.json.encode(other)


@settings(max_examples=15)
@given(st.sampled_from([1e-3, 0.5, 8.0, 1e6]))
def test_units_of_rates_make_no_difference(factor: float) -> None:
    fleet = broken_fleet(8, 5)
    scaled = broken_fleet(8, 5)
    for name in scaled.names:
        scaled.slow(name, "disk", factor).slow(name, "cpu", factor)
    assert sheep_of(judge(fleet)) == sheep_of(judge(scaled))


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(6, 12))
def test_adding_a_healthy_node_changes_no_verdict(seed: int, size: int) -> None:
    before, after = (judge(broken_fleet(count, seed)) for count in (size, size + 1))
    assert {name for name, *_ in sheep_of(before)} == {name for name, *_ in sheep_of(after)}
    assert verdicts(after)[f"n{size + 1}"] == "pass"


def test_in_a_fleet_twice_as_large_the_same_are_named() -> None:
    once, twice = judge(broken_fleet(6, 3)), judge(broken_fleet(12, 3))
    assert sheep_of(once) == sheep_of(twice)


@pytest.mark.parametrize(
    ("noise", "heavy_tails", "sizes", "most"),
    [
        (0.01, False, (6, 12, 25, 40), 0),
        (0.02, False, (6, 12, 25, 40), 0),
        (0.02, True, (6, 12, 25, 40), 1),
        (0.02, True, (3, 4, 5), 1),
        (0.05, False, (6,), 1),
    ],
)
def test_healthy_fleets_are_left_in_peace(
    noise: float, heavy_tails: bool, sizes: tuple[int, ...], most: int
) -> None:
    """False alarms over 50 healthy fleets of fixed seeds; ``most`` is how many of all their nodes may be accused."""
    accused = 0
    for seed in range(50):
        fleet = Fleet(sizes[seed % len(sizes)], noise=noise, seed=seed, heavy_tails=heavy_tails)
        report = judge(fleet.benchmarks().network())
        accused += report.counts.fail + report.counts.warn
    assert accused <= most


def test_faults_of_the_demonstration_are_found_in_noise() -> None:
    """Six nodes, one disk and one card at 40 %: always these two and nobody else."""
    for seed in range(40):
        fleet = Fleet(6, noise=0.025, seed=seed).benchmarks(STANDARD)
        report = judge(fleet.network(tx={"n5": 0.4}, rx={"n5": 0.4}).slow("n3", "disk", 0.4))
        assert {name for name, verdict in verdicts(report).items() if verdict != "pass"} == {"n3", "n5"}


def test_disks_of_other_size_in_one_node_are_told_with_their_effect() -> None:
    fleet = Fleet(6).benchmarks().slow("n6", "disk", 0.3)
    fleet.inventories["n6"] = inventory(disks=(4000 * GB,))
    [found] = judge(fleet).findings
    assert found.cause == "its disk: 4 TB SSD, where its peers have 960 GB SSD"


@pytest.mark.parametrize("seed", range(4))
def test_a_disk_that_lost_a_third_is_found_among_forty(seed: int) -> None:
    """What a disk's metrics scatter differs from what a CPU's do: on one scale they would look like heavy tails."""
    report = judge(Fleet(40, noise=0.02, seed=seed).benchmarks().network().slow("n2", "disk", 0.68))
    assert [each.element for each in report.findings] == ["node:n2"]
