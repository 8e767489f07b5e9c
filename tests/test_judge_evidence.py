"""From metrics to evidence: what is joined, what is compared with what, and what one spoilt value can do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge.arrays import Floats
from ahc_server.judge.evidence import Evidence, Gatherer, Values, against_others
from ahc_server.judge.gather import gather
from ahc_server.judge.readings import readings
from tests.score_helpers import metric, values_of

NAN = float("nan")


def gathered(names: list[str], distance: object, *, sampled: bool = False) -> list[Evidence]:
    metrics = [metric(name) for name in names]
    values = values_of(np.array(distance, dtype=np.float64), sampled=sampled)
    return gather(values, [each.component for each in metrics], readings(metrics), [])


def kinds(found: list[Evidence]) -> list[tuple[str, str, list[str]]]:
    return [(each.kind, each.component, each.parts) for each in found]


def of_kind(found: list[Evidence], kind: str) -> Evidence:
    [one] = [each for each in found if each.kind == kind]
    return one


CORES = [f"cpu.core{n}.events_per_s" for n in range(4)]
SOCKETS = ["cpu.socket0.events_per_s", "cpu.socket1.events_per_s"]
BLOCKS = [f"memory.core{n}.write_{size}_bytes_per_s" for n in range(4) for size in ("4K", "1M", "1G", "2G")]
DISK = [
    f"disk.{name}.{what}" for name in ("sda", "sdb") for what in ("read_1M_bytes_per_s", "randread_4k_iops")
]


# ── what a group's metrics give ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            [*SOCKETS, "cpu.all.events_per_s"],
            [
                ("cpu", "cpu", ["socket0", "socket1"]),
                ("socket", "cpu", ["socket0", "socket1"]),
                ("cpu", "cpu", ["all"]),
            ],
        ),
        # Where single cores were measured once each, all of them together are one more value that a glitch can spoil.
        (
            [*CORES, "cpu.all.events_per_s"],
            [("cpu", "cpu", ["all"]), ("core", "cpu", ["core0", "core1", "core2", "core3"]), ("throttling", "cpu", ["all"])],
        ),
        (
            [*CORES[:3]],
            [("cpu", "cpu", ["all"]), ("core", "cpu", ["core0", "core1", "core2"])],
        ),
        (
            ["memory.node0.write_1G_bytes_per_s", "memory.node1.write_1G_bytes_per_s"],
            [("memory", "memory", ["node0", "node1"]), ("numa", "memory", ["node0", "node1"])],
        ),
        (
            ["memory.all.write_1G_bytes_per_s", "memory.all.write_1M_bytes_per_s"],
            [("memory", "memory", ["all"]), ("cached", "memory", ["all"])],
        ),
        (
            DISK,
            [
                ("sequential", "disk", ["sda", "sdb"]),
                ("random", "disk", ["sda", "sdb"]),
                ("disk", "disk", ["sda", "sdb"]),
            ],
        ),
        # A disk that only reads needs no score for all that it does.
        (DISK[:1], [("sequential", "disk", ["sda"])]),
        (
            ["disk.sda.randread_4k_p50_us", "disk.sda.randread_4k_p99_us"],
            [("latency", "disk", ["sda"]), ("tail latency", "disk", ["sda"])],
        ),
        (
            ["network.tx.flow_bytes_per_s", "network.rx.flow_bytes_per_s", "network.rtt.tcp_p50_us"],
            [("tx", "network", ["tx"]), ("rx", "network", ["rx"]), ("rtt", "network", ["rtt"])],
        ),
        (
            ["system.gpu0.gemm_tflops", "system.gpu0.copy_bytes_per_s"],
            [("other", "system", ["gpu0"]), ("other", "system", ["gpu0"])],
        ),
        # From three on they are one piece of evidence.
        ([f"system.gpu0.{each}_tflops" for each in "abc"], [("other", "system", ["gpu0"])]),
        (["cpu.core0.bogomips", "cpu.core1.bogomips"], []),
    ],
    ids=lambda each: each[0] if each and isinstance(each[0], str) else "",
)  # fmt: skip
def test_metrics_give(names: list[str], expected: list[tuple[str, str, list[str]]]) -> None:
    assert kinds(gathered(names, np.zeros((5, len(names))))) == expected


def test_what_was_sampled_is_told_of_all_cores_together_too_and_of_its_steadiness() -> None:
    found = gathered([*CORES, "cpu.all.events_per_s"], np.zeros((5, 5)), sampled=True)
    assert [each.parts for each in found if each.kind == "cpu"] == [["all"], ["all"]]
    assert len([each for each in found if each.kind == "unsteady"]) == 5


def test_what_nobody_has_is_no_evidence() -> None:
    assert gathered(SOCKETS, np.full((5, 2), NAN)) == []


def test_memory_of_single_cores_is_one_piece_and_caches_go_with_the_clock() -> None:
    found = gathered([*CORES, *BLOCKS], np.zeros((5, 20)))
    assert [each.kind for each in found] == ["cpu", "core", "throttling", "memory"]
    assert len(of_kind(found, "memory").columns[0]) == 8
    assert [len(each) for each in of_kind(found, "core").columns] == [5, 5, 5, 5]


# ── joining ──────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(3, 12), st.floats(-7.0, 7.0), st.data())
def test_one_spoilt_value_of_many_moves_nothing(count: int, spoilt: float, data: st.DataObject) -> None:
    names = [f"system.gpu0.m{n:02}_tflops" for n in range(count)]
    away = np.full((4, count), -0.01)
    away[2, data.draw(st.integers(0, count - 1))] = spoilt
    [found] = gathered(names, away)
    assert found.distance.ravel().tolist() == [-0.01] * 4


def test_a_value_that_stands_alone_says_so_unless_it_was_sampled() -> None:
    names = ["memory.all.forked_1G_bytes_per_s", "memory.all.forked_2G_bytes_per_s"]
    away = [[0.0, 0.0], [0.0, NAN], [NAN, NAN]]
    assert of_kind(gathered(names, away), "memory").single.ravel().tolist() == [False, True, False]
    assert not of_kind(gathered(names, away, sampled=True), "memory").single.any()


def test_of_two_values_of_one_run_each_the_less_odd_counts() -> None:
    names = ["memory.all.forked_1G_bytes_per_s", "memory.all.forked_2G_bytes_per_s"]
    away = [[-0.5, -0.01], [0.02, 0.7], [-0.2, -0.3]]
    assert of_kind(gathered(names, away), "memory").distance.ravel().tolist() == [-0.01, 0.02, -0.2]
    assert of_kind(gathered(names, away, sampled=True), "memory").distance[2, 0] == pytest.approx(-0.25)


def test_uncertain_values_are_less_uncertain_together() -> None:
    metrics = [metric(f"system.gpu0.{each}_tflops") for each in "abcd"]
    nothing = np.zeros((1, 4))
    values = Values(nothing, np.full((1, 4), 0.02), np.full((1, 4), 0.1), np.full((1, 4), NAN))
    [found] = gather(values, ["system"] * 4, readings(metrics), [])
    assert found.own[0, 0] == pytest.approx(0.01)
    # A disturbance that could explain each of them could explain them all.
    assert found.excuse[0, 0] == pytest.approx(0.1)


def against(each: list[list[float]]) -> Floats:
    nothing = np.zeros(np.shape(each))
    parts = [str(n) for n in range(len(each[0]))]
    columns = [np.array([n]) for n in range(len(each[0]))]
    evidence = Evidence(
        "socket", "cpu", parts, columns, np.array(each), nothing, nothing, nothing.astype(bool)
    )
    return against_others(evidence).distance


def test_a_part_is_compared_with_the_middle_of_the_others() -> None:
    assert against([[-0.1, 0.0]]).tolist() == pytest.approx(np.array([[-0.1, 0.1]]))
    assert against([[-0.4, 0.0, 0.02, 0.0]])[0, 0] == pytest.approx(-0.4)
    # What the node does as a whole cancels.
    assert against([[-0.3, -0.3, -0.3, -0.3]]).tolist() == [[0.0] * 4]


# ── disks ────────────────────────────────────────────────────────────────────────────────────────

TWICE = ["disk.sda.read_1M_bytes_per_s", "disk.sda.read_1M_together_bytes_per_s"]


@pytest.mark.parametrize(
    ("alone", "beside", "taken", "single"),
    [
        (-0.10, -0.12, -0.105, False),
        # One of them is a glitch: the better one counts.
        (-0.60, -0.01, -0.01, False),
        (-0.02, -0.50, -0.02, False),
        (-0.30, NAN, -0.30, True),
        (NAN, -0.30, -0.30, True),
    ],
)
def test_what_a_disk_does_alone_and_beside_the_others_has_to_agree(
    alone: float, beside: float, taken: float, single: bool
) -> None:
    found = of_kind(gathered(TWICE, [[0.0, 0.0], [alone, beside], [0.0, 0.0]]), "sequential")
    assert found.distance[1, 0] == pytest.approx(taken)
    assert bool(found.single[1, 0]) is single


def test_both_rates_of_one_run_are_one_value() -> None:
    names = ["disk.sda.randread_4k_iops", "disk.sda.randread_4k_bytes_per_s"]
    assert of_kind(gathered(names, np.zeros((3, 2))), "random").single.all()


def test_of_a_whole_disk_that_counts_most_in_which_its_peers_are_steady() -> None:
    names = DISK[:2]
    peers = np.array([[0.001, 0.05], [-0.001, -0.05], [0.0, 0.0], [0.001, 0.05], [-0.001, -0.05]])
    away = np.vstack([peers, [[-0.10, 0.0]]])
    whole = of_kind(gathered(names, away, sampled=True), "disk")
    assert whole.distance[5, 0] == pytest.approx(-0.10, rel=0.01)
    away[5] = [0.0, -0.10]
    assert abs(of_kind(gathered(names, away, sampled=True), "disk").distance[5, 0]) < 0.001


def test_of_the_kinds_that_rest_on_one_value_the_worst_does_not_count_for_the_whole_disk() -> None:
    away = np.zeros((6, 2)) + np.linspace(-0.01, 0.01, 6)[:, None]
    away[0] = [-0.6, -0.02]
    whole = of_kind(gathered(DISK[:2], away), "disk").distance
    assert whole[0, 0] == pytest.approx(-0.02, abs=0.01)
    sampled = of_kind(gathered(DISK[:2], away, sampled=True), "disk").distance
    assert sampled[0, 0] < -0.2


def test_a_disk_of_which_one_thing_is_lost_is_judged_by_the_other() -> None:
    away = np.zeros((6, 2)) + np.linspace(-0.01, 0.01, 6)[:, None]
    away[0] = [NAN, -0.2]
    away[1] = NAN
    whole = of_kind(gathered(DISK[:2], away, sampled=True), "disk").distance[:, 0]
    assert whole[0] == pytest.approx(-0.2, abs=0.01)
    assert np.isnan(whole[1]) and not np.isnan(whole[2:]).any()


# ── steadiness ───────────────────────────────────────────────────────────────────────────────────


def test_a_piece_is_as_unsteady_as_the_middle_of_its_metrics() -> None:
    metrics = [metric(name) for name in DISK[:2]]
    within = np.array([[0.01, 0.03], [0.2, NAN], [NAN, NAN]])
    nothing = np.zeros((3, 2))
    found = Gatherer(Values(nothing, nothing, nothing, within), ["disk", "disk"], readings(metrics))
    found.unsteady()
    [one] = found.found
    assert one.distance.ravel().tolist() == pytest.approx([-0.02, -0.2, NAN], nan_ok=True)
