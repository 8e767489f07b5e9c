"""From scores to suspects: which piece of which node is slow, fast or beyond telling, with false discoveries controlled.

The bar of a score stands where a healthy node comes with a chance that is found by Benjamini and Hochberg's step over all
nodes of the fleet: in a fleet without sheep so low that it most likely says nothing at all, in one with many sheep
higher, and never above a bound per node.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ahc_server.judge.arrays import Bools, Floats
from ahc_server.judge.cores import Layout
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.features import Cells, Matrix, Metric
from ahc_server.judge.noise import Batches, medians, robust_spread
from ahc_server.judge.scores import LEVELS, Score, distances, distances_alone, scores_of
from ahc_server.judge.thresholds import Thresholds

#: "Faster than the peers" is news only when it is this much clearer than a fault has to be.
_FAST_FACTOR = 2.0
#: A single value of a single run needs another one that has gone this part of the way to its own bar.
_SUPPORT = 0.5
#: Next to nothing (a thousandth of what the peers do) is a fault, and no glitch.
_DEAD = -6.9
#: Who lost half of its speed does not pass, however much its samples stray.
_HALVED = -float(np.log(2.0))
#: A node that the localiser names is accused beside its peers when it shows this part of the least effect there.
_SHOWN = 0.5
#: Those of cards, which the localiser judges, over all nodes and rounds at once.
LOCALISED = frozenset({"tx", "rx", "rtt"})
#: Kinds of evidence that a node cannot be better in.
_ONLY_WORSE = frozenset({"core", "socket", "numa", "throttling", "unsteady"})


@dataclass(frozen=True, slots=True)
class Levels:
    """Metric by metric: ``expected`` (m,), the group's median; ``spread`` (m,), robust and relative; ``judged`` (m,), enough
    peers have it; ``effect`` (n, m), relative to what the peers make one expect of this node, negative is worse."""

    expected: Floats
    spread: Floats
    judged: Bools
    effect: Floats


@dataclass(frozen=True, slots=True)
class GroupTest:
    """One group of n nodes, tested by s scores. ``slow``, ``fast``, ``cannot_tell`` and ``glitch`` (n, s) are the answers:
    ``cannot_tell`` would be slow, but disturbances or its own noise could explain it; ``glitch``, but it rests on one value
    that nothing else supports. ``q`` (n, s): the rate of false findings among all that are at least as clear."""

    matrix: Matrix
    metrics: list[Metric]
    found: Levels
    scores: list[Score]
    slow: Bools
    fast: Bools
    cannot_tell: Bools
    glitch: Bools
    q: Floats

    @property
    def is_alone(self) -> bool:
        """Whether there are no peers, and nodes were judged by their own like parts."""
        return not np.any(self.found.judged) and len(self.matrix.rows) < 3


def examine(
    cells: Cells,
    matrices: Sequence[Matrix],
    batches: Sequence[Sequence[tuple[str, np.ndarray]]],
    layouts: Sequence[Sequence[Layout]],
    thresholds: Sequence[Thresholds],
    disks: DiskNames | None = None,
    named: Mapping[tuple[int, str], float] | None = None,
) -> list[GroupTest]:
    """Test every group; ``matrices``, ``batches``, ``layouts`` and ``thresholds`` are given for each. ``batches``: component and
    codes (n,) of each fact that divides the group. ``named``: (row, "tx", "rx" or "rtt") of nodes that the localiser names →
    ln of the chance that a healthy node looks so; of the network nobody else is accused."""
    groups = []
    for matrix, facts, cpus, limits in zip(matrices, batches, layouts, thresholds, strict=True):
        metrics = [cells.metrics[column] for column in matrix.columns]
        sign = np.array([1.0 if metric.higher_is_better else -1.0 for metric in metrics])
        if len(matrix.rows) < limits.least_peers:
            kinds = _kinds(disks or DiskNames(), matrix, metrics)
            distance = distances_alone(matrix.value, sign, metrics, kinds)
        else:
            distance = distances(
                matrix.value, sign, [_batch(*fact, metrics) for fact in facts], limits.least_peers
            )
        scores = scores_of(matrix, metrics, distance, cpus, limits)
        scores = [_localised(score, matrix, distance, named or {}) for score in scores]
        groups.append((matrix, metrics, _levels(matrix, sign, distance, limits), scores, limits))
    ladder = _ladder([scores for *_, scores, _ in groups])
    return [
        _test(matrix, metrics, found, scores, limits, ladder)
        for matrix, metrics, found, scores, limits in groups
    ]


def _localised(
    score: Score, matrix: Matrix, distance: Floats, named: Mapping[tuple[int, str], float]
) -> Score:
    """A score of a card has the chance that the localiser reckons with all that it knows of the others. Whom it names is held
    to all peers, and not to a half of them that is as slow."""
    if score.kind not in LOCALISED:
        return score
    log_p = np.array([named.get((int(row), score.part), 0.0) for row in matrix.rows], dtype=np.float64)
    beside_all = np.fmin(score.distance, medians(distance[:, score.columns], 1))
    return replace(score, log_p=log_p, distance=np.where(log_p < 0, beside_all, score.distance))


def _kinds(disks: DiskNames, matrix: Matrix, metrics: Sequence[Metric]) -> dict[str, Hashable]:
    """The place of each disk → what is there."""
    rows = [int(row) for row in matrix.rows]
    return {metric.part: disks.kinds(rows, metric.part) for metric in metrics if metric.component == "disk"}


def _batch(component: str, codes: np.ndarray, metrics: Sequence[Metric]) -> Batches:
    """The model of a disk explains its speed; a BIOS does not explain a machine's."""
    explains = [component == "disk" and metric.component == "disk" for metric in metrics]
    return Batches(codes.astype(np.int64), np.array(explains, dtype=bool))


