"""eDeploy's facts about disks and network cards.

Drives behind a RAID controller ("1I:1:4", ``pdisk``) are not disks that the machine can use: they stay among the other
facts under their own names.
"""

from __future__ import annotations

import re

from ahc_agent.facts import Disk, Lldp, Nic, Smart
from ahc_server.importers.metrics import disk_name
from ahc_server.importers.tree import Tree
from ahc_server.importers.values import mac_of, number_of, pci_address_of, switch_of, whole_of

_DISK = re.compile(r"(?:/dev/)?((?:[shv]d|xvd)[a-z]+|nvme\d+n\d+|mmcblk\d+|dasd[a-z]+|md\d+)")
_SOLID = re.compile(r"(?i)\bssd|solid state|nvme")
_SPEED = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT])?bit/s", re.IGNORECASE)
_MBIT = {"": 1e-6, "k": 1e-3, "m": 1.0, "g": 1e3, "t": 1e6}
_VIRTUAL_DRIVERS = frozenset(
    {"bridge", "veth", "tun", "bonding", "team", "dummy", "openvswitch", "vxlan", "macvlan"}
)

#: Field of ours → how smartctl's attribute is called (SCSI and ATA).
_SMART_COUNTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("power_on_hours", ("power_on_hours", "Power_On_Hours(9)/raw")),
    ("reallocated_sectors", ("Reallocated_Sector_Ct(5)/raw",)),
    ("pending_sectors", ("Current_Pending_Sector(197)/raw",)),
    ("uncorrectable_errors", ("Offline_Uncorrectable(198)/raw", "read_total_uncorrected_errors")),
    ("crc_errors", ("UDMA_CRC_Error_Count(199)/raw",)),
    ("media_errors", ("media_data_integrity_errors",)),
    ("critical_warning", ("critical_warning",)),
    ("unsafe_shutdowns", ("unsafe_shutdowns",)),
)
_TEMPERATURES = ("current_drive_temperature", "temperature", "Temperature_Celsius(194)/raw")


def disks(tree: Tree) -> list[Disk]:
    """The disks that the kernel shows, in the order of the file."""
    return [_disk(tree, part) for part in tree.parts("disk") if _DISK.fullmatch(part)]


def _disk(tree: Tree, part: str) -> Disk:
    def told(*items: str) -> str | None:
        return next((word for item in items if (word := tree.take("disk", part, item)) is not None), None)

    name = disk_name(part)
    cache = switch_of(tree.take("disk", part, "Write Cache Enable"))
    rotates = switch_of(tree.take("disk", part, "rotational"))
    model = told("model", "SMART/device_model")
    return Disk(
        name=name,
        path=f"/dev/{name}",
        size_bytes=whole_of(told("size"), 10**9),
        rotational=False
        if rotates is None and (name.startswith("nvme") or _SOLID.search(model or ""))
        else rotates,
        vendor=told("vendor"),
        model=model,
        serial=told("SMART/serial_number"),
        wwn=_wwn(tree, part),
        transport="nvme" if name.startswith("nvme") else "virtio" if name.startswith("vd") else None,
        firmware=told("rev", "SMART/firmware_version"),
        write_cache=None if cache is None else "write back" if cache else "write through",
        scheduler=told("scheduler"),
        physical_block_bytes=whole_of(told("physical_block_size")),
        logical_block_bytes=whole_of(told("logical_block_size")),
        smart=_smart(tree, part),
    )


def _wwn(tree: Tree, part: str) -> str | None:
    """From "wwn-0x6c81f660e6211900", which older files list among the ids."""
    found = None
    for item in ("wwn-id", "id"):
        others = []
        for word in tree.take_all("disk", part, item):
            if word.startswith("wwn-") and "-part" not in word:
                found = found or word.removeprefix("wwn-")
            else:
                others.append(word)
        for word in others:
            tree.keep("disk", part, item, word)
    return found


