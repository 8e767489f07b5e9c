"""What is said of a ramp-up: where its sum stops growing, how its times change, and in which steps machines are missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.judge.rampup.growth import LEAST_STEPS, Bend
from ahc_server.judge.rampup_model import RampStep
from ahc_server.session import Session, StepRecord

_MOST_NAMES = 4


def growth(metric: Metric, found: Bend, known: Sequence[RampStep]) -> str:
    """One sentence about the sums of ``known`` steps, at least one."""
    last, most = known[-1], max(known, key=lambda step: step.sum or 0.0)

    def quantity(value: float | None) -> str:
        return wording.quantity(metric, value or 0.0)

    if found.kind == "unknown":
        counts = len({step.delivered for step in known})
        if counts < LEAST_STEPS:
            return f"cannot tell where the sum stops growing: of the {LEAST_STEPS} steps that it takes {counts} are there"
        return "cannot tell where the sum stops growing: it strays too much from step to step"
    if found.at is None or found.after is None:
        each = quantity(found.before)
        return f"the sum grows up to the last step: {quantity(last.sum)} at {last.hosts}, {each} a node"
    around = f"about {found.at:.0f} nodes"
    if found.low is not None and found.high is not None and round(found.low) < round(found.high):
        around += f" ({found.low:.0f} to {found.high:.0f})"
    start = f"the sum grows by {quantity(found.before)} a node up to {around}, and then"
    if found.kind == "stops":
        return f"{start} no more: {quantity(most.sum)} at most"
    if found.kind == "falls":
        less = wording.plain_percent((last.sum or 0.0) / (most.sum or 1.0) - 1)
        return f"{start} falls: {quantity(most.sum)} at {most.hosts}, {quantity(last.sum)} at {last.hosts} ({less} less)"
    slower = wording.plain_percent(found.after / (found.before or 1.0))
    return f"{start} at {slower} of that: {quantity(last.sum)} at {last.hosts}"


def times(metric: Metric, steps: Sequence[RampStep]) -> str:
    """One sentence about times, which do not add up."""
    known = [(step.hosts, step.mean) for step in steps if step.mean]
    if len(known) < 2:
        return "nothing to compare"
    (few, first), (many, last) = known[0], known[-1]
    return (
        f"the mean goes from {wording.quantity(metric, first)} on {few} nodes to {wording.quantity(metric, last)} on {many} "
        f"({last / first:.1f} times)"
    )


def missing(session: Session, steps: Sequence[StepRecord], node_of: Mapping[str, str]) -> list[str]:
    """Steps in which machines delivered nothing, once for each job and reason."""
    ramped = {step.step for step in steps}
    seen: dict[int, set[str]] = defaultdict(set)
    failed: dict[tuple[str, str], set[tuple[int, str]]] = defaultdict(set)
    for each in session.outcomes:
        if each.step not in ramped:
            continue
        seen[each.step].add(each.machine)
        if each.outcome.status != "ok":
            reason = each.outcome.error or f"the task ended as {each.outcome.status}"
            failed[each.job, reason].add((each.hosts, node_of.get(each.machine, each.machine)))
    notes = []
    for (job, reason), of in sorted(failed.items()):
        told = [f"{node} (of {hosts} at once)" for hosts, node in sorted(of)]
        notes.append(f"ramp-up {job}: no result of {wording.listed(told, most=_MOST_NAMES)}: {reason}")
    for step in steps:
        here = len(seen[step.step])
        if here < step.hosts:
            text = f"ramp-up {step.job}: of {step.hosts} nodes at once {here} left a result"
            notes.append(f"{text}; which are missing is not known")
    return notes
