"""The facts of one machine: the typed form of ``ahc.inventory/1``.

Every field that a machine may keep to itself is optional; ``None`` (JSON ``null``) means "the machine
does not tell", never a guess. Units stand in the names. The structs are what the collectors return,
what crosses the wire and what the store keeps; the bounds are checked wherever they are decoded.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

SCHEMA = "ahc.inventory/1"

#: No text of an inventory is longer than this.
TEXT_LIMIT = 4096
Text = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
#: A number that is neither NaN nor infinite. Every float that crosses the wire is one.
Finite = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]


class Fact(msgspec.Struct, kw_only=True):
    """Base of all facts (``kw_only`` is not inherited: say it in each)."""


class CollectorError(Fact, kw_only=True):
    """What could not be read, by which collector, and why."""

    collector: Text
    error: Text


class Bios(Fact, kw_only=True):
    vendor: Text | None = None
    version: Text | None = None
    date: Text | None = None


class System(Fact, kw_only=True):
    """The machine as SMBIOS types 0, 1 and 2 name it, and its kernel.

    ``virtualization`` is the hypervisor's name ("kvm", "vmware", ...), "none" where the machine is known
    to be bare metal, None where it cannot be told.
    """

    vendor: Text | None = None
    product: Text | None = None
    version: Text | None = None
    serial: Text | None = None
    uuid: Text | None = None
    board_vendor: Text | None = None
    board_product: Text | None = None
    board_serial: Text | None = None
    chassis_serial: Text | None = None
    bios: Bios = msgspec.field(default_factory=Bios)
    kernel: Text | None = None
    kernel_arguments: Text | None = None
    hostname: Text | None = None
    virtualization: Text | None = None


class Cache(Fact, kw_only=True):
    """One kind of cache; ``instances`` counts the distinct caches of this level, type and size."""

    level: int
    type: Text
    size_bytes: int
    instances: int


class CpuKind(Fact, kw_only=True):
    """CPUs of one kind on a hybrid machine: ``name`` as the kernel has it ("core", "atom", capacity 1024)."""

    name: Text
    cpus: Text


class Cpu(Fact, kw_only=True):
    """Processors. ``cores`` and ``sockets`` count those with an online CPU, as hwloc does: a socket whose CPUs a cpuset
    withholds counts while its memory may be used.

    ``first_cpus`` lists, for each socket in the order of its physical id, its first online CPU.
    """

    model: Text | None = None
    vendor: Text | None = None
    architecture: Text | None = None
    family: int | None = None
    model_number: int | None = None
    stepping: int | None = None
    logical_present: int | None = None
    logical_online: int | None = None
    online_cpus: Text | None = None
    sockets: int | None = None
    cores: int | None = None
    threads_per_core: int | None = None
    first_cpus: list[int] = []
    socket_cpus: list[Text] = []
    kinds: list[CpuKind] = []
    caches: list[Cache] = []
    flags: list[Text] = []
    microcode: Text | None = None
    frequency_min_hz: int | None = None
    frequency_max_hz: int | None = None
    governor: Text | None = None
    driver: Text | None = None
    boost: bool | None = None
    vulnerabilities: dict[str, Text] = {}


class NumaNode(Fact, kw_only=True):
    """One NUMA node: its online CPUs as a kernel list ("0-5,48-53"), its memory, and its SLIT row.

    ``distances`` has one entry per online node, in the order of ``Inventory.numa``.
    """

    node: int
    cpus: Text
    memory_bytes: int | None = None
    distances: list[int] = []


class Dimm(Fact, kw_only=True):
    """One DIMM slot (SMBIOS type 17). An empty slot is listed with ``size_bytes`` 0."""

    locator: Text | None = None
    bank: Text | None = None
    size_bytes: int | None = None
    type: Text | None = None
    speed_mtps: int | None = None
    configured_speed_mtps: int | None = None
    ranks: int | None = None
    manufacturer: Text | None = None
    part_number: Text | None = None
    serial: Text | None = None


class Memory(Fact, kw_only=True):
    total_bytes: int | None = None
    dimms: list[Dimm] = []


class Smart(Fact, kw_only=True):
    """Health of a disk as ``smartctl --json`` tells it; counters are lifetime totals."""

    passed: bool | None = None
    temperature_celsius: Finite | None = None
    power_on_hours: int | None = None
    reallocated_sectors: int | None = None
    pending_sectors: int | None = None
    uncorrectable_errors: int | None = None
    media_errors: int | None = None
    percentage_used: int | None = None
    available_spare_percent: int | None = None
    critical_warning: int | None = None
    unsafe_shutdowns: int | None = None
    crc_errors: int | None = None


class Disk(Fact, kw_only=True):
    """One whole block device. ``kind`` is "disk", "rom" (optical), "floppy", "boot" (of eMMC), "dax", "loop" or "file".

    ``transport`` is "nvme", "sata", "sas", "fc", "usb", "virtio", "mmc", "loop", ...; ``path`` is where to open it.
    """

    name: Text
    path: Text | None = None
    kind: Text = "disk"
    size_bytes: int | None = None
    rotational: bool | None = None
    removable: bool | None = None
    read_only: bool | None = None
    vendor: Text | None = None
    model: Text | None = None
    serial: Text | None = None
    wwn: Text | None = None
    transport: Text | None = None
    pci_address: Text | None = None
    numa_node: int | None = None
    firmware: Text | None = None
    write_cache: Text | None = None
    scheduler: Text | None = None
    logical_block_bytes: int | None = None
    physical_block_bytes: int | None = None
    smart: Smart | None = None


class Lldp(Fact, kw_only=True):
    """The switch port at the other end of the cable, as heard by LLDP (IEEE 802.1AB)."""

    chassis_id: Text | None = None
    port_id: Text | None = None
    port_description: Text | None = None
    system_name: Text | None = None
    vlan_ids: list[int] = []


class Nic(Fact, kw_only=True):
    """One network interface that is a card or stands for one (virtual bridges and tunnels are left out).

    ``kind`` is "physical", "virtual" (veth and the like), "infiniband" or "loopback".
    """

    name: Text
    kind: Text = "physical"
    mac: Text | None = None
    permanent_mac: Text | None = None
    driver: Text | None = None
    speed_mbps: int | None = None
    duplex: Text | None = None
    carrier: bool | None = None
    carrier_changes: int | None = None
    mtu: int | None = None
    pci_address: Text | None = None
    vendor_id: Text | None = None
    device_id: Text | None = None
    numa_node: int | None = None
    firmware: Text | None = None
    sriov_total_vfs: int | None = None
    sriov_num_vfs: int | None = None
    addresses: list[Text] = []
    lldp: Lldp | None = None


class PciDevice(Fact, kw_only=True):
    """One PCI function. Ids are four lower-case hexadecimal digits, ``class_id`` six (class, subclass, interface).

    ``link_speed_gtps`` in GT/s and ``link_width`` in lanes are the negotiated ones.
    """

    address: Text
    class_id: Text | None = None
    class_name: Text | None = None
    vendor_id: Text | None = None
    device_id: Text | None = None
    subsystem_vendor_id: Text | None = None
    subsystem_device_id: Text | None = None
    revision: Text | None = None
    driver: Text | None = None
    numa_node: int | None = None
    accelerator: bool = False
    link_speed_gtps: Finite | None = None
    link_width: int | None = None
    link_speed_max_gtps: Finite | None = None
    link_width_max: int | None = None


class Bmc(Fact, kw_only=True):
    address: Text | None = None
    mac: Text | None = None
    firmware: Text | None = None
    channel: int | None = None
    manufacturer_id: int | None = None
    product_id: int | None = None


class EdacController(Fact, kw_only=True):
    """One EDAC memory controller and its counters since boot."""

    controller: Text
    name: Text | None = None
    size_bytes: int | None = None
    correctable_errors: int | None = None
    uncorrectable_errors: int | None = None
    dimms: list[EdacDimm] = []


class EdacDimm(Fact, kw_only=True):
    label: Text | None = None
    location: Text | None = None
    correctable_errors: int | None = None
    uncorrectable_errors: int | None = None


class Throttle(Fact, kw_only=True):
    """Thermal throttle counters since boot: ``scope`` is "core" or "package", ``count`` its sum over them."""

    socket: int | None = None
    scope: Text
    count: int


class Sensor(Fact, kw_only=True):
    """One reading; ``kind`` is temperature, voltage, fan, power or current, and ``unit`` follows from it.

    Units: celsius, volts, rpm, watts, amperes. ``critical`` is the sensor's own limit, ``alarm`` its own word.
    """

    name: Text
    chip: Text | None = None
    kind: Text
    value: Finite | None = None
    unit: Text
    critical: Finite | None = None
    alarm: bool | None = None


class Mce(Fact, kw_only=True):
    """Machine checks: banks, and corrected ones polled since boot (``/proc/interrupts``, MCE and MCP lines)."""

    banks: int | None = None
    exceptions: int | None = None
    polls: int | None = None


class Health(Fact, kw_only=True):
    edac: list[EdacController] = []
    mce: Mce | None = None
    throttle: list[Throttle] = []
    sensors: list[Sensor] = []


class Inventory(Fact, kw_only=True):
    """Everything that one machine knows of itself, and what it could not read (``errors``).

    ``extra``: facts of other tools for which there is no field here, as they were told: "kind/part/item" → text. It is
    absent from the JSON of an inventory that was not imported.
    """

    schema: str = SCHEMA
    collected_at: Text
    errors: list[CollectorError] = []
    system: System = msgspec.field(default_factory=System)
    cpu: Cpu = msgspec.field(default_factory=Cpu)
    numa: list[NumaNode] = []
    memory: Memory = msgspec.field(default_factory=Memory)
    disks: list[Disk] = []
    nics: list[Nic] = []
    pci: list[PciDevice] = []
    bmc: Bmc | None = None
    health: Health = msgspec.field(default_factory=Health)
    extra: Annotated[dict[Text, Text], msgspec.Meta(max_length=100_000)] | msgspec.UnsetType = msgspec.UNSET

    def extra_facts(self) -> dict[str, str]:
        """``extra``, empty where nothing was told."""
        return self.extra if isinstance(self.extra, dict) else {}
