"""Distances and scores: what a value is compared with, what a node may stray, and who can be judged at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge.arrays import Floats
from ahc_server.judge.noise import Batches
from ahc_server.judge.scores import distances, distances_alone
from ahc_server.judge.thresholds import Thresholds
from tests.score_helpers import examined, metric, named, steps

NAN = float("nan")
RATE, TIME = np.array([1.0]), np.array([-1.0])


def column(*values: float) -> Floats:
    return np.array(values)[:, None]


# ── distances ────────────────────────────────────────────────────────────────────────────────────


def test_half_and_double_are_equally_far_and_worse_is_negative() -> None:
    assert distances(column(50, 100, 100, 100, 200), RATE, [])[:, 0].tolist() == pytest.approx(
        [-np.log(2), 0, 0, 0, np.log(2)]
    )
    assert distances(column(50, 100, 100, 100, 200), TIME, [])[:, 0].tolist() == pytest.approx(
        [np.log(2), 0, 0, 0, -np.log(2)]
    )


@given(st.floats(1e-9, 1e9), st.sampled_from([RATE, TIME]))
def test_units_do_not_matter(factor: float, sign: Floats) -> None:
    values = 100 * steps(9, 0.02)[:, None]
    np.testing.assert_allclose(distances(values * factor, sign, []), distances(values, sign, []), atol=1e-9)


def test_what_fewer_than_three_nodes_have_is_compared_with_nothing() -> None:
    assert np.isnan(distances(column(1, 2, NAN, NAN), RATE, [])).all()
    assert not np.isnan(distances(column(1, 2, 2, NAN), RATE, [])[:3]).any()


def test_zero_among_others_is_as_far_down_as_can_be_and_among_zeros_is_nothing() -> None:
    assert distances(column(0, 5, 5, 5), RATE, [])[0, 0] == -7.0
    assert np.isnan(distances(column(0, 0, 0, 5), RATE, [])).all()


def test_a_visible_batch_has_a_level_of_its_own() -> None:
    values = 100 * steps(20, 0.001)[:, None]
    values[:8] *= 0.6
    explained = Batches(np.r_[np.ones(8, np.int64), np.zeros(12, np.int64)], np.array([True]))
    assert np.abs(distances(values, RATE, [explained])).max() < 0.01


def test_without_peers_like_parts_of_a_node_are_compared() -> None:
    names = [f"disk.sd{letter}.read_1M_bytes_per_s" for letter in "abc"]
    names += ["disk.sda.randread_4k_iops", "disk.sdb.randread_4k_iops"]
    values = np.array([[100.0, 100.0, 50.0, 7.0, 8.0]])
    away = distances_alone(values, np.ones(5), [metric(name) for name in names])
    # Two are too few to tell who is right.
    assert away[0].tolist() == pytest.approx([0, 0, -np.log(2), NAN, NAN], nan_ok=True)


@pytest.mark.parametrize(
    ("values", "away"),
    [
        # One that does nothing among like parts is as far down as can be; among parts that do nothing there is no level.
        ([0.0, 5.0, 5.0], [-7.0, 0.0, 0.0]),
        ([0.0, 0.0, 5.0], [NAN, NAN, NAN]),
        ([0.0, 0.0, 5.0, 5.0], [NAN, NAN, NAN, NAN]),
    ],
)
def test_without_peers_a_dead_part_is_one_among_living_ones(values: list[float], away: list[float]) -> None:
    metrics = [metric(f"disk.sd{letter}.read_1M_bytes_per_s") for letter in "abcd"[: len(values)]]
    found = distances_alone(np.array([values]), np.ones(len(values)), metrics)
    assert found[0].tolist() == pytest.approx(away, nan_ok=True)


def test_without_peers_another_run_with_more_hosts_is_another_thing() -> None:
    metrics = [metric("cpu.core0.events_per_s"), metric("cpu.core1.events_per_s")]
    metrics += [metric("cpu.core2.events_per_s", hosts=2), metric("cpu.core3.events_per_s", job="later")]
    assert np.isnan(distances_alone(np.ones((1, 4)), np.ones(4), metrics)).all()


# ── scores ───────────────────────────────────────────────────────────────────────────────────────

MEMORY = "memory.all.write_1G_bytes_per_s"
LATENCY = "disk.sda.randread_4k_p50_us"


@pytest.mark.parametrize(
    ("nodes", "factor"), [(3, 2.0), (11, 2.0), (12, 1.0), (40, 1.0)], ids=["3", "11", "12", "40"]
)
@pytest.mark.parametrize(("name", "kind"), [(MEMORY, "memory"), (LATENCY, "latency")])
def test_a_difference_that_matters_is_twice_as_large_in_small_groups(
    name: str, kind: str, nodes: int, factor: float
) -> None:
    _, score = named(examined({name: 100 * steps(nodes)}), kind)
    floor = Thresholds().of(kind).floor * factor
    # Of rates the part that is lost, of times the part that is more.
    assert score.floor == pytest.approx(-np.log1p(-floor) if kind == "memory" else np.log1p(floor))
    assert score.is_judged


def test_whom_too_few_nodes_have_nobody_is_judged_by() -> None:
    values = steps(9)
    values[2:] = NAN
    test = examined({MEMORY: steps(9), "disk.sda.read_1M_bytes_per_s": values})
    assert [score.kind for score in test.scores] == ["memory"]


def test_no_bar_lies_above_what_matters() -> None:
    for width in (0.0, 0.001, 0.05):
        _, score = named(examined({MEMORY: steps(30, width)}), "memory")
        assert np.all(score.bar <= -score.floor)


def test_the_bar_follows_the_noise_of_the_fleet() -> None:
    bars = [
        float(named(examined({MEMORY: steps(30, width)}), "memory")[1].bar[0]) for width in (0.01, 0.02, 0.04)
    ]
    assert bars[1] == pytest.approx(2 * bars[0], rel=0.1)
    assert bars[2] == pytest.approx(4 * bars[0], rel=0.1)


def test_what_a_node_itself_measured_vaguely_lowers_its_bar() -> None:
    exact = named(examined({MEMORY: steps(30, 0.01)}), "memory")[1]
    vague = named(examined({MEMORY: steps(30, 0.01)}, half_width=0.1), "memory")[1]
    assert np.all(vague.bar < exact.bar)


def test_one_value_of_one_run_must_be_clearer() -> None:
    one = named(examined({MEMORY: steps(30, 0.01)}), "memory")[1]
    sampled = named(examined({MEMORY: steps(30, 0.01)}, within=0.01), "memory")[1]
    assert one.single.all() and not sampled.single.any()
    assert np.all(one.bar < sampled.bar)


def test_of_many_like_parts_one_may_stray_farther_by_chance() -> None:
    def core(count: int) -> tuple[float, float]:
        away = steps(30 * count, 0.02).reshape(30, count)
        away[0, 0] = 0.8
        score = named(
            examined({f"cpu.core{n}.events_per_s": away[:, n] for n in range(count)}), "core", "core0"
        )[1]
        assert score.like == count
        return float(score.bar[0]), float(score.log_p[0])

    few, many = core(4), core(32)
    assert many[0] < few[0]
    assert many[1] > few[1]


@pytest.mark.parametrize("count", [3, 8, 32])
def test_the_chance_is_that_of_the_worst_of_all_like_parts(count: int) -> None:
    away = steps(30 * count, 0.02).reshape(30, count)
    away[0, 0] = 0.8
    test = examined({f"cpu.core{n}.events_per_s": away[:, n] for n in range(count)})
    score = named(test, "core", "core0")[1]
    one = score.noise.log_p(score.distance / score.error, score.extra)
    np.testing.assert_allclose(score.log_p, np.minimum(one + np.log(count), 0.0))
    assert score.log_p[0] < -10


def test_halves_that_nothing_divides_are_judged_each_beside_itself() -> None:
    values = steps(30, 0.003)
    values[:14] *= 0.95
    values[3] *= 0.8
    test = examined({MEMORY: values})
    number, score = named(test, "memory")
    assert score.halves is not None
    assert score.halves.gap == pytest.approx(0.051, abs=0.003)
    assert np.flatnonzero(test.slow[:, number]).tolist() == [3]
    assert score.distance[3] == pytest.approx(np.log(0.8), abs=0.01)


def test_what_the_peers_were_disturbed_by_excuses_nobody() -> None:
    values = steps(12)
    values[0] = 0.7
    everybody = examined({MEMORY: values}, doubt=dict.fromkeys(range(12), 0.4))
    alone = examined({MEMORY: values}, doubt={0: 0.4})
    assert named(everybody, "memory")[1].excuse.max() == pytest.approx(0.0)
    assert named(alone, "memory")[1].excuse[0] == pytest.approx(-np.log(0.6))
