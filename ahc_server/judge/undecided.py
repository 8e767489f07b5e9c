"""Where a small group does not tell who is right: nobody whom it may be hiding passes.

In a group of four to eleven nodes of which half lost something, the middle lies between the two halves and the spread is as
large as the loss: nobody stands out. (Larger groups are split, see ``noise.halves``.) So these are split at the first gap
that is wider than the part above it is broad. And what is zero on most nodes has no level that anybody could be held to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ahc_server.judge.arrays import Bools, Floats
from ahc_server.judge.noise import LEAST_TO_SPLIT
from ahc_server.judge.scores import LEVELS, Score
from ahc_server.judge.suspects import LOCALISED, GroupTest
from ahc_server.judge.thresholds import Thresholds

#: In a group of three two of a kind are the majority, and one is not.
_LEAST_NODES = 4
#: The faster part is no smaller than that of a larger group that is split; one that is fast alone is no measure.
_FASTER, _LEAST_FASTER = 0.3, 2
#: So many times as wide as the faster part is broad is the gap below it. Of 1,000 healthy nodes that scatter by 5 % in one
#: thing up to four look so, with the limit below; of those that scatter by 2 % none.
_WIDE_GAP = 1.5
#: So much of the way from there to a broken node is too much for a pass.
_PART_OF_BROKEN = 0.5


def behind_the_faster(test: GroupTest, thresholds: Thresholds) -> dict[int, Bools]:
    """Number of a score → the nodes (n,) that it accuses of nothing, though they are far behind the faster part."""
    if not _LEAST_NODES <= len(test.matrix.rows) < LEAST_TO_SPLIT:
        return {}
    found = {}
    for number, score in enumerate(test.scores):
        if score.kind in LEVELS and score.kind not in LOCALISED and score.is_judged:
            limit = -float(np.log1p(-_PART_OF_BROKEN * min(thresholds.of(score.kind).fail, 1.0)))
            with np.errstate(invalid="ignore"):
                behind = (score.distance < _faster(score) - limit) & ~_told(test, score)
            if np.any(behind):
                found[number] = behind
    return found


def _faster(score: Score) -> float:
    """The distance of the last node of the faster part; NaN where no gap divides the group."""
    known: Floats = np.sort(score.distance[~np.isnan(score.distance)])[::-1]
    least = max(math.ceil(_FASTER * len(known)), _LEAST_FASTER)
    for last in range(least - 1, len(known) - 1):
        if known[last] - known[last + 1] > _WIDE_GAP * (known[0] - known[last]):
            return float(known[last])
    return math.nan


def _told(test: GroupTest, score: Score) -> Bools:
    """Nodes (n,) of which something is said already, of the same piece of hardware."""
    same = [
        number
        for number, each in enumerate(test.scores)
        if each.component == score.component and (score.component != "disk" or each.part == score.part)
    ]
    return np.asarray(
        np.any(test.slow[:, same] | test.cannot_tell[:, same] | test.glitch[:, same], axis=1), dtype=bool
    )


def zero_pieces(test: GroupTest, wanted: Bools) -> Mapping[str, list[str]]:
    """Component → its parts of which all that most nodes measured, ``wanted`` (m,), is zero on most of them."""
    zero: dict[tuple[str, str], bool] = {}
    for column in np.flatnonzero(wanted).tolist():
        metric = test.metrics[column]
        piece = (metric.component, metric.part)
        is_zero = float(np.nanmedian(test.matrix.value[:, column])) == 0.0
        zero[piece] = zero.get(piece, True) and is_zero
    found: dict[str, list[str]] = {}
    for (component, part), nothing in zero.items():
        if nothing:
            found.setdefault(component, []).append(part)
    return found
