"""CPU: sysbench's prime numbers, on one core of each socket, on each core, on all CPUs.

The cores of a fleet's CPUs should be as equal as their label: one slow core, a throttled socket or a wrong governor shows here.
"""

from __future__ import annotations

from collections.abc import Iterator

from ahc_agent.bench import sysbench, topology
from ahc_agent.bench.conditions import Watch
from ahc_agent.bench.sampling import sample
from ahc_agent.bench.series import Metric
from ahc_agent.bench.work import FixedWork, sample_length_s
from ahc_agent.measure import Measurement
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import CpuTask

#: Work of the first trial on one thread: about 10 ms.
_FIRST_EVENTS = 40


def measure(task: CpuTask, context: TaskContext) -> list[Measurement]:
    """``cpu.socket0.events_per_s``, ``cpu.core3.events_per_s``, ``cpu.all.events_per_s`` as ``task.scopes`` asks."""
    targets = list(_targets(task, topology.read()))
    found = []
    for index, (name, place) in enumerate(targets):
        context.progress(index / len(targets), f"cpu.{name}")
        found.append(_measure(Metric("cpu", name, "events_per_s", "events/s"), place, task, context))
    return found


def count(task: CpuTask) -> int:
    """How many measurements the task will take one after the other."""
    return len(list(_targets(task, topology.read())))


def _targets(task: CpuTask, found: topology.Topology) -> Iterator[tuple[str, sysbench.Place]]:
    for scope in task.scopes:
        if scope == "all":
            threads = min(task.cores or len(found.cpus), len(found.cpus))
            yield "all", sysbench.Place(found.cpus, threads)
        else:
            for part in found.sockets if scope == "socket" else found.cores:
                yield part.name, sysbench.Place(part.cpus[:1], 1)


def _measure(metric: Metric, place: sysbench.Place, task: CpuTask, context: TaskContext) -> Measurement:
    step = FixedWork(
        lambda events, limit_s: sysbench.cpu_work(place, events, limit_s, context.cancelled),
        _FIRST_EVENTS * place.threads,
        sample_length_s(task.limits),
    )
    run = sample(step, lambda rate: (rate,), task.limits, context, Watch(place.cpus))
    return metric.measured(run.samples(float), run)
