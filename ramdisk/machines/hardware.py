"""What a machine is made of, as data: the truth that an inventory is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Emulated disk controllers: virtio-blk, virtio-scsi, NVMe; and a module of persistent memory.
Bus = Literal["virtio", "scsi", "nvme", "nvdimm"]


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk. ``iops_limit``: both directions together, None for as fast as it goes; ``serial``: at most 20
    characters; "" for an NVDIMM, which has none."""

    serial: str
    size_mib: int = 256
    bus: Bus = "virtio"
    iops_limit: int | None = None
    rotational: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A virtio network card. ``speed_mbps`` is what it says of itself, ``limit_bits_per_s`` what its cable carries
    once ``Guest.limit_cards`` was called."""

    mac: str
    speed_mbps: int = 1000
    limit_bits_per_s: int | None = None


@dataclass(frozen=True, slots=True)
class NumaNode:
    """CPUs ("0-1") and memory of one NUMA node."""

    cpus: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Bmc:
    """A BMC inside QEMU, or (``port``) one outside that QEMU reaches on 127.0.0.1: OpenIPMI's ``ipmi_sim``."""

    port: int | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine. ``uuid`` and ``serial`` are those of SMBIOS; ``numa`` empty is one node.

    ``network_boot``: the first card is the first thing that its firmware tries; else the disks are.
    """

    name: str
    serial: str
    uuid: str
    cards: tuple[Card, ...]
    disks: tuple[Disk, ...] = ()
    memory_mib: int = 1024
    cores: int = 1
    numa: tuple[NumaNode, ...] = ()
    numa_distance: int = 21
    bmc: Bmc | None = None
    watchdog: bool = False
    network_boot: bool = True
    vendor: str = "Acme"
    product: str = "Rack 1"
    dimms: tuple[int, ...] = field(default=())


def machine(
    number: int,
    *,
    memory_mib: int = 1024,
    cores: int = 1,
    cards: int = 1,
    disks: tuple[Disk, ...] = (),
    card_limit_bits_per_s: int | None = None,
    watchdog: bool = False,
    bmc: Bmc | None = None,
) -> Machine:
    """Machine ``number`` (1–250) of a fleet of equal ones: name, serial, UUID and addresses follow from the number."""
    return Machine(
        name=f"m{number}",
        serial=f"AHC{number:04d}",
        uuid=f"a4c00000-0000-4000-8000-{number:012d}",
        cards=tuple(
            Card(f"52:54:00:a4:{index:02x}:{number:02x}", limit_bits_per_s=card_limit_bits_per_s)
            for index in range(cards)
        ),
        disks=disks,
        memory_mib=memory_mib,
        cores=cores,
        watchdog=watchdog,
        bmc=bmc,
    )
