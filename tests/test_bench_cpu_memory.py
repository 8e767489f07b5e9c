"""CPU and memory by sysbench: where it runs, what is read from it, and what is said where it cannot run."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent import programs
from ahc_agent.bench import cpu, memory, run_task, sysbench, topology
from ahc_agent.bench.sysbench import Place, Timed
from ahc_agent.bench.work import FixedWork, sample_length_s
from ahc_agent.errors import ProgramFailed, UsageError
from ahc_agent.inventory.root import Root
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import BenchLimits, CpuTask, MemoryTask
from tests.bench_helpers import MIB, tree, two_node_machine

needs_sysbench = pytest.mark.skipif(programs.find("sysbench") is None, reason="needs sysbench")
SHORT = BenchLimits(runtime_s=0.6, min_samples=3)


@pytest.fixture
def two_nodes(tmp_path: Path) -> topology.Topology:
    return topology.read(Root(two_node_machine(tmp_path)))


# ── where it runs ──────────────────────────────────────────────────────────────────────────────────


def test_the_parts_of_a_machine_have_the_names_that_stand_in_metrics(two_nodes: topology.Topology) -> None:
    assert two_nodes.cpus == tuple(range(8))
    assert [(part.name, part.cpus) for part in two_nodes.sockets] == [
        ("socket0", (0, 1, 4, 5)),
        ("socket1", (2, 3, 6, 7)),
    ]
    assert [part.name for part in two_nodes.cores] == ["core0", "core1", "core2", "core3"]
    assert two_nodes.cores[1].cpus == (1, 5)
    assert [(part.name, part.cpus) for part in two_nodes.nodes] == [
        ("node0", (0, 1, 4, 5)),
        ("node1", (2, 3, 6, 7)),
    ]


def test_a_kernel_without_numa_has_node_0_with_all_cpus(tmp_path: Path) -> None:
    root = tree(tmp_path, {"/proc/cpuinfo": "", "/sys/devices/system/cpu/online": "0-1\n"})
    for number in range(2):
        (root / f"sys/devices/system/cpu/cpu{number}").mkdir()
    found = topology.read(Root(root))
    assert [(part.name, part.cpus) for part in found.nodes] == [("node0", (0, 1))]
    assert [part.name for part in found.cores] == ["core0", "core1"]
    assert [part.cpus for part in found.sockets] == [(0, 1)]


def test_cpus_withheld_from_this_process_are_not_used() -> None:
    before = os.sched_getaffinity(0)
    if len(before) < 2:
        pytest.skip("needs two CPUs")
    keep = max(before)
    try:
        os.sched_setaffinity(0, {keep})
        found = topology.read()
    finally:
        os.sched_setaffinity(0, before)
    assert found.cpus == (keep,)
    assert {part.cpus for part in (*found.cores, *found.sockets, *found.nodes)} == {(keep,)}


def test_available_memory_of_the_machine_and_of_a_node(tmp_path: Path) -> None:
    root = Root(two_node_machine(tmp_path))
    assert topology.available_bytes(root) == 6144 * MIB
    assert topology.available_bytes(root, node=1) == 2048 * MIB
    assert topology.available_bytes(root, node=7) == 6144 * MIB


def test_cpu_scopes_pin_one_core_of_each_socket_each_core_or_take_all(two_nodes: topology.Topology) -> None:
    task = CpuTask(scopes=("socket", "core", "all"))
    assert dict(cpu._targets(task, two_nodes)) == {
        "socket0": Place((0,), 1),
        "socket1": Place((2,), 1),
        "core0": Place((0,), 1),
        "core1": Place((1,), 1),
        "core2": Place((2,), 1),
        "core3": Place((3,), 1),
        "all": Place(tuple(range(8)), 8),
    }


@pytest.mark.parametrize(("cores", "threads"), [(None, 8), (2, 2), (100, 8)])
def test_cores_bound_the_threads_of_all(
    two_nodes: topology.Topology, cores: int | None, threads: int
) -> None:
    assert dict(cpu._targets(CpuTask(scopes=("all",), cores=cores), two_nodes))["all"].threads == threads


def places(task: MemoryTask, found: topology.Topology) -> dict[str, tuple[Place, ...]]:
    return {target.name: target.places for target in memory._targets(task, found)}


def test_memory_is_measured_from_the_cpus_of_its_own_node(two_nodes: topology.Topology) -> None:
    own = (Place((0, 1, 4, 5), 4), Place((2, 3, 6, 7), 4))
    found = places(MemoryTask(scopes=("node", "all", "socket")), two_nodes)
    assert found == {
        "node0": own[:1],
        "node1": own[1:],
        "all": own,
        "socket0": (Place((0,), 1),),
        "socket1": (Place((2,), 1),),
    }


def test_across_nodes_the_memory_is_bound_to_the_other_node(two_nodes: topology.Topology) -> None:
    assert places(MemoryTask(scopes=("cross",)), two_nodes) == {
        "node0-from-node1": (Place((2, 3, 6, 7), 4, memory_node=0),),
        "node1-from-node0": (Place((0, 1, 4, 5), 4, memory_node=1),),
    }


def test_forked_is_one_process_for_each_thread(two_nodes: topology.Topology) -> None:
    found = places(MemoryTask(scopes=("all",), mode="forked", cores=3), two_nodes)["all"]
    assert found == (Place((0, 1, 4, 5), 1), Place((0, 1, 4, 5), 1), Place((2, 3, 6, 7), 1))


@given(cores=st.integers(1, 20), mode=st.sampled_from(["threaded", "forked"]))
def test_cores_are_dealt_to_the_nodes_in_turn(cores: int, mode: str) -> None:
    nodes = (topology.Part("node0", (0, 1, 2)), topology.Part("node1", (3,)), topology.Part("node2", (4, 5)))
    found = memory._places(nodes, MemoryTask(cores=cores, mode=mode))  # type: ignore[arg-type]
    assert sum(place.threads for place in found) == min(cores, 6)
    assert all(1 <= place.threads <= len(place.cpus) for place in found)


# ── what sysbench prints ───────────────────────────────────────────────────────────────────────────

CPU_OUTPUT = """\
CPU speed:
    events per second:  4430.99

