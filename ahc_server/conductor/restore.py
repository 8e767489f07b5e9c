"""A step under way, put together again from its task rows after the server was killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ahc_agent.wire.messages import PairOutcome
from ahc_server.conductor.flight import Flight, Group, Role, StepRun
from ahc_server.conductor.model import Node
from ahc_server.conductor.prepare import assign
from ahc_server.store.records import OPEN_STATES, TaskRow
from ahc_server.store.saved import SavedSession


def restore_history(run: StepRun, rows: Iterable[TaskRow], pairs: Mapping[str, PairOutcome]) -> None:
    """What the pairs of the step brought: the rounds that were chosen from it are then found again."""
    by_unit: dict[str, list[TaskRow]] = {}
    for row in sorted(rows, key=lambda row: (row.wave, row.unit, row.role)):  # connect before listen
        if row.role != "solo":
            by_unit.setdefault(row.unit, []).append(row)
    for unit, ends in by_unit.items():
        if len(ends) == 2:
            run.history.begin(unit, ends[0].wave, [row.machine for row in ends])
            for row in ends:
                pair = pairs.get(row.task_id)
                if pair is not None and (pair.connected or row.state not in ("lost", "again")):
                    run.history.hear(unit, row.machine, pair)


def restore_tasks(run: StepRun, saved: SavedSession, nodes: Mapping[str, Node]) -> None:
    """Fill ``run`` from the rows of its tasks.

    A task of one machine goes on (its agent will tell whether it knows it). A pair that was told to start goes on too, also where
    one end has done its part already: an agent that did not hear the Go says Ready again. One that was not told is broken: its
    token died with the server. Deadlines are set by the conductor's first turn.
    """
    by_group: dict[str, list[TaskRow]] = {}
    for row in saved.tasks:
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
        run.begun += group.attempt == 1
        group.broken = group.is_pair and not (group.going and all(_is_well(row, saved.pairs) for row in own))
        for row in own:
            if row.state == "lost":
                group.lose(row.task_id, heard=row.task_id in saved.heard)
                run.give_up(group)
        _add_flights(run, group, own, nodes)
        if not group.flights and own[0].state != "again":
            run.done += 1


def _is_well(row: TaskRow, pairs: Mapping[str, PairOutcome]) -> bool:
    """Whether this end of a pair leaves the other something to do: it is under way, or has met it and is done."""
    if row.state == "done":
        return row.task_id not in pairs or pairs[row.task_id].connected
    return row.state in OPEN_STATES


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
