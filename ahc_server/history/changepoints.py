"""Where a series changed its level: exact segmentation of one series of a few dozen values, robust to single outliers.

A series is cut so that the cost is least, over all ways to cut it (dynamic programming: Jackson et al., "An algorithm for
optimal partitioning of data on an interval", 2005). A value costs its squared distance from its segment's median, in
spreads, and never more than a limit: a single value far off costs less than a segment of its own, and makes none (Fearnhead and
Rigaill, "Changepoint detection in the presence of outliers", 2019). Every cut costs a little more than one such limit, and
two values in a row are the least that can be a new level.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ahc_server.judge.arrays import Floats

#: What a cut costs, in units of what a single far value costs at most.
_CUT = 1.1
#: Values that make a level.
_SHORTEST = 2


def cuts(series: Floats, sigma: float, spreads: float, least: float) -> list[int]:
    """Places where a new level begins, in order: 0 < place < len(series). No value may be NaN.

    ``sigma``: the noise of one value; ``spreads``: a value this far off is surely no noise; ``least``: levels closer than
    this are one. The time grows with the square of the length, times the length of a segment.
    """
    count = len(series)
    if count < 4 or float(np.ptp(series)) <= least:
        return []
    limit = spreads**2
    if _cost(series, sigma, limit) <= _CUT * limit:
        return []  # no cut can save what it costs
    best = np.full(count + 1, np.inf)
    best[0] = 0.0
    before = np.zeros(count + 1, dtype=np.int64)
    for end in range(_SHORTEST, count + 1):
        starts = range(end - _SHORTEST + 1)
        costs = np.array([best[start] + _cost(series[start:end], sigma, limit) for start in starts])
        costs[1:] += _CUT * limit
        before[end] = int(np.argmin(costs))
        best[end] = costs[before[end]]
    found: list[int] = []
    place = count
    while place > 0:
        place = int(before[place])
        if place:
            found.append(place)
    return _apart(series, sorted(found), least)


def _cost(segment: Floats, sigma: float, limit: float) -> float:
    away = (segment - np.median(segment)) / sigma
    return float(np.sum(np.minimum(away * away, limit)))


def _apart(series: Floats, found: list[int], least: float) -> list[int]:
    """Without the cuts between levels that are nearly the same, the least difference first."""
    while found:
        gaps = [abs(after - before) for before, after in steps(series, found)]
        if min(gaps) > least:
            break
        found = [cut for place, cut in enumerate(found) if place != int(np.argmin(gaps))]
    return found


def steps(series: Floats, found: list[int]) -> list[tuple[float, float]]:
    """The levels before and after each cut: medians of the segments."""
    medians = [float(np.median(each)) for each in np.split(series, found)]
    return list(pairwise(medians))


def fell_last(series: Floats, found: list[int], sigma: float, spreads: float, least: float) -> float:
    """By how much the last value alone is off its level; 0 where that is noise, or the level is younger than three values."""
    level = series[found[-1] if found else 0 : -1]
    if len(level) < 2:
        return 0.0
    away = float(series[-1] - np.median(level))
    error = sigma * float(np.sqrt(1 + np.pi / 2 / len(level)))
    return away if abs(away) > max(least, spreads * error) else 0.0
