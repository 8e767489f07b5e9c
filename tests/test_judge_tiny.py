"""Groups of one and two nodes: only evidence within the node counts, and nobody passes."""

from __future__ import annotations

import numpy as np
import pytest

from ahc_server.judge.model import Report
from tests.judge_helpers import Fleet, judge, serious, verdicts

Metrics = tuple[tuple[str, str, str, str, bool, float, float], ...]

CORES: Metrics = tuple(("cpu", f"core{n}", "loops_per_s", "loops/s", True, 420.0, 1.0) for n in range(16))
DISKS: Metrics = tuple(
    ("disk", f"sd{letter}", "read_1M_bytes_per_s", "bytes/s", True, 210e6, 1.0) for letter in "abcdefghij"
)
SOCKETS: Metrics = tuple(
    ("cpu", f"socket{n}", "events_per_s", "events/s", True, 1180.0, 0.5) for n in range(2)
)
ALL: Metrics = (*CORES, *DISKS, ("memory", "all", "write_1G_bytes_per_s", "bytes/s", True, 11e9, 1.0))

SMALL = pytest.mark.parametrize("size", [1, 2])


def told(report: Report) -> list[tuple[str, str]]:
    return [(each.element, each.summary.split(":")[1].strip()) for each in serious(report)]


@SMALL
@pytest.mark.parametrize("seed", range(8))
def test_healthy_nodes_are_unknown_and_nothing_is_said_against_them(size: int, seed: int) -> None:
    report = judge(Fleet(size, noise=0.01, seed=seed, heavy_tails=seed % 2 == 1).benchmarks(ALL))
    assert serious(report) == []
    assert report.counts.unknown == size
    [remark] = report.findings
    assert "too few to tell who is different; 3 are needed" in remark.summary


@SMALL
@pytest.mark.parametrize("loss", [0.4, 0.6, 0.99, 0.999999, 1.0])
def test_a_bad_core_among_sixteen_is_told(size: int, loss: float) -> None:
    report = judge(Fleet(size, noise=0.005).benchmarks(ALL).slow("n1", "cpu", 1 - loss, part="core11"))
    assert told(report) == [("node:n1", "CPU core 11")]
    assert verdicts(report)["n1"] == "fail"
    [found] = serious(report)
    assert found.effect == pytest.approx(-loss, abs=0.02)
    assert "where its like parts have 42" in found.summary
    assert [name for name, verdict in verdicts(report).items() if verdict == "pass"] == []


@SMALL
@pytest.mark.parametrize("loss", [0.4, 0.5, 0.9])
def test_one_slow_disk_among_ten_is_told(size: int, loss: float) -> None:
    report = judge(Fleet(size, noise=0.005).benchmarks(ALL).slow(f"n{size}", "disk", 1 - loss, part="sdd"))
    assert told(report) == [(f"node:n{size}", "disk sdd")]
    assert verdicts(report)[f"n{size}"] == "fail"


@SMALL
@pytest.mark.parametrize("factor", [0.5, 0.9, 2.0])
def test_of_two_sockets_nobody_can_tell_which_is_right(size: int, factor: float) -> None:
    report = judge(Fleet(size).benchmarks(SOCKETS).slow("n1", "cpu", factor, part="socket1"))
    assert serious(report) == []
    assert report.counts.unknown == size


def test_two_nodes_are_not_compared_with_each_other() -> None:
    report = judge(Fleet(2).benchmarks(ALL).slow("n2", "memory", 0.3).slow("n2", "cpu", 0.5))
    assert serious(report) == []
    assert verdicts(report) == {"n1": "unknown", "n2": "unknown"}


def test_like_parts_that_are_all_slow_are_not_told() -> None:
    assert serious(judge(Fleet(1).benchmarks(ALL).slow("n1", "disk", 0.2))) == []


def test_as_much_is_told_of_two_nodes_as_of_each_for_itself() -> None:
    pair = judge(Fleet(2, noise=0.0).benchmarks(ALL).slow("n1", "cpu", 0.5, part="core3"))
    alone = judge(Fleet(1, noise=0.0).benchmarks(ALL).slow("n1", "cpu", 0.5, part="core3"))
    assert told(pair) == told(alone) == [("node:n1", "CPU core 3")]


def test_a_small_difference_among_like_parts_is_nothing_to_act_on() -> None:
    for factor in np.linspace(0.9, 1.0, 6):
        fleet = Fleet(1, noise=0.003).benchmarks(ALL).slow("n1", "disk", float(factor), part="sdb")
        assert serious(judge(fleet)) == []
