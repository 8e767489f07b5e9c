"""eDeploy's and hardware-detect's results under our names and in our units; what has no name of ours is kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import TaskOutcome
from ahc_server.importers.edeploy import split
from ahc_server.importers.facts import inventory_of
from ahc_server.importers.metrics import Target, target
from ahc_server.importers.model import Imported
from ahc_server.importers.tree import Tree
from tests.import_helpers import machine, read_one, value_of, write_hw, write_json

MIB, KIB = 1048576.0, 1024.0


@pytest.mark.parametrize(
    ("row", "ours"),
    [
        (("cpu", "logical_3", "loops_per_sec"), Target("cpu", "core3", "loops_per_s", "loops/s")),
        (("cpu", "logical", "loops_per_sec"), Target("cpu", "all", "loops_per_s", "loops/s")),
        (("cpu", "logical_0", "bogomips"), Target("cpu", "core0", "bogomips", "BogoMIPS")),
        (("cpu", "logical_7", "bandwidth_1K"), Target("memory", "core7", "write_1K_bytes_per_s", "bytes/s", MIB)),
        (("cpu", "logical", "threaded_bandwidth_2G"), Target("memory", "all", "threaded_2G_bytes_per_s", "bytes/s", MIB)),
        (("cpu", "logical", "forked_bandwidth_128M"), Target("memory", "all", "forked_128M_bytes_per_s", "bytes/s", MIB)),
        (("disk", "sda", "standalone_read_1M_KBps"), Target("disk", "sda", "read_1M_bytes_per_s", "bytes/s", KIB)),
        (("disk", "/dev/sdb", "standalone_randwrite_4k_IOps"), Target("disk", "sdb", "randwrite_4k_iops", "IOPS")),
        (("disk", "sda", "simultaneous_randread_4k_IOps"), Target("disk", "sda", "randread_4k_together_iops", "IOPS")),
        (("disk", "sda", "simultaneous_write_1M_KBps"), Target("disk", "sda", "write_1M_together_bytes_per_s", "bytes/s", KIB)),
        (("network", "bandwidth", "10.0.0.2/10001"), Target("network", "tx", "flow_bytes_per_s", "bytes/s", 125_000.0)),
        (("network", "requests_per_sec", "10.0.0.2/10001"), Target("network", "all", "flow_requests_per_s", "requests/s")),
        # What nobody told us of, but is called like a rate or a duration.
        (("gpu", "gpu0", "gemm_tflops"), Target("system", "gpu0", "gemm_tflops", "")),
        (("gpu", "gpu0", "copy_MBps"), Target("system", "gpu0", "copy_bytes_per_s", "bytes/s", MIB)),
        (("disk", "sda", "mixed_8k_IOps"), Target("disk", "sda", "mixed_8k_iops", "IOPS")),
        (("cpu", "logical_2", "sha256_per_sec"), Target("cpu", "core2", "sha256_per_s", "1/s")),
        (("network", "eth0", "ping_ms"), Target("network", "eth0", "ping_us", "us", 1000.0, higher_is_better=False)),
    ],
    ids=lambda each: "/".join(each) if isinstance(each, tuple) else "",
)  # fmt: skip
def test_benchmarks_have_our_names_and_units(row: tuple[str, str, str], ours: Target) -> None:
    assert target(*row) == ours


@pytest.mark.parametrize(
    "row",
    [
        ("cpu", "logical_0", "cache_size"),
        ("cpu", "physical_0", "frequency"),
        ("disk", "sda", "size"),
        ("disk", "sda", "optimal_io_size"),
        ("disk", "sda", "SMART/Spin_Up_Time(3)/raw"),
        ("network", "eth0", "latency"),
        ("network", "eth0", "speed"),
        ("memory", "DDR_0", "tRCD"),
        ("ipmi", "Fan 1", "value"),
    ],
)
def test_facts_are_no_measurements(row: tuple[str, str, str]) -> None:
    assert target(*row) is None


def test_facts_find_their_fields(tmp_path: Path) -> None:
    rows = [
        *machine(7),
        ("memory", "bank:0", "size", "8589934592"),
        ("memory", "bank:0", "clock", "1600000000"),
        ("memory", "bank:0", "description", "DIMM DDR3 Synchronous 1600 MHz (0.6 ns)"),
        ("memory", "bank:0", "slot", "DIMM_A1"),
        ("memory", "bank:1", "description", "DIMM DDR3 Synchronous [empty]"),
        ("memory", "bank:1", "slot", "DIMM_A2"),
        ("memory", "banks", "count", "2"),
        ("disk", "sda", "Write Cache Enable", "1"),
        ("disk", "sda", "id", "scsi-36c81f660"),
        ("disk", "sda", "id", "wwn-0x6c81f660"),
        ("disk", "1I:1:1", "type", "SAS"),
        ("network", "eth0", "businfo", "pci@0000:15:00.0"),
        ("network", "eth0", "ipv4", "10.0.0.7"),
        ("network", "eth0", "ipv4-cidr", "24"),
        ("lldp", "eth0", "Chassis ID/MAC", "58:f3:9c:81:ad:95"),
        ("lldp", "eth0", "System Name", "leaf3"),
        ("cpu", "physical_0", "cores", "2"),
        ("cpu", "physical_0", "threads", "4"),
        ("cpu", "physical_0", "flags", "fpu vme"),
        ("cpu", "logical_0", "governor", "powersave"),
        ("cpu", "logical_1", "governor", "performance"),
        ("cpu", "physical_0", "Core_0/temperature", "45000"),
        ("numa", "node_0", "cpu_mask", "0x3f0000000000003f"),
        ("ipmi", "lan", "ip-address", "10.1.0.7"),
        ("ipmi", "Fan 1", "value", "5400"),
        ("ipmi", "Fan 1", "unit", "RPM"),
        ("system", "ipmi", "channel", 2),
        ("megaraid", "Controller_0", "FwPackageBuild", "21.0.1"),
    ]
    found = read_one(write_hw(tmp_path / "a.hw", rows)).inventory
    assert found.collected_at == "2014-05-13T16:53:20Z"
    assert (found.system.serial, found.system.bios.version, found.system.virtualization) == (
        "CZ00000007",
        "P71",
        "none",
    )
    first, second = found.memory.dimms
    assert (first.locator, first.size_bytes, first.speed_mtps, first.type) == ("DIMM_A1", 2**33, 1600, "DDR3")
    assert (second.locator, second.size_bytes) == ("DIMM_A2", 0)
    (disk,) = found.disks
    assert (disk.size_bytes, disk.write_cache, disk.wwn) == (899 * 10**9, "write back", "0x6c81f660")
    (nic,) = found.nics
    assert (nic.speed_mbps, nic.carrier, nic.pci_address) == (1000, True, "0000:15:00.0")
    assert nic.addresses == ["10.0.0.7/24"] and nic.lldp is not None and nic.lldp.system_name == "leaf3"
    assert (found.cpu.sockets, found.cpu.cores, found.cpu.threads_per_core) == (1, 2, 2)
    assert found.cpu.governor == "performance+powersave"
    assert [(node.node, node.cpus) for node in found.numa] == [(0, "0-5,56-61")]
    assert found.bmc is not None and (found.bmc.address, found.bmc.channel) == ("10.1.0.7", 2)
    assert [(each.kind, each.value) for each in found.health.sensors] == [
        ("temperature", 45.0),
        ("fan", 5400.0),
    ]
    assert found.extra_facts() == {
        "disk/1I:1:1/type": "SAS",
        "disk/sda/id": "scsi-36c81f660",
        "megaraid/Controller_0/FwPackageBuild": "21.0.1",
    }


def test_what_sockets_have_differently_is_kept_for_each(tmp_path: Path) -> None:
    rows = [
        *machine(),
        ("cpu", "physical_0", "product", "Xeon A"),
        ("cpu", "physical_1", "product", "Xeon B"),
    ]
    found = read_one(write_hw(tmp_path / "a.hw", rows)).inventory
    assert found.cpu.model == "Xeon A"
    assert found.extra_facts() == {"cpu/physical_0/product": "Xeon A", "cpu/physical_1/product": "Xeon B"}


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        ("None", "the value is missing in the file"),
        (None, "the value is missing in the file"),
        ("", "the value is missing in the file"),
        ("nan", "the file has no number but 'nan'"),
        ("-3", "the file has no number but '-3'"),
        ("1e999", "the file has no number but '1e999'"),
        ("9" * 400, f"the file has no number but '{'9' * 40}'"),
        ("garbage", "the file has no number but 'garbage'"),
    ],
)
def test_a_lost_value_is_a_measurement_that_says_so(tmp_path: Path, lost: str | None, why: str) -> None:
    rows = machine(loops=("400", lost))  # type: ignore[arg-type]
    found = read_one(write_hw(tmp_path / "a.hw", rows))
    assert value_of(found, "cpu.core0.loops_per_s") == 400.0
    (one,) = [each for each in found.measurements if each.name == "cpu.core1.loops_per_s"]
    assert (one.value, one.error) == (None, why)
    assert found.remarks == [f"{tmp_path / 'a.hw'}: 1 value is missing or no number"]


def test_values_of_one_metric_are_samples_of_one_measurement() -> None:
    rows = [
        ("network", "bandwidth", "10.0.0.2/1", "8"),
        ("network", "bandwidth", "10.0.0.3/1", "None"),
        ("network", "bandwidth", "10.0.0.4/1", "16"),
    ]
    others, taken, lost = split(rows)
    (flows,) = Imported(Inventory(collected_at="x"), taken).measurements
    assert (others, lost) == ([], 1)
    assert flows.value == 1_500_000.0 and [each.value for each in flows.samples] == [1e6, 2e6]


KINDS = ["cpu", "disk", "memory", "network", "numa", "ipmi", "lldp", "system", "firmware", "x"]
PARTS = ["logical", "logical_1", "physical_0", "sda", "bank:0", "node_0", "eth0", "lan", "product", "total"]
ITEMS = [
    "size", "bandwidth_1K", "loops_per_sec", "standalone_read_1M_KBps", "cpu_mask", "serial", "uuid", "cores", "threads",
    "flags", "clock", "max_Mhz", "Core_0/temperature", "SMART/power_on_hours", "ipv4", "link", "unit", "value", "id", "",
]  # fmt: skip


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.integers().map(str) | st.floats().map(str) | st.just("9" * 5000)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(KINDS), st.sampled_from(PARTS), st.sampled_from(ITEMS), st.none() | TEXTS | NUMBERS
    ),
    max_size=30,
)


@given(ROWS)
def test_whatever_the_rows_say_can_be_stored_and_read_again(rows: list[Any]) -> None:
    others, taken, _ = split(rows)
    measurements = Imported(Inventory(collected_at="x"), taken).measurements
    outcome = TaskOutcome(
        status="ok", inventory=inventory_of(Tree(others), "2024-05-01T10:00:00Z"), measurements=measurements
    )
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(outcome), type=TaskOutcome)
    assert again.inventory == outcome.inventory
    assert [(each.name, each.value) for each in again.measurements] == [
        (m.name, m.value) for m in measurements
    ]


def test_hardware_detect_prints_the_same_as_json(tmp_path: Path) -> None:
    rows = [*machine(), ("system", "ipmi", "channel", 2), ("cpu", "physical_0", "cores", 4)]
    plain = read_one(write_hw(tmp_path / "a.hw", rows))
    listed = read_one(write_json(tmp_path / "a.json", [list(row) for row in rows]))
    grouped: dict[str, dict[str, dict[str, object]]] = {}
    for kind, part, item, value in rows:
        grouped.setdefault(kind, {}).setdefault(part, {})[item] = value
    assert listed == plain
    by_group = read_one(write_json(tmp_path / "b.json", grouped))
    assert by_group.inventory == plain.inventory
    assert {(m.name, m.value) for m in by_group.measurements} == {
        (m.name, m.value) for m in plain.measurements
    }


def test_real_machines(shared: Path) -> None:
    found = {path.name: read_one(path) for path in sorted((shared / "edeploy").glob("*.hw"))}
    assert len(found) == 7
    assert Counter(len(each.measurements) > 50 for each in found.values()) == {True: 5, False: 2}
    assert all(each.value is not None for one in found.values() for each in one.measurements)
    one = next(each for name, each in found.items() if name.endswith("CZ3323FDV8.hw"))
    assert one.inventory.system.serial == "CZ3323FDV8" and one.inventory.cpu.cores == 8
    assert [disk.size_bytes for disk in one.inventory.disks] == [99 * 10**9, 4000 * 10**9]
    blade = next(each for name, each in found.items() if name.startswith("PowerEdge")).inventory
    assert [dimm.size_bytes for dimm in blade.memory.dimms].count(0) == 4 and len(blade.memory.dimms) == 12
    assert isinstance(blade, Inventory) and blade.extra_facts()["ldisk/disk0/state"] == "Optimal"
