"""Sessions with a second run: the plan's outcomes of one fleet, and those of the same nodes measured again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ahc_server.judge import judge_session
from ahc_server.judge.model import Finding, Report
from ahc_server.session import OutcomeRecord, Session, StepRecord
from tests.judge_helpers import Fleet

STEPS = {"cpu": 1, "memory": 2, "disk": 3, "network": 4}
#: What plans call what the helper's fleets measure.
COMPONENTS = {"disk": "storage"}


def planned(fleet: Fleet) -> Session:
    """A fleet's session as a plan's: with its steps, and the plan's names of the components."""
    session = fleet.session()
    outcomes = [
        replace(each, component=COMPONENTS.get(each.component, each.component), step=STEPS[each.job])
        for each in session.outcomes
    ]
    steps = [
        StepRecord(STEPS[job], job, COMPONENTS.get(job, job), len(fleet.names), "done")
        for job in dict.fromkeys(each.job for each in session.outcomes)
    ]
    return replace(session, outcomes=outcomes, steps=sorted(steps, key=lambda step: step.step))


def again(
    session: Session, second: Fleet, job: str, nodes: Collection[str], *, failed: Collection[str] = ()
) -> Session:
    """The session with one job measured again on some nodes; ``failed``: those of which no result came."""
    repeat = 1 + max(step.repeat for step in session.steps)
    number = 1 + max(step.step for step in session.steps)
    component = COMPONENTS.get(job, job)
    taken: list[OutcomeRecord] = []
    for each in second.session().outcomes:
        pair = each.outcome.pair
        ends = {each.machine} | ({pair.peer} if pair is not None else set())
        if each.job != job or not ends <= set(nodes):
            continue
        outcome = each.outcome
        if each.machine in failed:
            outcome = type(outcome)(status="failed", error="the agent was started anew")
        taken.append(
            OutcomeRecord(
                f"again{repeat}-{each.task_id}", each.machine, job, component, number, len(nodes), outcome
            )
        )
    step = StepRecord(number, job, component, len(nodes), "done", repeat=repeat, of_step=STEPS[job])
    return replace(session, outcomes=[*session.outcomes, *taken], steps=[*session.steps, step])


def judged(session: Session) -> Report:
    return judge_session(session, generated_at="2024-05-01T10:30:00Z")


def about(report: Report, node: str) -> list[Finding]:
    return [each for each in report.findings if each.element == f"node:{node}"]
