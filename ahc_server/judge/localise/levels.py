"""What is usual for a flow of its kind: inside a rack or across, between cards of what speed, in which round, under what load.

Oversubscribed uplinks are the normal state of many networks: across racks all are slower, and the more so the more run at
once. That is no fault, so each kind of flow is compared with its own.
"""

from __future__ import annotations

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.grouped import medians_by
from ahc_server.judge.localise.model import Flows
from ahc_server.judge.localise.noise import densest

#: Rounds are levelled where each has so many flows of a kind; capacities of uplinks are tried on so many flows.
_LEVEL_ROUND, _TRIED = 24, 20_000
_CAPACITIES = 40
#: By racks: inside, across, unknown; within one machine.
KINDS = 4
#: A capacity has to make the flows so much more alike to be believed.
_WORTH = 0.93


def kinds(
    flows: Flows, leaf: Ints, speed: Floats | None, near: Bools | None, host: Ints | None = None
) -> Ints:
    """Numbers of the kinds of flows (k,): by racks (inside, across, unknown) and by the slower card's speed. ``near`` (k,): flows
    that stay inside a rack, where racks are not known."""
    one, other = leaf[flows.source], leaf[flows.destination]
    across = np.where((one < 0) | (other < 0), 2, (one != other).astype(np.int64))
    if host is not None:
        across[(host[flows.source] == host[flows.destination]) & (host[flows.source] >= 0)] = 3
    if near is not None:
        across = np.where(across == 2, (~near).astype(np.int64), across)
    if speed is None:
        return across
    slower = np.fmin(speed[flows.source], speed[flows.destination])
    _, code = np.unique(np.nan_to_num(slower), return_inverse=True)
    return np.asarray(across + KINDS * code, dtype=np.int64)


def usual(value: Floats, flows: Flows, leaf: Ints, kind: Ints, unexplained: Bools | None = None) -> Floats:
    """ln of what each flow (k,) should reach, from ``value`` (k,), what it did. ``unexplained`` (k,): flows that nothing is
    known to slow; None at first, when the level is sought where most flows are."""
    expected = np.zeros(len(value))
    for code in np.unique(kind):
        mine = np.flatnonzero(kind == code)
        free = mine if unexplained is None else mine[unexplained[mine]]
        if not len(free):
            free = mine
        relative = load(flows, leaf, mine, free, value) if code % KINDS == 1 else np.zeros(len(mine))
        expected[mine] = relative
        left = value[free] - expected[free]
        level = densest(left)[0] if unexplained is None else float(np.median(left))
        expected[mine] += level
        _rounds(expected, value, flows.round, mine, free)
    return expected


def _rounds(expected: Floats, value: Floats, number: Ints, mine: Ints, free: Ints) -> None:
    """All flows of a round may be slower together: that is the round's doing."""
    which, code = np.unique(number[mine], return_inverse=True)
    if len(which) < 2 or len(free) < _LEVEL_ROUND * len(which):
        return
    at = np.searchsorted(which, number[free])
    level = medians_by(at, value[free] - expected[free], len(which))
    level[np.bincount(at, minlength=len(which)) < _LEVEL_ROUND] = 0.0
    expected[mine] += level[code]


def load(flows: Flows, leaf: Ints, mine: Ints, free: Ints, value: Floats) -> Floats:
    """ln of what the load of the uplinks leaves of flows ``mine``, which cross racks: an uplink that carries C flows at full
    speed leaves C / load of each where the load is higher. C is what makes ``free`` flows most alike; without any, zeros."""
    busiest = busiest_uplink(flows, leaf)
    if free.size > _TRIED:
        free = free[:: free.size // _TRIED + 1]
    mine_load, tried = busiest[mine], busiest[free]
    low, high = float(np.min(tried)), float(np.max(tried))
    if high <= low or len(free) < _LEVEL_ROUND:
        return np.zeros(len(mine))
    plain = densest(value[free])[1]
    best, chosen = _WORTH * plain, None
    for capacity in np.geomspace(low, high, _CAPACITIES)[:-1]:
        width = densest(value[free] - np.minimum(0.0, np.log(capacity / tried)))[1]
        if width < best:
            best, chosen = width, capacity
    if chosen is None:
        return np.zeros(len(mine))
    return np.asarray(np.minimum(0.0, np.log(chosen / mine_load)))


def busiest_uplink(flows: Flows, leaf: Ints) -> Floats:
    """Of each flow (k,): how many run at once through the busier of its two uplinks, itself among them; 1 for the others."""
    one, other = leaf[flows.source], leaf[flows.destination]
    far = (one != other) & (one >= 0) & (other >= 0)
    busiest = np.ones(len(one))
    if not np.any(far):
        return busiest
    leaves = int(leaf.max()) + 1
    _, number = np.unique(flows.round[far], return_inverse=True)
    for side in (one, other):
        key = number * leaves + side[far]
        busiest[far] = np.maximum(busiest[far], np.bincount(key)[key])
    return busiest
