"""What a node *is* differently from its peers: parts, firmware, settings. Facts, no measurements.

Where a few nodes differ from what most of their group have, each is told so, and its difference is offered as the cause of
what is slow about it. Where many differ there is no usual, and that is one remark about the group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ahc_agent.facts import Inventory
from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.hardware import FACTS, Hardware
from ahc_server.judge.model import Component, Finding, Kind

#: Component and name of a fact.
_Name = tuple[str, str]

#: A fact that this part of a group has otherwise is no oddity of theirs.
_MANY = 0.25
_LEAST_TELLING = 3

_SETTINGS: tuple[tuple[_Name, Callable[[Inventory], object]], ...] = (
    (("firmware", "BIOS"), lambda i: i.system.bios.version),
    (("firmware", "microcode"), lambda i: i.cpu.microcode),
    (("firmware", "BMC firmware"), lambda i: i.bmc.firmware if i.bmc else None),
    (("cpu", "frequency governor"), lambda i: i.cpu.governor),
    (("cpu", "boost"), lambda i: None if i.cpu.boost is None else "on" if i.cpu.boost else "off"),
    (("cpu", "threads per core"), lambda i: i.cpu.threads_per_core),
    (("numa", "number of NUMA nodes"), lambda i: len(i.numa) or None),
    (
        ("memory", "DIMM speed"),
        lambda i: _joined(
            f"{d.configured_speed_mtps} MT/s" for d in i.memory.dimms if d.configured_speed_mtps
        ),
    ),
    (
        ("network", "MTU"),
        lambda i: _joined(str(n.mtu) for n in i.nics if n.kind == "physical" and n.carrier and n.mtu),
    ),
)

_CHECK = {
    "cpu": "the settings of firmware and operating system",
    "memory": "that every DIMM is seated, and that the firmware has not switched one off",
    "numa": "the NUMA settings of the firmware",
    "disk": "that all its disks are seen: power, cables, backplane, controller",
    "network": "negotiated speed, cable, transceiver and switch port, and its settings",
    "firmware": "whether it missed an update",
}


@dataclass(slots=True)
class Oddities:
    """Of one group. ``of_node``: row → component → what is different. ``missing``: (row, component) that lack a part."""

    of_node: dict[int, dict[str, str]] = field(default_factory=dict)
    missing: set[tuple[int, str]] = field(default_factory=set)
    shared: list[Finding] = field(default_factory=list)


def oddities(
    rows: Sequence[int],
    group: str,
    names: Sequence[str],
    inventories: Sequence[Inventory | None],
    hardware: Sequence[Hardware],
    usual: Hardware,
) -> Oddities:
    """What differs within one group: ``rows`` of the fleet's ``names``, ``inventories`` and ``hardware``."""
    found = Oddities()
    texts: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for (name, component), fact, common in zip(FACTS, hardware[row].facts(), usual.facts(), strict=True):
            if fact is not None and common is not None and fact != common:
                texts[row][component].append(f"its {name}: {fact}, where its peers have {common}")
    known = {row: known for row in rows if (known := inventories[row]) is not None}
    for row, text in _empty_slots(known).items():
        texts[row]["memory"].append(text)
        found.missing.add((row, "memory"))
    told: dict[_Name, dict[int, str]] = defaultdict(dict)
    for row, inventory in known.items():
        for fact_name, value in _settings(inventory).items():
            told[fact_name][row] = value
    for (component, name), values in sorted(told.items()):
        counted = Counter(values.values())
        common, many = max(counted.items(), key=lambda each: (each[1], each[0]))
        odd = [row for row, value in values.items() if value != common]
        if not odd or len(values) < _LEAST_TELLING:
            continue
        if len(odd) <= max(1, _MANY * len(values)) and many > len(values) / 2:
            for row in odd:
                texts[row][component].append(f"its {name}: {values[row]}, where its peers have {common}")
        else:
            found.shared.append(
                _mixed(group, component, name, [names[row] for row in sorted(values)], counted)
            )
    found.of_node = {row: {c: "; ".join(each) for c, each in of.items()} for row, of in texts.items()}
    return found


