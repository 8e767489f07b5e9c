"""What a machine tells of its disks, network cards and PCI Express links."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from operator import attrgetter
from typing import Any

from ahc_agent.facts import Disk, Inventory
from ahc_server.judge.facts.pcie import links
from ahc_server.judge.facts.told import NAMED_BY_MAC, Alike, Fact, Place, Section, cards, plain, ports
from ahc_server.judge.hardware import link_speed

# Disks.


def fixed(disks: Iterable[Disk]) -> list[Disk]:
    """The disks that belong to the machine; files and loop devices only where there is nothing else."""
    kept = [disk for disk in disks if disk.kind not in ("rom", "floppy") and not disk.removable]
    return [disk for disk in kept if disk.kind == "disk"] or kept


_read_disk = attrgetter("size_bytes", "rotational", "model", "firmware", "write_cache", "scheduler", "transport",
                        "logical_block_bytes", "read_only")  # fmt: skip


def _disks(inventory: Inventory, place: Place) -> Hashable:
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
        found |= {Fact("disk", name, place): plain(value) for name, value in told.items() if value}
        if model and firmware:
            found[Fact("firmware", f"firmware of {plain(model)} disks", place)] = plain(firmware)
    return found


# Network cards.


_read_nic = attrgetter("name", "driver", "speed_mbps", "duplex", "carrier", "mtu", "firmware", "vendor_id", "device_id",
                       "numa_node", "sriov_num_vfs")  # fmt: skip


def _nics(inventory: Inventory, _: Place) -> Hashable:
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
            f"{port[0]} card {port[1] + 1}".strip() if NAMED_BY_MAC.fullmatch(name) else name
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
            Fact("network", name, place): plain(value) for name, value in told.items() if value is not None
        }
        if driver and firmware:
            found[Fact("firmware", f"firmware of {driver} cards", place)] = plain(firmware)
    return found


# PCI Express.


def _pci(inventory: Inventory, _: Place) -> Hashable:
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
    Section(_disks, _disk_facts, {"disk": "none"}),
    Section(_nics, _nic_facts, {"card": "none"}),
    Section(_pci, _pci_facts, {"number": "0"}),
)
