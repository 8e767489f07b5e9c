"""Memory: sysbench's bandwidth by block size, from each NUMA node's own CPUs, from all, across nodes, from single cores.

A missing DIMM takes a channel away, a DIMM in the wrong slot slows one node only: "node" and "all" see them. Small blocks
(1K, 4K) stay in the first cache and mostly measure the core, 1M the second or third, 128M and more the memory itself.

Memory belongs to the node of the CPU that first touches it; sysbench touches all its buffers with one thread.
"All" therefore runs one process on each node, each on its own node's CPUs, and adds them up: a single process would
have all its buffers on one node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ahc_agent import programs
from ahc_agent.bench import sysbench, topology
from ahc_agent.bench.conditions import Watch
from ahc_agent.bench.sampling import sample
from ahc_agent.bench.series import Metric
from ahc_agent.bench.work import FixedWork, sample_length_s
from ahc_agent.errors import ProgramMissing, UsageError
from ahc_agent.measure import Measurement
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import MemoryTask

_MIB = 1024 * 1024
#: Data that one thread moves in the first trial.
_FIRST_BYTES = 16 * _MIB
#: Runs that allocate more than this are not repeated for every sample: the allocation would take longer than the sample.
_REPEAT_LIMIT_BYTES = 512 * _MIB
#: The slowest that allocating was seen to be, in a virtual machine whose host had to find the pages first.
_ALLOCATION_BYTES_PER_S = 150 * _MIB
#: So much of the available memory may be taken.
_AVAILABLE_PART = 0.9


@dataclass(frozen=True, slots=True)
class Target:
    """``name`` in metrics, where the processes run, and the node whose memory they fill (None: several)."""

    name: str
    places: tuple[sysbench.Place, ...]
    node: int | None = None

    @property
    def cpus(self) -> tuple[int, ...]:
        return tuple(cpu for place in self.places for cpu in place.cpus)


def measure(task: MemoryTask, context: TaskContext) -> list[Measurement]:
    """``memory.node0.write_1M_bytes_per_s`` and so on, for each of ``task.scopes`` and ``task.block_sizes``."""
    todo = [(target, size) for target in _targets(task, topology.read()) for size in task.block_sizes]
    found = []
    for index, (target, size) in enumerate(todo):
        context.progress(index / len(todo), f"memory.{target.name} {size}")
        found.append(_measure(target, size, task, context))
    return found


def count(task: MemoryTask) -> int:
    """How many measurements the task will take one after the other."""
    return len(list(_targets(task, topology.read()))) * len(task.block_sizes)


def _targets(task: MemoryTask, found: topology.Topology) -> Iterator[Target]:
    for scope in task.scopes:
        if scope == "node":
            for node in found.nodes:
                # The kernel's estimate for the whole machine is the better one where there is only this node.
                number = _number(node) if len(found.nodes) > 1 else None
                yield Target(node.name, _places([node], task), number)
        elif scope == "all":
            yield Target("all", _places(found.nodes, task))
        elif scope == "socket":
            for socket in found.sockets:
                yield Target(socket.name, (sysbench.Place(socket.cpus[:1], 1),))
        else:
            for home in found.nodes:
                for away in found.nodes:
                    if home is not away:
                        place = sysbench.Place(away.cpus, len(away.cpus), memory_node=_number(home))
                        yield Target(f"{home.name}-from-{away.name}", (place,), _number(home))


def _places(nodes: Sequence[topology.Part], task: MemoryTask) -> tuple[sysbench.Place, ...]:
    """The processes: one per node with a thread per CPU, or ("forked", as eDeploy had it) one of one thread per CPU.

    ``task.cores`` bounds the threads; they are dealt to the nodes in turn.
    """
    total = sum(len(node.cpus) for node in nodes)
    wanted = min(task.cores or total, total)
    threads = [0] * len(nodes)
    while sum(threads) < wanted:
        for index, node in enumerate(nodes):
            if threads[index] < len(node.cpus) and sum(threads) < wanted:
                threads[index] += 1
    if task.mode == "forked":
        return tuple(
            sysbench.Place(node.cpus, 1)
            for node, share in zip(nodes, threads, strict=True)
            for _ in range(share)
        )
    return tuple(
        sysbench.Place(node.cpus, share) for node, share in zip(nodes, threads, strict=True) if share
    )


def _measure(target: Target, size: str, task: MemoryTask, context: TaskContext) -> Measurement:
    metric = Metric("memory", target.name, f"{task.operation}_{size}_bytes_per_s", "bytes/s")
    try:
        block_bytes = sysbench.parse_size(size)
    except UsageError as error:
        return metric.failed(str(error))
    test = sysbench.Memory(target.places, task.operation, block_bytes, context.cancelled)
    needed = block_bytes * test.threads
    trouble = _trouble(target, needed, f"{size} for each of {test.threads} threads")
    if trouble:
        return metric.failed(trouble)
    step = _LongRun(test, needed) if needed > _REPEAT_LIMIT_BYTES else _repeated(test, task)
    run = sample(step, lambda rate: (rate,), task.limits, context, Watch(target.cpus))
    return metric.measured(run.samples(float), run)


def _trouble(target: Target, needed: int, what: str) -> str | None:
    """Why this cannot be measured here."""
    if any(place.memory_node is not None for place in target.places) and programs.find("numactl") is None:
        return str(ProgramMissing("numactl"))
    available = topology.available_bytes(node=target.node)
    if available is not None and needed > available * _AVAILABLE_PART:
        return f"{what} is {needed // _MIB} MiB, and {available // _MIB} MiB of memory are available"
    return None


def _repeated(test: sysbench.Memory, task: MemoryTask) -> FixedWork:
    return FixedWork(test.work, max(1, _FIRST_BYTES // test.block_bytes), sample_length_s(task.limits))


class _LongRun:
    """One run over all the time, a sample for every second. Allocating comes on top of the time: it measures nothing."""

    def __init__(self, test: sysbench.Memory, needed_bytes: int):
        self._test = test
        self._allowance_s = needed_bytes / _ALLOCATION_BYTES_PER_S
        self._taken = False

    def __call__(self, left_s: float) -> list[float]:
        seconds = int(left_s)
        if seconds < 1 and self._taken:
            return []
        self._taken = True
        seconds = max(seconds, 1)
        return self._test.seconds(seconds, seconds + self._allowance_s + sysbench.GRACE_S)


def _number(node: topology.Part) -> int:
    return int(node.name.removeprefix("node"))
