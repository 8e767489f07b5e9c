"""Ironic's inspection data of one node, in both forms.

* ``baremetal node inventory save``: ``{"inventory": {...}, "plugin_data": {...}}``
* ``baremetal introspection data save``: one flat object, with ``inventory`` among the rest or, from old ramdisks, without.

``extra`` (grouped) or ``data`` (a list) in either are the results of ``hardware-detect``, benchmarks too. ``ahc`` is what our own
collector sent (``ahc.bench/1``, see ``ahc_agent.ironic``). Where several tell a fact, ours is believed, then the inventory. Field
names: "Hardware Inventory" in the manual of ironic-python-agent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import Bios, Bmc, Cpu, Disk, Inventory, Lldp, Memory, Nic, NumaNode, PciDevice, System
from ahc_agent.inventory.smbios import meaningful
from ahc_server.importers import edeploy, facts, own
from ahc_server.importers.devices import nic_kind
from ahc_server.importers.metrics import disk_name
from ahc_server.importers.model import Imported, Source
from ahc_server.importers.tree import Tree, rows_of
from ahc_server.importers.values import (
    Fact,
    filled,
    lost_values,
    mac_of,
    number_of,
    pci_address_of,
    scalars,
    switch_of,
    text_of,
    utc,
    whole_of,
)

_MIB = 2**20
_OWN_KEY = "ahc"
#: Any two of these make a flat object inspection data.
_FLAT = frozenset(
    {"all_interfaces", "boot_interface", "cpu_arch", "cpus", "extra", "interfaces", "inventory", "ipmi_address",
     "local_gb", "macs", "memory_mb", "root_disk", "valid_interfaces"}
)  # fmt: skip
#: Read above, of no use, or different on every node by design.
_NOT_KEPT = frozenset(
    {"ahc", "all_interfaces", "bmc_address", "bmc_mac", "bmc_v6address", "boot_interface", "configuration", "cpu", "data",
     "disks", "error", "extra", "hostname", "interfaces", "inventory", "lldp_raw", "logs", "macs", "memory",
     "numa_topology", "parsed_lldp", "pci_devices", "plugin_data", "root_disk", "system_vendor", "valid_interfaces"}
)  # fmt: skip
_NO_ADDRESS = frozenset({"0.0.0.0", "::/0", "::"})


def knows(source: Source) -> bool:
    data = source.json
    if not isinstance(data, Mapping):
        return False
    return ("inventory" in data and "plugin_data" in data) or len(_FLAT & set(data)) >= 2


def read(source: Source) -> Imported:
    data = source.json
    plugins = _mapping(data.get("plugin_data")) or data
    inventory = _mapping(data.get("inventory"))
    if not inventory and len(_FLAT & set(plugins)) < 2:
        raise FileFormatError(
            source.file,
            "inspection data without an inventory: the inspection failed",
            remedy="inspect the node again",
        )
    rows = rows_of(plugins.get("data")) or rows_of(plugins.get("extra")) or []
    others, taken, lost = edeploy.split(rows)
    detected = facts.inventory_of(Tree(others), utc(source.at_unix_s))
    found = Inventory(
        collected_at=utc(source.at_unix_s),
        system=_system(inventory),
        cpu=_cpu(inventory, plugins),
        numa=_numa(_mapping(plugins.get("numa_topology"))),
        memory=Memory(total_bytes=_memory(inventory, plugins)),
        disks=_disks(inventory, plugins, detected.disks),
        nics=_nics(inventory, plugins, detected.nics),
        pci=_pci(plugins),
        bmc=_bmc(inventory, plugins),
    )
    remarks = [f"{source.file}: {lost_values(lost)}"] if lost else []
    ours = _own(plugins, source, remarks)
    merged = filled(found, detected)
    merged.system.virtualization = facts.virtualization(merged.system, merged.cpu)
    merged.extra = detected.extra_facts() | _rest(inventory, "inventory") | _rest(plugins, "plugin_data")
    if ours is None:
        return Imported(inventory=merged, taken=taken, remarks=remarks)
    names = {each.name for each in ours.measurements}
    rest = [each for each in Imported(merged, taken).measurements if each.name not in names]
    whole = filled(ours.inventory, merged)
    if whole.extra is msgspec.UNSET:
        whole.extra = merged.extra
    return Imported(inventory=whole, taken=[*ours.measurements, *rest], remarks=remarks)


def _own(plugins: Mapping[str, Any], source: Source, remarks: list[str]) -> Imported | None:
    """What our own collector sent; None where there is nothing, or (with a remark) nothing that can be read."""
    told = plugins.get(_OWN_KEY)
    if told is None:
        return None
    error = told.get("error") if isinstance(told, Mapping) else None
    if error is not None:
        remarks.append(f"{source.file}: the health check on the node failed: {text_of(error)}")
        return None
    mine = replace(source, json=told)
    try:
        if not own.knows_bench(mine):
            raise FileFormatError(source.file, f"it is no {own.BENCH}")
        return own.read_bench(mine)
    except FileFormatError as wrong:
        remarks.append(f"{source.file}: what stands under {_OWN_KEY!r} is left aside: {wrong.problem}")
        return None


def _system(inventory: Mapping[str, Any]) -> System:
    told = _mapping(inventory.get("system_vendor"))
    firmware = _mapping(told.get("firmware"))

    def word(source: Mapping[str, Any], key: str) -> str | None:
        return meaningful(text_of(source.get(key)))

    return System(
        vendor=word(told, "manufacturer"),
        product=word(told, "product_name"),
        serial=word(told, "serial_number"),
        bios=Bios(
            vendor=word(firmware, "vendor"),
            version=word(firmware, "version"),
            date=word(firmware, "build_date"),
        ),
        hostname=text_of(inventory.get("hostname")),
    )


def _cpu(inventory: Mapping[str, Any], plugins: Mapping[str, Any]) -> Cpu:
    cpu = _mapping(inventory.get("cpu"))
    flags = cpu.get("flags")
    return Cpu(
        model=text_of(cpu.get("model_name")),
        architecture=text_of(cpu.get("architecture")) or text_of(plugins.get("cpu_arch")),
        logical_present=whole_of(cpu.get("count")) or whole_of(plugins.get("cpus")),
        sockets=whole_of(cpu.get("socket_count")),
        flags=[word for flag in flags if (word := text_of(flag))] if isinstance(flags, list) else [],
        frequency_max_hz=whole_of(number_of(cpu.get("frequency")), 1e6) or None,
    )


def _memory(inventory: Mapping[str, Any], plugins: Mapping[str, Any]) -> int | None:
    """What is installed (``physical_mb``), as lshw's total is; else what the kernel has."""
    memory = _mapping(inventory.get("memory"))
    return (
        whole_of(memory.get("physical_mb"), _MIB)
        or whole_of(memory.get("total"))
        or whole_of(plugins.get("memory_mb"), _MIB)
    )


