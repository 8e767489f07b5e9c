"""A step under way, put together again from its task rows after the server was killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ahc_server.conductor.flight import Flight, Group, Role, StepRun
from ahc_server.conductor.model import Node
from ahc_server.conductor.prepare import assign
from ahc_server.store.records import OPEN_STATES, TaskRow


def restore_tasks(
    run: StepRun,
    rows: Iterable[TaskRow],
    nodes: Mapping[str, Node],
) -> None:
    """Fill ``run`` from the rows.

    A task of one machine goes on (its agent will tell whether it knows it). A pair that was told to start goes on too; one
    that was not is broken: the ports of its ends died with the server. Deadlines are set by the conductor's first turn.
    """
    by_group: dict[str, list[TaskRow]] = {}
    for row in rows:
        by_group.setdefault(row.unit, []).append(row)
    for group_id, own in by_group.items():
        own.sort(key=lambda row: row.role)  # connect before listen, as in a unit
        group = Group(
            group_id,
            tuple(row.machine for row in own),
            own[0].wave,
            own[0].attempt,
            going=any(row.state == "going" for row in own),
            restored=True,
        )
        group.broken = group.is_pair and (not group.going or any(row.state not in OPEN_STATES for row in own))
        if group.attempt == 1 and any(row.state == "lost" for row in own):
            run.lost[group.unit] = group
        _add_flights(run, group, own, nodes)
        if not group.flights and own[0].state != "again":
            run.done += 1


def _add_flights(
    run: StepRun,
    group: Group,
    rows: Iterable[TaskRow],
    nodes: Mapping[str, Node],
) -> None:
    for row in rows:
        if row.state in OPEN_STATES:
            node = nodes[row.machine]
            role: Role = row.role
            told = assign(row.task_id, run.step.job.task, node)
            run.add(Flight(row.task_id, row.machine, role, group, told, 0.0, node.hello.instance))
