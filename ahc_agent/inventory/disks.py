"""Whole disks: what they are, where they hang, how they are set.

From ``/sys/class/block`` (Documentation/ABI/stable/sysfs-block), SCSI vital product data (SPC-4, 7.8), NVMe and
virtio attributes, and udev's database, which knows the full model of ATA disks where SCSI's INQUIRY cuts it at 16
characters. SMART health comes from ``smart.py``.

Left out: partitions, what is no hardware (everything below ``/sys/devices/virtual`` but multipath NVMe: ram, zram,
loop, dm, md, nbd), and hidden paths of multipath NVMe. The rest is what hwloc lists as block devices; ``kind`` tells
the disks from optical drives ("rom"), floppy drives, the boot areas of eMMC ("boot"), and memory that is handed out as a
device ("dax", from ``/sys/bus/dax``: persistent memory, CXL memory, set-aside HBM).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ahc_agent.facts import Disk
from ahc_agent.inventory import pci, smart
from ahc_agent.inventory.root import Root
from ahc_agent.order import natural_order
from ahc_agent.task import Device

SECTOR_BYTES = 512

DAX_DEVICES = "/sys/bus/dax/devices"

#: The sr driver's answer where no medium has told its size.
_EMPTY_ROM_SECTORS = 0x1FFFFF
_SCSI_TYPE_ROM = 5

#: Block devices that are no disks, by name.
_KIND_BY_NAME = (
    (re.compile(r"sr\d+|scd\d+"), "rom"),
    (re.compile(r"fd\d+"), "floppy"),
    (re.compile(r"mmcblk\d+boot\d+"), "boot"),
    (re.compile(r"loop\d+"), "loop"),
)
_NVME_CONTROLLER = re.compile(r"nvme\d+")
_NVME_SUBSYSTEM = re.compile(r"/nvme-subsys\d+(/|$)")

#: A part of the sysfs path tells the transport; the first row that fits is taken.
_TRANSPORT_BY_PATH = tuple(
    (re.compile(pattern), transport)
    for pattern, transport in (
        (r"/devices/virtual/block/loop", "loop"),
        (r"/usb\d+/", "usb"),
        (r"/mmc_host/", "mmc"),
        (r"/virtio\d+/", "virtio"),
        (r"/vbd-\d+/", "xen"),
        (r"/ndbus\d+/", "nvdimm"),
        (r"/decoder\d+\.\d+/region\d+/", "cxl"),
        (r"/VMBUS[:\d]*/|/vmbus_", "vmbus"),
        (r"/ata\d+/", "sata"),
        (r"/session\d+/", "iscsi"),
        (r"/rport-", "fc"),
        (r"/end_device-", "sas"),
    )
)
#: The class of its host in ``/sys/class``, for SCSI disks whose path does not tell.
_TRANSPORT_BY_HOST = (("sas_host", "sas"), ("fc_host", "fc"), ("iscsi_host", "iscsi"))
#: The class of the controller, for the rest.
_TRANSPORT_BY_PCI_CLASS = {
    "0100": "scsi",
    "0101": "sata",
    "0104": "raid",
    "0106": "sata",
    "0107": "sas",
    "0108": "nvme",
    "0c04": "fc",
}
_NVME_TRANSPORT = {"pcie": "nvme", "tcp": "nvme-tcp", "rdma": "nvme-rdma", "fc": "nvme-fc"}


def collect(root: Root, only_disks: tuple[Device, ...] | None = None) -> list[Disk]:
    """All whole disks by name, or exactly ``only_disks``, under the names given there.

    ``only_disks`` may be loop devices or regular files too; one that is not there is an entry in ``root.trouble``.
    """
    if only_disks is not None:
        disks = [disk for device in only_disks if (disk := _given(root, device)) is not None]
    else:
        disks = [disk for name in names(root) if (disk := read(root, name)) is not None]
        disks = sorted(disks + _dax_devices(root), key=lambda disk: natural_order(disk.name))
    if root.live:
        smart.add(root, disks)
    return disks


def names(root: Root) -> list[str]:
    """Names of all whole disks."""
    known = dict.fromkeys([*root.names("/sys/class/block"), *root.names("/sys/block")])
    return [name for name in known if _is_whole_disk(root, name)]


def read(root: Root, name: str) -> Disk | None:
    """The facts of one block device of ``/sys/class/block``; None where it has vanished."""
    block = folder(root, name)
    device = root.real(f"{block}/device")
    sectors = root.integer(f"{block}/size")
    if sectors is None and not root.exists(f"{block}/dev"):
        return None
    place = pci.place_of(root, _carrier(root, block, device))
    transport = _transport(root, name, block, place)
    kind = _kind(name, root.integer(f"{device}/type"))
    vendor = root.text(f"{device}/vendor")
    udev = _udev(root, block)
    # libata's INQUIRY cuts the model at 16 characters and the firmware at 4.
    ata = _ata_identity(root.data(f"{device}/vpd_pg89")) or (udev if vendor == "ATA" else {})
    return Disk(
        name=name,
        path=f"/dev/{name.replace('!', '/')}",
        kind=kind,
        size_bytes=_size_bytes(sectors, kind),
        rotational=_flag(root, f"{block}/queue/rotational"),
        removable=_flag(root, f"{block}/removable"),
        read_only=_flag(root, f"{block}/ro"),
        # virtio shows a PCI vendor id here, libata the word "ATA": neither is who made the disk.
        vendor=vendor if vendor and vendor != "ATA" and not vendor.startswith("0x") else None,
        model=ata.get("model") or _first(root, device, ("model", "name")) or udev.get("model"),
        serial=_serial(root, block, device, transport) or ata.get("serial") or udev.get("serial"),
        wwn=_wwn(root, block, device) or udev.get("wwn"),
        transport=transport,
        pci_address=place.address,
        numa_node=place.numa_node,
        firmware=ata.get("firmware")
        or _first(root, device, ("firmware_rev", "rev", "fwrev"))
        or udev.get("firmware"),
        write_cache=root.text(f"{block}/queue/write_cache"),
        scheduler=_scheduler(root.text(f"{block}/queue/scheduler")),
        logical_block_bytes=root.integer(f"{block}/queue/logical_block_size"),
        physical_block_bytes=root.integer(f"{block}/queue/physical_block_size"),
    )


def folder(root: Root, name: str) -> str:
    """The resolved sysfs folder of a block device."""
    listed = f"/sys/class/block/{name}"
    return root.real(listed if root.exists(listed) else f"/sys/block/{name}")


def _given(root: Root, device: Device) -> Disk | None:
    """A disk that the caller named. Only on the machine itself: a saved tree has no device files."""
    try:
        state = Path(device.path).stat()
    except OSError as error:
        root.trouble.append(f"{device.path}: {error.strerror}")
        return None
    if stat.S_ISREG(state.st_mode):
        return Disk(
            name=device.name, path=device.path, kind="file", size_bytes=state.st_size, transport="file"
        )
    if not stat.S_ISBLK(state.st_mode):
        root.trouble.append(f"{device.path}: neither a block device nor a regular file")
        return None
    number = f"{os.major(state.st_rdev)}:{os.minor(state.st_rdev)}"
    disk = read(root, root.real(f"/sys/dev/block/{number}").rpartition("/")[2])
    if disk is None:
        # The device file is there but this machine's /sys does not show it (a container).
        disk = Disk(name=device.name, transport=None)
    disk.name, disk.path = device.name, device.path
    return disk


def _is_whole_disk(root: Root, name: str) -> bool:
    block = folder(root, name)
    if root.exists(f"{block}/partition") or root.integer(f"{block}/hidden") == 1:
        return False
    # Old kernels have no file ``partition``; a partition's folder lies in its disk's. So do the boot areas of eMMC, but
    # they have a queue of their own.
    if root.exists(f"{block.rpartition('/')[0]}/queue") and not root.exists(f"{block}/queue"):
        return False
    return "/devices/virtual/" not in block or _NVME_SUBSYSTEM.search(block) is not None


def _dax_devices(root: Root) -> list[Disk]:
    """Memory handed out as a device (kernel ABI file sysfs-bus-dax). What the driver kmem has taken is a NUMA node instead."""
    found = ((name, root.real(f"{DAX_DEVICES}/{name}")) for name in root.names(DAX_DEVICES))
    return [
        Disk(
            name=name,
            path=f"/dev/{name}",
            kind="dax",
            size_bytes=root.integer(f"{device}/size"),
            transport=_by_path(device),
            numa_node=pci.place_of(root, device).numa_node,
        )
        for name, device in found
        if root.exists(device)
        and pci.driver(root, device) != "kmem"
        and not root.exists(f"/sys/bus/dax/drivers/kmem/{name}")
    ]


def _carrier(root: Root, block: str, device: str) -> str:
    """The folder to climb from. A multipath NVMe namespace hangs on a virtual subsystem: take its first controller."""
    if "/devices/virtual/" not in block or not _NVME_SUBSYSTEM.search(block):
        return block
    for name in root.names(device):
        if _NVME_CONTROLLER.fullmatch(name):
            return root.real(f"{device}/{name}")
    return block


def _transport(root: Root, name: str, block: str, place: pci.Place) -> str | None:
    if name.startswith("nvme"):
        device = root.real(f"{block}/device")
        controllers = (n for n in root.names(device) if _NVME_CONTROLLER.fullmatch(n))
        spoken = root.text(f"{device}/transport") or next(
            (said for n in controllers if (said := root.text(f"{device}/{n}/transport"))), "pcie"
        )
        return _NVME_TRANSPORT.get(spoken, f"nvme-{spoken}")
    told = _by_path(block)
    if told is not None:
        # A SATA disk in a SAS slot speaks SATA.
        ata = told == "sas" and root.text(f"{block}/device/vendor") == "ATA"
        return "sata" if ata else told
    host = re.search(r"/(host\d+)/", block)
    for kind, transport in _TRANSPORT_BY_HOST if host else ():
        if host and root.exists(f"/sys/class/{kind}/{host[1]}"):
            return transport
    controller = pci.read(root, place.path) if place.path else None
    return _TRANSPORT_BY_PCI_CLASS.get((controller.class_id or "")[:4]) if controller else None


def _by_path(folder: str) -> str | None:
    return next((transport for pattern, transport in _TRANSPORT_BY_PATH if pattern.search(folder)), None)


def _serial(root: Root, block: str, device: str, transport: str | None) -> str | None:
    """The unit serial number: SCSI page 0x80, else NVMe's and MMC's, else virtio's, else the USB device's."""
    page = root.data(f"{device}/vpd_pg80")
    if page is not None and (text := _clean(_page(page))):
        return text
    found = root.text(f"{device}/serial") or root.text(f"{block}/serial")
    path = block
    while found is None and transport == "usb" and "/usb" in path:
        path = path.rpartition("/")[0]
        if root.exists(f"{path}/idVendor"):
            return root.text(f"{path}/serial")
    return found


def _wwn(root: Root, block: str, device: str) -> str | None:
    """World wide name: NAA as "0x5000...", NVMe's EUI-64, UUID or NGUID as the kernel writes them."""
    spoken = root.text(f"{block}/wwid") or root.text(f"{device}/wwid") or ""
    if spoken.startswith("naa."):
        return f"0x{spoken.removeprefix('naa.').lower()}"
    if spoken.startswith(("eui.", "uuid.", "nvme.")):
        return spoken
    return _naa(_page(root.data(f"{device}/vpd_pg83") or b""))


