"""NUMA nodes, their memory and distances; the machine's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.errors import NotThere
from ahc_agent.facts import NumaNode
from ahc_agent.inventory import cpu, memory, numa
from tests.inventory_helpers import Machine, build, dimm, lstopo, server_table, smbios_files

NODE = "/sys/devices/system/node"


def node(number: int, cpus: str, kilobytes: int | None, distances: str = "") -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {f"{NODE}/node{number}/cpumap": cpus}
    if kilobytes is not None:
        files[f"{NODE}/node{number}/meminfo"] = (
            f"\nNode {number} MemTotal:       {kilobytes} kB\nNode {number} MemFree: 1 kB"
        )
    if distances:
        files[f"{NODE}/node{number}/distance"] = distances
    return files


def test_nodes_with_gaps_in_their_numbers_and_without_cpus(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1), (1, 0)], offline={1}).files()
    files |= node(0, "3", 1000, "10 20 30") | node(2, "4", 2000, "20 10 30") | node(3, "0", 4000, "30 30 10")
    files[f"{NODE}/online"] = "0,2-3"
    root = build(tmp_path, files)
    assert numa.collect(root) == [
        NumaNode(node=0, cpus="0", memory_bytes=1000 * 1024, distances=[10, 20, 30]),
        NumaNode(node=2, cpus="2", memory_bytes=2000 * 1024, distances=[20, 10, 30]),
        NumaNode(node=3, cpus="", memory_bytes=4000 * 1024, distances=[30, 30, 10]),
    ]
    hwloc = lstopo(tmp_path)
    assert hwloc is None or hwloc["numa_memory"] == {0: 1000 * 1024, 2: 2000 * 1024, 3: 4000 * 1024}


@pytest.mark.parametrize(("memory", "sockets"), [("0", 1), ("0-1", 2), ("0,2", 1), ("0-2", 2)])
def test_a_socket_counts_while_its_memory_may_be_used(tmp_path: Path, memory: str, sockets: int) -> None:
    """A job has the CPUs of the first socket; node 1 is the second socket's, node 2 has no CPUs."""
    files = Machine(cpus=[(0, 0), (0, 1), (1, 0), (1, 1)]).files()
    files |= node(0, "3", 1000) | node(1, "c", 1000) | node(2, "0", 1000)
    files |= {
        "/proc/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0",
        "/proc/self/cgroup": "0::/job",
        "/sys/fs/cgroup/cgroup.controllers": "cpuset",
        "/sys/fs/cgroup/job/cpuset.cpus.effective": "0-1",
        "/sys/fs/cgroup/job/cpuset.mems.effective": memory,
    }
    found = cpu.collect(build(tmp_path, files))
    assert (found.sockets, found.cores, found.socket_cpus) == (sockets, 2, ["0-1"])
    hwloc = lstopo(tmp_path)
    assert hwloc is None or (hwloc["packages"], hwloc["cores"]) == (sockets, 2)


def test_a_kernel_without_numa_has_one_node_with_everything(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (0, 1)]).files() | {
        "/proc/meminfo": "MemTotal:       32489496 kB\nMemFree: 1 kB"
    }
    root = build(tmp_path, files)
    assert numa.collect(root) == [NumaNode(node=0, cpus="0-1", memory_bytes=32489496 * 1024)]
    hwloc = lstopo(tmp_path)
    assert hwloc is None or hwloc["numa_memory"] == {0: 32489496 * 1024}


def test_memory_that_no_file_tells_is_null(tmp_path: Path) -> None:
    (only,) = numa.collect(build(tmp_path, Machine(cpus=[(0, 0)]).files()))
    assert only.memory_bytes is None


@pytest.mark.parametrize("row", ["10", "10 20 30", "10 x", ""])
def test_a_distance_row_of_another_length_is_none(tmp_path: Path, row: str) -> None:
    files = Machine(cpus=[(0, 0), (1, 0)]).files() | node(0, "1", 1, row) | node(1, "2", 1, "20 10")
    first, second = numa.collect(build(tmp_path, files))
    assert (first.distances, second.distances) == ([], [20, 10])


def test_nodes_that_repeat_cpus_or_tell_none_are_left_out(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (1, 0)]).files()
    files |= node(0, "1", 1, "10 20 30 40") | node(1, "3", 1) | node(2, "2", 1, "30 20 10 40")
    files[f"{NODE}/node3/meminfo"] = "Node 3 MemTotal: 1 kB"
    root = build(tmp_path, files)
    assert [(one.node, one.distances) for one in numa.collect(root)] == [(0, [10, 30]), (2, [30, 10])]
    hwloc = lstopo(tmp_path)
    assert hwloc is None or set(hwloc["numa_memory"]) == {0, 2}


def test_nodes_that_a_cpuset_withholds_are_left_out(tmp_path: Path) -> None:
    files = Machine(cpus=[(0, 0), (1, 0)]).files() | node(0, "1", 1, "10 20") | node(1, "2", 1, "20 10")
    files |= {
        "/proc/mounts": "none /dev/cpuset cpuset rw 0 0",
        "/proc/self/cpuset": "/job",
        "/dev/cpuset/job/cpus": "1",
        "/dev/cpuset/job/mems": "1",
    }
    assert numa.collect(build(tmp_path, files)) == [
        NumaNode(node=1, cpus="1", memory_bytes=1024, distances=[10])
    ]
    hwloc = lstopo(tmp_path)
    assert hwloc is None or set(hwloc["numa_memory"]) == {1}


@pytest.mark.parametrize(("cpu", "nodes"), [("POWER9, altivec supported", [0]), ("other", [0, 255])])
def test_the_memory_of_graphics_cards_is_not_the_machines_on_power(
    tmp_path: Path, cpu: str, nodes: list[int]
) -> None:
    files = Machine(cpus=[(0, 0)]).files() | node(0, "1", 1) | node(255, "0", 1)
    files |= {
        "/proc/cpuinfo": f"processor\t: 0\ncpu\t\t: {cpu}",
        "/proc/driver/nvidia/gpus/0004:04:00.0/numa_status": "Node:        255\nAddress:     20000000000\nStatus: online",
    }
    assert [one.node for one in numa.collect(build(tmp_path, files))] == nodes


def test_neither_nodes_nor_cpus(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        numa.collect(build(tmp_path, {"/proc/version": "Linux"}))


def test_memory_has_the_kernels_total_and_the_slots_of_smbios(tmp_path: Path) -> None:
    table = server_table(dimm(0x1100, size=16384, locator="A1"), dimm(0x1101, size=0, locator="A2"))
    found = memory.collect(build(tmp_path, smbios_files(table) | {"/proc/meminfo": "MemTotal: 16000000 kB"}))
    assert found.total_bytes == 16000000 * 1024
    assert [(one.locator, one.size_bytes) for one in found.dimms] == [("A1", 16 * 1024**3), ("A2", 0)]


def test_memory_untold(tmp_path: Path) -> None:
    with pytest.raises(NotThere):
        memory.collect(build(tmp_path, {"/proc/meminfo": "MemFree: 1 kB"}))