General statistics:
    total time:                          0.2245s
    total number of events:              1000
"""
MEMORY_OUTPUT = """\
[ 1s ] 51570.83 MiB/sec
[ 2s ] 52420.56 MiB/sec
Total operations: 4096 (48583.58 per second)

4096.00 MiB transferred (48583.58 MiB/sec)

General statistics:
    total time:                          2.0832s
"""


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What sysbench prints, one text for each run; what it was called with is put in the place of the text."""
    texts: list[str] = []

    def run(argv: list[str], **options: object) -> programs.Finished:
        text = texts.pop(0)
        return programs.Finished(tuple(argv), 0, text.encode(), b"", 0.1)

    monkeypatch.setattr(programs, "run", run)
    return texts


def test_a_cpu_run_is_read(printed: list[str]) -> None:
    printed.append(CPU_OUTPUT)
    assert sysbench.cpu_work(Place((0,), 1), 1000, 1.0, threading.Event()) == Timed(4430.99, 0.2245)


def test_rates_of_several_processes_are_added(printed: list[str]) -> None:
    test = sysbench.Memory((Place((0,), 1), Place((1,), 1)), "write", MIB, threading.Event())
    printed += [MEMORY_OUTPUT, MEMORY_OUTPUT]
    assert test.work(4096, 1.0) == Timed(2 * 48583.58 * MIB, 2.0832)
    printed += [MEMORY_OUTPUT, MEMORY_OUTPUT]
    assert test.seconds(2, 3.0) == pytest.approx([2 * 51570.83 * MIB, 2 * 52420.56 * MIB])


def test_a_run_too_slow_for_seconds_is_one_sample(printed: list[str]) -> None:
    test = sysbench.Memory((Place((0,), 1),), "write", MIB, threading.Event())
    printed.append(MEMORY_OUTPUT.partition("Total")[2])
    assert test.seconds(2, 3.0) == pytest.approx([48583.58 * MIB])


@pytest.mark.parametrize("text", ["", "events per second: nonsense", CPU_OUTPUT.replace("4430.99", "0.00")])
def test_what_is_no_rate_is_a_failure(printed: list[str], text: str) -> None:
    printed.append(text)
    with pytest.raises(ProgramFailed, match="sysbench"):
        sysbench.cpu_work(Place((0,), 1), 1000, 1.0, threading.Event())


@given(st.integers(1, 1023), st.sampled_from(["K", "M", "G"]))
def test_sizes_are_read_as_they_are_written(number: int, unit: str) -> None:
    assert sysbench.format_size(sysbench.parse_size(f"{number}{unit}")) == f"{number}{unit}"
    assert sysbench.parse_size(f"{number}{unit.lower()}") == sysbench.parse_size(f" {number}{unit} ")


