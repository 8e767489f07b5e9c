"""Eleven saved machines, against what hwloc and lscpu read from them (``shared/machines/truth.jsonl``).

The archives stand beside the checkout; without them these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ahc_agent.facts import Inventory
from ahc_agent.inventory import collect
from ahc_agent.inventory.cpuset import parse_list
from tests.inventory_helpers import extract, truths

MACHINES = (
    "16em64t-4s2c2t-offlines.tar.bz2",
    "20em64t-hybrid-1p6c2t+2ca4co1t.tar.bz2",
    "40intel64-2g2n4c+pcilocality.tar.bz2",
    "64amd64-4s2n4ca2co.tar.bz2",
    "96em64t-4no4pa3ca2co.tar.bz2",
    "armv7.tar.gz",
    "rv64-milkvpioneer.tar.gz",
    "s390-lpar.tar.gz",
    "vmware_fpe.tar.gz",
    "x86_64-64cpu.tar.gz",
    "x86_64-dell_e4310.tar.gz",
)


@pytest.fixture(scope="module", params=MACHINES)
def machine(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Inventory, dict[str, Any]]:
    """A machine's inventory and its record of the truth."""
    archive = shared / "machines" / request.param
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    tree = extract(archive, tmp_path_factory.mktemp("machine"))
    return collect(tree), truths(shared)[request.param]


def test_no_collector_failed(machine: tuple[Inventory, dict[str, Any]]) -> None:
    inventory, _ = machine
    assert inventory.errors == []


def test_counts_are_hwlocs(machine: tuple[Inventory, dict[str, Any]]) -> None:
    inventory, truth = machine
    cpu, hwloc = inventory.cpu, truth["lstopo"]
    assert (cpu.sockets, cpu.cores, cpu.logical_online) == (hwloc["packages"], hwloc["cores"], hwloc["pus"])


def test_nodes_and_their_memory_are_hwlocs(machine: tuple[Inventory, dict[str, Any]]) -> None:
    """hwloc says 0 where a tree tells no memory; we say null."""
    inventory, truth = machine
    assert [node.node for node in inventory.numa] == truth["lstopo"]["numa_nodes"]
    memory = {str(node.node): node.memory_bytes or 0 for node in inventory.numa}
    assert memory == truth["lstopo"]["numa_memory"]


def test_sockets_and_nodes_divide_the_online_cpus(machine: tuple[Inventory, dict[str, Any]]) -> None:
    cpu, nodes = machine[0].cpu, machine[0].numa
    assert parse_list(cpu.online_cpus) == sum(parse_list(cpus) or 0 for cpus in cpu.socket_cpus)
    assert parse_list(cpu.online_cpus) == sum(parse_list(node.cpus) or 0 for node in nodes)


#: Our field → lscpu's name, where both mean the same.
SAME_AS_LSCPU = {
    "logical_online": "CPU(s)",
    "model": "Model name",
    "vendor": "Vendor ID",
    "family": "CPU family",
    "model_number": "Model",
    "threads_per_core": "Thread(s) per core",
}
CACHE_NAMES = {
    (1, "Data"): "L1d cache",
    (1, "Instruction"): "L1i cache",
    (2, "Unified"): "L2 cache",
    (3, "Unified"): "L3 cache",
}
BINARY = {"KiB": 1024, "MiB": 1024**2}


def test_names_are_lscpus(machine: tuple[Inventory, dict[str, Any]]) -> None:
    """s390 and Arm name no model there, lscpu counts threads of AMD compute units otherwise than hwloc, and offline CPUs too."""
    inventory, truth = machine
    lscpu = truth["lscpu"]
    if lscpu is None or "CPU family" not in lscpu:
        pytest.skip("no x86 machine that lscpu could read")
    told = {field: str(getattr(inventory.cpu, field)) for field in SAME_AS_LSCPU}
    expected = {field: " ".join(lscpu[name].split()) for field, name in SAME_AS_LSCPU.items()}
    if inventory.cpu.family == 21:
        del told["threads_per_core"], expected["threads_per_core"]
    assert told == expected
    assert sorted(inventory.cpu.flags) == sorted(lscpu["Flags"].split())


def test_caches_are_lscpus(machine: tuple[Inventory, dict[str, Any]]) -> None:
    inventory, truth = machine
    lscpu = truth["lscpu"] or {}
    if "L1d cache" not in lscpu:
        pytest.skip("lscpu tells no caches of this machine")
    for kind, name in CACHE_NAMES.items():
        ours = [one for one in inventory.cpu.caches if (one.level, one.type) == kind]
        size, unit, instances = lscpu[name].replace("(", "").split()[:3]
        assert sum(one.instances for one in ours) == int(instances)
        total = sum(one.instances * one.size_bytes for one in ours)
        assert total == pytest.approx(float(size) * BINARY[unit], rel=0.05)


def test_frequencies_are_lscpus(machine: tuple[Inventory, dict[str, Any]]) -> None:
    inventory, truth = machine
    lscpu = truth["lscpu"] or {}
    if "CPU max MHz" not in lscpu:
        assert inventory.cpu.frequency_max_hz is None
        return
    assert inventory.cpu.frequency_max_hz == round(float(lscpu["CPU max MHz"]) * 1e6)
    assert inventory.cpu.frequency_min_hz == round(float(lscpu["CPU min MHz"]) * 1e6)
