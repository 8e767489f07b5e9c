"""Ironic's inspection data in both forms, our own JSON, and how a format is recognised."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_server.importers import FORMATS, Imported, Source, Unrecognised, read_file, recognise
from ahc_server.importers.session import identity_of
from tests.import_helpers import machine, read_one, value_of, write_hw, write_json, written
from tests.judge_helpers import inventory

#: The fields of ironic-python-agent's inventory; the values are of no real machine.
INVENTORY: dict[str, Any] = {
    "hostname": "localhost.localdomain",
    "bmc_address": "192.0.2.10",
    "bmc_mac": "52:54:00:aa:bb:cc",
    "boot": {"current_boot_mode": "uefi", "pxe_interface": "52:54:00:4e:3d:30"},
    "cpu": {"architecture": "x86_64", "count": 32, "socket_count": 2, "frequency": "2100.084", "model_name": "Xeon 6130",
            "flags": ["fpu", "sse2"]},
    "memory": {"physical_mb": 196608, "total": 202_000_000_000},
    "system_vendor": {"manufacturer": "Dell Inc.", "product_name": "PowerEdge R640", "serial_number": "ABC1234",
                      "firmware": {"vendor": "Dell Inc.", "version": "2.1.7", "build_date": "06/16/2016"}},
    "disks": [{"name": "/dev/sda", "size": 480_103_981_056, "rotational": False, "vendor": "ATA", "model": "MZ7LH480",
               "serial": "S45N", "wwn": "0x5002538e", "wwn_with_extension": "0x5002538e01", "hctl": "0:0:0:0"}],
    "interfaces": [
        {"name": "eth0", "mac_address": "52:54:00:4E:3D:30", "ipv4_address": "192.0.2.4", "has_carrier": True,
         "speed_mbps": 25000, "vendor": "0x15b3", "product": "0x1015", "pci_address": "0000:3b:00.0", "driver": "mlx5_core"},
        {"name": "eth1", "mac_address": "52:54:00:4e:3d:31", "has_carrier": False, "vendor": "0x15b3", "product": "0x1015"},
    ],
}  # fmt: skip
EXTRA: dict[str, dict[str, dict[str, object]]] = {
    "system": {
        "product": {"serial": "ABC1234", "uuid": "4C4C4544-0042-4310-8031-B4C04F4E3132", "version": "01"}
    },
    "disk": {
        "sda": {"size": 480, "rev": "HXT7404Q", "Write Cache Enable": 1, "standalone_read_1M_KBps": 510000}
    },
    "cpu": {"logical_0": {"loops_per_sec": 512, "governor": "performance"}},
    "memory": {
        "total": {"size": 206158430208},
        "bank:0": {"size": 17179869184, "slot": "A1", "clock": 2666000000},
    },
    "network": {"eth0": {"firmware": "14.27.1016", "driver": "mlx5_core", "serial": "52:54:00:4e:3d:30"}},
    "ipmi": {"Fan1A RPM": {"unit": "RPM", "value": 3120}},
}
HEARD = {"switch_chassis_id": "11:22:33:aa:bb:cc", "switch_port_id": "Eth1/7", "switch_system_name": "leaf1"}
PLUGIN_DATA = {
    "parsed_lldp": {"eth0": HEARD},
    "numa_topology": {
        "cpus": [{"cpu": 0, "numa_node": 0, "thread_siblings": [0, 16]}, {"cpu": 1, "numa_node": 0, "thread_siblings": [1, 17]}],
        "nics": [{"name": "eth0", "numa_node": 0}],
        "ram": [{"numa_node": 0, "size_kb": 98304}],
    },
    "pci_devices": [{"bus": "0000:3b:00.0", "vendor_id": "15b3", "product_id": "1015", "class": "020000", "revision": "00"}],
    "local_gb": 446, "memory_mb": 196608, "macs": ["52:54:00:4e:3d:30"], "logs": "H4sIAAAA",
}  # fmt: skip
NEW_FORM = {"inventory": INVENTORY, "plugin_data": {**PLUGIN_DATA, "extra": EXTRA}}
FLAT_FORM = {
    **PLUGIN_DATA,
    "inventory": INVENTORY,
    "extra": EXTRA,
    "cpus": 32,
    "cpu_arch": "x86_64",
    "error": None,
}


def check_machine(found: Imported) -> None:
    """Both forms tell of the same machine."""
    told = found.inventory
    assert (told.system.serial, told.system.uuid) == ("ABC1234", "4c4c4544-0042-4310-8031-b4c04f4e3132")
    assert told.system.bios.version == "2.1.7" and told.system.product == "PowerEdge R640"
    assert (told.cpu.model, told.cpu.logical_present, told.cpu.sockets) == ("Xeon 6130", 32, 2)
    assert told.cpu.frequency_max_hz == 2_100_084_000 and told.cpu.governor == "performance"
    assert told.memory.total_bytes == 196608 * 2**20 and told.memory.dimms[0].speed_mtps == 2666
    (disk,) = told.disks
    assert (disk.name, disk.size_bytes, disk.rotational) == ("sda", 480_103_981_056, False)
    assert (disk.wwn, disk.firmware, disk.write_cache) == ("0x5002538e01", "HXT7404Q", "write back")
    first, second = told.nics
    assert (first.mac, first.speed_mbps, first.firmware) == ("52:54:00:4e:3d:30", 25000, "14.27.1016")
    assert (first.vendor_id, first.device_id, first.numa_node) == ("15b3", "1015", 0)
    assert first.lldp is not None and (first.lldp.port_id, first.lldp.system_name) == ("Eth1/7", "leaf1")
    assert (second.carrier, second.driver) == (False, None)
    assert [(node.cpus, node.memory_bytes) for node in told.numa] == [("0-1,16-17", 98304 * 1024)]
    assert [device.device_id for device in told.pci] == ["1015"]
    assert told.bmc is not None and told.bmc.address == "192.0.2.10"
    assert [each.value for each in told.health.sensors] == [3120.0]
    assert told.extra_facts()["inventory/boot/current_boot_mode"] == "uefi"
    assert not any("logs" in name for name in told.extra_facts())
    assert value_of(found, "disk.sda.read_1M_bytes_per_s") == 510000 * 1024
    assert value_of(found, "cpu.core0.loops_per_s") == 512


@pytest.mark.parametrize("data", [NEW_FORM, FLAT_FORM], ids=["inventory and plugin_data", "flat"])
def test_ironic_inspection_data(tmp_path: Path, data: dict[str, Any]) -> None:
    check_machine(read_one(write_json(tmp_path / "node.json", data)))


def test_ironic_data_with_the_rows_as_the_ramdisk_sent_them(tmp_path: Path) -> None:
    rows = [
        [kind, part, item, v]
        for kind, parts in EXTRA.items()
        for part, items in parts.items()
        for item, v in items.items()
    ]
    flat = {**{key: value for key, value in FLAT_FORM.items() if key != "extra"}, "data": rows}
    check_machine(read_one(write_json(tmp_path / "node.json", flat)))


def test_old_ramdisks_without_an_inventory(tmp_path: Path) -> None:
    old = {
        "cpus": 4, "cpu_arch": "x86_64", "memory_mb": 12288, "local_gb": 464, "ipmi_address": "192.0.2.9",
        "interfaces": {"eth1": {"mac": "11:22:33:44:55:66", "ip": "192.0.2.1"}},
    }  # fmt: skip
    found = read_one(write_json(tmp_path / "node.json", old)).inventory
    assert (found.cpu.logical_present, found.memory.total_bytes) == (4, 12 * 2**30)
    assert [(nic.mac, nic.addresses) for nic in found.nics] == [("11:22:33:44:55:66", ["192.0.2.1"])]
    assert found.bmc is not None and found.bmc.address == "192.0.2.9"
    assert found.extra_facts()["plugin_data/local_gb"] == "464"


def test_a_failed_inspection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="the inspection failed"):
        read_one(write_json(tmp_path / "node.json", {"inventory": None, "plugin_data": {"error": "timeout"}}))


def test_our_own_inventory_and_bench_json(tmp_path: Path) -> None:
    taken = [Measurement(component="cpu", part="all", quantity="events_per_s", unit="events/s", value=4.0)]
    bench = {"schema": "ahc.bench/1", "inventory": inventory(), "measurements": taken}
    plain = read_one(written(tmp_path / "i.json", msgspec.json.encode(inventory()).decode()))
    full = read_one(written(tmp_path / "b.json", msgspec.json.encode(bench).decode()))
    assert plain.inventory == full.inventory == inventory()
    assert (plain.measurements, full.measurements) == ([], taken)


@pytest.mark.parametrize("where", ["inventory", "measurements"])
def test_our_own_json_is_checked_like_what_comes_by_wire(tmp_path: Path, where: str) -> None:
    bench = {
        "schema": "ahc.bench/1",
        "inventory": {"collected_at": "x"},
        "measurements": [],
        where: [{"part": 3}],
    }
    with pytest.raises(FileFormatError, match=r"b\.json: not as ahc\.bench/1 should be: .*\$"):
        read_one(write_json(tmp_path / "b.json", bench))


def test_a_list_of_objects_is_a_machine_each(tmp_path: Path) -> None:
    second = copy.deepcopy(FLAT_FORM)
    second["inventory"]["system_vendor"]["serial_number"] = "XYZ"  # type: ignore[index]
    path = write_json(tmp_path / "all.json", [NEW_FORM, second])
    found = [(source.file, imported.inventory.system.serial) for _, source, imported in read_file(path)]
    assert found == [(f"{path}#1", "ABC1234"), (f"{path}#2", "XYZ")]


def test_every_format_is_recognised_by_its_content_and_by_one_reader_only(tmp_path: Path) -> None:
    hw = write_hw(tmp_path / "no-name", machine()).read_text()
    documents = [
        ("AHC inventory", json.loads(msgspec.json.encode(inventory()))),
        ("AHC benchmark results", {"schema": "ahc.bench/1"}),
        ("Ironic inspection data", NEW_FORM),
        ("Ironic inspection data", FLAT_FORM),
        ("hardware-detect JSON", [list(row) for row in machine()]),
        ("hardware-detect JSON", EXTRA),
    ]
    sources = [(name, Source("x", json.dumps(data), data, 0.0, "x")) for name, data in documents]
    for name, source in [*sources, ("eDeploy .hw", Source("x", hw, None, 0.0, "x"))]:
        assert [form.name for form in FORMATS if form.knows(source)] == [name]


KEYS = st.sampled_from(
    ["inventory", "plugin_data", "extra", "data", "cpu", "disks", "interfaces", "name", "memory", "macs", "numa_topology",
     "cpus", "ram", "numa_node", "system_vendor", "schema", "all_interfaces", "size"]
)  # fmt: skip
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e300, 1e300) | st.text(max_size=6)
)
JSON = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


@given(JSON)
def test_no_json_brings_more_than_a_typed_error(data: object) -> None:
    source = Source("x.json", json.dumps(data), data, 0.0, "x")
    form = recognise(source)
    if form is not None:
        try:
            imported = form.read(source)
        except FileFormatError as error:
            assert "x.json" in str(error)
        else:
            packed = msgspec.msgpack.encode(imported.inventory)
            assert msgspec.msgpack.decode(packed, type=Inventory) == imported.inventory
            assert identity_of(imported.inventory, "x").machine


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("hello\n", "no results of a machine in any format that is known (known are: AHC inventory, "),
        ("{'affinity': {}}", "no results of a machine"),
        ("[('hp', 0), ('vm', 0)]", "none of its rows has three or four items"),
        ("[('disk', '$disk', 'size', 'gt(4)')]", "an eDeploy specification"),
        ("[('disk', '$disk', 'size', '$size'),('oops'", "an eDeploy specification"),
        ("a\0b", "holds NUL bytes"),
    ],
)
def test_other_content_is_not_recognised(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(Unrecognised) as refused:
        read_one(written(tmp_path / "a.txt", text))
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"schema": "ahc.inventory/1", "coll', "broken JSON"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" + "[]," * 600_000 + "[]]", "holds too many values"),
        ("[]", "holds no results"),
        (
            "[('a', 'b', 'c', 'd'),",
            "a.txt:1: the file ends in the middle of a row (it is incomplete: copy it again)",
        ),
    ],
    ids=lambda text: text[:20],
)
def test_broken_content_is_refused_with_the_reason(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(FileFormatError) as refused:
        read_one(written(tmp_path / "a.txt", text))
    assert problem in str(refused.value) and not isinstance(refused.value, Unrecognised)
