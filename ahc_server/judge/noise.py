"""How far healthy nodes stray: spreads, tails and levels, read from the fleet itself.

Everything here is on the scale of ``distance``: ln(value / what is expected), negative is worse, so that half and double are
equally far and units do not matter. Rows are nodes, columns are like parts (all disks, all cores), NaN is missing.

The spread is the median absolute deviation, which up to a third of sick nodes hardly moves. How many spreads are too
many depends on the shape of the tail: the ratio of an outer quantile to the median of the deviations tells whether the noise
is of the normal kind or of the kind that halves with every step (Laplace), and the limit is read between the two. The worse
side is read, because benchmarks lose more often than they gain, after leaving out what is far beyond any tail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ahc_server.judge.arrays import MAD_TO_SIGMA, Bools, Floats, Ints

#: Ratio of the 90 % quantile of the deviations on one side to their median: of the normal and of the Laplace distribution.
_RATIO_NORMAL, _RATIO_LAPLACE = 2.4387, 3.3219
#: How many values the first guess of the tail's shape is worth, and that guess: between the two.
_SHAPE_VALUES, _SHAPE_GUESS = 60.0, 0.45
_MOST_VALUES = 200
_LOPSIDED = 1.2
_SETTLE, _CLEARLY_SICK = 4, 1e-5
#: Tails are never taken for lighter than this, nor for heavier: a few nodes can look like either by chance.
_LIGHTEST, _HEAVIEST = 0.2, 1.5
#: Logarithms of the probabilities at which limits are tabulated, and the limits of the normal distribution there.
_LOG_P = np.concatenate([np.linspace(np.log(0.5), -60.0, 240), np.linspace(-62.0, -2000.0, 200)])
_NORMAL = np.array([-NormalDist().inv_cdf(np.exp(max(log_p, -60.0))) for log_p in _LOG_P])
for _ in range(30):
    # Beyond: ln p = −z²/2 − ln z − ln √(2π), solved by iteration.
    _NORMAL[240:] = np.sqrt(-2 * (_LOG_P[240:] + np.log(_NORMAL[240:]) + 0.5 * np.log(2 * np.pi)))
#: A spread of n nodes is moderated by the prior with this weight in nodes.
_PRIOR_NODES = 15.0
#: Fewer nodes, wider limits: by so many spreads more for a group of none, and none for a group of 20.
_SMALL_GROUP, _SMALL_EXTRA = 20, 3.0
#: A visible batch of nodes has its own level when it has this many nodes, and this part of its group.
LEAST_BATCH, LEAST_BATCH_PART = 3, 0.12
#: So much of a batch's level is excused by whatever it has in common. Fewer nodes than this are excused no more by anything.
MOST_EXCUSED, _LEAST_EXPLAINED = 0.05, 5
#: Halves of a group that differ for no visible reason: least part of the smaller, and distance in spreads.
_LEAST_HALF, _HALVES_APART, _FEW_MORE_APART = 0.30, 5.0, 12.0
LEAST_TO_SPLIT = 12
#: A batch that nothing visible tells apart has so many nodes, and differs by no more than this; what differs by more is sick.
_LEAST_HIDDEN, _HIDDEN_BATCH = 5, 0.04


def medians(values: Floats, axis: int) -> Floats:
    """Medians along an axis, NaN left out; NaN where there is nothing. The same as ``numpy.nanmedian``, several times as fast."""
    if not values.shape[axis]:
        return np.full(np.delete(values.shape, axis), np.nan)
    ordered = np.sort(values, axis=axis)
    count = np.sum(~np.isnan(values), axis=axis, keepdims=True)
    low = np.maximum((count - 1) // 2, 0)
    high = np.maximum(count // 2, 0)
    high = np.where(count % 2 == 1, low, np.minimum(high, values.shape[axis] - 1))
    middle = (np.take_along_axis(ordered, low, axis) + np.take_along_axis(ordered, high, axis)) / 2
    return np.asarray(np.squeeze(np.where(count > 0, middle, np.nan), axis=axis), dtype=np.float64)


def robust_spread(distance: Floats) -> Floats:
    """Standard deviation about zero of each column of (n, m), by the median absolute deviation. NaN where a column is empty."""
    return MAD_TO_SIGMA * medians(np.abs(distance), 0)


@dataclass(frozen=True, slots=True)
class Batches:
    """One visible fact that divides a group: ``codes`` (n,), −1 for none of its parts, and ``explains`` (m,): metrics whose
    levels it may divide by any amount, as the model of a disk does with the disk's."""

    codes: Ints
    explains: Bools


