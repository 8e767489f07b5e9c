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
#: Flows are alike up to so many times the width that half of them have, and at least this (ln).
_REACH, _LEAST_WIDTH = 6.0, 0.01
#: A capacity has to make the flows so much more alike to be believed.
_WORTH, _BETTER = 0.98, 0.98


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


def usual(
    value: Floats, flows: Flows, leaf: Ints, kind: Ints, unexplained: Bools | None = None
) -> tuple[Floats, Floats]:
    """ln of what each flow (k,) should reach, from ``value`` (k,), what it did. ``unexplained`` (k,): flows that nothing is
    known to slow; None at first, when the level is sought where most flows are. Also what the load of uplinks takes of that."""
    expected, loaded = np.zeros(len(value)), np.zeros(len(value))
    for code in np.unique(kind):
        mine = np.flatnonzero(kind == code)
        free = mine if unexplained is None else mine[unexplained[mine]]
        if not len(free):
            free = mine
        relative = load(flows, leaf, mine, free, value) if code % KINDS == 1 else np.zeros(len(mine))
        expected[mine] = loaded[mine] = relative
        left = value[free] - expected[free]
        level = densest(left)[0] if unexplained is None else float(np.median(left))
        expected[mine] += level
        _rounds(expected, value, flows.round, mine, free)
    return expected, loaded


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
    speed leaves C / load of each where the load is higher. C, for each uplink or for each node behind it, is what makes
    ``free`` flows most alike; without any, zeros."""
    if free.size > _TRIED:
        free = free[:: free.size // _TRIED + 1]
    if len(free) < _LEVEL_ROUND or not np.any(leaf >= 0):
        return np.zeros(len(mine))
    reach = _REACH * max(densest(value[free])[1], _LEAST_WIDTH)

    def misfit(expected: Floats) -> float:
        left = value[free] - expected
        return float(np.mean(np.minimum(np.abs(left - densest(left)[0]), reach)))

    best, chosen = _WORTH * misfit(np.zeros(len(free))), np.zeros(len(mine))
    members = np.bincount(leaf[leaf >= 0]).astype(np.float64)
    # Where both fit, small racks have small uplinks, which accuses nobody.
    for capacity in (members / np.median(members), np.ones(len(members))):
        busiest = busiest_uplink(flows, leaf, capacity)
        low, high = float(np.min(busiest[free])), float(np.max(busiest[free]))
        if high <= low:
            continue
        for carried in np.geomspace(low, high, _CAPACITIES)[:-1]:
            seen = misfit(np.minimum(0.0, np.log(carried / busiest[free])))
            if seen < best:
                best, chosen = _BETTER * seen, np.minimum(0.0, np.log(carried / busiest[mine]))
    return np.asarray(chosen)


def busiest_uplink(flows: Flows, leaf: Ints, capacity: Floats) -> Floats:
    """Of each flow (k,): how many run at once through the busier of its two uplinks, itself among them, over their relative
    ``capacity`` (leaves,); 1 for those that cross no rack."""
    one, other = leaf[flows.source], leaf[flows.destination]
    far = (one != other) & (one >= 0) & (other >= 0)
    busiest = np.ones(len(one))
    if not np.any(far):
        return busiest
    _, number = np.unique(flows.round[far], return_inverse=True)
    first = True
    for side in (one, other):
        key = number * len(capacity) + side[far]
        at_once = np.bincount(key)[key] / capacity[side[far]]
        busiest[far] = at_once if first else np.maximum(busiest[far], at_once)
        first = False
    return busiest
