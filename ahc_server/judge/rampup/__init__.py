"""Ramp-ups: jobs that ran on ever more machines at once, as eDeploy's DAHC did it and plans with ``step-hosts`` do.

::

    series     what each machine did in each step
    growth     where the sum of all stops growing
    behind     hypervisors and machines against those beside them, step by step
    laggards   the same over all jobs, as findings
    told       what is said of it

The answer's types are in ``judge/rampup_model.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.model import Finding
from ahc_server.judge.rampup import told
from ahc_server.judge.rampup.growth import bend
from ahc_server.judge.rampup.laggards import Laggard, finding, laggards
from ahc_server.judge.rampup.series import Series, StepValues, series_of
from ahc_server.judge.rampup_model import Behind, Growth, RampStep, Rampup
from ahc_server.session import NodeRecord, Session

__all__ = ["Ramps", "judge_rampups"]


@dataclass(frozen=True, slots=True)
class Ramps:
    """``notes``: steps in which machines are missing."""

    rampups: list[Rampup]
    findings: list[Finding]
    notes: list[str]


def judge_rampups(
    session: Session,
    records: Sequence[NodeRecord],
    group_of: Mapping[str, str],
    known: Sequence[Finding] = (),
) -> Ramps:
    """All ramp-ups of a session; nothing where it has none. ``group_of``: display id → group; ``known``: what is found already
    and need not be said again."""
    series = series_of(session)
    if not series:
        return Ramps([], [], [])
    node_of = {record.machine: record.node for record in records}
    host_of = _hosts(records)
    behind = laggards(series, host_of)
    timed = {outcome.step for outcome in session.outcomes if outcome.outcome.duration_s > 0}
    rampups = [_rampup(each, behind, node_of, timed) for each in series]
    hosts = len(set(host_of.values()))
    accused = {(each.element, each.component) for each in known if each.severity != "info"}
    found = [finding(each, node_of, group_of, hosts) for each in behind]
    records_of = {step.record.step: step.record for each in series for step in each.steps}
    return Ramps(
        rampups,
        [each for each in found if each.severity == "warn" or (each.element, each.component) not in accused],
        told.missing(session, [records_of[number] for number in sorted(records_of)], node_of),
    )


def _hosts(records: Sequence[NodeRecord]) -> dict[str, str]:
    """Machine → its hypervisor, of machines that share one with others."""
    guests: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.identity.physical_host:
            guests[record.identity.physical_host].append(record.machine)
    return {machine: host for host, of in guests.items() if len(of) > 1 for machine in of}


def _rampup(series: Series, behind: Sequence[Laggard], node_of: Mapping[str, str], timed: set[int]) -> Rampup:
    steps = [_step(step, adds_up=series.adds_up, is_timed=step.record.step in timed) for step in series.steps]
    return Rampup(
        job=series.metric.job,
        component=series.metric.component,
        metric=series.metric.name,
        unit=series.metric.unit,
        higher_is_better=series.metric.higher_is_better,
        steps=steps,
        growth=_growth(series, steps),
        behind=[
            Behind(
                host=laggard.name if laggard.is_host else None,
                nodes=laggard.nodes(node_of),
                effect=rounded(float(np.expm1(suspect.distance)), 4),
                steps=suspect.steps,
                worse=suspect.worse,
                q=significant(laggard.q),
            )
            for laggard in behind
            for seen, suspect in laggard.seen
            if seen is series
        ],
    )


def _step(step: StepValues, *, adds_up: bool, is_timed: bool) -> RampStep:
    values, record = step.values, step.record
    count = len(values)

    def rounded_of(value: float) -> float | None:
        return significant(value, 6) if count else None

    jitter, begun, ended = record.start_jitter_s, record.started_at_s, record.ended_at_s
    duration = ended - begun if is_timed and begun is not None and ended is not None else None
    at_once = count if step.at_once is None else step.at_once
    return RampStep(
        hosts=record.hosts,
        delivered=count,
        mean=rounded_of(float(np.mean(values)) if count else 0.0),
        sum=rounded_of(float(np.mean(values)) * at_once if count else 0.0) if adds_up else None,
        spread=rounded_of(float(np.std(values, ddof=1))) if count > 1 else None,
        low=rounded_of(float(np.min(values)) if count else 0.0),
        high=rounded_of(float(np.max(values)) if count else 0.0),
        start_jitter_s=None if jitter is None else rounded(jitter, 6),
        duration_s=None if duration is None else rounded(duration, 3),
    )


def _growth(series: Series, steps: Sequence[RampStep]) -> Growth:
    if not series.adds_up:
        return Growth(kind="unknown", summary=told.times(series.metric, steps))
    known = [step for step in steps if step.sum]
    if not known:
        return Growth(kind="unknown", summary="nothing was measured")
    # Machines that are missing leave out what they would have added: the sum belongs to those that delivered.
    hosts = np.array([float(step.delivered) for step in known])
    total = np.array([step.sum or 0.0 for step in known])
    error = np.array([(step.spread or 0.0) / (step.mean or 1.0) / step.delivered**0.5 for step in known])
    order = np.argsort(hosts, kind="stable")
    found = bend(hosts[order], total[order], error[order])
    most = max(known, key=lambda step: step.sum or 0.0)
    return Growth(
        kind=found.kind,
        hosts=None if found.at is None else rounded(found.at, 1),
        hosts_low=None if found.low is None else rounded(found.low, 1),
        hosts_high=None if found.high is None else rounded(found.high, 1),
        before=None if found.before is None else significant(found.before),
        after=None if found.after is None else significant(found.after),
        most=most.sum,
        most_hosts=most.hosts,
        summary=told.growth(series.metric, found, known),
    )
