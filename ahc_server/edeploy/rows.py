"""A machine of the store as eDeploy's lines, so that specifications written for ``.hw`` files can be asked of it.

What an import kept under its own name (``Inventory.extra``) comes first and as it was; then our fields, by eDeploy's names
and units: disks in GB (10⁹ bytes, cut), memory in bytes, speeds in bit/s. All words are texts. Measurements are not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Interface

from ahc_agent.facts import Cpu, Dimm, Disk, Inventory, Nic
from ahc_server.edeploy.spec import Line

_REPEAT = re.compile(r"#\d+$")
_GB = 10**9
_MOST_SOCKETS = 1024

Told = tuple[str, str, str, object]


def lines_of(inventory: Inventory) -> list[Line]:
    """The lines; what the machine does not tell has none."""
    lines: list[Line] = []
    for name, word in inventory.extra_facts().items():
        kind, _, rest = name.partition("/")
        part, _, item = rest.partition("/")
        if item:
            lines.append((kind, part, _REPEAT.sub("", item), word))
    lines += [
        (kind, part, item, str(value)) for kind, part, item, value in _told(inventory) if value is not None
    ]
    return lines


def _told(inventory: Inventory) -> Iterator[Told]:
    for disk in inventory.disks:
        yield from _disk(disk)
    yield from _system(inventory)
    yield "memory", "total", "size", inventory.memory.total_bytes
    for number, dimm in enumerate(inventory.memory.dimms):
        yield from _dimm(number, dimm)
    if inventory.memory.dimms:
        yield "memory", "banks", "count", len(inventory.memory.dimms)
    for nic in inventory.nics:
        if nic.kind != "loopback":
            yield from _nic(nic)
    yield from _cpu(inventory.cpu)
    if inventory.numa:
        yield "numa", "nodes", "count", len(inventory.numa)
    if inventory.bmc is not None:
        yield "system", "ipmi", "channel", inventory.bmc.channel
        yield "ipmi", "lan", "ip-address", inventory.bmc.address
        yield "ipmi", "lan", "mac-address", inventory.bmc.mac


def _disk(disk: Disk) -> Iterator[Told]:
    if disk.kind != "disk":
        return
    size = disk.size_bytes
    cache = {"write back": 1, "write through": 0}.get(disk.write_cache or "")
    rotational = None if disk.rotational is None else int(disk.rotational)
    for item, value in (
        ("size", None if size is None else size // _GB),
        ("vendor", disk.vendor),
        ("model", disk.model),
        ("rev", disk.firmware),
        ("rotational", rotational),
        ("Write Cache Enable", cache),
        ("SMART/serial_number", disk.serial),
        ("scheduler", disk.scheduler),
        ("logical_block_size", disk.logical_block_bytes),
        ("physical_block_size", disk.physical_block_bytes),
        ("wwn-id", None if disk.wwn is None else f"wwn-{disk.wwn}"),
    ):
        yield "disk", disk.name, item, value


def _system(inventory: Inventory) -> Iterator[Told]:
    system = inventory.system
    yield "system", "product", "serial", system.serial
    yield "system", "product", "name", system.product
    yield "system", "product", "vendor", system.vendor
    yield "system", "product", "version", system.version
    yield "system", "product", "uuid", system.uuid
    yield "system", "motherboard", "name", system.board_product
    yield "system", "motherboard", "vendor", system.board_vendor
    yield "system", "motherboard", "serial", system.board_serial
    yield "firmware", "bios", "version", system.bios.version
    yield "firmware", "bios", "date", system.bios.date
    yield "firmware", "bios", "vendor", system.bios.vendor
    yield "system", "kernel", "version", system.kernel
    yield "system", "kernel", "arch", inventory.cpu.architecture


def _dimm(number: int, dimm: Dimm) -> Iterator[Told]:
    bank = dimm.bank if dimm.bank is not None and dimm.bank.startswith("bank") else f"bank:{number}"
    yield "memory", bank, "size", dimm.size_bytes or None
    yield "memory", bank, "clock", None if dimm.speed_mtps is None else dimm.speed_mtps * 10**6
    yield "memory", bank, "vendor", dimm.manufacturer
    yield "memory", bank, "product", dimm.part_number
    yield "memory", bank, "serial", dimm.serial
    yield "memory", bank, "slot", dimm.locator


def _nic(nic: Nic) -> Iterator[Told]:
    speed = nic.speed_mbps
    for item, value in (
        ("size", None if speed is None else speed * 10**6),
        ("businfo", None if nic.pci_address is None else f"pci@{nic.pci_address}"),
        ("serial", nic.mac),
        *_address(nic.addresses),
        ("link", None if nic.carrier is None else "yes" if nic.carrier else "no"),
        ("driver", nic.driver),
        ("duplex", nic.duplex),
        ("speed", None if speed is None else _speed(speed)),
        ("firmware", nic.firmware),
    ):
        yield "network", nic.name, item, value


def _speed(mbps: int) -> str:
    return f"{mbps // 1000}Gbit/s" if mbps >= 1000 and mbps % 1000 == 0 else f"{mbps}Mbit/s"


def _address(addresses: list[str]) -> Iterator[tuple[str, object]]:
    """The first IPv4 address; eDeploy tells one."""
    for text in addresses:
        try:
            address = IPv4Interface(text)
        except ValueError:
            continue
        yield "ipv4", address.ip
        if "/" in text:
            yield "ipv4-netmask", address.netmask
            yield "ipv4-cidr", address.network.prefixlen
            yield "ipv4-network", address.network.network_address
        return


def _cpu(cpu: Cpu) -> Iterator[Told]:
    sockets = min(cpu.sockets or 0, _MOST_SOCKETS)
    cores = cpu.cores // sockets if cpu.cores is not None and sockets and cpu.cores % sockets == 0 else None
    threads = None if cores is None or cpu.threads_per_core is None else cores * cpu.threads_per_core
    for number in range(sockets):
        part = f"physical_{number}"
        yield "cpu", part, "product", cpu.model
        yield "cpu", part, "vendor", cpu.vendor
        yield "cpu", part, "family", cpu.family
        yield "cpu", part, "model", cpu.model_number
        yield "cpu", part, "stepping", cpu.stepping
        yield "cpu", part, "cores", cores
        yield "cpu", part, "enabled_cores", cores
        yield "cpu", part, "threads", threads
        yield "cpu", part, "flags", " ".join(cpu.flags) or None
    yield "cpu", "physical", "number", cpu.sockets
    yield "cpu", "logical", "number", cpu.logical_present
