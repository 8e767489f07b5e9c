"""From a session to the values of each ramp-up: of each step, what each machine did, and what all did together.

A job that ran at several numbers of machines is one. Only what one run measured is looked at: repeats are another matter.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np

from ahc_server.judge.arrays import Floats
from ahc_server.judge.features import Metric
from ahc_server.judge.network import pair_runs
from ahc_server.judge.readings import readings
from ahc_server.judge.trust import numbers_of
from ahc_server.session import OutcomeRecord, Session, StepRecord

#: A flow of several that a machine drives at once: the machine's value is their sum.
_FLOW = re.compile(r"^flow_")
#: Of two rates of one run of a disk, the one to tell: bytes of large blocks, operations of small ones.
_TWINS = re.compile(r"^(?P<run>(?P<random>rand)?\w+)_(?P<rate>bytes_per_s|iops)$")
_FAR_TAIL = re.compile(r"_(p9\d*|max)_us$")


@dataclass(slots=True)
class StepValues:
    """One step of one series. ``value``: machine → value; ``at_once``: of how many machines the sum is the sum at any time, where
    not all act at once (pairs, of which one end sends)."""

    record: StepRecord
    value: dict[str, float] = field(default_factory=dict)
    at_once: float | None = None

    @property
    def values(self) -> Floats:
        return np.array([self.value[machine] for machine in sorted(self.value)])


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one job, its steps in ascending order of hosts. ``metric.part`` is "all" or the kind of the parts."""

    metric: Metric
    steps: list[StepValues]

    @property
    def adds_up(self) -> bool:
        return self.metric.higher_is_better


def series_of(session: Session) -> list[Series]:
    """All series of a session, in the order of its jobs and of their metrics' names."""
    ramped = _ramped(session.steps)
    outcomes: dict[int, list[OutcomeRecord]] = defaultdict(list)
    for outcome in session.outcomes:
        if outcome.job in ramped:
            outcomes[outcome.step].append(outcome)
    found: list[Series] = []
    for steps in ramped.values():
        by_metric: dict[Metric, list[StepValues]] = {}
        for record in steps:
            here = outcomes.get(record.step, [])
            is_pairs = any(each.outcome.pair is not None for each in here)
            taken = _pairs(session, record, here) if is_pairs else _alone(record, here)
            for metric, values in taken.items():
                by_metric.setdefault(metric, []).append(values)
        told = _told(by_metric)
        found += [Series(metric, by_metric[metric]) for metric in sorted(told, key=lambda each: each.name)]
    return [each for each in found if len(each.steps) > 1]


def _ramped(steps: Iterable[StepRecord]) -> dict[str, list[StepRecord]]:
    """Jobs that ran at several numbers of machines, in their order, and their steps."""
    by_job: dict[str, dict[int, StepRecord]] = {}
    for step in steps:
        if step.repeat == 0 and step.component != "inventory":
            by_job.setdefault(step.job, {})[step.hosts] = step
    return {job: [of[hosts] for hosts in sorted(of)] for job, of in by_job.items() if len(of) > 1}


def _told(metrics: Iterable[Metric]) -> list[Metric]:
    """Without what is no evidence, far tails, and the second rate of one run."""
    listed = list(metrics)
    kinds = {metric: reading.kind for metric, reading in zip(listed, readings(listed), strict=True)}
    names = {metric.name for metric in listed}
    told = []
    for metric in listed:
        twin = _TWINS.match(metric.quantity) if metric.component == "disk" else None
        if twin is not None:
            better = "iops" if twin["random"] else "bytes_per_s"
            if twin["rate"] != better and f"disk.{metric.part}.{twin['run']}_{better}" in names:
                continue
        if kinds[metric] != "silent" and not _FAR_TAIL.search(metric.quantity):
            told.append(metric)
    return told


def _alone(record: StepRecord, outcomes: Iterable[OutcomeRecord]) -> dict[Metric, StepValues]:
    """Of tasks of single machines. A quantity that was measured of all parts together is told by that, else by their mean."""
    parts: dict[Metric, dict[str, list[float]]] = {}
    whole: set[tuple[str, str]] = set()
    taken = []
    for outcome in outcomes:
        columns = outcome.columns
        values, counts = numbers_of(columns, "value"), numbers_of(columns, "samples")
        if values is None or outcome.outcome.status != "ok":
            continue
        for place, name in enumerate(columns.names):
            value = float(values[place])
            if not np.isfinite(value) or value < 0:
                continue
            if _FLOW.match(name.quantity) and counts is not None and counts[place] > 1:
                value *= float(counts[place])
            if name.part in ("all", "tx"):
                whole.add((name.component, name.quantity))
            taken.append((outcome.machine, name, value))
    for machine, name, value in taken:
        is_whole = name.part in ("all", "tx")
        if is_whole or (name.component, name.quantity) not in whole:
            part = name.part if is_whole else _kind_of(name.part)
            metric = Metric(
                name.component, part, name.quantity, name.unit, name.higher_is_better, record.job, 0
            )
            parts.setdefault(metric, {}).setdefault(machine, []).append(value)
    return {
        metric: StepValues(record, {machine: fmean(of) for machine, of in by_machine.items()})
        for metric, by_machine in parts.items()
    }


def _kind_of(part: str) -> str:
    """Parts of one kind are told together: "core", "node"; a disk by its own name, which most machines share."""
    return re.sub(r"^(core|socket|node)\d+$", r"\1", part)


def _pairs(session: Session, record: StepRecord, outcomes: list[OutcomeRecord]) -> dict[Metric, StepValues]:
    """Of tasks of pairs: what each machine sends, and its round trips. One end of a pair sends at a time."""
    machines = sorted({each.machine for each in outcomes})
    rows = {machine: row for row, machine in enumerate(machines)}
    here = Session(session.name, "", session.state, session.created_at_s, outcomes=outcomes)
    runs = pair_runs(here, rows)
    if not runs:
        return {}
    [run] = runs
    pairs = Counter(
        each.wave
        for each in outcomes
        if each.outcome.pair is not None and each.outcome.pair.role == "connect"
    )
    found = {}
    sent = _by(run.source.tolist(), run.bytes_per_s.tolist(), machines)
    if sent:
        metric = Metric("network", "tx", "bytes_per_s", "bytes/s", True, record.job, 0)
        found[metric] = StepValues(record, sent, at_once=median(pairs.values()) if pairs else None)
    for protocol, (one, other, times) in run.round_trips.items():
        ends = [*one.tolist(), *other.tolist()]
        metric = Metric("network", "rtt", f"{protocol}_p50_us", "us", False, record.job, 0)
        found[metric] = StepValues(record, _by(ends, [*times.tolist(), *times.tolist()], machines))
    return found


def _by(rows: list[int], values: list[float], machines: list[str]) -> dict[str, float]:
    """Machine → mean of its values."""
    listed: Mapping[int, list[float]] = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        listed[row].append(value)
    return {machines[row]: fmean(of) for row, of in listed.items()}
