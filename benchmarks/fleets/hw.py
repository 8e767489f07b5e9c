"""A fleet as eDeploy's health check leaves it: one ``.hw`` file a node, a Python list of tuples of strings.

Which lines there are, and how they are written, follows real files: sizes of disks in GB, of memory in bytes, IOPS with a
space behind, empty slots told by their description.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.fleets.faults import Node
from benchmarks.fleets.generate import Fleet, Group

Line = tuple[str, str, str, str]


def lines(group: Group, row: int) -> list[Line]:
    """All lines of one node's file."""
    return [*facts(group.nodes[row]), *measured(group, row)]


def facts(node: Node) -> list[Line]:
    """What the machine is."""
    told: list[Line] = []
    for disk in node.disks:
        told += [
            ("disk", disk.name, "size", str(disk.kind.size_gb)),
            ("disk", disk.name, "vendor", disk.kind.vendor),
            ("disk", disk.name, "model", disk.kind.model),
            ("disk", disk.name, "rev", disk.kind.firmware),
            ("disk", disk.name, "Write Cache Enable", str(int(disk.write_cache))),
            ("disk", disk.name, "Read Cache Disable", "0"),
        ]
    platform = node.platform
    told += [
        ("system", "product", "serial", node.serial),
        ("system", "product", "uuid", node.uuid),
        ("system", "product", "name", platform.product),
        ("system", "product", "vendor", platform.vendor),
        ("firmware", "bios", "version", node.bios[0]),
        ("firmware", "bios", "date", node.bios[1]),
        ("firmware", "bios", "vendor", platform.vendor),
        ("memory", "total", "size", str(node.memory_bytes)),
    ]
    for number, dimm in enumerate(node.dimms):
        bank = f"bank:{number}"
        if dimm.size_gib:
            told += [
                ("memory", bank, "size", str(dimm.size_gib * 2**30)),
                ("memory", bank, "clock", str(dimm.mhz * 10**6)),
                (
                    "memory",
                    bank,
                    "description",
                    f"DIMM Synchronous {dimm.mhz} MHz ({1000 / dimm.mhz:.1f} ns)",
                ),
                ("memory", bank, "vendor", dimm.vendor),
                ("memory", bank, "product", dimm.product),
                ("memory", bank, "serial", dimm.serial),
            ]
        else:
            told.append(("memory", bank, "description", "DIMM Synchronous [empty]"))
        told.append(("memory", bank, "slot", dimm.slot))
    told.append(("memory", "banks", "count", str(len(node.dimms))))
    vendor, product, driver, _, _ = platform.nics
    for nic in node.nics:
        told += [
            ("network", nic.name, "serial", nic.mac),
            ("network", nic.name, "vendor", vendor),
            ("network", nic.name, "product", product),
            ("network", nic.name, "firmware", nic.firmware),
            ("network", nic.name, "driver", driver),
            ("network", nic.name, "link", "yes" if nic.speed_mbps else "no"),
        ]
        if nic.speed_mbps:
            told.append(("network", nic.name, "size", str(nic.speed_mbps * 10**6)))
        if nic.name == "eth0":
            told.append(("network", nic.name, "ipv4", node.address))
    for socket in range(platform.sockets):
        name = f"physical_{socket}"
        told += [
            ("cpu", name, "physid", str(400 + socket)),
            ("cpu", name, "product", platform.cpu),
            ("cpu", name, "vendor", "Intel Corp."),
            ("cpu", name, "frequency", str(platform.frequency_hz)),
            ("cpu", name, "cores", str(platform.cores)),
            ("cpu", name, "enabled_cores", str(platform.cores)),
            ("cpu", name, "threads", str(node.logical // platform.sockets)),
        ]
    told += [
        ("cpu", "physical", "number", str(platform.sockets)),
        ("cpu", "logical", "number", str(node.logical)),
        ("system", "ipmi", "channel", "2"),
    ]
    return told


def measured(group: Group, row: int) -> list[Line]:
    """What was measured on it."""
    told: list[Line] = []
    for metric, value in zip(group.metrics, group.values[row], strict=True):
        if np.isnan(value):
            continue
        text = f"{value:.2f}" if metric.kind == "bogomips" else f"{value:.0f}"
        told.append((*metric.key, f"{text} " if metric.key[2].endswith("IOps") else text))
    return told


def file_name(node: Node) -> str:
    letters = [
        letter
        for letter in f"{node.platform.product}-{node.platform.vendor}"
        if letter.isalnum() or letter == "-"
    ]
    return f"{''.join(letters)}-{node.serial}.hw"


def write(fleet: Fleet, folder: Path) -> None:
    """Write every node's file into ``folder``, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for group in fleet.groups:
        for row, node in enumerate(group.nodes):
            text = ",\n ".join(repr(line) for line in lines(group, row))
            (folder / file_name(node)).write_text(f"[{text}]\n", encoding="utf-8")
