"""What could not be judged, and why: no gap in the data may look like health."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast, get_args

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.arrays import Bools
from ahc_server.judge.features import Cells
from ahc_server.judge.model import Component, Finding, Severity
from ahc_server.judge.noise import robust_spread
from ahc_server.judge.scores import LEVELS, Score
from ahc_server.judge.suspects import GroupTest
from ahc_server.judge.thresholds import Thresholds
from ahc_server.judge.undecided import behind_the_faster, zero_pieces
from ahc_server.session import NodeRecord, Session

_COMPONENTS = set(get_args(Component))
_EXPECTED = LEVELS | {"latency", "rtt"}
_DISTURBED = "on most of them the hypervisor or other processes took CPU time during the samples"
#: What a host shares out among its guests as it goes.
_HOSTS_OWN = {"cpu", "memory", "numa"}
#: What plans call a component, where the report has another word.
_SUBJECTS = {"storage": "disk", "inventory": "system"}


@dataclass(slots=True)
class Coverage:
    """``unjudged``: rows that must not pass."""

    findings: list[Finding] = field(default_factory=list)
    unjudged: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Fleet:
    """Nodes by row, and what became of their tasks.

    ``asked``: (job, hosts at once) → rows that had such a task. ``reasons``: (row, job) → why it failed. ``subject_of``: job →
    the component that it measures.
    """

    records: list[NodeRecord]
    asked: dict[tuple[str, int], set[int]]
    reasons: dict[tuple[int, str], str]
    subject_of: dict[str, str]

    @cached_property
    def names(self) -> list[str]:
        """The display ids by row."""
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
    test: GroupTest,
    cells: Cells,
    fleet: Fleet,
    group: str,
    thresholds: Thresholds,
    excused: set[int],
    explained: Mapping[int, Mapping[str, str]],
) -> Coverage:
    """What one group's nodes lack. ``excused``: rows that need no word about missing network tests; ``explained``: row →
    component that cannot have been measured in full, as its parts are missing, which is told elsewhere."""
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
    wanted = (2 * have >= np.sum(asked, axis=0)) & (have > 0)
    _too_few(test, coverage, rows, names, group, wanted)
    _spread_out(test, coverage, rows, names, group, thresholds)
    _behind(test, coverage, rows, names, group, thresholds)
    lacking = _lacking(test, asked)
    for place, row in enumerate(rows):
        excuses = {*explained.get(row, ()), *(("network",) if row in excused else ())}
        _tell_lacking(test, cells, fleet, coverage, place, lacking[place], excuses)
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
    """What too few have, or what is zero for most, is not judged: then nobody passes."""
    if not np.any(wanted):
        coverage.unjudged.update(rows)
        text = f"{group}: nothing was measured on any of its {wording.nodes_word(len(rows))}"
        coverage.findings.append(_not_measured(names, "system", "info", text, group))
        return
    judged = {score.component for score in test.scores if score.is_judged}
    which = _components(
        test.metrics[column].component
        for column in np.flatnonzero(wanted)
        if test.metrics[column].component not in judged
    )
    if which:
        coverage.unjudged.update(rows)
        text = f"{group}: too few of its {wording.nodes_word(len(rows))} have values of {wording.listed(which)} to compare"
        coverage.findings.append(_not_measured(names, which[0], "info", text, group))
    for component, parts in zero_pieces(test, wanted).items():
        if component in judged:
            coverage.unjudged.update(rows)
            what = wording.parts(component, parts)
            text = (
                f"{group}: {what}: all that was measured is 0 on most of its {wording.nodes_word(len(rows))}"
            )
            coverage.findings.append(_not_measured(names, component, "info", text, group))
    have = np.sum(~np.isnan(test.matrix.value), axis=0)
    few: dict[str, int] = {}
    for column in np.flatnonzero(have).tolist():
        component = test.metrics[column].component
        if component not in judged and component not in which:
            few[component] = max(few.get(component, 0), int(have[column]))
    for component, count in few.items():
        text = f"{group}: only {count:,} of its {wording.nodes_word(len(rows))} have values of {component}, too few to compare"
        coverage.findings.append(_not_measured(names, component, "info", text, group))


def _spread_out(
    test: GroupTest,
    coverage: Coverage,
    rows: list[int],
    names: list[str],
    group: str,
    thresholds: Thresholds,
) -> None:
    """Where peers differ among themselves too much, a sheep among them cannot be seen."""
    by_component: dict[str, list[Score]] = {}
    for score in test.scores:
        is_rate = all(test.metrics[column].higher_is_better for column in score.columns)
        spread = float(robust_spread(score.distance[:, None])[0])
        if is_rate and score.kind in LEVELS and score.is_judged and spread > thresholds.spread_limit:
            by_component.setdefault(score.component, []).append(score)
    for component, scores in by_component.items():
        coverage.unjudged.update(rows)
        columns = [int(column) for score in scores for column in score.columns]
        # What nobody has has no spread either.
        worst = max(columns, key=lambda column: (np.nan_to_num(test.found.spread[column], nan=-1.0), -column))
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


def _behind(
    test: GroupTest,
    coverage: Coverage,
    rows: list[int],
    names: list[str],
    group: str,
    thresholds: Thresholds,
) -> None:
    """Half of a small group may be sick, and then its middle tells nothing: who is far behind the faster part does not pass.

    But for guests whose host was busy: they get other shares of its CPUs and memory in turn, which is a remark and no more.
    """
    told = {finding.component for finding in coverage.findings if finding.kind == "unstable"}
    behind: dict[str, list[tuple[Score, Bools]]] = {}
    for number, slower in behind_the_faster(test, thresholds).items():
        if test.scores[number].component not in told:
            behind.setdefault(test.scores[number].component, []).append((test.scores[number], slower))
    for component, scores in behind.items():
        places = np.flatnonzero(np.any([slower for _, slower in scores], axis=0)).tolist()
        if not (thresholds.shared_host and component in _HOSTS_OWN):
            coverage.unjudged.update(rows[place] for place in places)
        slow = [names[place] for place in places]
        titles = wording.listed(list(dict.fromkeys(score.title for score, _ in scores)), most=3)
        apart = max(float(np.nanmax(s.distance) - np.nanmin(s.distance[slower])) for s, slower in scores)
        text = (
            f"{group}: {titles}: {wording.listed(slow)} up to {wording.plain_percent(-float(np.expm1(-apart)))} slower than "
            f"others; among {wording.nodes_word(len(rows))} who is right cannot be told; repeat, or compare with a baseline"
        )
        coverage.findings.append(_not_measured(slow, component, "info", text, group))


def _lacking(test: GroupTest, asked: Bools) -> list[list[Score]]:
    """For each node the scores that it lacks and most of those that were asked have."""
    lacking: list[list[Score]] = [[] for _ in asked]
    for score in test.scores:
        if score.kind not in _EXPECTED:
            continue
        wanted = np.any(asked[:, score.columns], axis=1)
        known = ~np.isnan(score.distance)
        if 2 * np.sum(wanted & known) >= np.sum(wanted):
            for place in np.flatnonzero(wanted & ~known).tolist():
                lacking[place].append(score)
    return lacking


def _tell_lacking(
    test: GroupTest,
    cells: Cells,
    fleet: Fleet,
    coverage: Coverage,
    place: int,
    lacking: Sequence[Score],
    excuses: set[str],
) -> None:
    """One node lacks what most of its peers have. It is no guilt: the verdict is unknown, and that is all."""
    row = int(test.matrix.rows[place])
    node = fleet.records[row].node
    missing: dict[str, list[Score]] = {}
    for score in lacking:
        if score.component not in excuses:
            missing.setdefault(score.component, []).append(score)
    for component, scores in missing.items():
        coverage.unjudged.add(row)
        columns = [int(column) for score in scores for column in score.columns]
        pieces = list(dict.fromkeys(test.metrics[column].part for column in columns))
        reasons = [cells.errors.get((row, int(test.matrix.columns[column]))) for column in columns]
        reasons += [fleet.reasons.get((row, test.metrics[column].job)) for column in columns]
        reason = next((each for each in reasons if each), None)
        have = max(int(np.sum(~np.isnan(score.distance))) for score in scores)
        text = (
            f"{node}: {wording.parts(component, pieces)} not measured, which {have:,} peers have: "
            f"{reason or 'no result came, and no reason'}"
        )
        coverage.findings.append(_not_measured([node], component, "info", text, cause=reason))


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
