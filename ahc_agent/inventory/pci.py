"""PCI functions: what they are, where they hang, and how fast their link runs.

From ``/sys/bus/pci/devices`` (Documentation/ABI/testing/sysfs-bus-pci). Ids that a kernel or a saved tree does not
show as files are read from the configuration space (PCI Local Bus 3.0, 6.1; PCI Express Base, 7.5.3).

PCI-to-PCI bridges are left out, by hwloc's rule (class 0604 with a bridge header): they are the tree's wood, not its
fruit, and the link of a card is told at the card. All other functions are listed, host and ISA bridges too; so
the list is as long as hwloc's with every PCI device kept (``lstopo --filter pci:all``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ahc_agent.facts import PciDevice
from ahc_agent.inventory.root import Root

DEVICES = "/sys/bus/pci/devices"
ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")

BRIDGE_CLASS = "0604"

#: PCI Code and ID Assignment Specification: base class, or base class and subclass.
CLASS_NAMES = {
    "0100": "SCSI controller",
    "0101": "IDE controller",
    "0104": "RAID controller",
    "0106": "SATA controller",
    "0107": "SAS controller",
    "0108": "NVMe controller",
    "01": "storage controller",
    "0200": "Ethernet controller",
    "0207": "InfiniBand controller",
    "0208": "fabric controller",
    "02": "network controller",
    "0300": "VGA controller",
    "0302": "3D controller",
    "03": "display controller",
    "0403": "audio device",
    "04": "multimedia controller",
    "0502": "CXL memory",
    "05": "memory controller",
    "0600": "host bridge",
    "0601": "ISA bridge",
    "0604": "PCI bridge",
    "06": "bridge",
    "0700": "serial controller",
    "07": "communication controller",
    "0801": "DMA controller",
    "0806": "IOMMU",
    "0807": "root complex event collector",
    "08": "system peripheral",
    "09": "input device controller",
    "0b40": "co-processor",
    "0b": "processor",
    "0c03": "USB controller",
    "0c04": "Fibre Channel controller",
    "0c05": "SMBus",
    "0c06": "InfiniBand controller",
    "0c07": "IPMI interface",
    "0c": "serial bus controller",
    "0d": "wireless controller",
    "10": "encryption controller",
    "11": "signal processing controller",
    "12": "processing accelerator",
    "13": "non-essential instrumentation",
}

NVIDIA, AMD = "10de", "1002"

#: Link speed codes of the Link Capabilities and Link Status registers, in GT/s.
_SPEED_GTPS = {1: 2.5, 2: 5.0, 3: 8.0, 4: 16.0, 5: 32.0, 6: 64.0}
_SPEED_TEXT = re.compile(r"(\d{1,4}(?:\.\d+)?) GT/s")
_PCI_EXPRESS_CAPABILITY = 0x10


def collect(root: Root) -> list[PciDevice]:
    """Every PCI function but PCI-to-PCI bridges, by address. A function that vanishes meanwhile is left out."""
    return [
        device
        for path in functions(root)
        if (device := read(root, path)) is not None and not _is_bridge(root, path, device)
    ]


def functions(root: Root) -> list[str]:
    """The folders of all PCI functions ("/sys/devices/pci0000:00/..."), bridges too, in order of address."""
    listed = [root.real(f"{DEVICES}/{name}") for name in root.names(DEVICES) if ADDRESS.fullmatch(name)]
    return sorted(listed or _below(root), key=_address)


def read(root: Root, path: str) -> PciDevice | None:
    """One function from its folder, or None where neither its class nor its ids can be read (it is gone)."""
    config = Config(root.data(f"{path}/config") or b"")
    class_id = _hex(root, f"{path}/class", 6) or config.class_id
    vendor = _hex(root, f"{path}/vendor", 4) or config.word(0x00)
    if class_id is None and vendor is None:
        return None
    speed, width = _link(root, path, "current")
    speed_max, width_max = _link(root, path, "max")
    device = PciDevice(
        address=_address(path),
        class_id=class_id,
        class_name=class_name(class_id),
        vendor_id=vendor,
        device_id=_hex(root, f"{path}/device", 4) or config.word(0x02),
        subsystem_vendor_id=_hex(root, f"{path}/subsystem_vendor", 4),
        subsystem_device_id=_hex(root, f"{path}/subsystem_device", 4),
        revision=_hex(root, f"{path}/revision", 2) or config.byte(0x08),
        driver=driver(root, path),
        numa_node=numa_node(root, path),
        link_speed_gtps=speed if speed is not None else config.link_speed_gtps,
        link_width=width if width is not None else config.link_width,
        link_speed_max_gtps=speed_max if speed_max is not None else config.link_speed_max_gtps,
        link_width_max=width_max if width_max is not None else config.link_width_max,
    )
    device.accelerator = is_accelerator(device)
    return device


def class_name(class_id: str | None) -> str | None:
    """The name of a class of six digits, by subclass where the table knows it, else by base class."""
    if class_id is None:
        return None
    return CLASS_NAMES.get(class_id[:4]) or CLASS_NAMES.get(class_id[:2])


def is_accelerator(device: PciDevice) -> bool:
    """Whether the function computes for others: processing accelerators, co-processors, GPUs without a screen.

    A VGA controller (0300) never counts, for it may be the console's; nor does an Intel display
    controller (0380), which is mostly the second half of an integrated one.
    """
    kind = (device.class_id or "")[:4]
    return (
        kind.startswith("12")
        or kind in ("0b40", "0302")
        or (kind == "0380" and device.vendor_id in (NVIDIA, AMD))
    )


def driver(root: Root, path: str) -> str | None:
    """Name of the driver bound to a device folder, or None."""
    link = f"{path}/driver"
    target = root.real(link)
    if target != link:
        return target.rpartition("/")[2]
    # A saved tree often lacks what the link points to; the kernel says the same in ``uevent``.
    for line in (root.text(f"{path}/uevent") or "").splitlines():
        if line.startswith("DRIVER="):
            return line.removeprefix("DRIVER=") or None
    return None


def numa_node(root: Root, path: str) -> int | None:
    """The NUMA node of a device folder; None where the firmware does not tell (the kernel shows -1)."""
    node = root.integer(f"{path}/numa_node")
    return node if node is not None and node >= 0 else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device hangs: the PCI function nearest above it (its folder and address), and that one's NUMA node."""

    path: str | None = None
    address: str | None = None
    numa_node: int | None = None


