"""All local benchmarks one after the other within one budget of time: what ``ahc-agent bench`` runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from ahc_agent import bench, inventory
from ahc_agent.bench import cpu, disk, memory
from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import BenchLimits, CpuTask, DiskTask, MemoryTask

SCHEMA = "ahc.bench/1"

Task = CpuTask | MemoryTask | DiskTask

#: Block sizes measured unless a plan asks for others: the first cache, the larger ones, the memory.
BLOCK_SIZES = ("4K", "1M", "128M")
#: With less than this for each measurement only the middle one is: large ones take a second to allocate.
_ONE_SIZE_BELOW_S = 1.0

_TASKS: dict[str, Task] = {
    "cpu": CpuTask(),
    "memory": MemoryTask(block_sizes=BLOCK_SIZES),
    "disk": DiskTask(),
}
#: Of a budget: what starting, ending and cancelling programs may take, and what each measurement takes beyond its time.
_RESERVE_S = 0.6
_OVERHEAD_S = 0.15
_SHORTEST_S = 0.2
_LONGEST_S = 10.0


class Answer(msgspec.Struct, kw_only=True):
    """The JSON of ``ahc-agent bench``."""

    schema: str = SCHEMA
    inventory: Inventory
    measurements: list[Measurement]


def run(parts: Sequence[str], budget_s: float | None, context: TaskContext, begun: float) -> Answer:
    """Inventory, then ``parts``. With a budget, all is over ``budget_s`` after ``begun`` (CLOCK_MONOTONIC).

    The time is dealt out evenly to what there is to measure; what an early stop saves goes to the parts that follow. At the
    end of the budget whatever still runs is cancelled and keeps the samples that it has.
    """
    timer = None
    if budget_s is not None:
        timer = threading.Timer(
            max(0.0, begun + budget_s - _RESERVE_S - time.monotonic()), context.cancelled.set
        )
        timer.daemon = True
        timer.start()
    try:
        facts = inventory.collect(only_disks=context.only_disks)
        tasks = [_TASKS[part] for part in parts]
        counts = [_count(task, context) for task in tasks]
        if budget_s is not None and budget_s / max(1, sum(counts)) < _ONE_SIZE_BELOW_S:
            tasks = [_one_size(task) for task in tasks]
            counts = [_count(task, context) for task in tasks]
        found: list[Measurement] = []
        for index, task in enumerate(tasks):
            runtime_s = _LONGEST_S
            if budget_s is not None:
                left_s = begun + budget_s - _RESERVE_S - time.monotonic()
                share_s = left_s / max(1, sum(counts[index:])) - _OVERHEAD_S
                runtime_s = min(max(share_s, _SHORTEST_S), _LONGEST_S)
            whole = replace(
                context, progress=_part_of(context, sum(counts[:index]), counts[index], sum(counts))
            )
            limits = BenchLimits(runtime_s=runtime_s)
            found += bench.run_task(msgspec.structs.replace(task, limits=limits), whole)
        return Answer(inventory=facts, measurements=found)
    finally:
        if timer is not None:
            timer.cancel()


def _one_size(task: Task) -> Task:
    return msgspec.structs.replace(task, block_sizes=("1M",)) if isinstance(task, MemoryTask) else task


def _count(task: Task, context: TaskContext) -> int:
    if isinstance(task, CpuTask):
        return cpu.count(task)
    if isinstance(task, MemoryTask):
        return memory.count(task)
    return disk.count(task, context)


class _part_of:
    """Progress of one task as a part of the whole."""

    def __init__(self, context: TaskContext, before: int, mine: int, total: int):
        self._context = context
        self._before, self._mine, self._total = before, mine, max(1, total)

    def __call__(self, fraction: float, note: str) -> None:
        self._context.progress((self._before + fraction * self._mine) / self._total, note)
