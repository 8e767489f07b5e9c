"""Cards that never exceed a limit, in networks whose load makes all flows differ.

Where uplinks are short, healthy flows reach this or that, as the load happens to be, and a card at half its speed may be no
slower than the middle of them. It shows all the same: its flows are all alike, and none is faster, while the fleet's go on to
the speed of the line. The chance of that among healthy nodes is counted, not modelled: how many of the fleet's flows are in so
narrow a window, and how many are below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import lgamma, log

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.explain import ALPHA
from ahc_server.judge.localise.localiser import Reading
from ahc_server.judge.localise.model import Way

#: Flows are alike within so much (ln); each is tried.
_WINDOWS = (0.015, 0.03, 0.06, 0.12)
#: The line's speed is what the fastest of the flows reach; a limit is this part below it at least.
_LINE, _LEAST = 0.98, -float(np.log1p(-0.14))
#: Flows that can prove a limit, and the part of them that reaches it.
_LEAST_FLOWS, _LEAST_PART = 4, 0.6
#: Nodes with one limit share something that is none of theirs.
_MOST_ALIKE = 2


@dataclass(frozen=True, slots=True)
class Limit:
    """Of a node: ``cap`` and ``line`` (ln bytes/s), ``flows`` (numbers of the reading) that reach the cap."""

    row: int
    way: Way | None
    cap: float
    line: float
    log_p: float
    flows: Ints


def limits(reading: Reading, nodes: int, leaf: Ints) -> list[Limit]:
    """Of nodes that are not named yet. ``leaf`` (n,): as far as it is known, −1 unknown."""
    source, destination = reading.flows.source, reading.flows.destination
    named = np.zeros(nodes, dtype=bool)
    for each in reading.explanation.taken:
        if reading.families[each.family].member in ("tx", "rx", "node"):
            named[each.group] = True
    free = np.flatnonzero(reading.free & ~(named[source] | named[destination]))
    if len(free) < _LEAST_FLOWS * 10:
        return []
    logs, one, other = reading.logs[free], source[free], destination[free]
    price = log(2 * nodes * len(_WINDOWS) / ALPHA)
    best: dict[int, Limit] = {}
    sides: list[tuple[Way, Ints, Ints]] = [("tx", one, other), ("rx", other, one)]
    for way, key, opposite in sides:
        for row, cap, log_p, mine in _of_side(logs, key, nodes, price, (leaf[one], leaf[other]), leaf):
            if row not in best or log_p < best[row].log_p:
                # What one pair sends and receives at once meets the same load: the other way is no second proof.
                both = None if _keeps_to(logs[opposite == row], cap) else way
                best[row] = Limit(row, both, cap, float(np.quantile(logs, _LINE)), log_p, free[mine])
    found = list(best.values())
    caps = np.array([each.cap for each in found])
    return [each for each in found if np.sum(np.abs(caps - each.cap) < _WINDOWS[1]) <= _MOST_ALIKE]


def _keeps_to(logs: Floats, cap: float) -> bool:
    window = _WINDOWS[1]
    return len(logs) > 1 and bool(
        np.all(logs <= cap + window) and np.mean(logs >= cap - window) >= _LEAST_PART
    )


def _of_side(
    logs: Floats, key: Ints, nodes: int, price: float, leaves: tuple[Ints, Ints], leaf: Ints
) -> Iterator[tuple[int, float, float, Ints]]:
    """Row, cap, ln of the chance, and flows (numbers into ``logs``) of each node that keeps to a limit on one side."""
    cap = np.full(nodes, -np.inf)
    np.maximum.at(cap, key, logs)
    count = np.bincount(key, minlength=nodes)
    low = (cap < np.quantile(logs, _LINE) - _LEAST) & (count >= _LEAST_FLOWS)
    for window in _WINDOWS:
        reaching = np.bincount(key[logs >= cap[key] - window], minlength=nodes)
        good = low & (reaching >= np.maximum(_LEAST_FLOWS, _LEAST_PART * count))
        for row in np.flatnonzero(good).tolist():
            own = key == row
            chance = _log_p(logs[~own], cap[row], window, int(count[row]), int(reaching[row]))
            near = ~own & ((leaves[0] == leaf[row]) | (leaves[1] == leaf[row]))
            if leaf[row] >= 0 and np.any(near):
                chance = max(
                    chance, _log_p(logs[near], cap[row], window, int(count[row]), int(reaching[row]))
                )
            if chance < -price:
                yield row, float(cap[row]), chance, np.flatnonzero(own & (logs >= cap[row] - window))


def _log_p(others: Floats, cap: float, window: float, count: int, reaching: int) -> float:
    """ln of the chance that of ``count`` flows, the fastest at the cap, so many are within the window and the rest below."""
    inside = (float(np.sum(np.abs(others - cap) <= window)) + 1) / (len(others) + 1)
    below = min(1.0, (float(np.sum(others < cap - window)) + 1) / (len(others) + 1))
    ways = lgamma(count) - lgamma(reaching) - lgamma(count - reaching + 1)
    return ways + (reaching - 1) * log(min(inside, 1.0)) + (count - reaching) * log(below)


def is_wide(left: Floats, free: Bools) -> bool:
    """Whether flows that nothing explains differ so much that a slow card could be hidden among them."""
    return bool(np.any(free)) and float(np.sqrt(np.mean(np.minimum(np.abs(left[free]), 0.35) ** 2))) > 0.04
