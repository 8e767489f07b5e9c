"""From deviations to suspects: which piece of which node is slow, fast or beyond telling."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from ahc_server.judge.features import Cells, Matrix, Metric
from ahc_server.judge.outliers import (
    Bools,
    Deviations,
    Floats,
    Ints,
    MetricRules,
    deviations,
    false_discovery_rates,
    simes,
)
from ahc_server.judge.scores import Score
from ahc_server.judge.thresholds import Limits, Thresholds

#: "Faster than the peers" is news only when it is much clearer than a fault has to be.
_FAST_ALPHA_FACTOR = 0.1


@dataclass(frozen=True, slots=True)
class Subject:
    """A piece of hardware: a component and part ("disk", "sdb"), and which columns of its group's
    matrix speak of it."""

    component: str
    part: str
    columns: Ints


@dataclass(frozen=True, slots=True)
class GroupTest:
    """One group, tested. ``q_slow``, ``q_fast`` (n, subjects); ``slow``, ``fast``, ``cannot_tell`` (n, subjects) are
    the answers."""

    matrix: Matrix
    metrics: list[Metric]
    limits: list[Limits]
    subjects: list[Subject]
    found: Deviations
    q_slow: Floats
    q_fast: Floats
    slow: Bools
    fast: Bools
    cannot_tell: Bools
    scores: list[Score] = field(default_factory=list)


def examine(cells: Cells, matrices: list[Matrix], thresholds: Thresholds) -> list[GroupTest]:
    """Test every group; false discoveries are controlled over all groups together."""
    prepared = [_prepare(cells, matrix, thresholds) for matrix in matrices]
    q_slow = _rates([_join(found.p_slow, subjects, limits) for _, limits, subjects, found in prepared])
    q_naive = _rates(
        [_join(found.p_slow_undoubted, subjects, limits) for _, limits, subjects, found in prepared]
    )
    q_fast = _rates([_join(found.p_fast, subjects, limits) for _, limits, subjects, found in prepared])
    tests = []
    for number, (metrics, limits, subjects, found) in enumerate(prepared):
        slow = q_slow[number] <= thresholds.alpha
        tests.append(
            GroupTest(
                matrix=matrices[number],
                metrics=metrics,
                limits=limits,
                subjects=subjects,
                found=found,
                q_slow=q_slow[number],
                q_fast=q_fast[number],
                slow=slow,
                fast=~slow & (q_fast[number] <= _FAST_ALPHA_FACTOR * thresholds.alpha),
                cannot_tell=~slow & (q_naive[number] <= thresholds.alpha),
            )
        )
    return tests


def _prepare(
    cells: Cells, matrix: Matrix, thresholds: Thresholds
) -> tuple[list[Metric], list[Limits], list[Subject], Deviations]:
    metrics = [cells.metrics[column] for column in matrix.columns]
    limits = [thresholds.of(metric.component, metric.quantity) for metric in metrics]
    by_subject: dict[tuple[str, str], list[int]] = {}
    families: dict[tuple[str, str, str, str, int], int] = {}
    family = np.zeros(len(metrics), dtype=np.int64)
    for column, metric in enumerate(metrics):
        by_subject.setdefault((metric.component, metric.part), []).append(column)
        # All cores are alike, and so are all disks, whatever they are called.
        part = "" if metric.component == "disk" else re.sub(r"\d+", "", metric.part)
        alike = (metric.component, part, metric.quantity, metric.job, metric.hosts)
        family[column] = families.setdefault(alike, len(families))
    rules = MetricRules(
        sign=np.array([1.0 if metric.higher_is_better else -1.0 for metric in metrics]),
        family=family,
        floor=np.array([each.floor for each in limits]),
        floor_absolute=np.array([each.floor_absolute for each in limits]),
        noise=np.array([each.noise for each in limits]),
    )
    found = deviations(
        matrix.value,
        matrix.half_width,
        matrix.within,
        matrix.doubt,
        rules,
        least_peers=thresholds.least_peers,
    )
    subjects = [
        Subject(component, part, np.array(columns, dtype=np.int64))
        for (component, part), columns in by_subject.items()
    ]
    return metrics, limits, subjects, found


def _join(p: Floats, subjects: list[Subject], limits: list[Limits]) -> Floats:
    """One p value per node and subject, from those of its metrics that may accuse."""
    joined = np.full((p.shape[0], len(subjects)), np.nan)
    may = np.array([each.accuses for each in limits], dtype=bool)
    for number, subject in enumerate(subjects):
        accusing = subject.columns[may[subject.columns]]
        if len(accusing):
            joined[:, number] = simes(p[:, accusing])
    return joined


def _rates(p: list[Floats]) -> list[Floats]:
    """False-discovery rates over all groups at once, cut back into groups."""
    if not p:
        return []
    q = false_discovery_rates(np.concatenate([each.ravel() for each in p]))
    ends = np.cumsum([each.size for each in p])[:-1]
    return [part.reshape(each.shape) for part, each in zip(np.split(q, ends), p, strict=True)]
