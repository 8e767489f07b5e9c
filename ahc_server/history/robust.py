"""Changes on the scale of the judge's distances: medians, their intervals, and what is noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from ahc_server.judge import wording
from ahc_server.judge.arrays import MAD_TO_SIGMA, Floats
from ahc_server.judge.noise import medians as medians_of_some
from ahc_server.judge.thresholds import Limits

#: A ratio below exp(−7), under a thousandth, is as good as nothing.
_DEEPEST = -7.0
_CONFIDENCE = 0.95
#: Among fewer nodes nobody differs from peers.
LEAST_PEERS = 3
#: See ``noise``.
_SPREADS, _FEW = 5.0, 4.0
_ENOUGH_NODES, _PRIOR_NODES, _LEAST_FOR_TAIL = 20, 15.0, 20
_CORRECTION = (1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107)
#: See ``spread_of``.
_PRIOR_VALUES = 20.0
_NORMAL_RATIO, _TAIL, _WIDEST_TAIL, _TAIL_VALUES = 2.906, 2.5, 2.5, 40
#: Fewer nodes, higher floors.
_FEW_NODES, _FEW_FLOORS = 12, 2.0
#: A difference of two runs scatters by as much more than one run.
TWO_RUNS = 2**0.5


def log_ratio(after: Floats, before: Floats, sign: Floats) -> Floats:
    """± ln(after / before), positive is better; NaN where one is missing, or both are zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((after == 0) & (before == 0), np.nan, after / before)
        away = sign * np.log(ratio)
    return np.where(np.isnan(away), np.nan, np.clip(away, _DEEPEST, -_DEEPEST))


def effect(distance: float, is_rate: bool) -> float:
    """A distance as a fraction, negative is worse: −0.7 is half the rate, or twice the time (−1)."""
    return float(np.expm1(distance) if is_rate else -np.expm1(-distance))


def spoken(change: float, is_rate: bool) -> str:
    """As the value changed: a time that is 150 % longer (−1.5) is "+150 %"."""
    return wording.percent(change if is_rate else -change)


@dataclass(frozen=True, slots=True)
class Middle:
    """Median of some nodes' changes and its confidence interval, as distances."""

    change: float
    low: float
    high: float
    confidence: float


def medians(values: Floats, axis: int) -> Floats:
    """Medians along an axis, NaN left out; NaN where there is nothing."""
    if not values.shape[axis]:
        return np.full(np.delete(values.shape, axis), np.nan)
    return medians_of_some(values, axis)


def middle_of(distance: Floats) -> Middle:
    """Median with the interval of the sign test: order statistics, whatever the distribution (binomial, p = ½).

    Below six values no interval of 95 % exists: then it is the whole range, with the confidence that this has.
    """
    ordered = np.sort(distance[~np.isnan(distance)])
    count = len(ordered)
    cut = int(binom.ppf((1 - _CONFIDENCE) / 2, count, 0.5))
    cut = min(max(cut, 1), (count + 1) // 2)
    confidence = float(1 - 2 * binom.cdf(cut - 1, count, 0.5))
    low, high = float(ordered[cut - 1]), float(ordered[count - cut])
    return Middle(float(np.median(ordered)), low, high, max(confidence, 0.0))


def small_sample(nodes: int) -> float:
    """By how much a median absolute deviation of so few values falls short (Croux and Rousseeuw 1992)."""
    return _CORRECTION[nodes - 2] if 2 <= nodes <= 9 else nodes / max(nodes - 0.8, 0.2)


def spread_of(distance: Floats) -> Floats:
    """(n, m) distances of healthy nodes from their medians → (m,) standard deviations between nodes; 0 of one node.

    The median absolute deviation of few values is often far too small, because half of them happen to lie close together: of
    nine it has the certainty of a standard deviation of four, and one in a hundred is under a quarter of the truth. So the
    standard deviation about the median weighs as much as twenty nodes where it is larger: none of few nodes is then farther
    from the median than a limit made from them. Of many nodes the median absolute deviation decides, whatever some of them did.
    """
    counts = np.sum(~np.isnan(distance), axis=0)
    corrections = np.array([small_sample(int(count)) for count in counts])
    robust = corrections * MAD_TO_SIGMA * np.nan_to_num(medians(np.abs(distance), 0))
    plain = np.sqrt(np.nansum(distance**2, axis=0) / np.maximum(counts - 1, 1))
    wider = np.maximum(robust, plain)
    return np.asarray(
        np.sqrt((counts * robust**2 + _PRIOR_VALUES * wider**2) / (counts + _PRIOR_VALUES)), dtype=np.float64
    )


def noise(distance: Floats, prior: float) -> tuple[float, float]:
    """Spread of (n, parts) changes of healthy nodes, and how many spreads are too many.

    Like parts share their noise. The spread is the median absolute deviation, with ``prior`` where few nodes tell. The limit
    is that of a normal distribution at about one in four million, wider where the tails are heavier (the 95 % quantile of the
    deviations over their median, 2.9 for the normal distribution), and wider for fewer nodes (``few_nodes``).
    """
    nodes = int(np.max(np.sum(~np.isnan(distance), axis=0), initial=0))
    away = np.abs(distance[~np.isnan(distance)])
    if not len(away):
        return prior, np.inf
    middle = float(np.median(away))
    weight = min(1.0, nodes / _PRIOR_NODES)
    own = small_sample(nodes) * MAD_TO_SIGMA * middle
    sigma = float(np.sqrt(weight * own**2 + (1 - weight) * max(own, prior) ** 2))
    sigma = max(sigma, prior / 3)
    tail = 1.0
    if middle > 0 and len(away) >= _LEAST_FOR_TAIL:
        heavier = float(np.quantile(away, 0.95)) / middle / _NORMAL_RATIO - 1
        heavier *= len(away) / (len(away) + _TAIL_VALUES)  # the fewer values, the less is known of tails
        tail = float(np.clip(1 + _TAIL * heavier, 1.0, _WIDEST_TAIL))
    return sigma, _SPREADS * tail * few_nodes(nodes)


def few_nodes(nodes: float) -> float:
    """How much wider limits are that were read from so few nodes: 2.3 times for three, 1.2 for twenty."""
    return 1 + _FEW / max(nodes, 1)


def floor_of(limits: Limits, is_rate: bool, nodes: int = _ENOUGH_NODES) -> float:
    """The least change that matters, as a distance; twice as much among few nodes."""
    part = min(limits.floor * (_FEW_FLOORS if nodes < _FEW_NODES else 1.0), 0.9)
    return float(-np.log1p(-part) if is_rate else np.log1p(part))


def bars(distance: Floats, error: Floats, limits: Limits, *, is_rate: bool, prior: float) -> Floats:
    """(n, parts): a change farther from its peers than this is no noise, and matters; NaN where fewer than three nodes tell."""
    present = np.sum(~np.isnan(distance), axis=0)
    sigma, spreads = noise(distance, prior)
    least = floor_of(limits, is_rate, int(np.max(present, initial=0)))
    bar = np.maximum(spreads * np.hypot(sigma, error), least)
    return np.where(present >= LEAST_PEERS, bar, np.nan)


def excuse_of(doubt: Floats, distance: Floats) -> Floats:
    """(n, m): how much of each distance disturbances could explain. What disturbed the peers just as much explains no difference
    from them."""
    with_peers = np.sum(~np.isnan(distance), axis=0) >= LEAST_PEERS
    usual = np.where(with_peers, medians(np.where(np.isnan(distance), np.nan, doubt), 0), 0.0)
    return np.asarray(-np.log1p(-np.clip(doubt - usual, 0.0, 0.95)), dtype=np.float64)
