"""Judged in doubt: whom to measure again, beside which healthy peers, and what.

A repeat is small: the suspects of a component and as many of their healthy peers, the *controls*. What the controls measure twice
shows how much a healthy node differs from itself, and whether anything changed between the two runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.model import Finding, Report
from ahc_server.pairing import spread
from ahc_server.session import Session, StepRecord

#: Which jobs measure what a finding is about: the plan's word for each of the report's.
JOBS_OF = {"cpu": "cpu", "memory": "memory", "numa": "memory", "disk": "storage", "network": "network"}
#: One control of two may have a glitch of its own; of three, the middle one has not.
_CONTROLS = 3
#: Fewer prove nothing: which of two that disagree is right?
LEAST_CONTROLS = 2
#: Where more of a group are suspect, those that are not are no sample of what is healthy: all are measured again.
MOST_SUSPECT = 1 / 3


@dataclass(frozen=True, slots=True)
class Trial:
    """One group's suspects of one kind of job, by node id, and their controls. ``everybody``: the whole group that is there."""

    group: str
    measures: str
    suspects: tuple[str, ...]
    controls: tuple[str, ...]
    everybody: bool = False


@dataclass(frozen=True, slots=True)
class RepeatStep:
    """A step of the plan to run again: on these machines, of which those ``apart`` (suspects) do not meet each other in pairs."""

    step: int
    machines: tuple[str, ...]
    apart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """``left_out``: sentences about suspects that cannot be measured again. ``suspects``: whether there are any at all."""

    trials: list[Trial]
    steps: list[RepeatStep]
    left_out: list[str]
    suspects: bool


def is_suspicion(finding: Finding) -> bool:
    """Whether a finding about one node was estimated from measurements, so that measuring again can settle it."""
    if not finding.element.startswith("node:") or finding.component not in JOBS_OF:
        return False
    if not any(each.value is not None and each.expected for each in finding.metrics):
        return False
    if finding.kind == "not-measured":
        return finding.effect is not None
    return finding.kind in ("slow", "unstable") and finding.severity != "info"


def choose(report: Report, session: Session, present: Collection[str]) -> Choice:
    """Whom to measure again, and what. ``present``: the machines whose agents are there.

    A pure function of the three: the same data and the same agents give the same choice.
    """
    machine_of = {record.node: record.machine for record in session.nodes}
    host_of = {record.node: record.identity.physical_host or record.machine for record in session.nodes}
    here = {node for node, machine in machine_of.items() if machine in present}
    accused = _accused(report.findings)
    suspected: dict[tuple[str, str], set[str]] = defaultdict(set)
    group_of = {node.id: node.group for node in report.nodes}
    for finding in filter(is_suspicion, report.findings):
        group = group_of.get(finding.nodes[0])
        if group is not None:
            suspected[group, JOBS_OF[finding.component]].add(finding.nodes[0])
    choice = Choice([], [], [], bool(suspected))
    members = {group.id: group.nodes for group in report.groups}
    healthy = {node.id for node in report.nodes if node.verdict == "pass"}
    measured = {step.component for step in session.steps}
    for (group, measures), nodes in sorted(suspected.items()):
        if measures not in measured:
            choice.left_out.append(f"{_names(nodes)}: no job of this session measures {measures}")
            continue
        suspects = sorted(nodes & here, key=natural_order)
        if nodes - here:
            choice.left_out.append(f"{_names(nodes - here)}: not there to be measured again ({measures})")
        if not suspects:
            continue
        innocent = [node for node in members[group] if node in here and (node, measures) not in accused]
        everybody = len(nodes) > MOST_SUSPECT * len(members[group])
        wanted = len(innocent) if everybody else max(len(suspects), _CONTROLS)
        controls = _controls(innocent, healthy, {host_of[node] for node in suspects}, host_of)[:wanted]
        if len(controls) < LEAST_CONTROLS:
            choice.left_out.append(
                f"{_names(suspects)}: fewer than {LEAST_CONTROLS} healthy peers are there to measure beside ({measures})"
            )
            continue
        choice.trials.append(Trial(group, measures, tuple(suspects), tuple(controls), everybody))
    choice.steps.extend(_steps(choice.trials, session.steps, machine_of))
    return choice


def _accused(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    """(node, kind of job) of which anything is wrong or unknown: no control for that."""
    return {
        (node, JOBS_OF.get(finding.component, ""))
        for finding in findings
        if finding.element.startswith("node:")
        and (finding.severity != "info" or finding.kind in ("not-measured", "unstable"))
        for node in finding.nodes
    }


def _controls(
    innocent: list[str], healthy: set[str], suspect_hosts: set[str], host_of: dict[str, str]
) -> list[str]:
    """Best first: nothing at all wrong with them, on other physical hosts than the suspects, spread over those hosts."""
    innocent = sorted(innocent, key=natural_order)
    ranks: dict[tuple[bool, bool], list[str]] = defaultdict(list)
    for node in innocent:
        ranks[node not in healthy, host_of[node] in suspect_hosts].append(node)
    return [node for rank in sorted(ranks) for node in spread(ranks[rank], host_of.__getitem__)]


def _steps(
    trials: list[Trial], steps: Iterable[StepRecord], machine_of: dict[str, str]
) -> Iterator[RepeatStep]:
    """The steps of the plan that measured what is doubted; of a job that ran on ever more nodes the last."""
    last: dict[str, StepRecord] = {}
    for step in steps:
        if step.repeat == 0 and (step.job not in last or step.hosts >= last[step.job].hosts):
            last[step.job] = step
    for step in sorted(last.values(), key=lambda each: each.step):
        own = [trial for trial in trials if trial.measures == step.component]
        suspects = [machine_of[node] for trial in own for node in trial.suspects]
        controls = [machine_of[node] for trial in own for node in trial.controls]
        if suspects:
            # Controls first: where one node runs after the other, the suspects do not always have the cold start.
            yield RepeatStep(step.step, tuple(dict.fromkeys([*controls, *suspects])), tuple(suspects))


def _names(nodes: Iterable[str]) -> str:
    return wording.listed(sorted(nodes, key=natural_order))
