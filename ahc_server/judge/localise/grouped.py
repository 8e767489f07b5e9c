"""Sums, medians and counts of values by key: what loops over groups would do, at the speed of arrays."""

from __future__ import annotations

import numpy as np

from ahc_server.judge.arrays import Floats, Ints

#: Keys below this are sorted in linear time.
_SMALL_KEYS = 1 << 16
#: Groups may differ in size until the table of all of them has so many empty places for each value.
_MOST_EMPTY = 4


def sums_by(key: Ints, values: Floats, groups: int) -> Floats:
    """Sum of the values of each key 0..groups−1."""
    return np.bincount(key, values, groups).astype(np.float64)


def medians_by(key: Ints, values: Floats, groups: int) -> Floats:
    """Median of the values of each key 0..groups−1, NaN where there are none."""
    if not len(key):
        return np.full(groups, np.nan)
    count = np.bincount(key, minlength=groups)
    start = np.cumsum(count) - count
    width = int(count.max())
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, width - 1)
    if groups * width > _MOST_EMPTY * len(key):
        ordered = values[np.lexsort((values, key))]
        last = len(ordered) - 1
        middle = ordered[np.minimum(start + low, last)] + ordered[np.minimum(start + high, last)]
    else:
        order = np.argsort(key.astype(np.uint16) if groups <= _SMALL_KEYS else key, kind="stable")
        row = key[order]
        table = np.full((groups, width), np.inf)
        table[row, np.arange(len(key)) - start[row]] = values[order]
        table.sort(axis=1)
        every = np.arange(groups)
        middle = table[every, low] + table[every, high]
    return np.where(count > 0, middle / 2, np.nan)


def peers_by(key: Ints, peer: Ints, nodes: int) -> Ints:
    """With how many different peers each of the keys 0..nodes−1 stands."""
    if nodes**2 <= max(_MOST_EMPTY * len(key), 1 << 22):
        met = np.zeros((nodes, nodes), dtype=bool)
        met[key, peer] = True
        return np.asarray(np.sum(met, axis=1), dtype=np.int64)
    return np.bincount(np.unique(key * nodes + peer) // nodes, minlength=nodes)
