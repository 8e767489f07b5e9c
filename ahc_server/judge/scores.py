"""Scores: what is judged. A few robust numbers per node and piece of hardware, each read from many metrics.

The 112 bandwidth metrics of one node are one piece of evidence about its cores and its memory, and not 112 chances to be
unlucky. ``gather`` joins metrics to pieces; here each piece gets its noise from the fleet, and with it the bar below
which a node is accused.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.cores import Layout
from ahc_server.judge.evidence import Evidence, Values
from ahc_server.judge.features import Matrix, Metric
from ahc_server.judge.gather import gather
from ahc_server.judge.noise import (
    MOST_EXCUSED,
    Batches,
    Halves,
    Noise,
    Spread,
    common_shape,
    halves,
    levelled,
    medians,
    noise_of,
    spread_of,
)
from ahc_server.judge.readings import readings
from ahc_server.judge.thresholds import Limits, Thresholds

#: A ratio below exp(−7), under a thousandth, is as good as nothing.
_DEEPEST = -7.0
#: Kinds of evidence about what a piece does, and not how it stands to others; those in which a whole part of a fleet may differ.
LEVELS = frozenset(
    {
        "cpu",
        "memory",
        "cached",
        "sequential",
        "random",
        "sequential writes",
        "random writes",
        "tx",
        "rx",
        "other",
    }
)
_DIVIDED = LEVELS | {"socket", "numa", "disk"}
#: Fewer nodes: floors are so many times as high; and where a node has no peers but only its own like parts.
_FEW, _FEW_FACTOR, _ALONE_FACTOR = 12, 2.0, 4.0
#: A single value of a single run must be so many spreads clearer.
_SINGLE_EXTRA = 1.2
#: So many like parts of a node can be compared with each other where there are no peers.
_LEAST_ALIKE = 3


@dataclass(frozen=True, slots=True)
class Score:
    """One judged quantity of one piece of hardware, for the n nodes of a group.

    ``kind``: its row in the table of limits. ``component`` and ``part``: the piece ("cpu", "socket0"). ``title``: as a person
    reads it. ``columns``: the metrics that it is read from. ``distance`` (n,): ln(value / what the peers make one
    expect), negative is worse, NaN where not measured. ``error`` (n,): standard error of a healthy node's distance;
    ``extra`` (n,): spreads granted on top. ``floor``: least distance that matters, infinite where nobody can be judged;
    ``noise``, of ``like`` parts together. ``excuse`` (n,): the part of the distance that disturbances could explain.
    ``log_p`` (n,): ln of the chance that one of the like parts of a healthy node strays so far. ``single`` (n,): rests on
    one value of one run. ``halves``: two parts of the group that differ in it for no visible reason; their levels are taken
    out of ``distance``. ``bar`` (n,): the distance below which a node is accused; NaN where nobody can be judged.
    """

    kind: str
    component: str
    part: str
    title: str
    columns: Ints
    distance: Floats
    error: Floats
    extra: Floats
    floor: float
    noise: Noise
    like: int
    excuse: Floats
    log_p: Floats
    single: Bools
    halves: Halves | None
    bar: Floats

    @property
    def is_judged(self) -> bool:
        return bool(np.isfinite(self.floor))


def distances(values: Floats, sign: Floats, batches: Sequence[Batches], least_peers: int = 3) -> Floats:
    """ln(value / level of its peers) of (n, m) values, negative is worse; levels by visible batch. What fewer than
    ``least_peers`` nodes have is compared with nothing."""
    away = _logarithms(values, sign)
    away[:, np.sum(~np.isnan(values), axis=0) < least_peers] = np.nan
    usual = medians(away, 0)
    # Where most are zero there is no level; a zero among others is as far down as can be.
    away -= np.where(np.isfinite(usual), usual, np.nan)
    return levelled(np.clip(away, _DEEPEST, -_DEEPEST), batches)


def distances_alone(
    values: Floats, sign: Floats, metrics: Sequence[Metric], kinds: Mapping[str, Hashable] | None = None
) -> Floats:
    """The same for nodes without peers: each part against the like parts of its own node; NaN where it has none.

    ``kinds``: the place of a disk → what is there; disks of two kinds are not alike.
    """
    away = _logarithms(values, sign)
    found = np.full(away.shape, np.nan)
    alike: dict[tuple[Hashable, ...], list[int]] = {}
    for column, metric in enumerate(metrics):
        part = re.sub(r"\d+|(?<=[sv]d)[a-z]+", "", metric.part)
        kind = kinds.get(metric.part) if kinds and metric.component == "disk" else None
        key = (metric.component, part, kind, metric.quantity, metric.job, metric.hosts)
        alike.setdefault(key, []).append(column)
    for columns in alike.values():
        if len(columns) >= _LEAST_ALIKE:
            mine = away[:, columns]
            usual = medians(mine, 1)[:, None]
            # Where most are zero there is no level.
            found[:, columns] = mine - np.where(np.isfinite(usual), usual, np.nan)
    return np.asarray(np.clip(found, _DEEPEST, -_DEEPEST), dtype=np.float64)


def _logarithms(values: Floats, sign: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sign * np.log(values), dtype=np.float64)


def scores_of(
    matrix: Matrix,
    metrics: Sequence[Metric],
    distance: Floats,
    layouts: Sequence[Layout],
    thresholds: Thresholds,
) -> list[Score]:
    """All scores of one group, without bars. ``distance`` (n, m) as ``distances`` gives it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.nan_to_num(matrix.half_width / np.abs(matrix.value), posinf=0.0)
    doubt = np.nan_to_num(matrix.doubt)
    excuse = -np.log1p(-np.clip(doubt - np.nan_to_num(medians(matrix.doubt, 0)), 0.0, 0.95))
    within = np.where((matrix.within > 0) & (doubt == 0), matrix.within, np.nan)
    values = Values(distance, own, excuse, within)
    found = gather(values, [metric.component for metric in metrics], readings(metrics), layouts)
    alone = len(distance) < thresholds.least_peers
    centred: list[tuple[Floats, list[Halves | None]]] = [
        (each.distance, [None] * len(each.parts)) if alone else _centred(each) for each in found
    ]
    centred = _halved_alike(found, centred)
    spreads = [
        spread_of(away, prior=thresholds.of(each.kind).noise, nodes=len(away))
        for each, (away, _) in zip(found, centred, strict=True)
    ]
    shape = common_shape(spreads)
    rates = np.array([metric.higher_is_better for metric in metrics], dtype=bool)
    scores: list[Score] = []
    for each, (away, split), spread in zip(found, centred, spreads, strict=True):
        fewer = _fewer_steps(each, distance, metrics)
        scores += _judged(each, away, split, spread, shape, rates, fewer, thresholds)
    return scores