def place_of(root: Root, path: str) -> Place:
    """Climb from a device's resolved folder to the PCI function that carries it.

    A device without one (NVDIMM, platform device) still has the NUMA node that a folder above it shows.
    """
    node: int | None = None
    while path.startswith("/sys/devices/"):
        if node is None:
            node = numa_node(root, path)
        address = path.rpartition("/")[2]
        if ADDRESS.fullmatch(address):
            return Place(path, address, node)
        path = path.rpartition("/")[0]
    return Place(numa_node=node)


class Config:
    """A function's configuration space: 64 bytes for everyone, 256 or 4096 for root. Little endian."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._express = self._find_express()

    def byte(self, offset: int) -> str | None:
        return f"{self._data[offset]:02x}" if offset < min(len(self._data), 64) else None

    def word(self, offset: int) -> str | None:
        value = self._number(offset, 2)
        return f"{value:04x}" if value is not None else None

    @property
    def class_id(self) -> str | None:
        value = self._number(0x09, 3)
        return f"{value:06x}" if value is not None else None

    @property
    def header_type(self) -> int | None:
        """0 an endpoint, 1 a PCI-to-PCI bridge, 2 a CardBus bridge."""
        value = self._number(0x0E, 1)
        return value & 0x7F if value is not None else None

    @property
    def link_speed_gtps(self) -> float | None:
        return self._speed(0x12, 2)

    @property
    def link_width(self) -> int | None:
        return self._width(0x12, 2)

    @property
    def link_speed_max_gtps(self) -> float | None:
        return self._speed(0x0C, 4)

    @property
    def link_width_max(self) -> int | None:
        return self._width(0x0C, 4)

    def _number(self, offset: int, size: int) -> int | None:
        data = self._data[offset : offset + size]
        return int.from_bytes(data, "little") if len(data) == size else None

    def _speed(self, register: int, size: int) -> float | None:
        value = self._number(self._express + register, size) if self._express else None
        return _SPEED_GTPS.get(value & 0xF) if value is not None else None

    def _width(self, register: int, size: int) -> int | None:
        value = self._number(self._express + register, size) if self._express else None
        return _real_width(value >> 4 & 0x3F) if value is not None else None

    def _find_express(self) -> int:
        """Offset of the PCI Express capability, 0 where there is none. The list may be a circle: 48 steps at most."""
        status = self._number(0x06, 2) or 0
        offset = (self._number(0x34, 1) or 0) & 0xFC if status & 0x10 else 0
        for _ in range(48):
            if offset < 0x40 or self._number(offset, 2) is None:
                break
            if self._data[offset] == _PCI_EXPRESS_CAPABILITY:
                return offset
            offset = self._data[offset + 1] & 0xFC
        return 0


def _is_bridge(root: Root, path: str, device: PciDevice) -> bool:
    if not (device.class_id or "").startswith(BRIDGE_CLASS):
        return False
    return Config(root.data(f"{path}/config") or b"").header_type in (None, 1)


def _link(root: Root, path: str, which: str) -> tuple[float | None, int | None]:
    """Speed in GT/s and width in lanes: "current" or "max"; "Unknown", 0 and 255 are no answers."""
    spoken = _SPEED_TEXT.match(root.text(f"{path}/{which}_link_speed") or "")
    return (float(spoken[1]) if spoken else None), _real_width(root.integer(f"{path}/{which}_link_width"))


def _real_width(width: int | None) -> int | None:
    return width if width is not None and 0 < width <= 32 else None


def _hex(root: Root, path: str, digits: int) -> str | None:
    """A file such as "0x8086" as digits of fixed number, or None."""
    value = root.integer(path, 16)
    return f"{value:0{digits}x}" if value is not None and 0 <= value < 16**digits else None


def _address(path: str) -> str:
    return path.rpartition("/")[2]


def _below(root: Root) -> list[str]:
    """Functions below the host bridges' folders, where a tree lacks ``/sys/bus``. A hostile tree may run in circles."""
    found: dict[str, None] = {}
    todo = [f"/sys/devices/{name}" for name in root.names("/sys/devices") if name.startswith("pci")]
    while todo:
        folder = todo.pop()
        for name in root.names(folder):
            path = root.real(f"{folder}/{name}") if ADDRESS.fullmatch(name) else None
            if path is not None and path not in found:
                found[path] = None
                todo.append(path)
    return list(found)
