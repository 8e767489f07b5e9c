"""One node as profiles see it: what it is, what it measured, and what it was found to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ahc_agent.facts import Inventory
from ahc_server.judge.model import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric of one node. ``part``: the node's own name of the piece ("sdb"); ``group_median`` and ``fleet_median`` in the
    metric's unit, None where fewer than three nodes have a value."""

    name: str
    part: str
    job: str
    value: float
    group_median: float | None = None
    fleet_median: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """``inventory``: an empty one where the node sent none. ``readings``: metric's name (as its group calls it) → its runs.
    ``bad_collectors``: those that could not read their part."""

    id: str
    inventory: Inventory
    verdict: Verdict | None = None
    group: str | None = None
    findings: tuple[Finding, ...] = ()
    readings: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    #: Its lists of parts in the order of their names, kept from the first profile that asks to the last.
    sorted_parts: dict[str, list[Part] | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def bad_collectors(self) -> frozenset[str]:
        return frozenset(error.collector for error in self.inventory.errors)


@dataclass(slots=True)
class At:
    """Where a profile stands with a node: the node, which parts its variables hold so far, and the measurement asked about."""

    subject: Subject
    bound: dict[str, Part] = field(default_factory=dict)
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What a variable holds: the part itself (a disk, a card), from which list, and how it is shown."""

    item: object
    of: str
    shown: str
