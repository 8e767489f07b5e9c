"""Who differs from its peers: a robust test, right also for groups of three to five.

For each metric, nodes are compared on the logarithm of value / median, so that half and double are equally far and units
do not matter. The spread is the median absolute deviation × 1.4826, corrected for small groups (Croux & Rousseeuw,
"Time-efficient algorithms for two highly robust estimators of scale", 1992). In a group of five that is a poor estimate, so
it is moderated as Smyth (2004, "limma") does: joined with the spread of like metrics (all cores, all disks) and with a
prior, the noise that healthy peers show at least or that the nodes' own samples show; the degrees of freedom add up.

The hypothesis tested is not "no difference" but "no difference that matters": a deviation counts by what it exceeds the
floor and the node's own confidence interval (McCarthy & Smyth 2009, "TREAT"). Tails are those of a t distribution whose
degrees of freedom are also bounded by how heavy the fleet's own tails are.

Metrics of one piece of hardware (a *subject*: one disk, one core, one direction of the card) are one piece of evidence:
Simes' test joins them, and Benjamini and Hochberg's procedure controls the false discoveries over all subjects of all
nodes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Correction of the MAD for 2 to 9 values; n / (n − 0.8) beyond (Croux & Rousseeuw 1992).
_MAD_CORRECTION = (1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107)
_MAD_TO_SIGMA = 1.4826
#: A MAD is worth this part of the degrees of freedom that a standard deviation has.
_MAD_EFFICIENCY = 0.37
_PRIOR_DEGREES = 4.0
#: Tails that are assumed before the fleet has shown its own, and how many values that assumption is worth.
_TAIL_DEGREES = 5.0
_TAIL_WEIGHT = 200.0
#: From this many nodes on a metric's own spread is good enough to measure tails by.
_OWN_SCALE_NODES = 10
#: A ratio below exp(−7), under a thousandth, is as good as nothing.
_DEEPEST = -7.0


@dataclass(frozen=True, slots=True)
class MetricRules:
    """What the test must know of each of m metrics; arrays of shape (m,).

    ``sign`` is 1 where more is better and −1 where less is; ``family`` numbers metrics that share their noise; see
    ``thresholds.Limits`` for the others.
    """

    sign: Floats
    family: Ints
    floor: Floats
    floor_absolute: Floats
    noise: Floats


@dataclass(frozen=True, slots=True)
class Deviations:
    """Of one group of n nodes. ``p_slow`` and ``p_fast`` are NaN where a metric could not be judged.

    ``expected`` (m,), the median; ``spread`` (m,), robust and relative; ``judged`` (m,), enough peers have it;
    ``effect`` (n, m), relative to the median, negative is worse; ``p_slow_undoubted`` leaves out
    what disturbances could explain, so that "cannot tell" can be told from "is healthy".
    """

    expected: Floats
    spread: Floats
    judged: Bools
    effect: Floats
    p_slow: Floats
    p_slow_undoubted: Floats
    p_fast: Floats


def deviations(
    values: Floats,
    half_widths: Floats,
    within: Floats,
    doubt: Floats,
    rules: MetricRules,
    *,
    least_peers: int = 3,
) -> Deviations:
    """Test every value of a group against its peers. All arrays but ``rules`` have shape (n, m); NaN is missing.

    ``half_widths``: of the values' 95 % confidence intervals, in the metric's unit. ``within``: relative standard deviation
    of the node's own samples. ``doubt``: the fraction that disturbances during the run could explain; what disturbed the
    peers just as much explains no difference from them.
    """
    count = np.sum(~np.isnan(values), axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        expected = np.nanmedian(values, axis=0)
        typical_within = np.nan_to_num(np.nanmedian(within, axis=0))
        excess = np.maximum(doubt - np.nanmedian(doubt, axis=0), 0)
    judged = (count >= least_peers) & (expected > 0)
    center = np.where(judged, expected, np.nan)
    ratio = values / center
    effect = rules.sign * (ratio - 1)
    with np.errstate(divide="ignore"):
        distance = rules.sign * np.clip(np.log(np.maximum(ratio, 0)), _DEEPEST, -_DEEPEST)

    spread = robust_spread(distance)
    sigma, degrees = moderated(spread, count, np.maximum(rules.noise, typical_within), rules.family)
    own = half_widths / center
    error = np.hypot(sigma * np.sqrt(1 + np.pi / 2 / np.maximum(count, 1)), own / 1.96)
    # Metrics that scatter less than the prior and metrics that scatter more, on one scale, would look like heavy tails: where
    # enough nodes tell, each is measured by its own spread.
    scale = np.where((count >= _OWN_SCALE_NODES) & (spread > 0), spread, error)
    degrees = np.minimum(degrees, tail_degrees(distance / scale))

    free = np.maximum(rules.floor, rules.floor_absolute / center) + own
    beyond = -distance - _as_distance(free, rules.sign)
    # Who loses 90 % of its time is a tenth as fast, and takes ten times as long: one distance on the logarithmic scale.
    p_slow = _tail(degrees, (beyond + np.log1p(-excess)) / error)
    p_undoubted = _tail(degrees, beyond / error) if np.any(excess > 0) else p_slow
    return Deviations(
        expected=expected,
        spread=spread,
        judged=judged,
        effect=effect,
        p_slow=p_slow,
        p_slow_undoubted=p_undoubted,
        p_fast=_tail(degrees, (distance - _as_distance(2 * free, -rules.sign)) / error),
    )


def _as_distance(fraction: Floats, sign: Floats) -> Floats:
    """A loss by this fraction as a distance on the logarithmic scale; a loss is a rise where less is better."""
    return np.where(sign > 0, -np.log1p(-np.minimum(fraction, 0.999)), np.log1p(fraction))


def _tail(degrees: Floats, z: Floats) -> Floats:
    """Upper tail of Student's t; NaN stays NaN. Where nothing points to a fault (z ≤ 0) 1, which costs no computing."""
    p = np.where(np.isnan(z), np.nan, 1.0)
    far = z > 0
    p[far] = stdtr(np.broadcast_to(degrees, z.shape)[far], -z[far])
    return p


