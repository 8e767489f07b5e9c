"""One unit made ready: the ids of its tasks and what its machines are told, or why it cannot be measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ahc_agent.wire.messages import AnyTask, Assign
from ahc_server.conductor.expand import data_addresses, pair_tasks
from ahc_server.conductor.flight import Group, StepRun
from ahc_server.conductor.limits import time_limit_s
from ahc_server.conductor.model import Node
from ahc_server.store.records import TaskState

WhyNot = tuple[TaskState, str]


def prepare(
    uid: str, run: StepRun, nodes: Sequence[Node], attempt: int, token: Callable[[], str]
) -> tuple[Group, WhyNot | None, list[Assign]]:
    """A group for these nodes (one, or a pair with its connecting end first), and either why not or the assignments.

    Task ids are the same whenever they are made anew: session, step, wave, places of the nodes, attempt, end.
    """
    job = run.step.job
    places = "-".join(f"{node.position:05d}" for node in nodes)
    group = Group(
        f"{uid}-{run.step.number:03d}-{run.wave:06d}-{places}-{attempt}",
        tuple(node.machine for node in nodes),
        run.wave,
        attempt,
    )
    absent = next((node for node in nodes if node.lost is not None), None)
    if absent is not None:
        return group, ("lost", f"{absent.machine}: {absent.lost}"), []
    if not group.is_pair:
        return group, None, [assign(group.task_ids[0], job.task, nodes[0])]
    addresses = data_addresses(nodes[0].hello, nodes[1].hello, job.networks)
    if addresses is None:
        where = f" in {', '.join(job.networks)}" if job.networks else ""
        ends = " and ".join(group.unit)
        return group, ("failed", f"{ends} have no addresses{where} by which they could reach each other"), []
    tasks = pair_tasks(job.task, group.group_id, group.unit, addresses, token())
    return group, None, [assign(*each) for each in zip(group.task_ids, tasks, nodes, strict=True)]


def assign(task_id: str, task: AnyTask, node: Node) -> Assign:
    """A task for a node, with the time that it may take there."""
    return Assign(task_id=task_id, task=task, time_limit_s=time_limit_s(task, node.parts))
