"""From a session and what the judge says of it to what profiles are asked about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np

from ahc_agent.facts import Inventory
from ahc_agent.order import natural_order
from ahc_server.judge import Judgement
from ahc_server.judge.disks import DiskNames, match_disks
from ahc_server.judge.features import Metric
from ahc_server.judge.suspects import GroupTest
from ahc_server.profiles.subject import Reading, Subject
from ahc_server.session import Session

#: Of fewer values than these no median is told: it would be the node's own.
PEERS_LEAST = 3

_NOTHING = Inventory(collected_at="")


def subjects_of(
    session: Session, judgement: Judgement | None, metrics: Collection[str] = ()
) -> list[Subject]:
    """The session's nodes in the order of their ids. ``metrics``: shell patterns of those that are asked for.

    Without a judgement there are no verdicts, groups, findings and readings.
    """
    records = sorted(session.nodes, key=lambda record: (natural_order(record.node), record.node))
    subjects = [Subject(record.node, record.inventory or _NOTHING) for record in records]
    if judgement is None:
        return subjects
    verdicts = {node.id: node for node in judgement.report.nodes}
    findings = defaultdict(list)
    for finding in judgement.report.findings:
        for node in finding.nodes:
            findings[node].append(finding)
    readings = _readings(judgement, {each.id: each.inventory for each in subjects}, metrics)
    return [
        replace(
            subject,
            verdict=verdicts[subject.id].verdict,
            group=verdicts[subject.id].group,
            findings=tuple(findings[subject.id]),
            readings={name: tuple(runs) for name, runs in readings[subject.id].items()},
        )
        for subject in subjects
    ]


def _readings(
    judgement: Judgement, inventories: dict[str, Inventory], metrics: Collection[str]
) -> defaultdict[str, dict[str, list[Reading]]]:
    """By node, then by the metric's name. Of ramp-ups those with the most hosts at once, where the fleet is at work together."""
    found: defaultdict[str, dict[str, list[Reading]]] = defaultdict(dict)
    if not metrics:
        return found
    names = judgement.nodes
    disks = match_disks([inventories[name] for name in names], [test.matrix.rows for test in judgement.tests])
    fleet: dict[Metric, list[float]] = defaultdict(list)
    wanted = [(test, column) for test in judgement.tests for column in _wanted(test, metrics)]
    for test, column in wanted:
        values = test.matrix.value[:, column]
        fleet[test.metrics[column]] += values[~np.isnan(values)].tolist()
    medians = {metric: _median(np.array(values)) for metric, values in fleet.items()}
    for test, column in wanted:
        metric, values = test.metrics[column], test.matrix.value[:, column]
        group_median = _median(values[~np.isnan(values)])
        for row, value in zip(test.matrix.rows.tolist(), values.tolist(), strict=True):
            if value == value:
                part = _own(disks, row, metric)
                reading = Reading(metric.name, part, metric.job, value, group_median, medians[metric])
                found[names[row]].setdefault(metric.name, []).append(reading)
    return found


def _wanted(test: GroupTest, metrics: Collection[str]) -> list[int]:
    """Columns of the metrics that are asked for: of each job those with the most hosts at once."""
    last: dict[tuple[str, str], int] = {}
    for column, metric in enumerate(test.metrics):
        if any(fnmatchcase(metric.name, each) for each in metrics):
            key = (metric.name, metric.job)
            if key not in last or test.metrics[last[key]].hosts < metric.hosts:
                last[key] = column
    return sorted(last.values())


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) >= PEERS_LEAST else None


def _own(disks: DiskNames, row: int, metric: Metric) -> str:
    return disks.own(row, metric.part) if metric.component == "disk" else metric.part
