"""What many nodes share: a change of the whole group, or of the part of it that a fact, or the data, tells from the rest.

The rest of a node's change, after what it shares, is its own (``own`` in the answer).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.history.pieces import Kind
from ahc_server.history.robust import (
    LEAST_PEERS,
    TWO_RUNS,
    Middle,
    few_nodes,
    medians,
    middle_of,
    small_sample,
)
from ahc_server.judge.arrays import MAD_TO_SIGMA, Bools, Floats, Ints
from ahc_server.judge.noise import halves
from ahc_server.judge.thresholds import Thresholds

#: A median of many nodes is exact: smaller changes matter than of one node. No floor of a whole group is higher than this.
_HIGHEST_FLOOR = 0.05
#: Two parts of a group have levels of their own when these are so many standard errors apart.
_APART = 5.0
_LEAST_PART = 3
#: A shared change is sure when it is so many standard errors away from none.
_SURE = 4.0
#: Metrics of a kind change alike when so many of them are within the floor of their median.
_ALIKE = 0.6


@dataclass(frozen=True, slots=True)
class Cohort:
    """Nodes of a group that something sets apart. ``text``: what, None where no fact does."""

    text: str | None
    inside: Bools


@dataclass(frozen=True, slots=True)
class Level:
    """A change that ``nodes`` (mask) share. ``columns``: the metrics that carry it. ``matters``: sure, and above the floor.

    ``cohort``: the part of the group, None for all of it; ``outside``: these are the others.
    """

    kind: Kind
    title: str
    columns: Ints
    nodes: Bools
    middle: Middle
    matters: bool
    cohort: Cohort | None = None
    outside: bool = False


def shared_floor(kind: Kind, thresholds: Thresholds) -> float:
    """The least change of many nodes that matters, as a distance."""
    limits = thresholds.of(kind.limits)
    part = limits.floor if not kind.is_rate else min(limits.floor, _HIGHEST_FLOOR)
    return float(-np.log1p(-part) if kind.is_rate else np.log1p(part))


def levels(
    change: Floats, kinds: Sequence[Kind], cohorts: Sequence[Cohort], thresholds: Thresholds
) -> tuple[list[Level], Floats]:
    """The shared changes of one group, and what remains (n, m) of each node's. ``change`` (n, m), as distances."""
    own = change - medians(change, 0)
    found: list[Level] = []
    for kind in kinds:
        mine = change[:, kind.columns]
        if not np.any(~np.isnan(mine)):
            continue
        split = _split(medians(mine, 1), cohorts, shared_floor(kind, thresholds))
        everyone = np.ones(len(change), dtype=bool)
        for nodes, outside in (
            ((split.inside, False), (~split.inside, True)) if split else ((everyone, False),)
        ):
            where = np.ix_(np.flatnonzero(nodes), kind.columns)
            own[where] = change[where] - medians(change[where], 0)
            found += _levels(change, kind, nodes, split, outside, thresholds)
    return found, own


def _split(whole: Floats, cohorts: Sequence[Cohort], least: float) -> Cohort | None:
    """The cohort whose level is clearest apart from the rest's, if any is."""
    best, clearest = None, _APART
    for cohort in cohorts:
        gap, error = _gap(whole, cohort.inside)
        if abs(gap) > least and abs(gap) > clearest * error:
            best, clearest = cohort, abs(gap) / max(error, 1e-12)
    if best is None and (two := halves(whole)) is not None and two.gap > least:
        best = Cohort(None, two.slower & ~np.isnan(whole))
    return best


def _gap(whole: Floats, inside: Bools) -> tuple[float, float]:
    sides = [whole[inside & ~np.isnan(whole)], whole[~inside & ~np.isnan(whole)]]
    if min(map(len, sides)) < _LEAST_PART:
        return 0.0, np.inf
    one, other = (float(np.median(side)) for side in sides)
    strays = np.concatenate([np.abs(side - np.median(side)) for side in sides])
    sigma = MAD_TO_SIGMA * float(np.median(strays))
    # The standard error of a median is √(π/2) that of a mean.
    error = sigma * float(np.sqrt(np.pi / 2 * (1 / len(sides[0]) + 1 / len(sides[1]))))
    return one - other, error


def _levels(
    change: Floats, kind: Kind, nodes: Bools, split: Cohort | None, outside: bool, thresholds: Thresholds
) -> Iterator[Level]:
    """The kind as a whole where its metrics agree, and those that do not for themselves."""
    least = shared_floor(kind, thresholds)
    mine = change[np.ix_(np.flatnonzero(nodes), kind.columns)]
    columns = kind.columns[np.any(~np.isnan(mine), axis=0)]
    mine = mine[:, np.any(~np.isnan(mine), axis=0)]
    if not len(columns):
        return
    by_metric = medians(mine, 0)
    usual = float(np.median(by_metric))
    alike = np.abs(by_metric - usual) <= least
    if np.mean(alike) >= _ALIKE:
        yield _level(kind, kind.title, columns[alike], mine[:, alike], nodes, split, outside, thresholds)
    else:
        alike = np.zeros(len(columns), dtype=bool)
    for worse in (True, False):
        odd = np.flatnonzero(~alike & ((by_metric < 0) if worse else (by_metric > 0)))
        sure = [place for place in odd if _is_sure(mine[:, place], least, kind, thresholds)]
        if sure:
            yield _level(kind, kind.title, columns[sure], mine[:, sure], nodes, split, outside, thresholds)


def _level(
    kind: Kind,
    title: str,
    columns: Ints,
    mine: Floats,
    nodes: Bools,
    split: Cohort | None,
    outside: bool,
    thresholds: Thresholds,
) -> Level:
    joined = medians(mine, 1)
    matters = _is_sure(joined, shared_floor(kind, thresholds), kind, thresholds)
    return Level(kind, title, columns, nodes, middle_of(joined), matters, split, outside)


def _is_sure(changes: Floats, least: float, kind: Kind, thresholds: Thresholds) -> bool:
    """Beyond the floor and beyond what so many nodes' medians stray, and the interval leaves no doubt of its direction."""
    middle = middle_of(changes)
    known = changes[~np.isnan(changes)]
    if len(known) < LEAST_PEERS:
        return False
    own = small_sample(len(known)) * MAD_TO_SIGMA * float(np.median(np.abs(known - middle.change)))
    sigma = max(own, TWO_RUNS * thresholds.of(kind.limits).noise)
    error = sigma * float(np.sqrt(np.pi / 2 / len(known)))
    one_side = middle.low > 0 or middle.high < 0
    return one_side and abs(middle.change) > max(least, _SURE * few_nodes(len(known)) * error)
