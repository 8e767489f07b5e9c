"""The localiser's arithmetic: medians by key, shortest intervals, tails, racks by round trips."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge.localise.doubt import normal_of
from ahc_server.judge.localise.grouped import medians_by, peers_by, sums_by
from ahc_server.judge.localise.noise import densest, log_chance, noise_of
from ahc_server.judge.localise.racks import seen_racks
from tests.network_helpers import all_pairs, network

VALUES = st.floats(-5, 5)


@given(st.lists(st.tuples(st.integers(0, 6), VALUES), max_size=60))
def test_medians_and_sums_by_key_are_those_of_a_loop(rows: list[tuple[int, float]]) -> None:
    key = np.array([each for each, _ in rows], dtype=np.int64)
    values = np.array([each for _, each in rows])
    found, total = medians_by(key, values, 8), sums_by(key, values, 8)
    for group in range(8):
        mine = values[key == group]
        assert total[group] == pytest.approx(mine.sum())
        if len(mine):
            assert found[group] == pytest.approx(np.median(mine))
        else:
            assert math.isnan(found[group])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=40), st.sampled_from([6, 5000]))
def test_peers_are_counted_once(met: list[tuple[int, int]], nodes: int) -> None:
    key, peer = np.array(met, dtype=np.int64).reshape(-1, 2).T
    found = peers_by(key, peer, nodes)
    assert found[:6].tolist() == [len({b for a, b in met if a == group}) for group in range(6)]


@given(st.lists(VALUES, min_size=2, max_size=40))
def test_no_interval_that_holds_half_is_shorter(values: list[float]) -> None:
    middle, half_width = densest(np.array(values))
    ordered = sorted(values)
    held = max(2, math.ceil(len(values) / 2))
    shortest = min(b - a for a, b in zip(ordered, ordered[held - 1 :], strict=False))
    assert 2 * half_width == pytest.approx(shortest)
    assert min(values) <= middle <= max(values)


@pytest.mark.parametrize("z", [-1.0, -3.0, -6.0, -20.0])
def test_the_chance_of_a_deviation_is_the_normal_distributions(z: float) -> None:
    exact = math.log(0.5 * math.erfc(-z / math.sqrt(2)))
    assert float(log_chance(np.array(z))) == pytest.approx(exact, rel=0.005)


@pytest.mark.parametrize(
    ("freedom", "t", "chance"), [(4.0, -3.747, 0.01), (7.0, -4.785, 0.001), (10.0, -1.812, 0.05)]
)
def test_a_students_t_is_as_improbable_as_its_normal_deviate(freedom: float, t: float, chance: float) -> None:
    """Against the printed table of the distribution."""
    assert math.exp(float(log_chance(np.array(normal_of(t, freedom))))) == pytest.approx(chance, rel=0.05)


@pytest.mark.parametrize(("freedom", "seen"), [(2.0, (2.0, 2.8)), (50.0, (4.5, 5.0))])
def test_the_shape_of_the_tail_is_read_from_the_flows(freedom: float, seen: tuple[float, float]) -> None:
    noise = noise_of(0.01 * np.random.default_rng(1).standard_t(freedom, 20_000))
    assert seen[0] <= noise.freedom <= seen[1]
    assert noise.scale == pytest.approx(0.01, rel=0.1)


def test_one_bad_flow_weighs_no_more_than_a_glitch_is_rare() -> None:
    noise = noise_of(0.01 * np.random.default_rng(1).standard_normal(1000))
    far, farther = noise.log_density(np.array([-1.0, -3.0]))
    assert far == pytest.approx(farther, abs=0.05)


def test_racks_show_in_round_trips_where_all_pairs_were_measured() -> None:
    racks = [row % 4 for row in range(20)]
    of = network(20, all_pairs(20), rtt=lambda a, b: 12.0 if racks[a] == racks[b] else 20.0)
    near, found = seen_racks(of.flows, 20)
    assert near is not None and found is not None
    assert len(set(zip(racks, found.tolist(), strict=True))) == len(set(found.tolist())) == 4


def test_a_node_that_answers_late_makes_no_racks() -> None:
    of = network(8, all_pairs(8), rtt=lambda a, b: 40.0 if 2 in (a, b) else 20.0)
    assert seen_racks(of.flows, 8) == (None, None)