def _smart(tree: Tree, part: str) -> Smart | None:
    if not any(item.startswith("SMART/") for item in tree.items("disk", part)):
        return None
    smart = Smart()
    health = tree.take("disk", part, "SMART/health")
    if health is not None:
        smart.passed = health.upper() in ("OK", "PASSED")
    for field, names in _SMART_COUNTERS:
        for name in names:
            word = tree.take("disk", part, f"SMART/{name}")
            value = None if word is None else _counter(word)
            if word is not None and (value is None or getattr(smart, field) is not None):
                tree.keep("disk", part, f"SMART/{name}", word)
            elif value is not None:
                setattr(smart, field, value)
    for name in _TEMPERATURES:
        word = tree.take("disk", part, f"SMART/{name}")
        if word is not None and smart.temperature_celsius is None:
            smart.temperature_celsius = number_of(word.split(" ", 1)[0])
    return None if smart == Smart() else smart


def _counter(word: str) -> int | None:
    """The first number of "12,345", "36 (Min/Max 20/48)", "0x00"."""
    first = word.split(" ", 1)[0].replace(",", "")
    return int(first, 16) if re.fullmatch(r"0x[0-9a-fA-F]{1,15}", first) else whole_of(first)


def nics(tree: Tree) -> list[Nic]:
    """The cards that have at least a MAC address, a driver or a bus address."""
    found = []
    for part in tree.parts("network"):
        if {"serial", "driver", "businfo", "link"} & set(tree.items("network", part)):
            found.append(_nic(tree, part))
    return found


def _nic(tree: Tree, name: str) -> Nic:
    def told(item: str) -> str | None:
        return tree.take("network", name, item)

    bits = number_of(told("size"))
    speed = told("speed")
    mbps = int(bits / 1e6) if bits is not None and bits >= 1e6 else link_mbps(speed)
    if speed is not None and link_mbps(speed) != mbps:
        tree.keep("network", name, "speed", speed)
    address, prefix = told("ipv4"), told("ipv4-cidr")
    told("ipv4-netmask"), told("ipv4-network")
    driver = told("driver")
    link = told("link")
    return Nic(
        name=name[:256],
        kind=nic_kind(name, driver),
        mac=mac_of(told("serial")),
        driver=driver,
        speed_mbps=mbps,
        duplex=told("duplex"),
        carrier=None if link is None else switch_of(link),
        pci_address=pci_address_of(told("businfo")),
        firmware=told("firmware"),
        addresses=[f"{address}/{prefix}" if prefix else address] if address else [],
        lldp=_lldp(tree, name),
    )


def nic_kind(name: str, driver: str | None) -> str:
    """ "infiniband", "loopback", "virtual" or "physical", by driver and name."""
    if name == "lo":
        return "loopback"
    if name.startswith("ib"):
        return "infiniband"
    return "virtual" if driver in _VIRTUAL_DRIVERS else "physical"


def link_mbps(speed: str | None) -> int | None:
    """Mbit/s of lshw's "10Gbit/s"."""
    found = _SPEED.fullmatch((speed or "").strip())
    return int(float(found[1]) * _MBIT[(found[2] or "").lower()]) if found else None


def _lldp(tree: Tree, name: str) -> Lldp | None:
    """What lldptool heard: "Chassis ID/MAC", "Port ID/Ifname", ..."""
    heard: dict[str, str] = {}
    for item in tree.items("lldp", name):
        head = item.split("/", 1)[0].split("#", 1)[0]
        if head in ("Chassis ID", "Port ID", "Port Description", "System Name") and head not in heard:
            heard[head] = tree.take("lldp", name, item) or ""
    if not heard:
        return None
    return Lldp(
        chassis_id=heard.get("Chassis ID"),
        port_id=heard.get("Port ID"),
        port_description=heard.get("Port Description"),
        system_name=heard.get("System Name"),
    )
