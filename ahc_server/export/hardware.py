"""What a registration wants to know of a machine: CPUs, memory, disk and architecture, in its units.

The counts are what Ironic's own inspection writes into ``properties`` (ironic/drivers/modules/inspector): logical CPUs, the
installed memory in MiB, and of the disk that would be the root disk (the smallest of at least 4 GiB, as ironic-python-agent
chooses) the size in GiB, less one that partitioning may need.
"""

from __future__ import annotations

from dataclasses import dataclass

from ahc_agent.facts import Inventory

MIB = 1024**2
GIB = 1024**3
_ROOT_DISK_MIN_BYTES = 4 * GIB


@dataclass(frozen=True, slots=True)
class Properties:
    """None stands for what the machine does not tell."""

    cpus: int | None
    memory_mb: int | None
    local_gb: int | None
    cpu_arch: str | None


def properties_of(inventory: Inventory) -> Properties:
    cpu = inventory.cpu
    return Properties(
        cpus=cpu.logical_online or cpu.logical_present or None,
        memory_mb=_memory_mb(inventory),
        local_gb=_local_gb(inventory),
        cpu_arch=cpu.architecture or None,
    )


def _memory_mb(inventory: Inventory) -> int | None:
    """Of the DIMMs where each slot tells its size (the kernel's total lacks what firmware keeps), else the kernel's total."""
    sizes = [dimm.size_bytes for dimm in inventory.memory.dimms]
    known = [size for size in sizes if size is not None]
    total = sum(known) if known and len(known) == len(sizes) else 0
    total = total or inventory.memory.total_bytes or 0
    return total // MIB or None


def _local_gb(inventory: Inventory) -> int | None:
    sizes = [
        disk.size_bytes
        for disk in inventory.disks
        if disk.kind == "disk"
        and not disk.removable
        and not disk.read_only
        and disk.size_bytes is not None
        and disk.size_bytes >= _ROOT_DISK_MIN_BYTES
    ]
    return min(sizes) // GIB - 1 if sizes else None


def macs_of(inventory: Inventory) -> list[str]:
    """MACs of its cards, the burnt-in one too where a bond changed it; lower case, no loopback, none twice."""
    found = [
        mac.lower()
        for nic in inventory.nics
        if nic.kind != "loopback"
        for mac in (nic.permanent_mac, nic.mac)
        if mac and mac.strip("0:")
    ]
    return list(dict.fromkeys(found))