def _disks(inventory: Mapping[str, Any], plugins: Mapping[str, Any], known: Iterable[Disk]) -> list[Disk]:
    told = _objects(inventory.get("disks")) or _objects([plugins.get("root_disk")])
    found = [_disk(each) for each in told if text_of(each.get("name"))]
    return _joined(found, {disk.name: disk for disk in known})


def _disk(told: Mapping[str, Any]) -> Disk:
    name = disk_name(text_of(told.get("name")) or "")
    return Disk(
        name=name,
        path=f"/dev/{name}",
        size_bytes=whole_of(told.get("size")),
        rotational=switch_of(told.get("rotational")),
        vendor=text_of(told.get("vendor")),
        model=text_of(told.get("model")),
        serial=text_of(told.get("serial")),
        wwn=text_of(told.get("wwn_with_extension")) or text_of(told.get("wwn")),
        logical_block_bytes=max(_whole_list(told.get("logical_sectors")), default=None),
        physical_block_bytes=max(_whole_list(told.get("physical_sectors")), default=None),
    )


def _nics(inventory: Mapping[str, Any], plugins: Mapping[str, Any], known: Iterable[Nic]) -> list[Nic]:
    told = _objects(inventory.get("interfaces"))
    if not told:
        cards = _mapping(plugins.get("all_interfaces")) or _mapping(plugins.get("interfaces"))
        told = [{"name": name, **_mapping(card)} for name, card in cards.items()]
    heard = {
        **{
            name: _mapping(card).get("lldp_processed")
            for name, card in _mapping(plugins.get("all_interfaces")).items()
        },
        **_mapping(plugins.get("parsed_lldp")),
    }
    places = {
        text_of(each.get("name")): whole_of(each.get("numa_node"))
        for each in _objects(_mapping(plugins.get("numa_topology")).get("nics"))
    }
    found = [
        _nic(each, _mapping(heard.get(str(each.get("name")))), places)
        for each in told
        if text_of(each.get("name"))
    ]
    return _joined(found, {nic.name: nic for nic in known})


