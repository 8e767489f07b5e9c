"""Whole sessions and their verdicts for the gate's tests, and what can become of them on the way."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from ahc_agent.wire.messages import TaskOutcome
from ahc_server.gate.checks import Data
from ahc_server.gate.decide import decide
from ahc_server.gate.model import Gate
from ahc_server.gate.policy import Policy, parse_policy
from ahc_server.judge import judge_session
from ahc_server.judge.model import Counts, Finding, NodeVerdict, Report, Verdict
from ahc_server.session import OutcomeRecord, Session, StepRecord
from tests.judge_helpers import Fleet

#: When the sessions ran, and a moment soon after.
BEGUN_S = 1_714_557_000.0
ENDED_S = BEGUN_S + 600.0
NOW_S = ENDED_S + 3600.0
DAY_S = 86_400.0


def whole(fleet: Fleet) -> Session:
    """The fleet's session with the books that a server keeps, and the inventories that it begins with."""
    session = fleet.session()
    inventories = [
        OutcomeRecord(
            f"inventory-{node.machine}",
            node.machine,
            "inventory",
            "inventory",
            0,
            len(session.nodes),
            TaskOutcome(status="ok", started_at_unix_s=BEGUN_S, inventory=node.inventory),
        )
        for node in session.nodes
    ]
    session = replace(session, outcomes=[*inventories, *session.outcomes])
    jobs = {each.step: (each.job, each.hosts) for each in session.outcomes}
    steps = [
        StepRecord(step, job, job, hosts, "done", started_at_s=BEGUN_S + step, ended_at_s=ENDED_S)
        for step, (job, hosts) in sorted(jobs.items())
    ]
    return replace(session, plan=plan_of(steps), created_at_s=BEGUN_S, steps=steps)


def plan_of(steps: list[StepRecord]) -> str:
    """A plan that has these steps and no others: a job for each, of a component that there is."""
    names = {"disk": "storage"}
    jobs = [f"{step.job}: {{component: {names.get(step.component, step.component)}}}" for step in steps]
    return f"jobs: {{{', '.join(jobs)}}}"


def judged(session: Session) -> Data:
    return Data(session, judge_session(session, generated_at="2024-05-01T10:30:00Z"))


def passed(session: Session, findings: list[Finding] | None = None, **verdicts: Verdict) -> Data:
    """A report by hand: all nodes pass but those named."""
    nodes = [
        NodeVerdict(id=node.node, group="g1", verdict=verdicts.get(node.node, "pass"))
        for node in session.nodes
    ]
    counts = Counts(nodes=len(nodes), passed=len(nodes), warn=0, fail=0, unknown=0)
    report = Report(
        session=session.name,
        generated_at="2024-05-01T10:30:00Z",
        nodes=nodes,
        groups=[],
        findings=findings or [],
        counts=counts,
    )
    return Data(session, report)


def finding(node: str, **more: object) -> Finding:
    fields = {"component": "disk", "kind": "slow", "severity": "fail", "summary": f"{node}: disk sda −40 %"}
    return Finding(**({"element": f"node:{node}", "nodes": [node]} | fields | more))  # type: ignore[arg-type]


def ask(data: Data, policy: str | Policy = "close-on: fail", **more: object) -> Gate:
    read = parse_policy(policy) if isinstance(policy, str) else policy
    return decide(read, data, **({"now_s": NOW_S} | more))  # type: ignore[arg-type]


def said(gate: Gate) -> set[tuple[str, str, str]]:
    return {(reason.check, reason.state, reason.element) for reason in gate.reasons}


def with_report(data: Data, **changes: object) -> Data:
    return replace(data, report=msgspec.structs.replace(data.report, **changes))
