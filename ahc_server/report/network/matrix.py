"""Source × destination, sorted by leaf: each cell the median of its flows against what is usual for them.

Where there are too many nodes for a screen, a cell stands for all flows between two leaves (or, where no leaves are known, two
runs of nodes that follow each other by name).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np

from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.localise.grouped import medians_by
from ahc_server.report.network.levels import level_of
from ahc_server.report.network.picture import Picture, Sight, leaf_sizes

#: What stands for the leaf of nodes whose leaf is not known.
UNKNOWN = "rack not known"
_MOST_DEAD = 0.5
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bin:
    """One line and one column of the matrix: ``rows`` of its nodes. ``leaf``: −1 where it is not known, or there are several."""

    label: str
    rows: Ints
    leaf: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """``away`` (b, c): ln of the median against the usual, negative is worse, NaN where nothing was measured or no flow came
    through; ``value`` (b, c): the median in bytes/s or µs; ``level`` (b, c), see ``levels``; ``flows`` (b, c): how many. Lines
    send, columns receive."""

    lines: Sequence[Bin]
    columns: Sequence[Bin]
    away: Floats
    value: Floats
    level: Ints
    flows: Ints


def bins_of(picture: Picture, most: int) -> list[Bin]:
    """At most ``most`` of them: nodes, else leaves, else runs of leaves or of nodes."""
    order = picture.order.tolist()
    if len(order) <= most:
        return [Bin(picture.names[row], np.array([row]), int(picture.leaf[row])) for row in order]
    if len(leaf_sizes(picture)) > 1:
        return leaf_bins(picture, most)
    return [
        Bin(f"{picture.names[rows[0]]} … {picture.names[rows[-1]]}", np.array(rows), -1)
        for rows in _parts(order, most)
    ]


def leaf_bins(picture: Picture, most: int) -> list[Bin]:
    """A bin for each leaf; at most ``most``, where there are more then some leaves together."""
    by_leaf = groupby(picture.order.tolist(), lambda row: int(picture.leaf[row]))
    leaves = [
        Bin(picture.leaves[leaf] if leaf >= 0 else UNKNOWN, np.array(list(rows)), leaf)
        for leaf, rows in by_leaf
    ]
    return [_joined(part) for part in _parts(leaves, most)]


def _parts(items: list[_T], most: int) -> list[list[_T]]:
    size = -(-len(items) // most)
    return [items[start : start + size] for start in range(0, len(items), size)]


def _joined(bins: Sequence[Bin]) -> Bin:
    label = bins[0].label if len(bins) == 1 else f"{bins[0].label} … {bins[-1].label}"
    return Bin(label, np.concatenate([each.rows for each in bins]), bins[0].leaf if len(bins) == 1 else -1)


def matrix(picture: Picture, sight: Sight, lines: Sequence[Bin], columns: Sequence[Bin]) -> Matrix:
    """The cells between these; a node in no bin is left out."""
    line, column = _places(picture, lines)[picture.source], _places(picture, columns)[picture.destination]
    size = len(lines) * len(columns)
    inside = (line >= 0) & (column >= 0)
    key = line * len(columns) + column
    away = sight.away
    live = inside & ~np.isnan(away)
    silent = inside & sight.dead
    middle = medians_by(key[live], away[live], size)
    alive = np.bincount(key[live], minlength=size)
    dead = np.bincount(key[silent], minlength=size)
    is_dead = dead > _MOST_DEAD * (alive + dead)
    middle[is_dead] = np.nan
    shape = (len(lines), len(columns))
    return Matrix(
        lines,
        columns,
        middle.reshape(shape),
        medians_by(key[live], sight.value[live], size).reshape(shape),
        level_of(middle, is_dead, sight.witness).reshape(shape),
        (alive + dead).reshape(shape),
    )


def _places(picture: Picture, bins: Sequence[Bin]) -> Ints:
    """The bin (n,) of each row, −1 for none."""
    place = np.full(len(picture.names), -1, dtype=np.int64)
    for number, each in enumerate(bins):
        place[each.rows] = number
    return place
