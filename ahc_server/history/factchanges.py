"""Facts that are not what they were: firmware, settings, and parts that went, came or were replaced.

The same change on many nodes is one change. Which fact goes with a change of speed is told by time alone: it happened between the
same two sessions, and to few others.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ahc_agent.facts import Disk, Inventory
from ahc_agent.order import natural_order
from ahc_server.history.machines import disk_identity, disk_labels
from ahc_server.history.model import FactChange
from ahc_server.judge import wording
from ahc_server.judge.facts.table import facts_of

#: A fact goes with what changed on these components.
_CONCERNS: Mapping[str, frozenset[str]] = {
    "cpu": frozenset({"cpu", "firmware", "system", "numa"}),
    "memory": frozenset({"memory", "numa", "cpu", "firmware", "system"}),
    "numa": frozenset({"memory", "numa", "cpu", "firmware", "system"}),
    "disk": frozenset({"disk", "firmware", "system"}),
    "network": frozenset({"network", "firmware", "system"}),
}
#: A change that more than this part of the others saw as well explains nothing about a node.
_COMMON = 1 / 3
_SIZE = re.compile(r"([\d.]+) (MiB|GiB)")
_MIB = {"MiB": 1.0, "GiB": 1024.0}
#: What firmware and kernel reserve of the memory is no change of it.
_SAME_SIZE = 1.06


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One fact of one machine. ``places``: of which disks, slots, ports; empty where there is only one."""

    component: str
    name: str
    before: str | None
    after: str | None
    places: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        if not self.places:
            return self.name
        return f"{self.name} of {wording.listed(sorted(self.places, key=natural_order), most=4)}"

    def said(self) -> str:
        if self.before is None:
            return f"{self.title} new: {self.after}"
        if self.after is None:
            return f"{self.title} gone: {self.before}"
        return f"{self.title} changed from {self.before} to {self.after}"


def changes_between(before: Inventory | None, after: Inventory | None) -> list[Change]:
    """What differs between two inventories of one machine, in order. Nothing where one of them was not taken."""
    if before is None or after is None:
        return []
    old_labels, new_labels = disk_labels([before, after])
    old, new = _facts(before, old_labels), _facts(after, new_labels)
    found: dict[tuple[str, str, str | None, str | None], list[str]] = defaultdict(list)
    for component, name, place in sorted(old.keys() & new.keys()):
        was, now = old[component, name, place], new[component, name, place]
        if was != now and not _same_size(was, now):
            found[component, name, was, now].append(place)
    for component, name, place, gone, came in _parts(before, after, old_labels, new_labels):
        found[component, name, gone, came].append(place)
    return sorted(
        (Change(*key, places=tuple(p for p in places if p)) for key, places in found.items()),
        key=lambda change: (change.component, change.name, change.places),
    )


def _facts(inventory: Inventory, labels: Mapping[str, str]) -> dict[tuple[str, str, str], str]:
    return {
        (fact.component, fact.name, labels.get(fact.place, fact.place)): value
        for fact, value in facts_of(inventory).items()
    }


def _same_size(was: str, now: str) -> bool:
    one, other = _SIZE.fullmatch(was), _SIZE.fullmatch(now)
    if one is None or other is None:
        return False
    sizes = [float(size[1]) * _MIB[size[2]] for size in (one, other)]
    return max(sizes) <= min(sizes) * _SAME_SIZE


def _parts(
    before: Inventory, after: Inventory, old_labels: Mapping[str, str], new_labels: Mapping[str, str]
) -> Iterable[tuple[str, str, str, str | None, str | None]]:
    """(component, what, where, what it was, what it is) of parts that can be told from their like."""
    old = {old_labels[disk.name]: disk for disk in before.disks if not disk.removable}
    new = {new_labels[disk.name]: disk for disk in after.disks if not disk.removable}
    if old and new:
        yield from _replaced("disk", "disk", _told(old), _told(new))
    for name, kind in (("DIMM", "memory"), ("card", "network")):
        had, has = _own(before, kind), _own(after, kind)
        if had and has:
            yield from (each for each in _replaced(kind, name, had, has) if each[3] and each[4])


def _replaced(
    component: str,
    what: str,
    old: Mapping[str, tuple[str | None, str]],
    new: Mapping[str, tuple[str | None, str]],
) -> Iterable[tuple[str, str, str, str | None, str | None]]:
    for place in sorted(old.keys() | new.keys(), key=natural_order):
        was, now = old.get(place), new.get(place)
        if was is None or now is None:
            yield component, what, place, was and was[1], now and now[1]
        elif was[0] and now[0] and was[0] != now[0]:
            yield component, what, place, was[1], now[1]


def _told(disks: Mapping[str, Disk]) -> dict[str, tuple[str | None, str]]:
    return {place: (disk_identity(disk), wording.disk_label(disk)) for place, disk in disks.items()}


def _own(inventory: Inventory, kind: str) -> dict[str, tuple[str | None, str]]:
    """Place → (serial number or address, how it is told), of DIMMs and network cards."""
    if kind == "memory":
        filled = [dimm for dimm in inventory.memory.dimms if dimm.size_bytes and dimm.locator and dimm.serial]
        return {
            " ".join(each for each in (dimm.bank, dimm.locator) if each): (
                dimm.serial,
                " ".join(
                    each for each in (dimm.manufacturer, dimm.part_number, f"serial {dimm.serial}") if each
                ),
            )
            for dimm in filled
        }
    cards = [nic for nic in inventory.nics if nic.kind == "physical" and (nic.permanent_mac or nic.mac)]
    return {nic.name: (nic.permanent_mac or nic.mac, f"MAC {nic.permanent_mac or nic.mac}") for nic in cards}


def fold(names: Sequence[str], changes: Sequence[Sequence[Change]]) -> list[FactChange]:
    """One entry a change, with all its nodes; what most nodes saw first."""
    nodes: dict[Change, list[str]] = defaultdict(list)
    for name, of_node in zip(names, changes, strict=True):
        for change in of_node:
            nodes[change].append(name)
    ordered = sorted(
        nodes, key=lambda change: (-len(nodes[change]), change.component, change.title, change.said())
    )
    return [
        FactChange(
            component=change.component,
            name=change.title,
            before=change.before,
            after=change.after,
            nodes=nodes[change],
        )
        for change in ordered
    ]


def concerns(component: str) -> frozenset[str]:
    """Components whose facts could have to do with the speed of one."""
    return _CONCERNS.get(component, frozenset({component}))


def causes(component: str, mine: Sequence[Change], spread: Mapping[Change, int], nodes: int) -> str | None:
    """What changed on a node at the same time and could have to do with a component. ``spread``: on how many of the
    ``nodes`` each change was seen."""
    concerned = concerns(component)
    told = [
        change
        for change in mine
        if change.component in concerned and spread[change] - 1 <= _COMMON * max(nodes - 1, 1)
    ]
    told.sort(key=lambda change: (change.component != component, spread[change], change))
    if not told:
        return None
    return f"at the same time: {'; '.join(change.said() for change in told[:3])}"
