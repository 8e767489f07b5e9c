"""Which nodes are compared with each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Cpu, Disk, Inventory, Memory, Nic
from ahc_server.judge.groups import group_nodes
from ahc_server.judge.hardware import Hardware, decimal_size, hardware_of, link_speed
from tests.judge_helpers import GB, inventory

GIB = 2**30


def groups_of(inventories: Sequence[Inventory | None]) -> list[list[int]]:
    return [group.tolist() for group in group_nodes(hardware_of(list(inventories))).groups]


def test_equal_nodes_are_one_group() -> None:
    assert groups_of([inventory()] * 5) == [[0, 1, 2, 3, 4]]


def test_two_platforms_are_two_groups_the_larger_first() -> None:
    other = inventory(cpu="EPYC 7302", product="R6515")
    assert groups_of([other, inventory(), other, inventory(), inventory(), other, inventory()]) == [
        [1, 3, 4, 6],
        [0, 2, 5],
    ]


@pytest.mark.parametrize(
    "odd",
    [
        inventory(memory=96 * GIB),
        inventory(disks=()),
        inventory(disks=(960 * GB, 960 * GB)),
        inventory(nics=(1_000,)),
        inventory(cpu="Xeon Silver 4110"),
        inventory(memory=96 * GIB, nics=(1_000,)),
    ],
    ids=["memory", "no disk", "disk more", "slow link", "CPU", "memory and link"],
)
def test_an_odd_fact_makes_no_group_of_its_own(odd: Inventory) -> None:
    assert groups_of([inventory(), inventory(), odd, inventory()]) == [[0, 1, 2, 3]]


def test_another_platform_and_cpu_is_another_group_even_when_it_is_one_node() -> None:
    assert groups_of([inventory()] * 4 + [inventory(cpu="EPYC 7302", product="R6515")]) == [[0, 1, 2, 3], [4]]


def test_a_batch_with_more_memory_is_a_group_of_its_own_right() -> None:
    batch = inventory(memory=384 * GIB)
    assert groups_of([inventory()] * 5 + [batch] * 3) == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert groups_of([inventory()] * 40 + [batch] * 3) == [list(range(43))]


def test_sizes_are_compared_with_tolerance() -> None:
    slightly = inventory(memory=191 * GIB, disks=(1_000 * GB,))
    assert hardware_of([inventory(), inventory(), slightly])[2] == hardware_of([inventory()])[0]


def test_a_node_without_inventory_joins_the_only_group_and_none_of_several() -> None:
    assert groups_of([inventory(), None, inventory()]) == [[0, 1, 2]]
    other = inventory(cpu="EPYC 7302", product="R6515")
    grouping = group_nodes(hardware_of([inventory()] * 3 + [other] * 3 + [None]))
    assert grouping.alone.tolist() == [6]


def test_without_any_inventory_all_are_compared() -> None:
    assert groups_of([None, None, None]) == [[0, 1, 2]]
    assert groups_of([]) == []


def test_a_fact_that_a_node_does_not_tell_separates_nobody() -> None:
    silent = Inventory(collected_at="", cpu=Cpu(model="Xeon Gold 6130", sockets=2, cores=32))
    assert groups_of([inventory()] * 3 + [silent]) == [[0, 1, 2, 3]]


def test_the_group_is_described_by_what_is_usual_in_it() -> None:
    grouping = group_nodes(hardware_of([inventory(), inventory(memory=96 * GIB), inventory()]))
    assert grouping.usual[0].line() == (
        "Dell R640, 2 × Xeon Gold 6130 (32 cores), 192 GiB, 1 × 960 GB SSD, 1 × 25 Gbit/s"
    )


def test_the_line_names_kinds_and_counts_of_disks_and_cards() -> None:
    node = Inventory(
        collected_at="",
        memory=Memory(total_bytes=1536 * 2**20),
        disks=[
            Disk(name="sda", size_bytes=4 * 10**12, rotational=True),
            Disk(name="sdb", size_bytes=4 * 10**12, rotational=True),
            Disk(name="nvme0n1", size_bytes=960 * GB, rotational=False),
            Disk(name="sr0", kind="rom", size_bytes=700 * 10**6),
            Disk(name="loop0", kind="loop", size_bytes=10**6),
        ],
        nics=[
            Nic(name="eth0", speed_mbps=25_000),
            Nic(name="eth1"),
            Nic(name="veth0", kind="virtual", speed_mbps=10_000),
        ],
    )
    assert (
        hardware_of([node])[0].line()
        == "1.5 GiB, 2 × 4 TB HDD + 1 × 960 GB SSD, 1 × 25 Gbit/s + 1 × port without link speed"
    )


def test_loop_disks_and_virtual_cards_count_where_there_is_nothing_else() -> None:
    node = Inventory(
        collected_at="",
        disks=[Disk(name="disk0", kind="loop", size_bytes=256 * 2**20)],
        nics=[Nic(name="eth0", kind="virtual", speed_mbps=10_000)],
    )
    assert hardware_of([node])[0].line() == "1 × 268 MB disk, 1 × 10 Gbit/s"


@pytest.mark.parametrize(
    ("size", "said"), [(960 * GB, "960 GB"), (3_840 * GB, "3.84 TB"), (512, "512 bytes")]
)
def test_disk_sizes_are_said_as_makers_say_them(size: int, said: str) -> None:
    assert decimal_size(size) == said


def test_link_speeds() -> None:
    assert [link_speed(mbps) for mbps in (100, 2_500, 100_000, None, -1)] == [
        "100 Mbit/s",
        "2.5 Gbit/s",
        "100 Gbit/s",
        "port without link speed",
        "port without link speed",
    ]


facts = st.sampled_from(["a", "b", "c", None])
kinds = st.builds(Hardware, system=facts, cpu=facts, memory=facts, disks=facts, nics=facts)


@given(st.lists(kinds, max_size=12))
def test_every_node_is_in_one_place_whatever_the_order(fleet: list[Hardware]) -> None:
    grouping = group_nodes(fleet)
    rows = sorted([*(int(row) for group in grouping.groups for row in group), *map(int, grouping.alone)])
    assert rows == list(range(len(fleet)))
    order = np.random.default_rng(len(fleet)).permutation(len(fleet))
    again = group_nodes([fleet[row] for row in order])
    assert sorted(sorted(int(order[row]) for row in group) for group in again.groups) == sorted(
        group.tolist() for group in grouping.groups
    )