def _fewer_steps(each: Evidence, distance: Floats, metrics: Sequence[Metric]) -> Floats:
    """How much noisier than usual a node is (n, parts), as it took part in fewer steps of a ramp-up than its peers; at least
    1."""
    noisier = np.ones((len(distance), len(each.parts)))
    for place, columns in enumerate(each.columns):
        steps: dict[tuple[str, int], list[int]] = {}
        for column in columns.tolist():
            steps.setdefault((metrics[column].job, metrics[column].hosts), []).append(column)
        if len(steps) > 1:
            seen = [np.any(~np.isnan(distance[:, step]), axis=1) for step in steps.values()]
            count = np.sum(seen, axis=0)
            if np.any(count):
                usual = float(np.median(count[count > 0]))
                noisier[:, place] = np.sqrt(np.maximum(usual / np.maximum(count, 1), 1.0))
    return noisier


def _centred(each: Evidence) -> tuple[Floats, list[Halves | None]]:
    """Distances about zero, and the halves of the group whose levels were taken out."""
    distance = each.distance - medians(each.distance, 0)
    split: list[Halves | None] = [None] * len(each.parts)
    if each.kind in _DIVIDED:
        for place in range(len(each.parts)):
            two = split[place] = halves(distance[:, place], batches=each.kind in LEVELS)
            if two is not None:
                for half in (two.slower, ~two.slower):
                    distance[half, place] -= medians(distance[half, place : place + 1], 0)
    return distance, split


def _halved_alike(
    found: Sequence[Evidence], centred: Sequence[tuple[Floats, list[Halves | None]]]
) -> list[tuple[Floats, list[Halves | None]]]:
    """Where the group falls into halves in one thing, they may differ by less in others, too little to be seen there: in those
    too each node is held to its own half, up to what a batch is excused."""
    told = [two for _, split in centred for two in split if two is not None]
    if not told:
        return list(centred)
    widest = max(told, key=lambda two: two.gap).slower
    made = []
    for each, (away, split) in zip(found, centred, strict=True):
        level = away.copy()
        for place in np.flatnonzero([two is None for two in split]) if each.kind in _DIVIDED else ():
            for half in (widest, ~widest):
                shift = np.nan_to_num(medians(away[half, place : place + 1], 0))
                level[half, place] -= np.where(np.abs(shift) <= MOST_EXCUSED, shift, 0.0)
        made.append((level, split))
    return made


def _judged(
    each: Evidence,
    distance: Floats,
    split: Sequence[Halves | None],
    spread: Spread,
    shape: float,
    rates: Bools,
    noisier: Floats,
    thresholds: Thresholds,
) -> list[Score]:
    """Noise of one kind of evidence; like parts share it, and a node has ``noisier`` (n, parts) times as much."""
    nodes, parts = distance.shape
    limits = thresholds.of(each.kind)
    noise = noise_of(spread, shape, nodes=nodes, extra=limits.extra)
    error: Floats = np.hypot(noise.sigma * noisier, each.own / 1.96)
    extra: Floats = np.where(each.single, _SINGLE_EXTRA, 0.0)
    log_p = np.minimum(noise.log_p(distance / error, extra) + np.log(parts), 0.0)
    scores = []
    for place, part in enumerate(each.parts):
        is_rate = bool(np.all(rates[each.columns[place]]))
        known = int(np.sum(~np.isnan(distance[:, place])))
        # Without peers, like parts of one node must do, and they are fewer and less alike.
        enough = known >= thresholds.least_peers or (nodes < thresholds.least_peers and parts >= _LEAST_ALIKE)
        scores.append(
            Score(
                kind=each.kind,
                component=each.component,
                part=part,
                title=wording.title(each.kind, each.component, part),
                columns=each.columns[place],
                distance=distance[:, place],
                error=error[:, place],
                extra=extra[:, place],
                floor=_floor(limits, nodes, is_rate, thresholds) if enough else np.inf,
                noise=noise,
                like=parts,
                excuse=each.excuse[:, place],
                log_p=log_p[:, place],
                single=each.single[:, place],
                halves=split[place],
                bar=np.full(nodes, np.nan),
            )
        )
    return scores


def _floor(limits: Limits, nodes: int, is_rate: bool, thresholds: Thresholds) -> float:
    """The least distance that matters; wider in small groups."""
    factor = _ALONE_FACTOR if nodes < thresholds.least_peers else _FEW_FACTOR if nodes < _FEW else 1.0
    part = limits.floor * factor
    return float(-np.log1p(-min(part, 0.9)) if is_rate else np.log1p(part))
