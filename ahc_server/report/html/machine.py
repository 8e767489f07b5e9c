"""What a technician must know to find a machine and its parts, from its inventory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ahc_agent.facts import Disk, Inventory, Nic
from ahc_server.judge.hardware import binary_size, decimal_size

#: More disks or cards are counted and not listed.
_MOST = 16


def facts_of(inventory: Inventory) -> list[tuple[str, list[str]]]:
    """Rows of (what, lines); what the machine does not tell is left out."""
    system, cpu, bmc = inventory.system, inventory.cpu, inventory.bmc
    rows = [
        (
            "Machine",
            [_joined(" ".join(_told((system.vendor, system.product))), _named("serial", system.serial))],
        ),
        ("Chassis", [_joined(_named("serial", system.chassis_serial))]),
        ("BIOS", [_joined(system.bios.vendor, system.bios.version, system.bios.date)]),
        ("BMC", [_joined(bmc.address, _named("firmware", bmc.firmware), bmc.mac)] if bmc else []),
        ("Kernel", [_joined(system.kernel, _named("host", system.hostname))]),
        (
            "CPU",
            [
                _joined(cpu.model, _counted(cpu.sockets, "socket"), _counted(cpu.cores, "core")),
                _joined(_named("microcode", cpu.microcode), _named("governor", cpu.governor)),
            ],
        ),
        ("Memory", _memory(inventory)),
        ("Disks", _listed([_disk(each) for each in inventory.disks if each.kind == "disk"])),
        (
            "Network",
            _listed([_nic(each) for each in inventory.nics if each.kind in ("physical", "infiniband")]),
        ),
    ]
    told = [(name, [line for line in lines if line]) for name, lines in rows]
    return [(name, lines) for name, lines in told if lines]


def _memory(inventory: Inventory) -> list[str]:
    memory = inventory.memory
    lines = [binary_size(memory.total_bytes)] if memory.total_bytes else []
    kinds = Counter(
        _joined(binary_size(dimm.size_bytes), dimm.type, dimm.manufacturer, dimm.part_number)
        for dimm in memory.dimms
        if dimm.size_bytes
    )
    lines += [f"{count} × {kind}" for kind, count in kinds.items()]
    empty = [dimm.locator or dimm.bank or "?" for dimm in memory.dimms if dimm.size_bytes == 0]
    return lines + ([f"empty slots: {', '.join(empty)}"] if empty else [])


def _disk(disk: Disk) -> str:
    size = decimal_size(disk.size_bytes) if disk.size_bytes else None
    return f"{disk.name}: " + _joined(
        size, disk.model, _named("serial", disk.serial), _named("firmware", disk.firmware)
    )


def _nic(nic: Nic) -> str:
    speed = f"{nic.speed_mbps / 1000:g} Gbit/s" if nic.speed_mbps else None
    link = None if nic.carrier is None or nic.carrier else "no link"
    port = _joined(nic.lldp.system_name, nic.lldp.port_id) if nic.lldp else None
    told = (speed, link, nic.driver, _named("firmware", nic.firmware), nic.mac, _named("to", port))
    return f"{nic.name}: {_joined(*told)}"


def _listed(lines: list[str]) -> list[str]:
    rest = len(lines) - _MOST
    return lines[:_MOST] + ([f"and {rest} more"] if rest > 0 else [])


def _joined(*texts: str | None) -> str:
    return ", ".join(_told(texts))


def _told(texts: Iterable[str | None]) -> Iterable[str]:
    return (text for text in texts if text)


def _named(name: str, text: str | None) -> str | None:
    return f"{name} {text}" if text else None


def _counted(count: int | None, word: str) -> str | None:
    return f"{count} {word}{'' if count == 1 else 's'}" if count else None