def _levels(matrix: Matrix, sign: Floats, distance: Floats, thresholds: Thresholds) -> Levels:
    expected = medians(matrix.value, 0)
    count = np.sum(~np.isnan(matrix.value), axis=0)
    judged = (count >= thresholds.least_peers) & (expected > 0)
    with np.errstate(over="ignore"):
        effect = sign * np.expm1(sign * distance)
    return Levels(expected, robust_spread(distance), judged, effect)


def _ladder(groups: Sequence[Sequence[Score]]) -> Floats:
    """ln p of all nodes of the fleet, each by its clearest score that matters; sorted, the clearest first."""
    clearest = [
        np.min(
            np.stack([np.where((s.distance < -s.floor) & ~_doubted(s), s.log_p, 0.0) for s in scores]), axis=0
        )
        for scores in groups
        if scores
    ]
    return np.sort(np.concatenate(clearest)) if clearest else np.zeros(0)


def _alarms(ladder: Floats, thresholds: Thresholds) -> float:
    """The chance of a false alarm that each kind of evidence may take of each node."""
    count = max(len(ladder), 1)
    steps = np.log(thresholds.alpha / count) + np.log(np.arange(1, len(ladder) + 1))
    passed = np.flatnonzero(ladder <= steps)
    discoveries = int(passed[-1]) + 1 if len(passed) else 1
    return min(thresholds.alarms, thresholds.alpha * discoveries / count)


def _q(log_p: Floats, ladder: Floats) -> Floats:
    """Benjamini and Hochberg's q of each p, among the nodes of the fleet."""
    if not len(ladder):
        return np.ones(log_p.shape)
    each = np.minimum(ladder + np.log(len(ladder)) - np.log(np.arange(1, len(ladder) + 1)), 0.0)
    each = np.minimum.accumulate(each[::-1])[::-1]
    place = np.searchsorted(ladder, log_p, side="left")
    return np.exp(np.where(place < len(each), each[np.minimum(place, len(each) - 1)], 0.0))


