"""How far healthy nodes stray: levels, halves, spreads and tails."""

from __future__ import annotations

import warnings
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ahc_server.judge.arrays import Floats
from ahc_server.judge.noise import (
    Batches,
    Noise,
    Spread,
    common_shape,
    halves,
    levelled,
    medians,
    middles,
    noise_of,
    robust_spread,
    spread_of,
)
from tests.score_helpers import steps

TABLES = arrays.arrays(
    np.float64,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-1e6, 1e6) | st.just(float("nan")),
)
AXES = st.sampled_from([0, 1])


@given(TABLES, AXES)
def test_medians_are_those_of_numpy(values: Floats, axis: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_array_equal(medians(values, axis), np.nanmedian(values, axis=axis))


def test_of_nothing_there_is_no_median() -> None:
    assert medians(np.zeros((0, 2)), 0).tolist() == pytest.approx([np.nan, np.nan], nan_ok=True)


def middle_by_hand(values: list[float]) -> float:
    known = sorted(each for each in values if each == each)
    if len(known) < 4:
        return float(np.median(known)) if known else float("nan")
    trim = len(known) // 4
    kept = known[trim : len(known) - trim]
    return sum(kept) / len(kept)


@given(TABLES, AXES)
def test_the_middle_is_the_mean_of_the_middle_half(values: Floats, axis: int) -> None:
    lines = values.T if axis == 0 else values
    expected = [middle_by_hand(line.tolist()) for line in lines]
    np.testing.assert_allclose(middles(values, axis), expected, rtol=1e-9, atol=1e-6)


@given(st.integers(4, 40), st.floats(-1e3, 1e3))
def test_a_quarter_of_spoilt_values_moves_no_middle_out_of_the_others(count: int, spoilt: float) -> None:
    values = steps(count, 0.01)
    bad = count // 4
    mixed = np.r_[values[bad:], np.full(bad, spoilt)]
    assert values[bad:].min() <= middles(mixed[None, :], 1)[0] <= values[bad:].max()


def test_the_spread_is_about_zero_and_of_each_column() -> None:
    noise = np.log(steps(401, 0.02))
    columns = np.stack([noise, np.full(401, np.nan), noise * 3], axis=1)
    assert robust_spread(columns).tolist() == pytest.approx([0.02, np.nan, 0.06], rel=0.01, nan_ok=True)


# ── visible batches ──────────────────────────────────────────────────────────────────────────────


def batch(members: int, size: int, *, explains: bool = False) -> Batches:
    codes = np.r_[np.ones(members, dtype=np.int64), np.zeros(size - members, dtype=np.int64)]
    return Batches(codes, np.array([explains]))


def shifted(members: int, size: int, by: float) -> Floats:
    away = np.log(steps(size, 0.002))[:, None]
    away[:members] += by
    return away


def levels(away: Floats, members: int) -> float:
    """How far the first nodes stand below the others."""
    return float(np.median(away[members:]) - np.median(away[:members]))


@pytest.mark.parametrize(
    ("members", "size", "shift", "explains", "left"),
    [
        (8, 20, -0.04, False, 0.0),
        (8, 20, +0.04, False, 0.0),
        # What is far off is not explained away by a BIOS that these nodes happen to share,
        (8, 20, -0.30, False, 0.30),
        # and by the model of their disks whatever it is.
        (8, 20, -0.30, True, 0.0),
        (8, 20, -1.50, True, 0.0),
        # Few nodes are no batch: two, or fewer than an eighth.
        (3, 20, -0.04, False, 0.0),
        (2, 12, -0.04, True, 0.04),
        (5, 60, -0.04, True, 0.04),
        # Three or four that are far off are told, with the model of their disks as the cause.
        (3, 20, -0.10, True, 0.10),
        (9, 60, -0.04, True, 0.0),
    ],
)
def test_a_batch_has_a_level_of_its_own(
    members: int, size: int, shift: float, explains: bool, left: float
) -> None:
    found = levelled(shifted(members, size, shift), [batch(members, size, explains=explains)])
    assert levels(found, members) == pytest.approx(left, abs=0.003)


def test_levels_of_two_facts_add_up() -> None:
    first, second = np.arange(40) % 2, np.arange(40) // 20
    away = np.log(steps(40, 0.002))[:, None] - 0.04 * first[:, None] - 0.03 * second[:, None]
    facts = [Batches(codes.astype(np.int64), np.array([False])) for codes in (first, second)]
    assert np.abs(levelled(away, facts)).max() < 0.012


def test_a_sheep_in_a_batch_stays_where_it_is_beside_its_batch() -> None:
    away = shifted(8, 20, -0.04)
    away[3] -= 0.2
    found = levelled(away, [batch(8, 20)])
    assert found[3, 0] == pytest.approx(-0.2, abs=0.01)


# ── halves that nothing visible divides ──────────────────────────────────────────────────────────


@given(st.integers(12, 80), st.floats(0.3, 0.7), st.floats(0.05, 2.0), st.integers(0, 3))
def test_two_clumps_are_told_apart(count: int, part: float, gap: float, lost: int) -> None:
    slower = int(np.clip(round(part * count), count * 3 // 10 + 1, count - count * 3 // 10 - 1))
    away = np.r_[np.log(steps(slower, 0.002)) - gap, np.log(steps(count - slower, 0.002))]
    away = np.r_[away, np.full(lost, np.nan)]
    found = halves(away)
    assert found is not None
    assert found.gap == pytest.approx(gap, abs=0.002)
    assert np.flatnonzero(found.slower).tolist() == list(range(slower))


@pytest.mark.parametrize("count", [12, 13, 24, 100, 400])
def test_one_clump_is_not(count: int) -> None:
    assert halves(np.log(steps(count, 0.01))) is None


@pytest.mark.parametrize("slower", [1, 2, 5, 7, 9])
def test_a_few_slow_nodes_are_no_half(slower: int) -> None:
    assert halves(np.r_[np.log(steps(30 - slower, 0.002)), np.full(slower, -0.3)]) is None


@pytest.mark.parametrize(
    ("slower", "gap", "told"),
    [(5, 0.02, False), (8, 0.02, True), (8, 0.035, True), (8, 0.05, False), (8, 0.3, False)],
    ids=["too few", "2 %", "3.5 %", "5 %", "30 %"],
)
def test_a_batch_that_nothing_visible_tells_apart_is_one_up_to_what_batches_differ(
    slower: int, gap: float, told: bool
) -> None:
    away = np.r_[np.log(steps(42, 0.002)), np.log(steps(slower, 0.002)) - gap]
    assert halves(away) is None
    assert (halves(away, batches=True) is not None) == told


def test_in_a_group_of_fewer_than_twelve_nobody_sees_halves() -> None:
    assert halves(np.r_[np.zeros(6), np.full(5, -0.3)] + np.log(steps(11, 0.001))) is None
    assert halves(np.full(30, np.nan)) is None


# ── noise ────────────────────────────────────────────────────────────────────────────────────────

ALARMS = st.floats(-25.0, -1.6).map(lambda log_p: float(np.exp(log_p)))
TAILS = st.floats(0.2, 1.5)


@given(ALARMS, ALARMS, TAILS)
def test_the_rarer_an_alarm_may_be_the_lower_is_its_limit(one: float, other: float, tail: float) -> None:
    noise = Noise(sigma=0.01, tail=tail, extra=0.0)
    rare, often = sorted((one, other))
    assert noise.spreads(rare) >= noise.spreads(often)


@given(ALARMS, TAILS, TAILS)
def test_the_heavier_the_tail_the_lower_is_the_limit(alarms: float, one: float, other: float) -> None:
    light, heavy = sorted((one, other))
    assert Noise(0.01, heavy, 0.0).spreads(alarms) >= Noise(0.01, light, 0.0).spreads(alarms) - 1e-12


@given(ALARMS, TAILS, st.floats(0.0, 4.0))
def test_the_chance_of_a_distance_is_the_inverse_of_the_limit(
    alarms: float, tail: float, extra: float
) -> None:
    noise = Noise(sigma=0.01, tail=tail, extra=extra)
    down = np.array([-noise.spreads(alarms)])
    assert noise.log_p(down, np.zeros(1))[0] == pytest.approx(np.log(alarms), abs=0.01)
    assert noise.log_p(down - 0.7, np.full(1, 0.7))[0] == pytest.approx(np.log(alarms), abs=0.01)


@pytest.mark.parametrize("z", [-2.0, -3.0, -5.0, -8.0])
def test_without_a_tail_noise_is_normal_and_with_one_it_is_laplace(z: float) -> None:
    def p(tail: float) -> float:
        return float(Noise(0.01, tail, 0.0).log_p(np.array([z]), np.zeros(1))[0])

    assert p(0.0) == pytest.approx(np.log(NormalDist().cdf(z)), rel=0.002)
    # Half of |x| is below ln 2 widths, which is the median that 1.4826 makes a spread of.
    assert p(1.0) == pytest.approx(np.log(0.5) + z * 1.4826 * np.log(2), rel=0.002)


@given(TAILS, st.floats(-60.0, 60.0), st.floats(0.0, 30.0))
def test_farther_down_is_never_more_likely_and_upwards_is_no_alarm(
    tail: float, z: float, more: float
) -> None:
    near, far = Noise(0.01, tail, 0.0).log_p(np.array([z, z - more]), np.zeros(2))
    assert far <= near <= np.log(0.5)
    assert near == np.log(0.5) or z < 0


CONTAMINATED = st.tuples(
    st.integers(40, 300), st.floats(0.0, 0.3), st.floats(0.1, 3.0), st.floats(0.003, 0.03)
)


@given(CONTAMINATED)
def test_a_third_of_sick_nodes_hardly_moves_the_spread(
    case: tuple[int, float, float, float],
) -> None:
    """30 % sick on one side make the median deviation the 71 % quantile of the healthy: 1.6 spreads at most."""
    count, part, loss, width = case
    sick = int(part * count)
    away = np.log(steps(count, width))
    away[:sick] = -loss
    away -= np.median(away)
    found = spread_of(away[:, None], prior=0.001, nodes=count)
    assert 0.9 * width < found.sigma < 2.2 * width


@given(CONTAMINATED)
def test_sick_nodes_do_not_make_a_normal_noise_look_like_one_of_heavy_tails(
    case: tuple[int, float, float, float],
) -> None:
    count, part, loss, width = case
    sick = int(min(part, 0.15) * count)
    away = np.log(steps(count, width))
    away[:sick] = -loss - 10 * width
    away -= np.median(away)
    found = spread_of(away[:, None], prior=0.001, nodes=count)
    assert found.shape < 0.75


@pytest.mark.parametrize("tail", [0.0, 1.0])
def test_the_shape_of_the_tail_is_seen(tail: float) -> None:
    p = (np.arange(1000) + 0.5) / 2000
    normal, laplace = -np.array([NormalDist().inv_cdf(each) for each in p]), -np.log(2 * p)
    side = laplace / np.log(2) / 1.4826 if tail else normal
    found = spread_of(0.01 * np.r_[-side, side][:, None], prior=0.001, nodes=2000)
    assert found.shape == pytest.approx(tail, abs=0.15)


def test_a_lucky_small_group_does_not_look_exact() -> None:
    exact = np.zeros((4, 1))
    assert spread_of(exact, prior=0.009, nodes=4).sigma > 0.007
    assert spread_of(np.zeros((100, 1)), prior=0.009, nodes=100).sigma == pytest.approx(0.003)
    nothing = spread_of(np.full((9, 1), np.nan), prior=0.009, nodes=9)
    assert (nothing.sigma, nothing.count) == (0.009, 0)


def test_a_wild_small_group_is_as_wild_as_it_looks() -> None:
    away = np.array([[-0.1], [0.0], [0.1], [0.12]])
    assert spread_of(away, prior=0.004, nodes=4).sigma > 0.1


@given(st.lists(st.tuples(TAILS, st.integers(0, 5000)), max_size=9))
def test_the_common_shape_lies_between_those_seen_and_the_guess(seen: list[tuple[float, int]]) -> None:
    spreads = [Spread(0.01, shape, count) for shape, count in seen]
    low, high = min([0.45, *(s for s, _ in seen)]), max([0.45, *(s for s, _ in seen)])
    assert low - 1e-9 <= common_shape(spreads) <= high + 1e-9
    assert common_shape(spreads[::-1]) == pytest.approx(common_shape(spreads))


def test_few_nodes_have_wider_limits() -> None:
    seen = Spread(0.01, 0.3, 50)
    limits = [noise_of(seen, 0.3, nodes=nodes).spreads(1e-4) for nodes in (3, 6, 12, 20, 50)]
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == limits[-2] < limits[-3]


def test_where_few_values_tell_of_a_tail_what_others_tell_counts() -> None:
    few, many = Spread(0.01, 0.0, 5), Spread(0.01, 0.0, 5000)
    assert noise_of(few, 1.0, nodes=50).tail > 0.9
    assert noise_of(many, 1.0, nodes=50).tail < 0.25