def levelled(distance: Floats, batches: Sequence[Batches]) -> Floats:
    """Distances from the level of each visible batch, where that is near the others'; what is far off is not explained away.

    Levels of several facts add up; two rounds settle facts that go together.
    """
    level = distance - medians(distance, 0)
    for _ in range(2 if len(batches) > 1 else 1):
        for fact in batches:
            for code in np.unique(fact.codes[fact.codes >= 0]):
                rows = fact.codes == code
                if rows.sum() >= LEAST_BATCH and LEAST_BATCH_PART * len(rows) <= rows.sum() < len(rows):
                    shift = np.nan_to_num(medians(level[rows], 0))
                    explained = fact.explains & (rows.sum() >= _LEAST_EXPLAINED)
                    level[rows] -= np.where(explained | (np.abs(shift) <= MOST_EXCUSED), shift, 0.0)
    return level


def middles(values: Floats, axis: int) -> Floats:
    """Means of the middle half along an axis, NaN left out: nearly as steady as a mean, and deaf to a quarter of spoilt
    values. Of fewer than four values the median."""
    ordered = np.sort(values, axis=axis)
    count = np.sum(~np.isnan(values), axis=axis, keepdims=True)
    trim = count // 4
    ranks = np.expand_dims(np.arange(values.shape[axis]), tuple(a for a in range(values.ndim) if a != axis))
    kept = (ranks >= trim) & (ranks < count - trim)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.sum(np.where(kept, ordered, 0.0), axis=axis) / np.squeeze(count - 2 * trim, axis=axis)
    few = np.squeeze(count, axis=axis) < 4
    return np.where(few, medians(values, axis), mean)


@dataclass(frozen=True, slots=True)
class Halves:
    """Two parts of a group that differ: ``slower`` (n,) rows of the slower part, ``gap``: distance of their medians."""

    slower: Bools
    gap: float


def halves(distance: Floats, *, batches: bool = False) -> Halves | None:
    """Whether one column (n,) of distances falls into two clumps, neither of which is small (Otsu's split).

    ``batches``: those of the size of a batch count too, where they differ by no more than batches do.
    """
    ordered = np.sort(distance[~np.isnan(distance)])
    count = len(ordered)
    if count < LEAST_TO_SPLIT:
        return None
    found = _split(distance, ordered, max(3, int(_LEAST_HALF * count) + 1))
    if found is None and batches:
        found = _split(distance, ordered, max(_LEAST_HIDDEN, int(LEAST_BATCH_PART * count) + 1))
        found = found if found is not None and found.gap <= _HIDDEN_BATCH else None
    return found


def _split(distance: Floats, ordered: Floats, least: int) -> Halves | None:
    count = len(ordered)
    cuts = np.arange(least, count - least + 1)
    if not len(cuts):
        return None
    sums = np.cumsum(ordered)
    below = sums[cuts - 1] / cuts
    above = (sums[-1] - sums[cuts - 1]) / (count - cuts)
    cut = int(cuts[np.argmax(cuts * (count - cuts) * (above - below) ** 2)])
    low, high = ordered[:cut], ordered[cut:]
    gap = float(np.median(high) - np.median(low))
    spread = float(np.sqrt((_mad(low) ** 2 + _mad(high) ** 2) / 2))
    if gap <= _HALVES_APART * (1 + _FEW_MORE_APART / count) * max(spread, 1e-4):
        return None
    slower = distance < (np.median(low) + np.median(high)) / 2
    # A few nodes that are slow to the same degree are the middle of any lower third that holds them.
    fewer = int(np.sum(slower))
    if not least <= fewer <= count - least:
        return None
    return Halves(slower=slower, gap=gap)


def _mad(values: Floats) -> float:
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