def _nic(told: Mapping[str, Any], heard: Mapping[str, Any], places: Mapping[str | None, int | None]) -> Nic:
    name = (text_of(told.get("name")) or "")[:256]
    driver = text_of(told.get("driver"))
    addresses = [told.get(key) for key in ("ipv4_address", "ipv6_address", "ip")]
    vendor, device = text_of(told.get("vendor")), text_of(told.get("product"))
    return Nic(
        name=name,
        kind=nic_kind(name, driver),
        mac=mac_of(told.get("mac_address") or told.get("mac")),
        driver=driver,
        speed_mbps=whole_of(told.get("speed_mbps")) or None,
        carrier=switch_of(told.get("has_carrier")),
        pci_address=pci_address_of(told.get("pci_address")),
        vendor_id=_pci_id(vendor),
        device_id=_pci_id(device),
        numa_node=places.get(name),
        addresses=[word for each in addresses if (word := text_of(each))],
        lldp=_lldp(heard),
    )


def _lldp(heard: Mapping[str, Any]) -> Lldp | None:
    lldp = Lldp(
        chassis_id=text_of(heard.get("switch_chassis_id")),
        port_id=text_of(heard.get("switch_port_id")),
        port_description=text_of(heard.get("switch_port_description")),
        system_name=text_of(heard.get("switch_system_name")),
    )
    return None if lldp == Lldp() else lldp


def _numa(topology: Mapping[str, Any]) -> list[NumaNode]:
    cpus: dict[int, list[int]] = {}
    for each in _objects(topology.get("cpus")):
        node = whole_of(each.get("numa_node"))
        if node is not None:
            cpus.setdefault(node, []).extend(_whole_list(each.get("thread_siblings")))
    memory = {
        whole_of(each.get("numa_node")): whole_of(each.get("size_kb"), 1024)
        for each in _objects(topology.get("ram"))
    }
    nodes = sorted({*cpus, *(node for node in memory if node is not None)})
    return [
        NumaNode(node=node, cpus=facts.cpu_list(cpus.get(node, [])), memory_bytes=memory.get(node))
        for node in nodes
    ]


def _pci(plugins: Mapping[str, Any]) -> list[PciDevice]:
    found = []
    for each in _objects(plugins.get("pci_devices")):
        address = pci_address_of(each.get("bus"))
        if address is not None:
            found.append(
                PciDevice(
                    address=address,
                    class_id=_pci_id(text_of(each.get("class")), 6),
                    vendor_id=_pci_id(text_of(each.get("vendor_id"))),
                    device_id=_pci_id(text_of(each.get("product_id"))),
                    revision=text_of(each.get("revision")),
                    numa_node=whole_of(each.get("numa_node_id")),
                )
            )
    return found


def _pci_id(word: str | None, digits: int = 4) -> str | None:
    """ "8086" of "0x8086"; None where it is no number (some drivers tell a name)."""
    found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,8})", word or "")
    return found[1].lower().zfill(digits) if found else None


def _bmc(inventory: Mapping[str, Any], plugins: Mapping[str, Any]) -> Bmc | None:
    told = (inventory.get("bmc_address"), plugins.get("ipmi_address"), inventory.get("bmc_v6address"))
    address = next((word for each in told if (word := text_of(each)) and word not in _NO_ADDRESS), None)
    mac = mac_of(inventory.get("bmc_mac"))
    return Bmc(address=address, mac=mac) if address or mac else None


def _rest(told: Mapping[str, Any], prefix: str) -> dict[str, str]:
    return scalars({key: value for key, value in told.items() if key not in _NOT_KEPT}, prefix)


def _joined(found: list[Fact], known: dict[str, Fact]) -> list[Fact]:
    """What both tell of, by name, and then what only the second does."""
    names = [str(getattr(each, "name", "")) for each in found]
    both = [filled(each, known.get(name)) for name, each in zip(names, found, strict=True)]
    told = set(names)
    return both + [each for name, each in known.items() if name not in told]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _whole_list(value: Any) -> list[int]:
    return (
        [number for each in value if (number := whole_of(each)) is not None]
        if isinstance(value, list)
        else []
    )
