"""Figures of pairwise tests: percentiles, rates from arrivals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.net.stats import RateMeter, percentile, round_trips

numbers = st.floats(min_value=-1e12, max_value=1e12)
observations = st.lists(numbers, min_size=1, max_size=200).map(sorted)


@given(observations, st.floats(0, 1))
def test_percentiles_are_those_of_numpy(ordered: list[float], fraction: float) -> None:
    expected = float(np.quantile(ordered, fraction))
    assert percentile(ordered, fraction) == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(observations, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_never_cross_and_stay_within_the_observations(
    ordered: list[float], a: float, b: float
) -> None:
    low, high = sorted((a, b))
    assert ordered[0] <= percentile(ordered, low) <= percentile(ordered, high) <= ordered[-1]


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_a_fraction_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError):
        percentile([1.0], fraction)


def test_no_observations_have_no_percentile() -> None:
    with pytest.raises(ValueError):
        percentile([], 0.5)


def test_round_trips_are_told_in_microseconds() -> None:
    seen = round_trips("udp", [3000, 1000, 2000], lost=4)
    assert (seen.count, seen.lost, seen.min_us, seen.p50_us, seen.max_us) == (3, 4, 1.0, 2.0, 3.0)


def test_no_round_trips_are_no_figures() -> None:
    seen = round_trips("tcp", [])
    assert seen.count == 0
    assert seen.p50_us is None


def test_a_rate_counts_from_the_start_to_the_last_arrival() -> None:
    meter = RateMeter(0.0999, 5.0)
    for step in range(1, 11):
        meter.arrive(5.0 + step * 0.05, 1000)
    assert meter.bytes_per_s == pytest.approx(20_000)
    assert meter.samples == pytest.approx([20_000] * 5, rel=1e-6)
    meter.tick(5.55)  # a tail shorter than an interval: the next message is on its way
    assert meter.bytes_per_s == pytest.approx(20_000)


def test_a_silence_counts() -> None:
    meter = RateMeter(0.1, 0.0)
    meter.arrive(0.1, 1000)
    for step in range(2, 11):
        meter.tick(step * 0.1 + 1e-6)
    assert meter.bytes_per_s == pytest.approx(1000, rel=1e-3)
    assert meter.samples[0] == pytest.approx(10_000)
    assert set(meter.samples[1:]) == {0.0}


@given(st.lists(st.tuples(st.floats(0.001, 0.5), st.integers(0, 10**6)), max_size=100))
def test_samples_add_up_to_what_arrived(steps: list[tuple[float, int]]) -> None:
    """However messages fall into intervals, no byte is counted twice or lost but those of the open interval."""
    meter, now, closed, opened = RateMeter(0.1, 0.0), 0.0, 0.0, 0.0
    for gap, size in steps:
        now += gap
        if meter.arrive(now, size) if size else meter.tick(now):
            closed += meter.samples[-1] * (now - opened)
            opened = now
    assert meter.total_bytes == sum(size for _, size in steps)
    assert closed <= meter.total_bytes * (1 + 1e-9) + 1e-6


def test_nothing_at_all_is_a_rate_of_0() -> None:
    assert RateMeter(0.1, 0.0).bytes_per_s == 0.0