@pytest.mark.parametrize("text", ["", "K", "0K", "-1M", "1.5M", "1T", "4 K", "99999999999", "1M; rm"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as 4K"):
        sysbench.parse_size(text)


# ── runs of fixed work ─────────────────────────────────────────────────────────────────────────────


@given(rate=st.floats(10, 1e9), first=st.integers(1, 10_000))
def test_the_work_is_sized_to_the_length_of_a_sample(rate: float, first: int) -> None:
    amounts: list[int] = []

    def run(amount: int, limit_s: float) -> Timed:
        amounts.append(amount)
        return Timed(rate, amount / rate)

    step = FixedWork(run, first, 0.5)
    step(1e9)
    step(1e9)
    assert amounts[-1] == amounts[-2], "every sample is the same work"
    assert len(amounts) <= 7
    reached = amounts[-1] / rate
    assert 0.2 < reached < 0.8 or amounts[-1] == 1 or first * 50**5 < rate * 0.5


def test_no_sample_is_begun_for_which_there_is_no_time() -> None:
    step = FixedWork(lambda amount, limit_s: Timed(100.0, 0.5), 50, 0.5)
    assert step(0.0) == [100.0], "the first one always is"
    assert step(0.2) == []


def test_short_run_times_have_shorter_samples() -> None:
    assert sample_length_s(BenchLimits(runtime_s=10)) == 0.5
    assert sample_length_s(BenchLimits(runtime_s=1.2, min_samples=5)) == pytest.approx(0.2)


# ── real runs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.alone
@needs_sysbench
def test_the_cpu_of_this_machine() -> None:
    notes: list[tuple[float, str]] = []
    context = TaskContext(progress=lambda fraction, note: notes.append((fraction, note)))
    found = {each.name: each for each in run_task(CpuTask(limits=SHORT), context)}
    assert {"cpu.socket0.events_per_s", "cpu.all.events_per_s"} <= set(found)
    for measured in found.values():
        assert measured.value is not None and measured.value > 1, measured.error
        assert measured.unit == "events/s" and measured.stop is not None and measured.conditions is not None
        assert len(measured.samples) >= 1 and measured.samples[0].at_s > 0
    assert notes[0] == (0.0, "cpu.socket0") and notes == sorted(notes)
    assert cpu.count(CpuTask()) == len(found)


@pytest.mark.alone
@needs_sysbench
@pytest.mark.parametrize("mode", ["threaded", "forked"])
def test_the_memory_of_this_machine(mode: str) -> None:
    task = MemoryTask(limits=SHORT, block_sizes=("4K", "1M"), mode=mode)  # type: ignore[arg-type]
    found = {each.name: each for each in run_task(task, TaskContext())}
    assert {
        f"memory.{part}.write_{size}_bytes_per_s" for part in ("node0", "all") for size in ("4K", "1M")
    } <= set(found)
    assert all(each.value is not None and each.value > 1e6 for each in found.values())
    assert memory.count(task) == len(found)


@pytest.mark.alone
@needs_sysbench
def test_large_blocks_are_one_long_run_with_a_sample_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_REPEAT_LIMIT_BYTES", MIB)
    task = MemoryTask(
        limits=BenchLimits(runtime_s=2.2), block_sizes=("4M",), scopes=("socket",), operation="read"
    )
    measured = run_task(task, TaskContext())[0]
    assert measured.name == "memory.socket0.read_4M_bytes_per_s"
    # sysbench leaves the last second out where it ends a moment before that second's report.
    assert len(measured.samples) in (1, 2) and measured.stop == "time", measured.error


def test_more_memory_than_there_is_is_not_tried() -> None:
    task = MemoryTask(limits=SHORT, block_sizes=("900000G",), scopes=("all",))
    (measured,) = run_task(task, TaskContext())
    assert measured.value is None and "of memory are available" in (measured.error or "")


def test_a_wrong_block_size_spoils_only_its_own_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None)
    task = MemoryTask(limits=SHORT, block_sizes=("4X", "1M"), scopes=("all",))
    wrong, right = run_task(task, TaskContext())
    assert "4X" in (wrong.error or "") and "not installed" in (right.error or "")


def test_across_nodes_without_numactl_it_says_what_to_install(
    two_nodes: topology.Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None)
    monkeypatch.setattr(topology, "read", lambda: two_nodes)
    found = run_task(MemoryTask(limits=SHORT, scopes=("cross",)), TaskContext())
    assert len(found) == 2 and all("apt-get install numactl" in (each.error or "") for each in found)


def test_without_sysbench_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "find", lambda name: None)
    found = [
        *run_task(CpuTask(limits=SHORT), TaskContext()),
        *run_task(MemoryTask(limits=SHORT), TaskContext()),
    ]
    assert found and all(each.value is None for each in found)
    assert all("apt-get install sysbench" in (each.error or "") for each in found)


@pytest.mark.alone
@needs_sysbench
def test_cancelled_it_ends_soon_and_says_so() -> None:
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    begun = time.monotonic()
    limits = BenchLimits(runtime_s=60, ci_target=0)
    found = run_task(CpuTask(limits=limits, scopes=("socket", "all")), TaskContext(cancelled=cancelled))
    assert time.monotonic() - begun < 20
    assert len(found) >= 2
    assert found[-1].value is None and "cancelled" in (found[-1].error or "")
