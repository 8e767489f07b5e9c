"""How large a difference must be to matter, in one table.

Statistics tell whether a difference is real; this table tells whether anyone should care. No floor is zero: a node that is
surely 0.5 % slower is not a black sheep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one kind of metric; all but ``floor_absolute`` are fractions of the group's median.

    ``floor``: differences up to this are of no practical importance. ``fail``: from here on the node is broken and not
    merely worth a look. ``noise``: spread (one standard deviation) that healthy peers of this kind show at least,
    which keeps a lucky small group from looking exact. ``floor_absolute``: in the metric's own unit, for
    values so small that a large fraction is nothing. ``accuses``: False for what may only confirm.
    """

    floor: float
    fail: float
    noise: float
    floor_absolute: float = 0.0
    accuses: bool = True


COMPONENTS: Mapping[str, Limits] = {
    "cpu": Limits(floor=0.05, fail=0.25, noise=0.01),
    "memory": Limits(floor=0.10, fail=0.30, noise=0.02),
    "numa": Limits(floor=0.10, fail=0.30, noise=0.02),
    "disk": Limits(floor=0.10, fail=0.30, noise=0.03),
    "network": Limits(floor=0.10, fail=0.30, noise=0.02),
}
OTHER = Limits(floor=0.10, fail=0.30, noise=0.03)

#: Times have long tails and are compared more loosely, the farther out in the tail the more so.
QUANTITIES: tuple[tuple[str, Limits], ...] = (
    (
        r"(p99\d+|max)_us$",
        Limits(floor=1.0, fail=9.0, noise=0.30, floor_absolute=100.0, accuses=False),
    ),
    # A node's round trip is the median over its peers of medians: it scatters less than what one disk tells.
    (r"^(tcp|udp)_p50_us$", Limits(floor=0.3, fail=1.0, noise=0.05, floor_absolute=10.0)),
    (r"p9\d_us$", Limits(floor=0.5, fail=2.0, noise=0.15, floor_absolute=50.0)),
    (r"_us$", Limits(floor=0.3, fail=1.0, noise=0.08, floor_absolute=10.0)),
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``alpha``: the rate of false findings that is tolerated among all findings.

    ``spread_limit``: where peers differ among themselves by more than this (one standard deviation), nobody is judged.
    ``least_peers``: the smallest group in which one can tell who is different.
    """

    by_component: Mapping[str, Limits] = field(default_factory=lambda: COMPONENTS)
    by_quantity: tuple[tuple[str, Limits], ...] = QUANTITIES
    alpha: float = 0.02
    spread_limit: float = 0.25
    least_peers: int = 3

    def of(self, component: str, quantity: str) -> Limits:
        """Limits of a metric: the first pattern that its quantity matches, else its component's."""
        for pattern, limits in self.by_quantity:
            if re.search(pattern, quantity):
                return limits
        return self.by_component.get(component, OTHER)
