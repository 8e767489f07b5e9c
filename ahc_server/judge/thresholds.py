"""How large a difference must be to matter, in one table.

Statistics tell whether a difference is real; this table tells whether anyone should care. No floor is zero: a node that is
surely 0.5 % slower is not a black sheep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ahc_server.session import NodeRecord


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one kind of evidence; fractions of what the peers make one expect.

    ``floor``: differences up to this are of no practical importance. ``fail``: from here on the node is broken and not
    merely worth a look. ``noise``: spread (one standard deviation) that is taken for granted of healthy peers, which keeps
    a lucky small group from looking exact. ``extra``: spreads beyond what the noise asks for, where single runs stray more.
    """

    floor: float
    fail: float
    noise: float
    extra: float = 0.0


KINDS: Mapping[str, Limits] = {
    "cpu": Limits(floor=0.018, fail=0.25, noise=0.004),
    "socket": Limits(floor=0.010, fail=0.25, noise=0.003),
    "core": Limits(floor=0.060, fail=0.25, noise=0.006, extra=0.5),
    "throttling": Limits(floor=0.020, fail=0.10, noise=0.001),
    "memory": Limits(floor=0.030, fail=0.30, noise=0.004),
    "numa": Limits(floor=0.030, fail=0.30, noise=0.004),
    "cached": Limits(floor=0.050, fail=0.30, noise=0.010),
    "sequential": Limits(floor=0.030, fail=0.30, noise=0.010, extra=0.5),
    "sequential writes": Limits(floor=0.030, fail=0.30, noise=0.010, extra=0.5),
    "random": Limits(floor=0.050, fail=0.30, noise=0.012, extra=0.8),
    "random writes": Limits(floor=0.050, fail=0.30, noise=0.012, extra=0.8),
    "disk": Limits(floor=0.030, fail=0.30, noise=0.008, extra=0.5),
    "unsteady": Limits(floor=0.100, fail=1.00, noise=0.030),
    "latency": Limits(floor=0.300, fail=1.00, noise=0.080),
    "tail latency": Limits(floor=1.000, fail=4.00, noise=0.200, extra=1.0),
    "tx": Limits(floor=0.100, fail=0.30, noise=0.020),
    "rx": Limits(floor=0.100, fail=0.30, noise=0.020),
    "rtt": Limits(floor=0.300, fail=1.00, noise=0.050),
    "other": Limits(floor=0.100, fail=0.30, noise=0.030, extra=1.0),
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``alpha``: the rate of false findings that is tolerated among all findings. ``alarms``: chance that a healthy node is
    accused by one kind of evidence, at most, however many sheep there are.

    ``spread_limit``: where peers differ among themselves by more than this (one standard deviation), nobody is judged.
    ``least_peers``: the smallest group in which one can tell who is different. ``shared_host``: most nodes run beside others on
    one machine.
    """

    kinds: Mapping[str, Limits] = field(default_factory=lambda: KINDS)
    alarms: float = 5e-4
    alpha: float = 0.005
    spread_limit: float = 0.25
    least_peers: int = 3
    shared_host: bool = False

    def of(self, kind: str) -> Limits:
        """Limits of a kind of evidence."""
        return self.kinds[kind]


#: Where nodes share a host (virtual machines, containers): what their host does to them is no fault of theirs.
SHARED_KINDS: Mapping[str, Limits] = {
    "cpu": Limits(floor=0.05, fail=0.25, noise=0.010),
    "socket": Limits(floor=0.05, fail=0.25, noise=0.010),
    "core": Limits(floor=0.10, fail=0.25, noise=0.020, extra=0.5),
    "throttling": Limits(floor=0.05, fail=0.10, noise=0.010),
    "memory": Limits(floor=0.10, fail=0.30, noise=0.020),
    "numa": Limits(floor=0.10, fail=0.30, noise=0.020),
    "cached": Limits(floor=0.10, fail=0.30, noise=0.020),
    **dict.fromkeys(
        ("disk", "sequential", "sequential writes", "random", "random writes"),
        Limits(floor=0.10, fail=0.30, noise=0.030, extra=1.0),
    ),
    "unsteady": Limits(floor=0.30, fail=1.00, noise=0.050),
}

OWN = Thresholds()
SHARED = Thresholds(kinds={**KINDS, **SHARED_KINDS}, shared_host=True)


@dataclass(frozen=True, slots=True)
class Tables:
    """Limits for machines of their ``own``, and for those that have ``shared`` a host. ``note``: where they come from, for
    the report; empty for those above."""

    own: Thresholds = OWN
    shared: Thresholds = SHARED
    note: str = ""

    def holding_for(self, records: Sequence[NodeRecord]) -> Thresholds:
        """Virtual machines and containers that share a host disturb each other: there small differences tell nothing."""
        hosts = Counter(record.identity.physical_host for record in records if record.identity.physical_host)
        shared = sum(count for count in hosts.values() if count > 1)
        return self.shared if 2 * shared > len(records) else self.own


#: Those above, which hold where nobody chose others.
SHIPPED = Tables()