def _test(
    matrix: Matrix,
    metrics: list[Metric],
    found: Levels,
    scores: list[Score],
    thresholds: Thresholds,
    ladder: Floats,
) -> GroupTest:
    nodes = len(matrix.rows)
    alarms = _alarms(ladder, thresholds)
    barred = []
    for score in scores:
        spreads = score.noise.spreads(alarms / score.like) + score.extra
        bar = -np.maximum(spreads * score.error, score.floor)
        barred.append(replace(score, bar=np.where(np.isfinite(bar), bar, np.nan)))
    if not barred:
        nothing = np.zeros((nodes, 0), dtype=bool)
        return GroupTest(matrix, metrics, found, [], nothing, nothing, nothing, nothing, np.zeros((nodes, 0)))
    distance = np.stack([score.distance for score in barred], axis=1)
    bar = np.stack([score.bar for score in barred], axis=1)
    excuse = np.stack([score.excuse for score in barred], axis=1)
    with np.errstate(invalid="ignore"):
        low = distance < bar
        slow = low & (distance + excuse < bar)
        fast = distance > -_FAST_FACTOR * bar
    fast[:, [number for number, score in enumerate(barred) if score.kind in _ONLY_WORSE]] = False
    for number, score in enumerate(barred):
        if score.kind in LOCALISED:
            low[:, number] &= (excuse[:, number] > 0) | (score.log_p < 0)
            slow[:, number] = (score.log_p < 0) & ~np.isnan(score.distance)
        elif score.kind in LEVELS and score.is_judged:
            low[:, number] |= score.distance < _HALVED
    slow &= _shown(barred, distance, thresholds)
    glitch = slow & ~_supported(barred, distance / bar)
    return GroupTest(
        matrix=matrix,
        metrics=metrics,
        found=found,
        scores=barred,
        slow=slow & ~glitch,
        fast=fast,
        cannot_tell=low & ~slow,
        glitch=glitch,
        q=np.stack([_q(score.log_p, ladder) for score in barred], axis=1),
    )


def _shown(scores: Sequence[Score], distance: Floats, thresholds: Thresholds) -> Bools:
    """Of scores of cards, nodes that show beside their peers, in a part that is named, what the localiser names them for; all of
    other scores (n, s). Where the peers are as bad, its flows with others have to prove it."""
    shown = np.ones(distance.shape, dtype=bool)
    cards = [number for number, score in enumerate(scores) if score.kind in LOCALISED]
    if cards:
        least = [_SHOWN * np.log1p(thresholds.of(scores[number].kind).floor) for number in cards]
        named = np.stack([scores[number].log_p < 0 for number in cards], axis=1)
        with np.errstate(invalid="ignore"):
            shows = np.any(named & (distance[:, cards] < -np.array(least)), axis=1)
        shown[:, cards] = shows[:, None]
    return shown


def _doubted(score: Score) -> Bools:
    """Cores that one value of one run speaks against (n,), though more is measured of them; where nothing else sees a core, its
    one value must do. They are no finding, and must not bring the bar closer for others."""
    return score.single & (score.kind == "core" and len(score.columns) > 1)


def _supported(scores: Sequence[Score], way: Floats) -> Bools:
    """Which scores rest on more than one value of one run, or have another beside them that points the same way (n, s).

    ``way``: how far each is on the way to its bar. Where a piece has no other score, one value must do.
    """
    supported = np.ones(way.shape, dtype=bool)
    known = ~np.isnan(way)
    for number, score in enumerate(scores):
        if not np.any(score.single):
            continue
        if score.kind == "core":
            supported[:, number] = ~_doubted(score)
            continue
        others = [
            other
            for other, each in enumerate(scores)
            if each.component == score.component
            and (score.component != "disk" or each.part == score.part)
            and not np.intersect1d(each.columns, score.columns).size
        ]
        if others:
            with np.errstate(invalid="ignore"):
                seconded = np.any(way[:, others] > _SUPPORT, axis=1) | ~np.any(known[:, others], axis=1)
            dead = score.distance <= _DEAD
            supported[:, number] = ~score.single | seconded | dead
    return supported
