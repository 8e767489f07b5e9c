"""From a YAML plan to what one machine does without a server: ``ahc.tasks/1`` (see ``ahc_agent.wire.tasks``).

What needs more than this one machine is left out, and said. Times are dealt out as a server would, for a large machine: it is
not known yet which one will read this.
"""

from __future__ import annotations

from pathlib import Path

from ahc_agent.wire.messages import PairTask
from ahc_agent.wire.tasks import PlannedTask, TaskList, write_tasks
from ahc_server.conductor.expand import steps_of
from ahc_server.conductor.limits import time_limit_s
from ahc_server.conductor.model import Parts
from ahc_server.plan import find_plan, read_plan
from ahc_server.plan.model import Job, Plan
from ahc_server.plan.parser import writes

#: A machine takes no sentence of more than 4,096 characters.
_HOSTS_SAID = 3


def compile_plan(path: str | Path) -> bytes:
    """``task_list`` as JSON; equal plans give equal bytes."""
    return write_tasks(task_list(path))


def task_list(path: str | Path) -> TaskList:
    """Of a plan: a file, or the name of a shipped one. Raises UsageError, FileFormatError."""
    return tasks_of(read_plan(find_plan(str(path))))


def tasks_of(plan: Plan) -> TaskList:
    """The inventory first, as with a server, then each job once that one machine can do alone."""
    jobs = {step.job.name: step.job for step in steps_of(plan)}
    reasons = {name: _why_not(job) for name, job in jobs.items()}
    return TaskList(
        plan=plan.name,
        tasks=tuple(
            PlannedTask(job=name, time_limit_s=time_limit_s(job.task, Parts()), task=job.task)
            for name, job in jobs.items()
            if reasons[name] is None and not isinstance(job.task, PairTask)
        ),
        left_out=tuple(f"{name}: {reason}" for name, reason in reasons.items() if reason is not None),
    )


def _why_not(job: Job) -> str | None:
    if isinstance(job.task, PairTask):
        return "a pair of machines is needed, and a server that brings them together"
    if writes(job.task):
        return "it writes to disks, which nobody but a server may allow"
    if job.hosts is not None and job.hosts.low > 1:
        return f"{job.hosts.low} machines at once are asked for"
    if job.affinity_hosts:
        more = len(job.affinity_hosts) - _HOSTS_SAID
        named = ", ".join(job.affinity_hosts[:_HOSTS_SAID]) + (f" and {more} others" if more > 0 else "")
        return f"it is meant for {named} only"
    return None