def _page(page: bytes) -> bytes:
    """What a vital product data page carries after its header of four bytes (length in bytes 2 and 3)."""
    return page[4 : 4 + int.from_bytes(page[2:4], "big")]


def _naa(designators: bytes) -> str | None:
    """The first NAA designator of the logical unit itself in page 0x83 (SPC-4, 7.8.6)."""
    offset = 0
    while offset + 4 <= len(designators):
        code_set, kind, length = designators[offset] & 0xF, designators[offset + 1], designators[offset + 3]
        value = designators[offset + 4 : offset + 4 + length]
        if code_set == 1 and kind & 0x3F == 3 and len(value) == length and length in (8, 16):
            return f"0x{value.hex()}"
        offset += 4 + length
    return None


def _ata_identity(page: bytes | None) -> dict[str, str | None]:
    """Model, serial and firmware from page 0x89 (SAT-3, 12.4.2): IDENTIFY DEVICE data lies at byte 60."""
    identity = (page or b"")[60 : 60 + 512]
    if len(identity) < 94:
        return {}
    return {
        "serial": _clean(_swapped(identity[20:40])),
        "firmware": _clean(_swapped(identity[46:54])),
        "model": _clean(_swapped(identity[54:94])),
    }


def _swapped(text: bytes) -> bytes:
    """ATA strings have the two characters of each word the other way round."""
    return b"".join(text[index + 1 : index + 2] + text[index : index + 1] for index in range(0, len(text), 2))


