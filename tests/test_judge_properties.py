"""What holds for every session: order, units, names and copies leave no trace, and more fault is never less verdict."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.facts import Disk, Inventory
from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import TaskOutcome
from ahc_server.judge import judge_session
from ahc_server.judge.model import Finding, Report
from ahc_server.session import OutcomeRecord, Session
from tests.judge_helpers import Fleet, inventory, judge, measurement, serious, verdicts

Metrics = tuple[tuple[str, str, str, str, bool, float, float], ...]

#: A little of everything: cores and their memory as imported results have them, two disks alone and together, times.
METRICS: Metrics = (
    *(("cpu", f"core{n}", "loops_per_s", "loops/s", True, 400.0, 1.0) for n in range(6)),
    *(("memory", f"core{n}", "write_1M_bytes_per_s", "bytes/s", True, 20e9, 1.0) for n in range(6)),
    *(("memory", f"core{n}", "write_2G_bytes_per_s", "bytes/s", True, 8e9, 2.0) for n in range(6)),
    *(
        ("disk", disk, quantity, unit, True, value, 2.0)
        for disk in ("sda", "sdb")
        for quantity, unit, value in (
            ("read_1M_bytes_per_s", "bytes/s", 200e6),
            ("read_1M_together_bytes_per_s", "bytes/s", 190e6),
            ("randread_4k_iops", "IOPS", 160.0),
            ("randread_4k_together_iops", "IOPS", 150.0),
        )
    ),
    ("disk", "sda", "randread_4k_p50_us", "us", False, 6000.0, 4.0),
)

RANK = {"pass": 0, "unknown": 0, "warn": 1, "fail": 2}


def two_disks(name: str, *, first: str = "sda", second: str = "sdb", alike: bool = True) -> Inventory:
    """``first`` is the disk that most nodes call sda."""
    known = inventory()
    known.disks = [
        Disk(name=first, size_bytes=4 * 10**12, rotational=True, model="HDD", serial=f"{name}-1"),
        Disk(
            name=second,
            size_bytes=4 * 10**12 if alike else 960 * 10**9,
            rotational=alike,
            model="HDD" if alike else "SSD",
            serial=f"{name}-2",
        ),
    ]
    known.disks.sort(key=lambda disk: str(disk.name))
    return known


def fleet(size: int = 14, seed: int = 1, *, alike: bool = True) -> Fleet:
    """Noise far below what matters, so that no verdict hangs on a hair."""
    made = Fleet(size, noise=0.001, seed=seed).benchmarks(METRICS)
    made.inventories = {name: two_disks(name, alike=alike) for name in made.names}
    return made


def bad_core(made: Fleet, name: str, loss: float) -> Fleet:
    """A core that is slow computes slowly, and writes slowly to its caches and to memory."""
    return made.slow(name, "cpu", 1 - loss, part="core4").slow(name, "memory", 1 - loss, part="core4")


def broken(size: int = 14, seed: int = 1, *, alike: bool = True) -> Fleet:
    """A bad core, a slow disk, slow memory, and a slow node."""
    made = bad_core(fleet(size, seed, alike=alike), "n2", 0.4)
    return made.slow("n3", "disk", 0.5, part="sdb").slow("n5", "memory", 0.6).slow("n7", "cpu", 0.85)


def renamed(report: Report, swap: Callable[[str], str]) -> list[tuple[object, ...]]:
    return sorted(
        (
            each.element,
            each.kind,
            each.severity,
            each.component,
            each.effect,
            tuple(sorted(swap(metric.name) for metric in each.metrics)),
            swap(each.summary),
        )
        for each in report.findings
    )


def swapped(text: str) -> str:
    return re.sub(r"\bsd[ab]\b", lambda found: {"sda": "sdb", "sdb": "sda"}[found[0]], text)


def same(text: str) -> str:
    return text


# ── order ────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_the_order_of_nodes_of_outcomes_and_of_metrics_leaves_no_trace(seed: int) -> None:
    random = np.random.default_rng(seed)
    session = broken().session()

    def shuffled(outcome: OutcomeRecord) -> OutcomeRecord:
        taken = outcome.outcome.measurements
        mixed = [taken[n] for n in random.permutation(len(taken))]
        return replace(outcome, outcome=msgspec.structs.replace(outcome.outcome, measurements=mixed))

    other = replace(
        session,
        nodes=[session.nodes[n] for n in random.permutation(len(session.nodes))],
        outcomes=[shuffled(session.outcomes[n]) for n in random.permutation(len(session.outcomes))],
    )
    plain, mixed = (msgspec.json.encode(judge_session(each, generated_at="")) for each in (session, other))
    assert plain == mixed


# ── units ────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=25)
@given(st.sampled_from(sorted({metric[2] for metric in METRICS})), st.floats(1e-6, 1e6))
def test_the_unit_of_a_metric_makes_no_difference(quantity: str, factor: float) -> None:
    def scaled(old: Measurement) -> Measurement:
        if old.quantity != quantity or old.value is None:
            return old
        return msgspec.structs.replace(old, value=old.value * factor)

    other = broken()
    for name in other.names:
        other.change(name, scaled)
    one, two = judge(broken()), judge(other)
    assert verdicts(one) == verdicts(two)
    told = [
        sorted((f.element, f.kind, f.severity, f.component) for f in each.findings) for each in (one, two)
    ]
    assert told[0] == told[1]
    effects = [{(f.element, f.component): f.effect for f in each.findings} for each in (one, two)]
    assert effects[0] == pytest.approx(effects[1], abs=2e-4)


# ── more nodes ───────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.integers(12, 16))
def test_one_more_healthy_node_changes_no_verdict(seed: int, size: int) -> None:
    session = broken(size + 1, seed).session()
    last = f"n{size + 1}"
    without = replace(
        session,
        nodes=[node for node in session.nodes if node.machine != last],
        outcomes=[each for each in session.outcomes if each.machine != last],
    )
    after, before = (verdicts(judge_session(each, generated_at="")) for each in (session, without))
    assert after == {**before, last: "pass"}
    assert {name for name, told in before.items() if told != "pass"} == {"n2", "n3", "n5", "n7"}


def copied(session: Session) -> Session:
    """Every node a second time, under another name."""
    nodes = [
        replace(
            each,
            machine=f"copy-{each.machine}",
            node=f"copy-{each.node}",
            identity=msgspec.structs.replace(each.identity, name=f"copy-{each.node}"),
        )
        for each in session.nodes
    ]
    outcomes = [
        replace(each, machine=f"copy-{each.machine}", task_id=f"copy-{each.task_id}")
        for each in session.outcomes
    ]
    return replace(session, nodes=[*session.nodes, *nodes], outcomes=[*session.outcomes, *outcomes])


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_a_fleet_that_stands_there_twice_has_every_verdict_twice(seed: int) -> None:
    session = broken(seed=seed).session()
    once, twice = (verdicts(judge_session(each, generated_at="")) for each in (session, copied(session)))
    assert twice == {**once, **{f"copy-{name}": told for name, told in once.items()}}


# ── names of disks ───────────────────────────────────────────────────────────────────────────────


def other_way(made: Fleet, names: list[str], *, alike: bool) -> Fleet:
    """These nodes call their disks the other way."""
    for name in names:
        made.inventories[name] = two_disks(name, first="sdb", second="sda", alike=alike)
        made.change(name, lambda old: msgspec.structs.replace(old, part=swapped(old.part)))
    return made


def test_where_all_nodes_call_their_disks_the_other_way_only_names_change() -> None:
    plain = broken()
    other = other_way(broken(), plain.names, alike=True)
    assert renamed(judge(plain), swapped) == renamed(judge(other), same)


@settings(max_examples=15)
@given(st.sets(st.integers(1, 14), min_size=1, max_size=6))
def test_where_some_nodes_call_different_disks_the_other_way_only_their_names_change(which: set[int]) -> None:
    names = [f"n{number}" for number in sorted(which)]
    plain = judge(broken(alike=False))
    other = judge(other_way(broken(alike=False), names, alike=False))
    for one, two in zip(_by_node(plain).items(), _by_node(other).items(), strict=True):
        swap = swapped if one[0].removeprefix("node:") in names else same
        assert one[0] == two[0]
        assert _told(one[1], swap) == _told(two[1], same)


def _by_node(report: Report) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for each in sorted(report.findings, key=lambda each: (each.element, each.component)):
        found.setdefault(each.element, []).append(each)
    return found


def _told(findings: list[Finding], swap: Callable[[str], str]) -> list[tuple[object, ...]]:
    return [(f.kind, f.severity, f.effect, swap(f.summary)) for f in findings]


# ── more fault ───────────────────────────────────────────────────────────────────────────────────

FAULTS: dict[str, Callable[[Fleet, float], Fleet]] = {
    "cpu": lambda made, loss: made.slow("n4", "cpu", 1 - loss),
    "core": lambda made, loss: bad_core(made, "n4", loss),
    "memory": lambda made, loss: made.slow("n4", "memory", 1 - loss),
    "disk": lambda made, loss: made.slow("n4", "disk", 1 - loss, part="sda"),
    "disks": lambda made, loss: made.slow("n4", "disk", 1 - loss),
}


@pytest.mark.parametrize("fault", FAULTS)
@settings(max_examples=12)
@given(st.floats(0.0, 0.98), st.floats(0.0, 1.0), st.integers(3, 20), st.integers(0, 50))
def test_a_larger_fault_is_never_judged_milder(
    fault: str, loss: float, more: float, size: int, seed: int
) -> None:
    larger = loss + (0.99 - loss) * more
    small, large = (
        verdicts(judge(FAULTS[fault](fleet(max(size, 4), seed), each)))["n4"] for each in (loss, larger)
    )
    assert RANK[small] <= RANK[large]
    assert larger < 0.6 or RANK[large] == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_node_is_no_other_node_s(fault: str) -> None:
    for loss in (0.05, 0.2, 0.5, 0.9):
        report = judge(FAULTS[fault](fleet(), loss))
        assert {name for name, told in verdicts(report).items() if told != "pass"} <= {"n4"}
        assert len(serious(report)) <= 1


def test_five_nodes_of_thirty_that_are_slow_to_the_same_degree_are_five_sheep() -> None:
    made = fleet(30)
    for number in range(1, 6):
        made.slow(f"n{number}", "memory", 0.75)
    assert sorted(each.element for each in serious(judge(made))) == [f"node:n{n}" for n in range(1, 6)]


# ── anything ─────────────────────────────────────────────────────────────────────────────────────

NAMES = [
    *(("cpu", f"core{n}", "loops_per_s", "loops/s", True) for n in range(4)),
    *(("memory", f"core{n}", "write_2G_bytes_per_s", "bytes/s", True) for n in range(4)),
    ("memory", "all", "forked_2G_bytes_per_s", "bytes/s", True),
    *(("disk", f"sd{letter}", "read_1M_bytes_per_s", "bytes/s", True) for letter in "abc"),
    ("disk", "sda", "randread_4k_iops", "IOPS", True),
    ("disk", "sda", "randread_4k_p50_us", "us", False),
    ("network", "tx", "flow_bytes_per_s", "bytes/s", True),
    ("system", "gpu0", "gemm_tflops", "", True),
]
VALUES = (
    st.none() | st.sampled_from([0.0, 1e-300, 1.0, 1e17, 1e300]) | st.floats(0.5, 2.0) | st.floats(0.0, 1e9)
)


@settings(max_examples=150)
@given(st.lists(st.lists(VALUES, min_size=len(NAMES), max_size=len(NAMES)), max_size=6))
def test_whatever_was_measured_there_is_a_verdict_for_every_node(values: list[list[float | None]]) -> None:
    made = Fleet(len(values))
    for name, row in zip(made.names, values, strict=True):
        taken = [measurement(*told, value) for told, value in zip(NAMES, row, strict=True)]
        made.outcomes.append(
            OutcomeRecord(f"t-{name}", name, "job", "cpu", 1, 1, TaskOutcome(status="ok", measurements=taken))
        )
    report = judge(made)
    assert [node.id for node in report.nodes] == made.names
    assert report.counts.nodes == sum(
        (report.counts.passed, report.counts.warn, report.counts.fail, report.counts.unknown)
    )
    again = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    assert again == report
    for found in report.findings:
        assert not re.search(r"\bnan\b|\binf\b", found.summary), found.summary
