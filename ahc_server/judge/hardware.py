"""What makes two nodes comparable, as five facts, and as one line that a person understands.

Sizes are compared with tolerance: two machines of one delivery differ by what firmware reserves, and disks of one
class by a few per cent between makers. Sizes within 6 % of each other in the fleet get one name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from ahc_agent.facts import Disk, Inventory

_SAME_SIZE = 1.06


@dataclass(frozen=True, slots=True)
class Hardware:
    """The five facts; each a text that is equal for equal hardware, None where the machine does not tell."""

    system: str | None = None
    cpu: str | None = None
    memory: str | None = None
    disks: str | None = None
    nics: str | None = None

    def facts(self) -> tuple[str | None, ...]:
        return (self.system, self.cpu, self.memory, self.disks, self.nics)

    def line(self) -> str:
        """One line: "Dell PowerEdge R640, 2 × Xeon Gold 6130 (32 cores), 192 GiB, 12 × 4 TB HDD, 2 × 25 Gbit/s"."""
        return ", ".join(fact for fact in self.facts() if fact) or "unknown hardware"


#: Names of the five facts, in the order of ``Hardware.facts``, and the component that each belongs to.
FACTS: tuple[tuple[str, str], ...] = (
    ("system", "system"),
    ("CPU", "cpu"),
    ("memory", "memory"),
    ("disks", "disk"),
    ("network cards", "network"),
)


def hardware_of(inventories: list[Inventory | None]) -> list[Hardware]:
    """The facts of each node of a fleet; sizes are named alike over the whole fleet."""
    known = [inventory for inventory in inventories if inventory is not None]
    memory_names = classes(i.memory.total_bytes for i in known)
    disk_classes = DiskClasses.of(disk for each in known for disk in each.disks)
    # Most nodes of a fleet tell the same: that is put into words once.
    said: dict[Hashable, Hardware] = {}
    found = []
    for inventory in inventories:
        told = None if inventory is None else _told(inventory)
        if told not in said:
            said[told] = Hardware() if inventory is None else _hardware(inventory, memory_names, disk_classes)
        found.append(said[told])
    return found


_read_machine = attrgetter("system.vendor", "system.product", "memory.total_bytes", "cpu.model", "cpu.architecture",
                           "cpu.logical_present", "cpu.cores", "cpu.sockets")  # fmt: skip
_read_disk = attrgetter("kind", "removable", "size_bytes", "rotational")
_read_card = attrgetter("kind", "speed_mbps")


def _told(inventory: Inventory) -> Hashable:
    """All that ``_hardware`` reads."""
    return (
        _read_machine(inventory),
        tuple(map(_read_disk, inventory.disks)),
        tuple(map(_read_card, inventory.nics)),
    )


_read_kind = attrgetter("size_bytes", "rotational")


@dataclass(frozen=True, slots=True)
class DiskClasses:
    """``sizes``: size → the commonest size of its class. ``rotates``: such a size → whether those that tell it rotate, where they
    agree: two models of one size are not two kinds of disk because only one of them tells."""

    sizes: Mapping[int, int] = field(default_factory=dict)
    rotates: Mapping[int, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, disks: Iterable[Disk]) -> DiskClasses:
        counted = Counter(map(_read_kind, disks))
        of_size: Counter[int | None] = Counter()
        for (size, _), many in counted.items():
            of_size[size] += many
        sizes = _classes(of_size)
        told: dict[int, set[bool]] = {}
        for size, rotates in counted:
            if size and rotates is not None:
                told.setdefault(sizes[size], set()).add(rotates)
        return cls(sizes, {size: rotates.pop() for size, rotates in told.items() if len(rotates) == 1})

    def kind(self, size_bytes: int | None, rotational: bool | None) -> tuple[int, bool | None]:
        """The usual size of the class (0: not told), and whether its disks rotate."""
        size = self.sizes.get(size_bytes, size_bytes) if size_bytes else 0
        return size, self.rotates.get(size) if rotational is None else rotational

    def name(self, size_bytes: int | None, rotational: bool | None) -> str:
        """ "4 TB HDD", "960 GB SSD"."""
        size, rotates = self.kind(size_bytes, rotational)
        return f"{decimal_size(size) if size else ''} {_KINDS[rotates]}".strip()


_KINDS = {True: "HDD", False: "SSD", None: "disk"}


def _hardware(inventory: Inventory, memory_names: dict[int, int], disk_classes: DiskClasses) -> Hardware:
    system, memory = inventory.system, inventory.memory.total_bytes
    return Hardware(
        system=" ".join(part.strip() for part in (system.vendor, system.product) if part) or None,
        cpu=_cpu(inventory),
        memory=binary_size(memory_names[memory]) if memory else None,
        disks=_disks(inventory, disk_classes),
        nics=_nics(inventory),
    )


def _cpu(inventory: Inventory) -> str | None:
    cpu = inventory.cpu
    if cpu.model is None and cpu.logical_present is None:
        return None
    model = " ".join((cpu.model or cpu.architecture or "CPU").split())
    counted = cpu.cores or cpu.logical_present
    cores = "" if counted is None else f" ({counted} core{'s' if counted != 1 else ''})"
    return f"{cpu.sockets or 1} × {model}{cores}"


def _disks(inventory: Inventory, known: DiskClasses) -> str | None:
    fixed = [d for d in inventory.disks if d.kind != "rom" and not d.removable and d.size_bytes]
    if any(disk.kind == "disk" for disk in fixed):
        fixed = [disk for disk in fixed if disk.kind == "disk"]
    if not fixed:
        return None
    kinds = Counter(map(_read_kind, fixed))
    return _counted(name for kind, many in kinds.items() for name in [known.name(*kind)] * many)


def _nics(inventory: Inventory) -> str | None:
    cards = [nic for nic in inventory.nics if nic.kind in ("physical", "infiniband")]
    cards = cards or [nic for nic in inventory.nics if nic.kind == "virtual"]
    if not cards:
        return None
    return _counted(link_speed(nic.speed_mbps) for nic in cards)


def link_speed(mbps: int | None) -> str:
    """As a person says it: "25 Gbit/s"; a port without a link does not tell its speed."""
    if not mbps or mbps < 0:
        return "port without link speed"
    return f"{mbps / 1000:g} Gbit/s" if mbps >= 1000 else f"{mbps} Mbit/s"


def _counted(names: Iterable[str]) -> str:
    return " + ".join(f"{count} × {name}" for name, count in sorted(Counter(names).items()))


def classes(sizes: Iterable[int | None]) -> dict[int, int]:
    """Each size → the commonest size of its class: those within 6 % of the class's smallest."""
    return _classes(Counter(sizes))


def _classes(counted: Mapping[int | None, int]) -> dict[int, int]:
    """The same, of sizes and how often each comes."""
    named: dict[int, int] = {}
    members: list[int] = []
    for size in [*sorted(each for each in counted if each), None]:
        if members and (size is None or size > members[0] * _SAME_SIZE):
            commonest = max(members, key=lambda each: (counted[each], each))
            named.update(dict.fromkeys(members, commonest))
            members = []
        if size is not None:
            members.append(size)
    return named


def binary_size(size_bytes: int) -> str:
    """Memory as the kernel counts it: "192 GiB", "512 MiB"."""
    gib = size_bytes / 2**30
    if gib < 1:
        return f"{size_bytes / 2**20:.0f} MiB"
    return f"{gib:.0f} GiB" if gib >= 10 else f"{gib:.1f} GiB".replace(".0 ", " ")


def decimal_size(size_bytes: int) -> str:
    """Disks as their makers name them: "960 GB", "4 TB"."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size_bytes >= size:
            return f"{size_bytes / size:.3g} {unit}"
    return f"{size_bytes} bytes"