def odd_nodes(found: Oddities, names: Sequence[str], peers: int, about: Iterable[Finding]) -> list[Finding]:
    """A finding for each difference that no finding in ``about`` names as its cause already."""
    told = {(each.element, each.component) for each in about if each.cause is not None}
    return [
        _odd(names[row], component, text, peers, "missing" if (row, component) in found.missing else "config")
        for row, of_node in sorted(found.of_node.items())
        for component, text in of_node.items()
        if (f"node:{names[row]}", component) not in told
    ]


def _odd(node: str, component: str, text: str, peers: int, kind: Kind) -> Finding:
    plain = "; ".join(each.removeprefix("its ") for each in text.split("; "))
    check = f"; check {_CHECK[component]}" if component in _CHECK else ""
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component=cast(Component, component),
        kind=kind,
        severity="warn",
        cause=text,
        summary=f"{node} differs from its {peers:,} peers: {plain}{check}",
    )


def _mixed(group: str, component: str, name: str, nodes: list[str], counted: Mapping[str, int]) -> Finding:
    ordered = sorted(counted, key=lambda value: (-counted[value], value))
    kinds = wording.listed([f"{value} ({wording.nodes_word(counted[value])})" for value in ordered], most=4)
    return Finding(
        element=f"group:{group}",
        nodes=nodes,
        component=cast(Component, component),
        kind="config",
        severity="info",
        summary=f"{group}: {name} is not the same everywhere: {kinds}",
    )


def _settings(inventory: Inventory) -> dict[_Name, str]:
    """All facts but the hardware's own five that the peers of a node should share."""
    told = {name: str(value) for name, of in _SETTINGS if (value := of(inventory)) is not None}
    versions: dict[str, list[str]] = defaultdict(list)
    for disk in inventory.disks:
        if disk.model and disk.firmware and not disk.removable:
            versions[f"firmware of {disk.model} disks"].append(disk.firmware)
    for nic in inventory.nics:
        if nic.kind == "physical" and nic.driver and nic.firmware:
            versions[f"firmware of {nic.driver} cards"].append(nic.firmware)
    return told | {("firmware", name): _joined(each) or "" for name, each in versions.items()}


def _joined(values: Iterable[str]) -> str | None:
    return " + ".join(sorted(set(values))) or None


def _empty_slots(members: Mapping[int, Inventory]) -> dict[int, str]:
    """Row → DIMM slots that most of its peers fill and it does not."""
    filled = {
        row: {slot for slot, size in _slots(inventory).items() if size}
        for row, inventory in members.items()
        if inventory.memory.dimms
    }
    fillers = Counter(slot for slots in filled.values() for slot in slots)
    peers = len(filled) - 1
    found: dict[int, str] = {}
    for row, mine in filled.items():
        empty = [slot for slot, many in fillers.items() if slot not in mine and many > peers / 2]
        if empty and peers >= _LEAST_TELLING - 1:
            many = min(fillers[slot] for slot in empty)
            found[row] = (
                f"{len(empty):,} DIMM slot{'s' if len(empty) > 1 else ''} empty that {many:,} of {peers:,} peers fill "
                f"({wording.listed(sorted(empty, key=natural_order))})"
            )
    return found


def _slots(inventory: Inventory) -> dict[str, int | None]:
    """Slot → size, by locator; by bank and locator where the firmware gives several slots one locator."""
    found: dict[str, int | None] = {}
    locators = Counter(dimm.locator for dimm in inventory.memory.dimms)
    for dimm in inventory.memory.dimms:
        bank = dimm.bank if locators[dimm.locator] > 1 else None
        found[" ".join(each for each in (bank, dimm.locator) if each)] = dimm.size_bytes
    return found