def robust_spread(distance: Floats) -> Floats:
    """MAD × 1.4826 about zero of each column of (n, m), corrected for small n. NaN where a column is empty."""
    count = np.sum(~np.isnan(distance), axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        mad = np.nanmedian(np.abs(distance), axis=0)
    table = np.array([1.0, 1.0, *_MAD_CORRECTION])
    large = count / np.maximum(count - 0.8, 0.2)
    correction = np.where(count < len(table), table[np.minimum(count, len(table) - 1)], large)
    return np.asarray(mad * _MAD_TO_SIGMA * correction, dtype=np.float64)


def moderated(spread: Floats, count: Ints, prior: Floats, family: Ints) -> tuple[Floats, Floats]:
    """Standard deviation of each metric and its degrees of freedom, from itself, its family and the prior."""
    own = np.maximum(_MAD_EFFICIENCY * (count - 1), 0.5)
    variance = np.nan_to_num(spread) ** 2
    of_family = np.zeros_like(variance)
    shared = np.zeros_like(variance)
    order = np.argsort(family, kind="stable")
    borders = np.flatnonzero(np.diff(family[order])) + 1
    for members in np.split(order, borders):
        known = members[~np.isnan(spread[members])]
        if len(known) > 1:
            of_family[members] = np.median(variance[known])
            # Like metrics of one node are seldom independent: the family counts as three more metrics at most.
            shared[members] = own[members] * min(len(known) - 1, 3)
    degrees = _PRIOR_DEGREES + own + shared
    pooled = (_PRIOR_DEGREES * prior**2 + own * variance + shared * of_family) / degrees
    return np.sqrt(pooled), degrees


def tail_degrees(z: Floats) -> float:
    """Degrees of freedom of the t distribution whose tails the healthy side of ``z`` shows.

    Only the better side is read, which no fault makes heavier: its 95 % quantile over its median. Few
    values leave the assumption of 5 degrees as it is.
    """
    better = np.sort(z[z > 0])
    if len(better) < 20:
        return _TAIL_DEGREES
    middle = float(np.quantile(better, 0.5))
    ratio = float(np.quantile(better, 0.95)) / middle if middle > 0 else np.inf
    seen = float(np.interp(ratio, _TAIL_RATIOS, _TAIL_INVERSE))
    weight = len(better)
    return (_TAIL_WEIGHT + weight) / (_TAIL_WEIGHT / _TAIL_DEGREES + weight * seen)


#: 1 / degrees of freedom against the ratio of the 95 % quantile of |t| to its median.
_TAIL_INVERSE = np.array([1 / 30, 1 / 10, 1 / 6, 1 / 5, 1 / 4, 1 / 3, 1 / 2.5])
_TAIL_RATIOS = np.array([2.991, 3.184, 3.410, 3.537, 3.748, 4.161, 4.554])


def simes(p: Floats) -> Floats:
    """One p value a row from (n, k) of them (Simes 1986); NaN is left out, a row of NaN gives NaN."""
    ordered = np.sort(p, axis=1)
    known = np.sum(~np.isnan(p), axis=1, keepdims=True)
    rank = np.arange(1, p.shape[1] + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        return np.asarray(np.nanmin(ordered * known / rank, axis=1), dtype=np.float64)


def false_discovery_rates(p: Floats) -> Floats:
    """Benjamini and Hochberg's q of each p value of any shape; NaN stays NaN and is not counted as a test."""
    flat = p.ravel()
    q = np.full(flat.shape, np.nan)
    known = np.flatnonzero(~np.isnan(flat))
    if len(known):
        order = known[np.argsort(flat[known], kind="stable")]
        scaled = flat[order] * len(order) / np.arange(1, len(order) + 1)
        q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q.reshape(p.shape)
