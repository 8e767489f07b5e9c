"""Local benchmarks: CPU, memory and disks of this machine, each bounded by time, with samples and conditions.

To add one: write ``bench/<part>.py`` with ``measure(task, context) -> list[Measurement]`` built on ``sampling.sample`` and
``series.Metric``, add a task to ``wire/work.py``, and a row here.
"""

from __future__ import annotations

import importlib

from ahc_agent.measure import Measurement
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import CpuTask, DiskTask, MemoryTask

_MODULES: dict[type, str] = {
    CpuTask: "ahc_agent.bench.cpu",
    MemoryTask: "ahc_agent.bench.memory",
    DiskTask: "ahc_agent.bench.disk",
}


def run_task(task: CpuTask | MemoryTask | DiskTask, context: TaskContext) -> list[Measurement]:
    """Measure what the task asks. What cannot be measured is in the list too, without a value and with the reason.

    Cancelled, it ends within a second and returns what it has.
    """
    module = importlib.import_module(_MODULES[type(task)])
    found: list[Measurement] = module.measure(task, context)
    return found
