"""Who hangs on one switch, where nobody told.

Two ways. Round trips inside a rack are shorter: where most pairs were measured, nodes that are near to the same others
form a rack; where few were, single flows are known to be near or far. And a bad uplink gives its rack away: nodes that are all
slow in the same way and to the same degree, though flows between them are good. Such flows prove the cards good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma, log

import numpy as np

from ahc_server.judge.arrays import MAD_TO_SIGMA, Bools, Floats, Ints
from ahc_server.judge.localise.explain import Taken
from ahc_server.judge.localise.families import Family
from ahc_server.judge.localise.model import Flows
from ahc_server.judge.localise.noise import FlowNoise

#: Near and far flows are two kinds when their middles are so many spreads and this distance (ln) apart; near ones are fewer.
_APART, _LEAST_GAP, _MOST_NEAR, _LEAST_NEAR = 3.0, 0.10, 0.6, 4
#: A node is near to all when this part of its flows is.
_NEAR_TO_ALL = 0.7
#: Racks are sought where this part of all pairs was measured, of so many nodes at most.
_DENSE, _MOST_NODES = 0.5, 2048
#: With fewer flows than that single near ones are believed from so many nodes on. At most this part of nodes has no rack.
_LEAST_SPARSE, _MOST_ALONE = 12, 0.2
#: Nodes of one rack have this part of their near nodes in common; near and far fit the racks for this part of the pairs.
_COMMON, _FITS = 0.5, 0.93
#: Suspects of one rack: so many at least; slow to the same degree within so many errors and this part of it.
_LEAST_SUSPECTS, _ERRORS, _PART = 3, 4.0, 0.12
#: Suspects that did not meet: so many at least, alike by chance with this probability. Losses of bad cards lie within this range
#: (ln), and are known to this width at best.
_LEAST_UNMET, _BY_CHANCE, _RANGE, _LEAST_WIDTH = 4, 0.001, 1.0, 0.02
#: Fewer nodes than one in so many are no rack: cards are alike for a reason too (a lower speed was negotiated, a batch is bad).
_FEWEST_UNMET = 16


def seen_racks(flows: Flows, nodes: int) -> tuple[Bools | None, Ints | None]:
    """From round trips: which flows (k,) stay inside a rack, and the rack of each node (n,), −1 for those that fit none; None
    where that does not show."""
    near = near_flows(flows)
    if near is None or _of_few(flows, near, nodes):
        return None, None
    known = ~np.isnan(flows.rtt_us)
    met = np.unique(
        np.minimum(flows.source, flows.destination)[known] * nodes
        + np.maximum(flows.source, flows.destination)[known]
    )
    if nodes <= _MOST_NODES and len(met) >= _DENSE * nodes * (nodes - 1) / 2:
        racks = racks_of(flows, near, nodes)
        # Where all were measured, near and far that make no racks are something else.
        return (None, None) if racks is None else (near, racks)
    return (near if nodes >= _LEAST_SPARSE else None), None


def _of_few(flows: Flows, near: Bools, nodes: int) -> bool:
    """Whether short round trips are those of single nodes, near to all: cards that send little fill no queue."""
    seen = np.bincount(flows.source, minlength=nodes) + np.bincount(flows.destination, minlength=nodes)
    close = np.bincount(flows.source[near], minlength=nodes)
    close += np.bincount(flows.destination[near], minlength=nodes)
    is_near_to_all = (seen >= _LEAST_NEAR) & (close > _NEAR_TO_ALL * seen)
    theirs = is_near_to_all[flows.source] | is_near_to_all[flows.destination]
    return bool(np.mean(near) < _NEAR_TO_ALL / 2 and np.mean(theirs[near]) > _NEAR_TO_ALL)


def near_flows(flows: Flows) -> Bools | None:
    """Which flows (k,) are near, by their round trips; None where they do not fall into two kinds."""
    known = ~np.isnan(flows.rtt_us)
    if np.sum(known) < 4 * _LEAST_NEAR:
        return None
    logs = np.log(flows.rtt_us[known])
    ordered = np.sort(logs)
    # What takes far longer than all is a fault and no rack.
    ordered = ordered[: int(np.ceil(0.95 * len(ordered)))]
    cut = _split(ordered)
    if cut is None:
        return None
    near = np.zeros(len(flows), dtype=bool)
    near[known] = logs < cut
    return near


def _split(ordered: Floats) -> float | None:
    """Where sorted values fall into two clumps (Otsu's threshold); None where they do not."""
    count = len(ordered)
    cuts = np.arange(_LEAST_NEAR, count - _LEAST_NEAR + 1)
    if not len(cuts):
        return None
    sums = np.cumsum(ordered)
    below = sums[cuts - 1] / cuts
    above = (sums[-1] - sums[cuts - 1]) / (count - cuts)
    place = int(cuts[np.argmax(cuts * (count - cuts) * (above - below) ** 2)])
    if place > _MOST_NEAR * count:
        return None
    low, high = ordered[:place], ordered[place:]
    gap = float(np.median(high) - np.median(low))
    spread = MAD_TO_SIGMA * max(float(np.median(np.abs(side - np.median(side)))) for side in (low, high))
    if gap < max(_LEAST_GAP, _APART * spread):
        return None
    return float(np.median(low) + np.median(high)) / 2


def racks_of(flows: Flows, near: Bools, nodes: int) -> Ints | None:
    """Rack of each node (n,), −1 for those that fit none; None where near and far do not make racks."""
    known = ~np.isnan(flows.rtt_us)
    seen = np.zeros((nodes, nodes), dtype=np.float32)
    close = np.zeros((nodes, nodes), dtype=np.float32)
    for a, b in ((flows.source, flows.destination), (flows.destination, flows.source)):
        np.add.at(seen, (a[known], b[known]), 1)
        np.add.at(close, (a[known], b[known]), near[known])
    measured = seen > 0
    is_near = (close > seen / 2).astype(np.float32)
    np.fill_diagonal(is_near, 1)
    common = is_near @ is_near
    size = np.diag(common)
    together = (is_near > 0) & (common >= _COMMON * (size[:, None] + size[None, :] - common))
    rack = np.full(nodes, -1, dtype=np.int64)
    number = 0
    for row in np.argsort(-size, kind="stable").tolist():
        if rack[row] < 0:
            members = np.flatnonzero(together[row] & (rack < 0))
            if len(members) > 1:
                rack[members] = number
                number += 1
    if number < 2 or np.sum(rack < 0) > _MOST_ALONE * nodes:
        return None
    same = (rack[:, None] == rack[None, :]) & (rack >= 0)[:, None]
    agree = (same == (is_near > 0)) & measured
    return rack if np.sum(agree) >= _FITS * np.sum(measured) else None


@dataclass(frozen=True, slots=True)
class _Suspect:
    row: int
    effect: float
    error: float


def shared_uplinks(
    flows: Flows, value: Floats, families: Sequence[Family], taken: Sequence[Taken], noise: FlowNoise
) -> list[Ints]:
    """Sets of nodes that look as if a common uplink were bad: rows of each."""
    suspects: dict[int, _Suspect] = {}
    found: list[set[int]] = []
    for way in ("tx", "rx", "node"):
        pool = []
        for each in taken:
            if families[each.family].member == way:
                error = noise.error / max(len(each.flows), 1) ** 0.5
                suspects[each.group] = _Suspect(each.group, each.effect, error)
                pool.append(suspects[each.group])
        while len(pool) >= _LEAST_SUSPECTS:
            alike = _alike(pool)
            if len(alike) < _LEAST_SUSPECTS:
                break
            found += [rows for rows in _contradicted(flows, value, alike) if rows not in found]
            gone = {each.row for each in alike}
            pool = [each for each in pool if each.row not in gone]
    _join(flows, value, suspects, found)
    return [np.array(sorted(rows), dtype=np.int64) for rows in found]


def unmet_alike(flows: Flows, families: Sequence[Family], taken: Sequence[Taken], nodes: int) -> list[Ints]:
    """Sets of suspects that are slow in the same way and to the same degree, more closely than so many bad cards are by chance,
    of whom no two met: rows of each. One uplink accounts for them all. ``nodes``: of the whole fleet."""
    found = []
    least = max(_LEAST_UNMET, -(-nodes // _FEWEST_UNMET))
    for way in ("tx", "rx", "node"):
        pool = sorted((each.effect, each.group) for each in taken if families[each.family].member == way)
        best: tuple[float, list[int]] = (log(_BY_CHANCE), [])
        for first in range(len(pool)):
            for end in range(first + least, len(pool) + 1):
                size, width = end - first, pool[end - 1][0] - pool[first][0]
                ways = lgamma(len(pool) + 1) - lgamma(size + 1) - lgamma(len(pool) - size + 1)
                chance = ways + (size - 1) * log(max(width, _LEAST_WIDTH) / _RANGE)
                if chance < best[0]:
                    best = chance, [row for _, row in pool[first:end]]
        rows = np.array(sorted(best[1]), dtype=np.int64)
        if len(rows) and not np.any(np.isin(flows.source, rows) & np.isin(flows.destination, rows)):
            found.append(rows)
    return found


def _join(flows: Flows, value: Floats, suspects: dict[int, _Suspect], found: list[set[int]]) -> None:
    """Other suspects whose flows with a set's nodes are good belong to it, however slow they are: uplinks share what they have
    among those that send at once."""
    for row, suspect in suspects.items():
        if any(row in rows for rows in found):
            continue
        for rows in found:
            mine = (flows.source == row) & np.isin(flows.destination, list(rows))
            mine |= (flows.destination == row) & np.isin(flows.source, list(rows))
            if np.any(mine) and np.all(value[mine] > suspect.effect / 2):
                rows.add(row)
                break


def _alike(pool: list[_Suspect]) -> list[_Suspect]:
    """The most suspects that are slow to the same degree."""
    effects = np.array([each.effect for each in pool])
    reach = np.array([_ERRORS * each.error for each in pool]) + _PART * np.abs(effects)
    near = np.abs(effects[:, None] - effects[None, :]) <= reach[:, None]
    best = int(np.argmax(np.sum(near, axis=1)))
    return [each for each, is_near in zip(pool, near[best].tolist(), strict=True) if is_near]


def _contradicted(flows: Flows, value: Floats, alike: list[_Suspect]) -> list[set[int]]:
    """Of suspects, sets between whose nodes flows are good, which they could not be if the cards were bad."""
    rows = sorted(each.row for each in alike)
    place_of = {row: place for place, row in enumerate(rows)}
    between = np.isin(flows.source, rows) & np.isin(flows.destination, rows)
    bar = float(np.median([each.effect for each in alike])) / 2
    balance = np.zeros((len(rows), len(rows)))
    for flow in np.flatnonzero(between).tolist():
        a, b = place_of[int(flows.source[flow])], place_of[int(flows.destination[flow])]
        sign = 1.0 if value[flow] > bar else -1.0
        balance[a, b] += sign
        balance[b, a] += sign
    sets: list[list[int]] = []
    good = np.sum(np.maximum(balance, 0), axis=1)
    for place in np.argsort(-good, kind="stable").tolist():
        ties = [float(np.sum(balance[place, one])) for one in sets]
        if ties and max(ties) >= 0:
            sets[int(np.argmax(ties))].append(place)
        else:
            sets.append([place])
    return [
        {rows[place] for place in one}
        for one in sets
        if len(one) >= _LEAST_SUSPECTS and np.sum(balance[np.ix_(one, one)]) > 0
    ]
