"""What each part of an inventory tells, as facts. One section a part: what is read of it, and what that means.

A section reads a *signature*: everything that matters, and nothing that names the machine, as a tuple. Most nodes of a group have
the same, and it is turned into texts once. None is a part of which the machine says nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from ahc_agent.facts import Disk, Inventory, Nic
from ahc_agent.order import natural_order
from ahc_server.judge.hardware import DiskClasses, binary_size, classes, link_speed
from ahc_server.judge.pcie import links

#: A node's own name of a disk → the name of its place in the group.
_Place = Callable[[str], str]

#: A card's name that holds its MAC address.
_NAMED_BY_MAC = re.compile(r".*[0-9a-f]{12}")


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
                if not any(map(_NAMED_BY_MAC.fullmatch, told))
            },
        )


@dataclass(frozen=True, slots=True)
class Section:
    """``absent``: name of a fact → what a node has that does not list this part, though it lists others."""

    read: Callable[[Inventory, _Place], Hashable]
    facts: Callable[[Any, Alike], dict[Fact, str]]
    absent: dict[str, str] = field(default_factory=dict)


# The machine as a whole: what it has once.


def _plain(value: object) -> str:
    return " ".join(str(value).split())


def _switch(value: bool) -> str:
    return "on" if value else "off"


def _hertz(value: int) -> str:
    return f"{value / 1e9:.2f} GHz"


_WHOLE: tuple[tuple[Fact, str, Callable[[Any], str]], ...] = (
    (Fact("system", "vendor"), "system.vendor", _plain),
    (Fact("system", "product"), "system.product", _plain),
    (Fact("system", "board"), "system.board_product", _plain),
    (Fact("system", "kernel"), "system.kernel", _plain),
    (Fact("system", "virtualization"), "system.virtualization", _plain),
    (Fact("firmware", "microcode"), "cpu.microcode", _plain),
    (Fact("cpu", "CPU model"), "cpu.model", _plain),
    (Fact("cpu", "CPU stepping"), "cpu.stepping", _plain),
    (Fact("cpu", "sockets"), "cpu.sockets", _plain),
    (Fact("cpu", "cores"), "cpu.cores", _plain),
    (Fact("cpu", "logical CPUs"), "cpu.logical_present", _plain),
    (Fact("cpu", "logical CPUs online"), "cpu.logical_online", _plain),
    (Fact("cpu", "threads per core"), "cpu.threads_per_core", _plain),
    (Fact("cpu", "frequency governor"), "cpu.governor", _plain),
    (Fact("cpu", "frequency driver"), "cpu.driver", _plain),
    (Fact("cpu", "highest frequency"), "cpu.frequency_max_hz", _hertz),
    (Fact("cpu", "lowest frequency"), "cpu.frequency_min_hz", _hertz),
    (Fact("cpu", "boost"), "cpu.boost", _switch),
)
_read_whole = attrgetter("system.bios.version", "system.bios.date", *(path for _, path, _ in _WHOLE))


def _whole(inventory: Inventory, _: _Place) -> Hashable:
    flags = inventory.cpu.flags
    virtual = ("vmx" in flags or "svm" in flags) if flags else None
    firmware = inventory.bmc.firmware if inventory.bmc else None
    return *_read_whole(inventory), virtual, firmware


def _whole_facts(signature: tuple[Any, ...], _: Alike) -> dict[Fact, str]:
    version, date, *values, virtual, firmware = signature
    found = {
        fact: how(value) for (fact, _, how), value in zip(_WHOLE, values, strict=True) if value is not None
    }
    if version is not None:
        found[Fact("firmware", "BIOS")] = _plain(version) + (f" of {_plain(date)}" if date else "")
    if virtual is not None:
        found[Fact("cpu", "virtualization extensions")] = _switch(virtual)
    if firmware is not None:
        found[Fact("firmware", "BMC firmware")] = _plain(firmware)
    return found


def _mitigations(inventory: Inventory, _: _Place) -> Hashable:
    return tuple(inventory.cpu.vulnerabilities.items()) or None


def _mitigation_facts(signature: tuple[tuple[str, str], ...], _: Alike) -> dict[Fact, str]:
    return {Fact("cpu", "mitigation", name): _plain(text) for name, text in signature}


#: Kernel arguments that are each machine's own, by their name or by what they hold (addresses, UUIDs, labels of disks).
_OWN_ARGUMENT = re.compile(
    r"(?i)(?:(?:bootif|ip|ifname|hostname|nodename|macaddr|root|resume|session|serv|ahc\.\w+)=.*"
    r"|.*(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}.*|.*[0-9a-f]{8}-[0-9a-f]{4}-.*|.*\d+\.\d+\.\d+\.\d+.*)"
)


def _arguments(inventory: Inventory, _: _Place) -> Hashable:
    told = inventory.system.kernel_arguments
    if told is None:
        return None
    return " ".join(each for each in told.split() if not _OWN_ARGUMENT.fullmatch(each))


def _argument_facts(signature: str, _: Alike) -> dict[Fact, str]:
    return {Fact("system", "kernel arguments"): signature or "none"}


def _caches(inventory: Inventory, _: _Place) -> Hashable:
    read = attrgetter("level", "type", "size_bytes", "instances")
    return tuple(sorted(map(read, inventory.cpu.caches))) or None


def _cache_facts(signature: tuple[tuple[int, str, int, int], ...], _: Alike) -> dict[Fact, str]:
    told: dict[str, list[str]] = defaultdict(list)
    for level, kind, size, instances in signature:
        told[f"L{level} {kind.lower()} cache"].append(f"{instances} × {binary_size(size)}")
    return {Fact("cpu", name): " + ".join(each) for name, each in told.items()}


# NUMA and memory.


def _numa(inventory: Inventory, _: _Place) -> Hashable:
    return tuple((node.node, node.memory_bytes, tuple(node.distances)) for node in inventory.numa) or None


def _numa_facts(
    signature: tuple[tuple[int, int | None, tuple[int, ...]], ...], alike: Alike
) -> dict[Fact, str]:
    found = {Fact("numa", "number of NUMA nodes"): str(len(signature))}
    for node, memory, distances in signature:
        if memory is not None:
            found[Fact("numa", "memory", f"node{node}")] = binary_size(alike.memory.get(memory, memory))
        if distances:
            found[Fact("numa", "distances", f"node{node}")] = " ".join(map(str, distances))
    return found


_read_dimm = attrgetter(
    "locator", "bank", "size_bytes", "type", "speed_mtps", "configured_speed_mtps", "ranks", "manufacturer", "part_number"
)  # fmt: skip


def _total(inventory: Inventory, _: _Place) -> Hashable:
    """What the kernel has, where it is not known what is plugged in: the firmware reserves a part, not the same on every node."""
    memory = inventory.memory
    return None if any(dimm.size_bytes for dimm in memory.dimms) else memory.total_bytes


def _total_facts(total: int, alike: Alike) -> dict[Fact, str]:
    return {Fact("memory", "usable memory"): binary_size(alike.memory.get(total, total))}


def _dimms(inventory: Inventory, _: _Place) -> Hashable:
    return tuple(map(_read_dimm, inventory.memory.dimms)) or None


def _dimm_facts(signature: tuple[tuple[Any, ...], ...], _: Alike) -> dict[Fact, str]:
    found: dict[Fact, str] = {}
    locators = Counter(dimm[0] for dimm in signature)
    for number, (locator, bank, size, kind, speed, configured, ranks, maker, part) in enumerate(signature):
        several = locator is None or locators[locator] > 1
        slot = " ".join(each for each in (bank if several else None, locator) if each) or f"slot {number}"
        if size is not None:
            found[Fact("memory", "DIMM", slot)] = binary_size(size) if size else "empty"
        if not size:
            continue
        told = {
            "DIMM speed": f"{configured or speed} MT/s" if configured or speed else None,
            "rated DIMM speed": f"{speed} MT/s" if speed and configured else None,
            "DIMM model": " ".join(each for each in (maker, part) if each),
            "DIMM type": kind,
            "DIMM ranks": ranks,
        }
        found |= {Fact("memory", name, slot): _plain(value) for name, value in told.items() if value}
    sizes = sum(dimm[2] or 0 for dimm in signature)
    if sizes:
        found[Fact("memory", "memory size")] = binary_size(sizes)
    return found


# Disks.


def fixed(disks: Iterable[Disk]) -> list[Disk]:
    """The disks that belong to the machine; files and loop devices only where there is nothing else."""
    kept = [disk for disk in disks if disk.kind not in ("rom", "floppy") and not disk.removable]
    return [disk for disk in kept if disk.kind == "disk"] or kept


_read_disk = attrgetter("size_bytes", "rotational", "model", "firmware", "write_cache", "scheduler", "transport",
                        "logical_block_bytes", "read_only")  # fmt: skip


def _disks(inventory: Inventory, place: _Place) -> Hashable:
    known = inventory.disks
    if not known:
        read = inventory.cpu.logical_present is not None and all(
            e.collector != "disks" for e in inventory.errors
        )
        return () if read else None
    return tuple((place(disk.name), *_read_disk(disk)) for disk in fixed(known))


def _disk_facts(signature: tuple[tuple[Any, ...], ...], alike: Alike) -> dict[Fact, str]:
    found: dict[Fact, str] = {}
    for place, size, rotates, model, firmware, cache, scheduler, transport, block, read_only in signature:
        found[Fact("disk", "disk", place)] = alike.disks.name(size, rotates)
        told = {
            "disk model": model,
            "write cache": cache,
            "scheduler": scheduler,
            "transport": transport,
            "block size": f"{block} bytes" if block else None,
            "read-only": None if read_only is None else "yes" if read_only else "no",
        }
        found |= {Fact("disk", name, place): _plain(value) for name, value in told.items() if value}
        if model and firmware:
            found[Fact("firmware", f"firmware of {_plain(model)} disks", place)] = _plain(firmware)
    return found


# Network cards.


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


_read_nic = attrgetter("name", "driver", "speed_mbps", "duplex", "carrier", "mtu", "firmware", "vendor_id", "device_id",
                       "numa_node", "sriov_num_vfs")  # fmt: skip


def _nics(inventory: Inventory, _: _Place) -> Hashable:
    return tuple(map(_read_nic, cards(inventory.nics))) or None


def _nic_facts(signature: tuple[tuple[Any, ...], ...], alike: Alike) -> dict[Fact, str]:
    found: dict[Fact, str] = {}
    own = {name: port for port, name in ports((each[1] or "", each[0]) for each in signature).items()}
    for (
        name,
        driver,
        speed,
        duplex,
        carrier,
        mtu,
        firmware,
        vendor,
        device,
        numa_node,
        functions,
    ) in signature:
        port = own[name]
        place = alike.ports.get(port) or (
            f"{port[0]} card {port[1] + 1}".strip() if _NAMED_BY_MAC.fullmatch(name) else name
        )
        linked = carrier is not False
        told = {
            "card": driver or "there",
            "link": None if carrier is None else "up" if carrier else "none",
            "link speed": link_speed(speed) if linked and speed and speed > 0 else None,
            "duplex": duplex if linked and duplex not in ("unknown", "") else None,
            "MTU": mtu if linked else None,
            "card model": f"{vendor}:{device}" if vendor and device else None,
            "NUMA node": None if numa_node is None or numa_node < 0 else f"node{numa_node}",
            "virtual functions": functions,
        }
        found |= {
            Fact("network", name, place): _plain(value) for name, value in told.items() if value is not None
        }
        if driver and firmware:
            found[Fact("firmware", f"firmware of {driver} cards", place)] = _plain(firmware)
    return found


# PCI Express.


def _pci(inventory: Inventory, _: _Place) -> Hashable:
    return tuple(sorted(links(inventory.pci))) or (() if inventory.pci else None)


def _pci_facts(signature: tuple[tuple[str, str, str], ...], _: Alike) -> dict[Fact, str]:
    counted: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for component, title, link in signature:
        counted[component, title][link] += 1
    found: dict[Fact, str] = {}
    for (component, title), of_links in counted.items():
        found[Fact(component, "number", title)] = str(sum(of_links.values()))
        told = [f"{many} × {link}" for link, many in sorted(of_links.items()) if link]
        if told:
            found[Fact(component, "PCIe link", title)] = " + ".join(told)
    return found


SECTIONS: tuple[Section, ...] = (
    Section(_whole, _whole_facts),
    Section(_mitigations, _mitigation_facts),
    Section(_arguments, _argument_facts),
    Section(_caches, _cache_facts),
    Section(_numa, _numa_facts),
    Section(_total, _total_facts),
    Section(_dimms, _dimm_facts, {"DIMM": "empty"}),
    Section(_disks, _disk_facts, {"disk": "none"}),
    Section(_nics, _nic_facts, {"card": "none"}),
    Section(_pci, _pci_facts, {"number": "0"}),
)
