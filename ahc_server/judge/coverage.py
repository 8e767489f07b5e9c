"""What could not be judged, and why: no gap in the data may look like health."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast, get_args

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.features import Cells
from ahc_server.judge.model import Component, Finding, Severity
from ahc_server.judge.outliers import Bools
from ahc_server.judge.suspects import GroupTest
from ahc_server.judge.thresholds import Thresholds
from ahc_server.session import NodeRecord, Session

_COMPONENTS = set(get_args(Component))
_DISTURBED = "on most of them the hypervisor or other processes took CPU time during the samples"
#: What plans call a component, where the report has another word.
_SUBJECTS = {"storage": "disk", "inventory": "system"}


@dataclass(slots=True)
class Coverage:
    """``unjudged``: rows that must not pass."""

    findings: list[Finding] = field(default_factory=list)
    unjudged: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Nodes by row, and what became of their tasks.

    ``asked``: (job, hosts at once) → rows that had such a task. ``reasons``: (row, job) → why it failed. ``subject_of``: job →
    the component that it measures.
    """

    records: list[NodeRecord]
    asked: dict[tuple[str, int], set[int]]
    reasons: dict[tuple[int, str], str]
    subject_of: dict[str, str]

    @property
    def names(self) -> list[str]:
        return [record.node for record in self.records]


def fleet_of(session: Session, records: list[NodeRecord]) -> Fleet:
    rows = {record.machine: row for row, record in enumerate(records)}
    asked: dict[tuple[str, int], set[int]] = {}
    reasons: dict[tuple[int, str], str] = {}
    subject_of: dict[str, str] = {}
    for each in session.outcomes:
        row = rows.get(each.machine)
        if row is None:
            continue
        asked.setdefault((each.job, each.hosts), set()).add(row)
        subject_of[each.job] = _SUBJECTS.get(each.component, each.component)
        if each.outcome.status != "ok":
            said = each.outcome.error or f"the task ended as {each.outcome.status}"
            reasons.setdefault((row, each.job), said)
    return Fleet(records, asked, reasons, subject_of)


def lost_nodes(fleet: Fleet, session: Session) -> Coverage:
    """Nodes that vanished: never a pass, whatever they measured before."""
    last: dict[str, tuple[int, str]] = {}
    for outcome in session.outcomes:
        if outcome.outcome.status == "ok":
            last[outcome.machine] = max(last.get(outcome.machine, (-1, "")), (outcome.step, outcome.job))
    coverage = Coverage()
    for row, record in enumerate(fleet.records):
        if record.lost is None:
            continue
        step, job = last.get(record.machine, (-1, ""))
        done = f"its last result is of {job} (step {step})" if step >= 0 else "it delivered no result"
        coverage.unjudged.add(row)
        coverage.findings.append(
            _not_measured(
                [record.node],
                "system",
                "warn",
                f"{record.node} vanished ({record.lost}); {done}; check power, console and network",
            )
        )
    return coverage


def gaps(
    test: GroupTest, cells: Cells, fleet: Fleet, group: str, thresholds: Thresholds, excused: set[int]
) -> Coverage:
    """What one group's nodes lack. ``excused``: rows that need no word about missing network tests."""
    coverage = Coverage()
    rows = [int(row) for row in test.matrix.rows]
    names = [fleet.records[row].node for row in rows]
    if len(rows) < thresholds.least_peers:
        text = f"{group}: {wording.nodes_word(len(rows))} of this hardware, too few to tell who is different"
        coverage.unjudged.update(rows)
        coverage.findings.append(
            _not_measured(names, "system", "info", f"{text}; {thresholds.least_peers} are needed", group)
        )
        return coverage
    present = ~np.isnan(test.matrix.value)
    here = np.array([fleet.records[row].lost is None for row in rows])
    asked = _asked(test, fleet, rows) & here[:, None]
    have = np.sum(present & asked, axis=0)
    expected = asked & (2 * have >= np.sum(asked, axis=0)) & (have > 0)
    wanted = np.any(expected, axis=0)
    _too_few(test, coverage, rows, names, group, wanted)
    _spread_out(test, coverage, rows, names, group, wanted, thresholds)
    for place, row in enumerate(rows):
        if here[place]:
            _lacking(test, cells, fleet, coverage, place, expected, row in excused)
    _lacked_by_most(test, cells, fleet, coverage, rows, group, wanted)
    return coverage


def _asked(test: GroupTest, fleet: Fleet, rows: list[int]) -> Bools:
    """Which nodes had a task that could have measured which metric (n, m): in a ramp-up not all have all."""
    asked = np.zeros(test.matrix.value.shape, dtype=bool)
    members: dict[tuple[str, int], Bools] = {}
    for column, metric in enumerate(test.metrics):
        task = (metric.job, metric.hosts)
        if task not in members:
            had = fleet.asked.get(task, set())
            members[task] = np.array([row in had for row in rows])
        asked[:, column] = members[task]
    return asked


