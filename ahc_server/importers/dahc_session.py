"""A run of DAHC into the store: steps, tasks and results as our own sessions have them.

Times are those of the run, so that the same files give the same session whenever they are imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ahc_agent.errors import UsageError
from ahc_agent.wire.messages import Hello, TaskOutcome
from ahc_server import __version__
from ahc_server.importers.dahc import Machine, Run, Step
from ahc_server.importers.session import session_uid
from ahc_server.store import Store
from ahc_server.store.kept import keep
from ahc_server.store.records import (
    ParticipantState,
    Record,
    ResultKept,
    SessionChanged,
    StepEnded,
    StepStarted,
    TaskRow,
)


def write_run(store: Store, session: str, run: Run) -> None:
    """The run as a session, in one transaction. Raises UsageError where the name is taken."""
    uid = session_uid(session)
    begun_s = min(step.started_s for step in run.steps)
    ended_s = max(step.ended_s for step in run.steps)
    with store.transaction():
        if store.has_session(session):
            raise UsageError(f"there is a session {session!r} already (choose another name)")
        number = store.create_session(
            session,
            uid,
            run.plan_name,
            run.plan or f"# no plan stood beside the results of {1 + len(run.steps)} steps\n",
            [(machine, _hello(each)) for machine, each in run.machines.items()],
            begun_s,
            "done",
        )
        store.apply(number, [ParticipantState(m, each.lost) for m, each in run.machines.items() if each.lost])
        store.apply(number, list(_inventories(run, uid, begun_s)))
        for place, step in enumerate(run.steps, 1):
            store.apply(number, list(_step(step, place, uid)))
        store.apply(number, [SessionChanged("done", ended_s)])


def _hello(each: Machine) -> Hello:
    return Hello(identity=each.identity, instance="import", agent_version=f"import {__version__}")


def _inventories(run: Run, uid: str, at_s: float) -> Iterator[Record]:
    there = {machine: each for machine, each in run.machines.items() if each.lost is None}
    yield StepStarted(0, "inventory", "inventory", len(there), tuple(there), at_s)
    for number, (machine, each) in enumerate(there.items()):
        outcome = TaskOutcome(
            status="ok", started_at_unix_s=at_s, inventory=each.inventory, measurements=each.held
        )
        yield from _done(f"{uid}-0-{number}", 0, machine, outcome, at_s)
    yield StepEnded(0, at_s, None)


def _step(step: Step, place: int, uid: str) -> Iterator[Record]:
    machines = tuple(each.machine for each in step.taken)
    yield StepStarted(place, step.job, step.component, step.hosts, machines, step.started_s)
    for number, each in enumerate(step.taken):
        task = f"{uid}-{place}-{number}"
        if each.outcome.status == "ok":
            yield from _done(task, place, each.machine, each.outcome, step.ended_s)
        else:
            yield TaskRow(task, place, 0, each.machine, task, "solo", 1, "failed", each.outcome.error)
    yield StepEnded(place, step.ended_s, step.jitter_s)


def _done(task: str, place: int, machine: str, outcome: TaskOutcome, at_s: float) -> Sequence[Record]:
    return (
        TaskRow(task, place, 0, machine, task, "solo", 1, "done"),
        ResultKept(task, keep(outcome), at_s),
    )