@dataclass(frozen=True, slots=True)
class Noise:
    """Of like parts of one group. ``sigma``: the spread; ``tail``: 0 for normal noise, 1 for Laplace noise, between or
    beyond for others; ``extra``: spreads that are granted on top: in small groups, and for what one run alone may spoil."""

    sigma: float
    tail: float
    extra: float

    def spreads(self, alarms: float) -> float:
        """So many spreads down a healthy value comes with probability ``alarms``."""
        return _limit(self.tail, alarms) + self.extra

    def log_p(self, z: Floats, extra: Floats) -> Floats:
        """ln of that probability for each z, a distance in spreads. ``extra``: spreads granted to each on top."""
        down = np.nan_to_num(np.maximum(-z - self.extra - extra, 0.0))
        return np.asarray(np.interp(down, _limits(self.tail), _LOG_P))


@dataclass(frozen=True, slots=True)
class Spread:
    """``sigma`` of (n, parts) distances; ``shape``: their tail as it was seen, 0 normal and 1 Laplace, from ``count`` values."""

    sigma: float
    shape: float
    count: int


def spread_of(distance: Floats, *, prior: float, nodes: int) -> Spread:
    """Of distances whose columns are centred. ``prior``: spread that is taken for granted where few nodes tell."""
    flat = distance[~np.isnan(distance)]
    if not len(flat):
        return Spread(prior, _SHAPE_GUESS, 0)
    sigma = float(MAD_TO_SIGMA * np.median(np.abs(flat)))
    weight = min(1.0, nodes / _PRIOR_NODES)
    sigma = float(np.sqrt(weight * sigma**2 + (1 - weight) * max(sigma, prior) ** 2))
    sigma = max(sigma, prior / 3)
    shape, count = _shape(flat, sigma)
    return Spread(sigma, shape, count)


def common_shape(spreads: Iterable[Spread]) -> float:
    """What the tails of one group's kinds of evidence have in common: their mean, weighted by how many values each has."""
    seen = [(each.shape, min(each.count, _MOST_VALUES)) for each in spreads]
    weight = _SHAPE_VALUES + sum(count for _, count in seen)
    return (_SHAPE_VALUES * _SHAPE_GUESS + sum(shape * count for shape, count in seen)) / weight


def noise_of(spread: Spread, shape: float, *, nodes: int, extra: float = 0.0) -> Noise:
    """``shape``: what the other kinds of evidence make one expect of the tail."""
    tail = (_SHAPE_VALUES * shape + spread.count * spread.shape) / (_SHAPE_VALUES + spread.count)
    if nodes < _SMALL_GROUP:
        extra += _SMALL_EXTRA * (_SMALL_GROUP - nodes) / _SMALL_GROUP
    return Noise(spread.sigma, min(max(tail, _LIGHTEST), _HEAVIEST), extra)


def _limit(tail: float, alarms: float) -> float:
    """Number of spreads that healthy noise exceeds downwards with probability ``alarms``."""
    normal = -NormalDist().inv_cdf(alarms)
    laplace = float(-np.log(2 * alarms) / np.log(2.0) / MAD_TO_SIGMA)
    return normal + min(max(tail, _LIGHTEST), _HEAVIEST) * (laplace - normal)


def _limits(tail: float) -> Floats:
    """``_limit`` for each probability of ``_LOG_P``."""
    laplace = -(_LOG_P + np.log(2.0)) / np.log(2.0) / MAD_TO_SIGMA
    return np.asarray(_NORMAL + tail * (np.maximum(laplace, 0.0) - _NORMAL))


def _shape(flat: Floats, sigma: float) -> tuple[float, int]:
    """Shape of the worse side, and from how many values: the ratio of its 90 % quantile to its median.

    Sick nodes stand on that side too: what is beyond the limit that the rest asks for is left out, until that settles.
    """
    worse = np.sort(-flat[flat < 0]) / max(sigma, 1e-9)
    shape = _SHAPE_GUESS
    for _ in range(_SETTLE):
        kept = worse[worse < _limit(shape, _CLEARLY_SICK)]
        if len(kept) < 4:
            return _SHAPE_GUESS, 0
        middle = float(np.median(kept))
        ratio = float(np.quantile(kept, 0.9)) / max(middle, 1e-9)
        shape = (ratio - _RATIO_NORMAL) / (_RATIO_LAPLACE - _RATIO_NORMAL)
        # A lopsided noise has a longer worse side: its median counts as well.
        shape += _LOPSIDED * (middle * MAD_TO_SIGMA - 1)
    return shape, len(kept)