def _too_few(
    test: GroupTest,
    coverage: Coverage,
    rows: list[int],
    names: list[str],
    group: str,
    wanted: Bools,
) -> None:
    """Metrics that too few have, or that are zero for most, are not judged: then nobody passes.

    What is judged in another step of a ramp-up, with more nodes, is judged.
    """
    judged = {metric.name for metric, is_it in zip(test.metrics, test.found.judged, strict=True) if is_it}
    unjudged = wanted & np.array([metric.name not in judged for metric in test.metrics], dtype=bool)
    if not np.any(wanted):
        coverage.unjudged.update(rows)
        text = f"{group}: nothing was measured on any of its {wording.nodes_word(len(rows))}"
        coverage.findings.append(_not_measured(names, "system", "info", text, group))
    elif np.any(unjudged):
        coverage.unjudged.update(rows)
        which = _components(test.metrics[column].component for column in np.flatnonzero(unjudged))
        text = f"{group}: too few of its {wording.nodes_word(len(rows))} have values of {wording.listed(which)} to compare"
        coverage.findings.append(_not_measured(names, which[0], "info", text, group))


def _spread_out(
    test: GroupTest,
    coverage: Coverage,
    rows: list[int],
    names: list[str],
    group: str,
    wanted: Bools,
    thresholds: Thresholds,
) -> None:
    """Where peers differ among themselves too much, a sheep among them cannot be seen."""
    rates = np.array([metric.higher_is_better for metric in test.metrics], dtype=bool)
    wide = wanted & test.found.judged & rates & (test.found.spread > thresholds.spread_limit)
    by_component: dict[str, list[int]] = {}
    for column in np.flatnonzero(wide):
        by_component.setdefault(test.metrics[column].component, []).append(int(column))
    for component, columns in by_component.items():
        coverage.unjudged.update(rows)
        worst = max(columns, key=lambda column: (test.found.spread[column], -column))
        metric = test.metrics[worst]
        values = test.matrix.value[:, worst]
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        title = wording.parts(component, [metric.part])
        text = (
            f"{group}: {title}: {wording.what(metric)} anything from {wording.quantity(metric, low, high)} to "
            f"{wording.quantity(metric, high)} on {wording.nodes_word(len(rows))}: who is right cannot be told; check "
            f"whether they were disturbed or are of two kinds, and repeat"
        )
        was_disturbed = float(np.nanmedian(test.matrix.doubt[:, worst])) > 0
        coverage.findings.append(
            Finding(
                element=f"group:{group}",
                nodes=names,
                component=_component(component),
                kind="unstable",
                severity="warn",
                cause=_DISTURBED if was_disturbed else None,
                summary=text,
            )
        )


def _lacking(
    test: GroupTest,
    cells: Cells,
    fleet: Fleet,
    coverage: Coverage,
    place: int,
    expected: Bools,
    network_excused: bool,
) -> None:
    """One node lacks what most of its peers have."""
    row = int(test.matrix.rows[place])
    node = fleet.records[row].node
    missing: dict[str, list[int]] = {}
    for column in np.flatnonzero(expected[place] & np.isnan(test.matrix.value[place])):
        missing.setdefault(test.metrics[column].component, []).append(int(column))
    if network_excused:
        missing.pop("network", None)
    for component, columns in missing.items():
        coverage.unjudged.add(row)
        pieces = list(dict.fromkeys(test.metrics[column].part for column in columns))
        reasons = [cells.errors.get((row, int(test.matrix.columns[column]))) for column in columns]
        reasons += [fleet.reasons.get((row, test.metrics[column].job)) for column in columns]
        reason = next((each for each in reasons if each), None)
        have = int(np.max(np.sum(~np.isnan(test.matrix.value[:, columns]), axis=0)))
        text = (
            f"{node}: {wording.parts(component, pieces)} not measured, which {have:,} peers have: "
            f"{reason or 'no result came, and no reason'}"
        )
        coverage.findings.append(
            _not_measured([node], component, "warn", text, cause=reason),
        )


def _lacked_by_most(
    test: GroupTest,
    cells: Cells,
    fleet: Fleet,
    coverage: Coverage,
    rows: list[int],
    group: str,
    wanted: Bools,
) -> None:
    """What nobody or almost nobody in the group could measure, once per component and reason."""
    told: dict[tuple[str, str], set[int]] = {}
    members = set(rows)
    for place, row in enumerate(rows):
        for column in np.flatnonzero(~wanted & np.isnan(test.matrix.value[place])):
            reason = cells.errors.get((row, int(test.matrix.columns[column])))
            if reason:
                told.setdefault((test.metrics[column].component, reason), set()).add(row)
    measured = {test.metrics[column].job for column in np.flatnonzero(wanted)}
    for (row, job), reason in fleet.reasons.items():
        if row in members and job not in measured and fleet.records[row].lost is None:
            told.setdefault((fleet.subject_of[job], reason), set()).add(row)
    for (component, reason), lacking in sorted(told.items()):
        names = [fleet.records[row].node for row in sorted(lacking)]
        text = f"{group}: {component} not measured on {len(names):,} of {wording.nodes_word(len(rows))}: {reason}"
        coverage.findings.append(_not_measured(names, component, "info", text, group, cause=reason))


def _components(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _component(name: str) -> Component:
    return cast(Component, name if name in _COMPONENTS else "system")


def _not_measured(
    nodes: Sequence[str],
    component: str,
    severity: Severity,
    summary: str,
    group: str | None = None,
    cause: str | None = None,
) -> Finding:
    return Finding(
        element=f"group:{group}" if group is not None else f"node:{nodes[0]}",
        nodes=list(nodes),
        component=_component(component),
        kind="not-measured",
        severity=severity,
        cause=cause,
        summary=summary,
    )