def _udev(root: Root, block: str) -> dict[str, str | None]:
    """What udev asked the disk itself (``/run/udev/data/b8:0``). Blanks are written "\\x20" in ``ID_MODEL_ENC``."""
    number = root.text(f"{block}/dev")
    said = dict(
        line[2:].split("=", 1)
        for line in (root.text(f"/run/udev/data/b{number}") or "").splitlines()
        if line.startswith("E:ID_") and "=" in line
    )
    model = re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), said.get("ID_MODEL_ENC", ""))
    return {
        "model": model.strip() or None,
        "serial": said.get("ID_SCSI_SERIAL") or said.get("ID_SERIAL_SHORT"),
        "firmware": said.get("ID_REVISION"),
        "wwn": said.get("ID_WWN_WITH_EXTENSION") or said.get("ID_WWN"),
    }


def _kind(name: str, scsi_type: int | None) -> str:
    if scsi_type == _SCSI_TYPE_ROM:
        return "rom"
    return next((kind for pattern, kind in _KIND_BY_NAME if pattern.fullmatch(name)), "disk")


def _size_bytes(sectors: int | None, kind: str) -> int | None:
    if sectors is None or (kind == "rom" and sectors == _EMPTY_ROM_SECTORS):
        return None
    return sectors * SECTOR_BYTES


def _scheduler(text: str | None) -> str | None:
    """The one in brackets of "mq-deadline kyber [none]"; a device without a choice shows "none" bare."""
    chosen = re.search(r"\[([^\]]+)\]", text or "")
    return chosen[1] if chosen else text if text == "none" else None


def _first(root: Root, device: str, files: tuple[str, ...]) -> str | None:
    return next((text for file in files if (text := root.text(f"{device}/{file}"))), None)


def _flag(root: Root, path: str) -> bool | None:
    value = root.integer(path)
    return None if value is None else value != 0


def _clean(text: bytes) -> str | None:
    """Printable ASCII without blanks around it, or None."""
    return "".join(chr(byte) for byte in text if 32 <= byte < 127).strip() or None
