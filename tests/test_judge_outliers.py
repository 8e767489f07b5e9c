"""The statistics of the judge, on plain arrays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from ahc_server.judge.outliers import (
    Deviations,
    Floats,
    MetricRules,
    deviations,
    false_discovery_rates,
    robust_spread,
    simes,
    tail_degrees,
)


def rules(count: int = 1, *, sign: float = 1.0, floor: float = 0.05, noise: float = 0.01) -> MetricRules:
    return MetricRules(
        sign=np.full(count, sign),
        family=np.arange(count),
        floor=np.full(count, floor),
        floor_absolute=np.zeros(count),
        noise=np.full(count, noise),
    )


def judged(values: list[float] | Floats, of: MetricRules | None = None, **layers: float) -> Deviations:
    matrix = np.asarray(values, dtype=float).reshape(len(values), -1)
    half, within, doubt = (np.full(matrix.shape, layers.get(k, 0.0)) for k in ("half", "within", "doubt"))
    return deviations(matrix, half, within, doubt, of or rules(matrix.shape[1]))


@pytest.mark.parametrize("size", [3, 4, 5, 6, 20])
def test_one_slow_node_stands_out_in_any_group_that_can_be_judged(size: int) -> None:
    values = [100.0 + 0.3 * (number % 3) for number in range(size)]
    values[1] = 80.0
    found = judged(values)
    assert found.p_slow[1, 0] < 0.002
    assert np.all(np.delete(found.p_slow[:, 0], 1) > 0.2)
    assert found.effect[1, 0] == pytest.approx(-0.2, abs=0.005)


def test_mean_and_two_sigma_could_not_fire_there() -> None:
    """Why the rule is robust: in a group of five no value can be two standard deviations from the mean."""
    values = np.array([100.0, 100.0, 100.0, 100.0, 1.0])
    assert abs(values[4] - values.mean()) < 2 * values.std(ddof=1)
    assert judged(values).p_slow[4, 0] < 0.001


def test_two_nodes_cannot_be_judged() -> None:
    found = judged([100.0, 50.0])
    assert not found.judged[0]
    assert np.all(np.isnan(found.p_slow))


def test_a_missing_value_is_neither_judged_nor_counted() -> None:
    found = judged([100.0, np.nan, 101.0, 50.0, 100.0])
    assert np.isnan(found.p_slow[1, 0])
    assert found.expected[0] == 100.0
    assert not judged([100.0, np.nan, 101.0]).judged[0]


def test_a_difference_under_the_floor_is_no_finding_however_sure_it_is() -> None:
    values = np.full(200, 100.0)
    values[0] = 96.0
    assert judged(values).p_slow[0, 0] > 0.9


def test_less_is_better_for_times() -> None:
    found = judged([100.0, 101.0, 99.0, 250.0, 20.0], rules(sign=-1.0, floor=0.3))
    assert found.p_slow[3, 0] < 0.001
    assert found.effect[3, 0] == pytest.approx(-1.5, abs=0.01)
    assert found.p_fast[4, 0] < found.p_fast[0, 0]


def test_a_small_absolute_difference_is_no_finding_however_large_a_part_it_is() -> None:
    lenient = MetricRules(
        sign=np.array([-1.0]),
        family=np.zeros(1, dtype=np.int64),
        floor=np.array([0.3]),
        floor_absolute=np.array([10.0]),
        noise=np.array([0.01]),
    )
    assert judged([4.0, 4.0, 4.0, 4.0, 12.0], lenient).p_slow[4, 0] == 1.0
    assert judged([40.0, 40.0, 40.0, 40.0, 120.0], lenient).p_slow[4, 0] < 0.001


def test_a_wide_confidence_interval_of_its_own_excuses_a_node() -> None:
    values = [100.0, 100.5, 99.5, 100.2, 88.0]
    assert judged(values).p_slow[4, 0] < 0.01
    assert judged(values, half=8.0).p_slow[4, 0] > 0.3


def test_what_disturbed_all_alike_excuses_nobody() -> None:
    values = [100.0, 100.5, 99.5, 100.2, 60.0]
    assert judged(values, doubt=0.9).p_slow[4, 0] < 0.001


def test_what_disturbed_one_node_excuses_that_much() -> None:
    values = np.array([[100.0], [100.5], [99.5], [100.2], [60.0]])
    doubt = np.array([[0.0], [0.0], [0.0], [0.0], [0.5]])
    found = deviations(values, np.zeros_like(values), np.zeros_like(values), doubt, rules())
    assert found.p_slow[4, 0] == 1.0
    assert found.p_slow_undoubted[4, 0] < 0.001


def test_nodes_whose_samples_scatter_are_not_called_different() -> None:
    values = [100.0, 100.1, 99.9, 100.0, 91.0]
    assert judged(values).p_slow[4, 0] < 0.01
    assert judged(values, within=0.06).p_slow[4, 0] > 0.1


def test_a_node_that_does_nothing_at_all_is_infinitely_slow_and_no_error() -> None:
    found = judged([100.0, 100.0, 100.0, 0.0])
    assert found.p_slow[3, 0] < 1e-4
    assert found.effect[3, 0] == -1.0


def test_a_metric_that_is_zero_for_most_is_not_judged() -> None:
    assert not judged([0.0, 0.0, 0.0, 5.0]).judged[0]


@pytest.mark.parametrize("size", [3, 4, 5, 6, 9, 30, 400])
def test_the_spread_is_right_on_average_for_small_groups_too(size: int) -> None:
    draws = np.random.default_rng(size).normal(0.0, 0.02, (size, 4000))
    assert np.mean(robust_spread(draws - np.median(draws, axis=0))) == pytest.approx(0.02, rel=0.12)


def test_heavy_tails_are_seen_on_the_healthy_side() -> None:
    draws = np.random.default_rng(3)
    light, heavy = draws.normal(size=20_000), draws.standard_t(3, size=20_000)
    assert tail_degrees(light) > 15
    assert tail_degrees(heavy) == pytest.approx(3, abs=0.5)
    assert tail_degrees(light[:10]) == 5.0
    # Sheep are all on the other side and change nothing.
    assert tail_degrees(np.r_[light, np.full(5000, -40.0)]) == tail_degrees(light)


probabilities = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1))


@given(probabilities)
def test_false_discovery_rates_are_benjamini_and_hochbergs(p: Floats) -> None:
    assert false_discovery_rates(p) == pytest.approx(stats.false_discovery_control(p))


def test_missing_tests_do_not_count() -> None:
    q = false_discovery_rates(np.array([[0.01, np.nan], [np.nan, 0.5]]))
    assert q[0, 0] == pytest.approx(0.02)
    assert np.isnan(q[0, 1])


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(0, 1)))
def test_simes_lies_between_the_smallest_value_and_its_bonferroni_correction(p: Floats) -> None:
    joined = simes(p)
    assert np.all(joined >= p.min(axis=1) - 1e-12)
    assert np.all(joined <= np.minimum(p.min(axis=1) * p.shape[1], 1) + 1e-12)


fleets = st.lists(st.floats(50, 150), min_size=3, max_size=12)


@given(fleets)
def test_the_order_of_nodes_makes_no_difference(values: list[float]) -> None:
    order = np.random.default_rng(len(values)).permutation(len(values))
    plain, mixed = judged(values), judged(np.array(values)[order])
    assert np.array_equal(plain.p_slow[order], mixed.p_slow)
    assert np.array_equal(plain.effect[order], mixed.effect)


@given(fleets, st.sampled_from([1e-6, 0.25, 1024.0, 1e9]))
def test_units_make_no_difference(values: list[float], factor: float) -> None:
    plain, scaled = judged(values), judged(np.array(values) * factor)
    assert plain.p_slow == pytest.approx(scaled.p_slow, rel=1e-6)


@given(fleets)
def test_slower_is_never_less_suspicious(values: list[float]) -> None:
    found = judged(values)
    order = np.argsort(values)
    assert all(found.p_slow[a, 0] <= found.p_slow[b, 0] + 1e-12 for a, b in pairwise(order))
