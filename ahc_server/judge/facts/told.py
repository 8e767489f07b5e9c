"""What each part of an inventory tells, as facts. One section a part: what is read of it, and what that means.

A section reads a *signature*: everything that matters, and nothing that names the machine, as a tuple. Most nodes of a group have
the same, and it is turned into texts once. None is a part of which the machine says nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ahc_agent.facts import Inventory, Nic
from ahc_agent.order import natural_order
from ahc_server.judge.hardware import DiskClasses, classes

#: A node's own name of a disk → the name of its place in the group.
Place = Callable[[str], str]

#: A card's name that holds its MAC address.
NAMED_BY_MAC = re.compile(r".*[0-9a-f]{12}")


class Fact(NamedTuple):
    """What is compared: "BIOS" of the firmware; "write cache" of the disk at a place, "sdb".

    ``component`` is one of the report's. ``place`` is empty where a machine has the fact once. Facts are ordered by these three.
    """

    component: str
    name: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.place})" if self.place else self.name


@dataclass(frozen=True, slots=True)
class Alike:
    """What is called the same within a group: sizes within 6 %, and the ports of network cards.

    ``ports``: (driver, number among the cards of this driver) → the name that most nodes have for it.
    """

    memory: Mapping[int, int] = field(default_factory=dict)
    disks: DiskClasses = field(default_factory=DiskClasses)
    ports: Mapping[tuple[str, int], str] = field(default_factory=dict)

    @classmethod
    def of(cls, known: Sequence[Inventory]) -> Alike:
        layouts = Counter(tuple((n.driver or "", n.name) for n in cards(each.nics)) for each in known)
        names: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for layout, many in layouts.items():
            for port, name in ports(layout).items():
                names[port][name] += many
        totals = [each.memory.total_bytes for each in known]
        return cls(
            memory=classes(totals) | classes(node.memory_bytes for each in known for node in each.numa),
            disks=DiskClasses.of(disk for each in known for disk in each.disks),
            ports={
                port: max(told, key=lambda name: (told[name], name))
                for port, told in names.items()
                if not any(map(NAMED_BY_MAC.fullmatch, told))
            },
        )


@dataclass(frozen=True, slots=True)
class Section:
    """``absent``: name of a fact → what a node has that does not list this part, though it lists others."""

    read: Callable[[Inventory, Place], Hashable]
    facts: Callable[[Any, Alike], dict[Fact, str]]
    absent: dict[str, str] = field(default_factory=dict)


def plain(value: object) -> str:
    """One line, one space between words."""
    return " ".join(str(value).split())


def cards(nics: Iterable[Nic]) -> list[Nic]:
    """The cards; virtual ones only where there is nothing else."""
    kept = [nic for nic in nics if nic.kind in ("physical", "infiniband")]
    return kept or [nic for nic in nics if nic.kind == "virtual"]


def ports(layout: Iterable[tuple[str, str]]) -> dict[tuple[str, int], str]:
    """(driver, number among the cards of this driver) → own name, of cards given as (driver, name)."""
    found: dict[tuple[str, int], str] = {}
    numbers: Counter[str] = Counter()
    for driver, name in sorted(layout, key=lambda each: natural_order(each[1])):
        found[driver, numbers[driver]] = name
        numbers[driver] += 1
    return found
