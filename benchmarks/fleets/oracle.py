"""What an oracle could see: one that knows the true noise, the usual levels and the shape of every fault.

Its best statistic is the matched filter: the fault's signature s (loss of each metric) against the true covariance C has the
distance d = √(sᵀ C⁻¹ s) from health, in standard deviations. It accuses a machine of this fault where the filter exceeds the
quantile that healthy machines exceed at a rate of 1e-3 a node, over all places where such a fault could sit (cores, disks); the
quantile is that of the fleet's lasting noise, which a sum over many metrics does not average out. A fault counts as visible
if the oracle finds it with 90 % probability: d ≥ quantile + 1.28.

The level of the peers is known as well as n − 1 of them tell: C grows by n / (n − 1). With one or two nodes there are no peers
to ask, and only differences between like parts of one node count: each family's common level is then unknown. What stands in the
facts (drift, a missing DIMM) is visible wherever at least four peers, or two for the DIMM, show what is usual.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.fleets.faults import Damage, FaultKind
from benchmarks.fleets.noise import Floats, Weather, lower_quantile
from benchmarks.fleets.platforms import Metric

_FALSE_ALARMS = 1e-3
_POWER_90 = 1.28
_UNKNOWN = 1.0


def distance(damage: Damage, present: Floats, metrics: Sequence[Metric], noise: Floats, nodes: int) -> float:
    """d of one fault on one machine. ``present`` (m,): what of it was measured, NaN where not; ``noise`` (m, m)."""
    use = np.flatnonzero(~np.isnan(present) & ~np.isnan(damage.factor))
    loss = 1 - damage.factor[use]
    if not np.any(loss):
        return 0.0
    known = noise[np.ix_(use, use)]
    if nodes <= 2:
        # Like parts share the test: the last letters of the key tell KBps from IOps.
        test = [
            (metrics[c].kind, metrics[c].what, metrics[c].mode, metrics[c].key[2][-4:]) for c in use.tolist()
        ]
        numbers = {each: number for number, each in enumerate(dict.fromkeys(test))}
        family = np.array([numbers[each] for each in test])
        known = known + _UNKNOWN * (family[:, None] == family[None, :])
    else:
        known = known * nodes / (nodes - 1)
    # A fault makes its metrics smaller, and their noise with them.
    scaled = known * damage.factor[use][:, None] * damage.factor[use][None, :]
    return float(np.sqrt(loss @ np.linalg.solve((known + scaled) / 2, loss)))


def threshold(places: int, weather: Weather) -> float:
    """How large d must be for a fault that could sit in so many places."""
    return lower_quantile(weather.lasting, _FALSE_ALARMS / max(places, 1)) + _POWER_90


def visible(kind: FaultKind, reach: float, places: int, weather: Weather, nodes: int) -> bool:
    """Whether an oracle could see a fault of this distance in a group of so many nodes."""
    if kind.is_drift:
        return nodes >= 5
    if kind.name == "missing DIMM" and nodes >= 3:
        return True
    return reach >= threshold(places, weather)
