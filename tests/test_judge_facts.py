"""Which facts of machines are compared, and the table of who has which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Dimm, Disk, Inventory, Memory, Nic, NumaNode, PciDevice, System
from ahc_server.judge.disks import match_disks
from ahc_server.judge.facts.table import FactTable, facts_of, partition, same_division, table
from ahc_server.judge.facts.told import Fact
from tests.judge_helpers import inventory

GIB = 2**30


def text_of(known: Inventory) -> dict[str, str]:
    return {str(fact): value for fact, value in facts_of(known).items()}


def column(of: FactTable, *fact: str) -> list[str | None]:
    number = of.facts.index(Fact(*fact))
    return [of.value(place, number) for place in range(len(of.rows))]


def test_a_machine_is_told_in_short_texts() -> None:
    known = inventory()
    known.cpu.threads_per_core = 2
    known.cpu.flags = ["fpu", "vmx"]
    known.cpu.boost = False
    known.memory.dimms = [
        Dimm(
            locator="A1", size_bytes=16 * GIB, speed_mtps=3200, configured_speed_mtps=2933, part_number="M393"
        ),
        Dimm(locator="A2", size_bytes=0),
    ]
    known.disks[0].write_cache = "write back"
    known.numa = [NumaNode(node=0, cpus="0-31", memory_bytes=96 * GIB, distances=[10, 21])]
    told = text_of(known)
    assert told["threads per core"] == "2"
    assert told["virtualization extensions"] == "on"
    assert told["boost"] == "off"
    assert (told["DIMM (A1)"], told["DIMM (A2)"]) == ("16 GiB", "empty")
    assert (told["DIMM speed (A1)"], told["rated DIMM speed (A1)"]) == ("2933 MT/s", "3200 MT/s")
    assert told["disk (disk0)"] == "960 GB SSD"
    assert told["write cache (disk0)"] == "write back"
    assert told["memory (node0)"] == "96 GiB"
    assert told["link speed (eth0)"] == "25 Gbit/s"


def test_the_speed_of_a_dimm_is_its_rated_one_where_nothing_else_is_told() -> None:
    known = inventory()
    known.memory.dimms = [Dimm(locator="A1", size_bytes=16 * GIB, speed_mtps=1600)]
    assert text_of(known)["DIMM speed (A1)"] == "1600 MT/s"
    assert "rated DIMM speed (A1)" not in text_of(known)


def test_nothing_that_names_one_machine_is_a_fact() -> None:
    known = Inventory(
        collected_at="2031-01-01T00:00:00Z",
        system=System(
            serial="SECRET1",
            uuid="SECRET2",
            hostname="SECRET3",
            board_serial="SECRET4",
            chassis_serial="SECRET5",
            kernel_arguments="quiet BOOTIF=01-52-54-00-ab-cd-ef ip=10.0.0.7::::SECRET6 root=UUID=SECRET7 isolcpus=2",
        ),
        memory=Memory(dimms=[Dimm(locator="A1", size_bytes=GIB, serial="SECRET8")]),
        disks=[Disk(name="sda", serial="SECRET9", wwn="SECRET10", path="/dev/disk/SECRET11")],
        nics=[
            Nic(name="enx525400abcdef", mac="52:54:00:ab:cd:ef", driver="e1000e", addresses=["10.0.0.7/24"])
        ],
    )
    known.extra = {
        "disk/sda/id": "SECRET12",
        "system/ipmi/serial": "SECRET13",
        "network/eth0/ipv4": "SECRET14",
    }
    told = str(facts_of(known))
    assert not any(hidden in told for hidden in ("SECRET", "10.0.0.7", "52:54", "2031", "525400abcdef"))
    assert text_of(known)["kernel arguments"] == "quiet isolcpus=2"
    assert text_of(known)["card (e1000e card 1)"] == "e1000e"


@pytest.mark.parametrize(
    ("key", "is_setting"),
    [
        ("disk/sda/Read Cache Disable", True),
        ("network/eth0/autonegotiation", True),
        ("ldisk/disk0/raid_level", True),
        ("memory/DDR_0/tCL", True),
        ("disk/sda/SMART/Power_On_Hours(9)/raw", False),
        ("cpu/logical_0/bogomips", False),
        ("cpu/physical_0/clock", False),
        ("ipmi/CPU1 Temp/temperature", False),
        ("network/eth0/rx_errors", False),
        ("lldp/eth0/Port VLAN ID", False),
        ("system/product/asset_tag", False),
        ("disk/sda/standalone_read_1M_KBps", False),
    ],
)
def test_of_other_tools_facts_settings_are_taken_and_readings_are_not(key: str, is_setting: bool) -> None:
    known = inventory()
    known.extra = {key: "7"}
    assert any("(" in fact.name for fact in facts_of(known)) == is_setting


def with_extra(value: str) -> Inventory:
    known = inventory()
    known.extra = {"firmware/raid/mode": value}
    return known


@pytest.mark.parametrize(
    ("values", "is_fact"),
    [
        (["AHCI"] * 9 + ["RAID"], True),
        ([f"id{number}" for number in range(10)], False),
        (["1"] * 9 + ["0"], True),
        (["1234"] * 9 + ["1235"], False),
        (["1234"] * 19 + ["1235"], True),
        (["11", "12", "13", "14"] * 5, False),
    ],
    ids=["words", "identifiers", "a switch", "a number in a small group", "in a large one", "readings"],
)
def test_by_their_values_identifiers_and_readings_are_none(values: list[str], is_fact: bool) -> None:
    found = table(range(len(values)), [with_extra(value) for value in values])
    assert (Fact("firmware", "mode (firmware)", "raid") in found.facts) == is_fact


def test_the_table_numbers_values_by_how_common_they_are() -> None:
    fleet: list[Inventory | None] = [inventory(cpu=name) for name in ("B", "A", "B", "C", "A", "B")]
    found = table(range(7), [*fleet, None])
    number = found.facts.index(Fact("cpu", "CPU model"))
    assert found.values[number] == ["B", "A", "C"]
    assert found.codes[:, number].tolist() == [0, 1, 0, 2, 1, 0, -1]
    assert found.counts(number).tolist() == [3, 2, 1]


def test_rows_are_those_of_the_fleet() -> None:
    fleet: list[Inventory | None] = [inventory(cpu=name) for name in ("x", "A", "x", "B")]
    found = table([1, 3], fleet)
    assert column(found, "cpu", "CPU model") == ["A", "B"]
    assert found.places({3}).tolist() == [1]
    assert found.places({0, 2, 3, 7}).tolist() == [1]


def test_sizes_within_six_per_cent_are_one() -> None:
    found = table(range(3), [inventory(memory=size) for size in (192 * GIB, 191 * GIB, 192 * GIB)])
    assert column(found, "memory", "usable memory") == ["192 GiB"] * 3


def test_a_slot_or_disk_that_others_list_is_empty() -> None:
    full, half = inventory(disks=(960 * 10**9,) * 2), inventory()
    full.memory.dimms = [Dimm(locator=slot, size_bytes=GIB) for slot in ("A1", "A2")]
    half.memory.dimms = full.memory.dimms[:1]
    silent = Inventory(collected_at="")
    found = table(range(3), [full, half, silent])
    assert column(found, "memory", "DIMM", "A2") == ["1 GiB", "empty", None]
    assert column(found, "disk", "disk", "disk1") == ["960 GB SSD", "none", None]


def test_disks_are_compared_by_what_they_are_and_not_by_their_names() -> None:
    def machine(first: str, second: str) -> Inventory:
        return Inventory(
            collected_at="",
            disks=[
                Disk(name=first, size_bytes=480 * 10**9, model="SSD", write_cache="write back"),
                Disk(name=second, size_bytes=2 * 10**12, model="HDD", write_cache="write through"),
            ],
        )

    fleet = [machine("sda", "sdb"), machine("sdb", "sda"), machine("sda", "sdb")]
    assert column(table(range(3), fleet), "disk", "write cache", "sda") == ["write back"] * 3


def test_a_disk_that_does_not_tell_whether_it_rotates_is_as_others_of_its_size() -> None:
    fleet = [
        Inventory(
            collected_at="", disks=[Disk(name="sda", size_bytes=480 * 10**9, model=model, rotational=told)]
        )
        for model, told in (("INTEL SSD", False), ("MZ7WD480", None))
    ]
    assert column(table(range(2), fleet), "disk", "disk", "sda") == ["480 GB SSD"] * 2


def test_where_the_third_of_four_disks_is_gone_the_others_stay_where_they_are() -> None:
    def machine(*names: str) -> Inventory:
        return Inventory(
            collected_at="", disks=[Disk(name=name, size_bytes=10**12, model="HDD") for name in names]
        )

    fleet = [machine("sda", "sdb", "sdc", "sdd")] * 3 + [machine("sda", "sdb", "sdd")]
    assert column(table(range(4), fleet), "disk", "disk", "sdc") == ["1 TB disk"] * 3 + ["none"]
    assert match_disks(fleet, [np.arange(4)]).common(3, "sdd") == "sdd"


def test_cards_are_compared_by_driver_and_number() -> None:
    def machine(*drivers: str) -> Inventory:
        speed = {"tg3": 1000, "ixgbe": 10_000}
        nics = [Nic(name=f"eth{n}", driver=d, speed_mbps=speed[d]) for n, d in enumerate(drivers)]
        return Inventory(collected_at="", nics=nics)

    fleet = [machine("tg3", "ixgbe"), machine("tg3", "ixgbe"), machine("ixgbe", "tg3")]
    assert column(table(range(3), fleet), "network", "link speed", "eth0") == ["1 Gbit/s"] * 3


def link(width: int) -> PciDevice:
    return PciDevice(
        address="0000:01:00.0",
        class_id="020000",
        class_name="Ethernet controller",
        vendor_id="8086",
        device_id="1572",
        link_width=width,
        link_width_max=8,
        link_speed_gtps=8.0,
        link_speed_max_gtps=8.0,
    )


def test_links_of_pci_express_are_facts_of_what_hangs_on_them() -> None:
    known = Inventory(collected_at="", pci=[link(8), link(8)])
    known.pci[1].address = "0000:02:00.0"
    told = text_of(known)
    assert told["PCIe link (Ethernet controllers 8086:1572)"] == "2 × x8 at 8 GT/s"
    assert told["number (Ethernet controllers 8086:1572)"] == "2"


# Batches.


def batch(bios: int, many: int, model: str = "M") -> list[Inventory]:
    known = inventory()
    known.system.bios.version = f"1.{bios}"
    known.memory.dimms = [Dimm(locator=slot, size_bytes=GIB, part_number=model) for slot in ("A1", "A2")]
    return [known] * many


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ((20, 20), True),
        ((35, 5), True),
        ((36, 4), False),
        ((17, 3), True),
        ((12, 2), False),
        ((200, 20), False),
    ],
)
def test_a_batch_has_three_nodes_and_an_eighth_of_the_group(parts: tuple[int, int], told: bool) -> None:
    fleet = [each for bios, many in enumerate(parts) for each in batch(bios, many)]
    found = table(range(len(fleet)), fleet).batches()
    assert [str(fact) for fact, _ in found] == ["BIOS"] * told
    if told:
        assert np.bincount(found[0][1]).tolist() == list(parts)


def test_rare_values_belong_to_no_batch() -> None:
    fleet = [*batch(1, 20), *batch(2, 10), *batch(3, 1)]
    [(_, codes)] = table(range(31), fleet).batches()
    assert codes.tolist() == [0] * 20 + [1] * 10 + [-1]


def test_facts_that_divide_alike_are_one_batch_even_where_a_slot_is_empty() -> None:
    fleet = [*batch(1, 12, "Samsung"), *batch(2, 8, "Micron")]
    lacking = inventory()
    lacking.system.bios.version = "1.1"
    lacking.memory.dimms = [
        Dimm(locator="A1", size_bytes=GIB, part_number="Samsung"),
        Dimm(locator="A2", size_bytes=0),
    ]
    assert len(table(range(21), [*fleet, lacking]).batches()) == 1


codes = st.lists(st.integers(-1, 3), min_size=1, max_size=30).map(lambda each: np.array(each, dtype=np.int32))


@given(codes, st.permutations(range(4)))
def test_a_division_is_the_same_whatever_its_parts_are_called(division: np.ndarray, names: list[int]) -> None:
    renamed = np.array([names[code] if code >= 0 else -1 for code in division], dtype=np.int32)
    assert partition(renamed).tolist() == partition(division).tolist()
    assert same_division(division, renamed) == bool(2 * np.sum(division >= 0) >= len(division))
