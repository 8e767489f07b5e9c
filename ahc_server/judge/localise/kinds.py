"""Cards of another kind: too many nodes that are slower by the same to be broken."""

from __future__ import annotations

import numpy as np

from ahc_server.judge.arrays import Bools, Floats
from ahc_server.judge.localise.localiser import Reading

#: So many nodes, and this part of all, whose speeds differ by no more than this (ln).
_LEAST, _LEAST_PART, _ALIKE = 4, 0.12, 0.06
#: This part of the flows between them is as slow as they are.
_MOST = 0.6


def other_kind(reading: Reading, nodes: int, known: Floats | None = None) -> Floats | None:
    """Relative speed of each node's card (n,), 1 for those of the faster kind; None where all are of one kind, or nothing was
    found beyond what is ``known``."""
    speed = np.ones(nodes) if known is None else known.copy()
    named = {
        each.group: each.effect
        for each in reading.explanation.taken
        if reading.families[each.family].member == "node"
    }
    for level in np.unique(np.log(speed[speed < 1])).tolist():
        more = [row for row, effect in named.items() if abs(effect - level) <= _ALIKE and speed[row] == 1]
        speed[more] = np.exp(level)
    while known is None:
        effects = np.array(list(named.values()))
        if len(effects) < max(_LEAST, _LEAST_PART * nodes):
            break
        near = np.abs(effects[:, None] - effects[None, :]) <= _ALIKE
        clump = near[int(np.argmax(np.sum(near, axis=1)))]
        rows = np.array(list(named))[clump]
        level = float(np.median(effects[clump]))
        if len(rows) < max(_LEAST, _LEAST_PART * nodes) or not _among(reading, rows, level):
            break
        speed[rows] = np.exp(level)
        named = {row: effect for row, effect in named.items() if row not in set(rows.tolist())}
    _whole_racks(reading, speed)
    return None if np.array_equal(speed, np.ones(nodes) if known is None else known) else speed


def _whole_racks(reading: Reading, speed: Floats) -> None:
    """Mark in ``speed`` (n,) the nodes of racks that were named for it, though flows inside them are as slow, which is the
    speed of a kind that is known: their uplinks are not what makes them so."""
    levels = np.unique(np.log(speed[speed < 1]))
    if not len(levels):
        return
    for each in reading.explanation.taken:
        if reading.families[each.family].member not in ("leaf", "out", "in"):
            continue
        inside = reading.leaf == each.group
        within = inside[reading.flows.source] & inside[reading.flows.destination]
        level = levels[int(np.argmin(np.abs(levels - each.effect)))]
        if abs(each.effect - level) > _ALIKE or not np.any(within):
            continue
        if abs(float(np.median(reading.value[within])) - level) > _ALIKE:
            continue
        # Of cards of the faster kind flows between two of them are fast.
        fastest = np.full(len(speed), -np.inf)
        for end in (reading.flows.source, reading.flows.destination):
            np.maximum.at(fastest, end[within], reading.value[within])
        speed[inside & (fastest < level / 2) & (speed == 1)] = np.exp(level)


def _among(reading: Reading, rows: np.ndarray, level: float) -> bool:
    """Whether they are as slow among themselves: behind a common uplink they would not be."""
    inside: Bools = np.isin(reading.flows.source, rows) & np.isin(reading.flows.destination, rows)
    return bool(np.any(inside)) and float(np.mean(reading.value[inside] < level / 2)) >= _MOST
