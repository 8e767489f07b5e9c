"""A session against a baseline: what peers cannot see, because all of a delivery share it, or because there are too few of them.

The whole group comes first: its median against the baseline's. Single nodes are then compared with the baseline, without
what the whole group is told to be off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import msgspec
import numpy as np

from ahc_server.history.aligned import Aligned, align
from ahc_server.history.baseline import Baseline
from ahc_server.history.levels import Level, levels
from ahc_server.history.limits import limits_of, note_of
from ahc_server.history.matched import Against, against, base_of
from ahc_server.history.model import Gap
from ahc_server.history.pieces import Changes, Pieces, kinds_of, piece_title, pieces_of
from ahc_server.history.reading import Reading, Side
from ahc_server.history.robust import (
    LEAST_PEERS,
    effect,
    excuse_of,
    few_nodes,
    floor_of,
    medians,
    noise,
    spoken,
)
from ahc_server.judge import wording
from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.model import Component, Evidence, Finding, Severity
from ahc_server.judge.thresholds import Limits, Tables, Thresholds

CHECK = "ahc.baseline-check/1"

#: Two deliveries differ a little by right: of a whole group less than this, or than so many floors, is nothing.
_BATCH_FLOORS, _BATCH_LEAST = 2.0, 0.03
_SURE = 4.0
#: A confidence interval of 95 % is as wide as so many standard errors.
_INTERVAL_ERRORS = 3.92
#: A node's own limit: so many spreads of the baseline, and more where that was made from few nodes.
_SPREADS = 5.0
_MOST_METRICS = 12


class GroupCheck(msgspec.Struct, kw_only=True, frozen=True):
    """One group of the session. ``compared_with``: the hardware of the baseline's group, None where there is none like it;
    ``why`` then says what differs from the nearest."""

    id: str
    hardware: str
    nodes: list[str]
    compared_with: str | None = None
    why: str | None = None


class Check(msgspec.Struct, kw_only=True, frozen=True):
    """A session against a baseline. ``findings`` are the report's; ``expected`` in them is the baseline's median."""

    schema: str = CHECK
    baseline: str
    made_from: str
    session: Side
    groups: list[GroupCheck]
    findings: list[Finding]
    gaps: list[Gap]
    notes: list[str] = []

    @property
    def worst(self) -> Severity:
        told = {each.severity for each in self.findings}
        return "fail" if "fail" in told else "warn" if "warn" in told else "info"


def check(reading: Reading, baseline: Baseline, chosen: Tables | None = None) -> Check:
    """Compare each group of a session with the baseline's group of the same hardware. ``chosen``: limits other than those that
    are shipped."""
    limits = limits_of(chosen, [reading])
    aligned = align([reading])
    groups: list[GroupCheck] = []
    findings: list[Finding] = []
    gaps: list[Gap] = []
    for number, rows in enumerate(aligned.grouping.groups):
        group = f"g{number + 1}"
        base, why = base_of(aligned, rows, baseline.groups)
        names = [aligned.machines[row].id for row in rows]
        line = aligned.grouping.usual[number].line()
        groups.append(
            GroupCheck(
                id=group,
                hardware=line,
                nodes=names,
                compared_with=None if base is None else base.hardware,
                why=why,
            )
        )
        if base is None:
            gaps.append(
                Gap(what=f"{group}: no such hardware in the baseline: {why}", nodes=names, blocking=True)
            )
            continue
        beside = against(aligned, group, rows, base)
        if np.all(np.isnan(beside.expected)):
            gaps.append(Gap(what=f"{group}: no metric that the baseline has", nodes=names, blocking=True))
            continue
        gaps += _gaps(aligned, beside)
        findings += _judge(aligned, beside, baseline.name, limits)
    alone = [aligned.machines[row].id for row in aligned.grouping.alone]
    if alone:
        gaps.append(
            Gap(what="no inventory, so it is not known what to compare with", nodes=alone, blocking=True)
        )
    rank = {"fail": 0, "warn": 1, "info": 2}
    findings.sort(
        key=lambda each: (rank[each.severity], each.element[:5] == "node:", each.effect or 0.0, each.summary)
    )
    return Check(
        baseline=baseline.name,
        made_from=baseline.session,
        session=reading.side,
        groups=groups,
        findings=findings,
        gaps=gaps,
        notes=note_of(chosen),
    )


def _gaps(aligned: Aligned, beside: Against) -> list[Gap]:
    values = aligned.value[0][beside.rows]
    known = ~np.isnan(beside.expected)
    compared = int(known.sum())
    lacking = len(beside.base.metrics) - compared
    gaps = []
    if lacking > 0:
        gaps.append(Gap(what=f"{beside.id}: {lacking:,} metrics of the baseline are not in the session"))
    none = [
        aligned.machines[row].id
        for row, has in zip(beside.rows, ~np.isnan(values[:, known]), strict=True)
        if not has.any()
    ]
    if none:
        gaps.append(
            Gap(what=f"{beside.id}: nothing measured that the baseline has", nodes=none, blocking=True)
        )
    return gaps


def _judge(aligned: Aligned, beside: Against, name: str, limits: Thresholds) -> list[Finding]:
    """The group as a whole, then its nodes without what the group is told to be off."""
    found: list[Finding] = []
    rest = beside.distance.copy()
    if len(beside.rows) >= LEAST_PEERS:
        for level in levels(beside.distance, kinds_of(beside.metrics), (), limits)[0]:
            if _is_off(level, beside, limits.of(level.kind.limits)):
                found.append(_of_group(aligned, beside, level, name, limits))
                rest[np.ix_(np.flatnonzero(level.nodes), level.columns)] -= level.middle.change
    return found + _of_nodes(aligned, beside, rest, name, limits)


def _is_off(level: Level, beside: Against, limits: Limits) -> bool:
    """More than two deliveries may differ, and more than the baseline's own uncertainty."""
    least = floor_of(
        replace(limits, floor=max(_BATCH_FLOORS * limits.floor, _BATCH_LEAST)),
        level.kind.is_rate,
    )
    spread, nodes = (float(each[0]) for each in _of_base(beside, [level.columns]))
    of_base = spread * float(np.sqrt(np.pi / 2 / max(nodes, 1.0)))
    of_session = (level.middle.high - level.middle.low) / _INTERVAL_ERRORS
    error = few_nodes(nodes) * float(np.hypot(of_base, of_session))
    return level.matters and abs(level.middle.change) > max(least, _SURE * error)


def _of_group(aligned: Aligned, beside: Against, level: Level, name: str, limits: Thresholds) -> Finding:
    rows = beside.rows[level.nodes]
    change = effect(level.middle.change, level.kind.is_rate)
    nodes = (
        "all its nodes"
        if len(rows) == len(beside.rows)
        else f"{len(rows):,} of its {len(beside.rows):,} nodes"
    )
    values = medians(aligned.value[0][rows], 0)
    cause = beside.cause(level.kind.component)
    metrics = [
        _evidence(beside, column, float(values[column])) for column in level.columns[:_MOST_METRICS].tolist()
    ]
    severity: Severity = "info"
    if change < 0:
        severity = "fail" if -change >= limits.of(level.kind.limits).fail else "warn"
    return Finding(
        element=f"group:{beside.id}",
        nodes=[aligned.machines[row].id for row in rows],
        component=cast(Component, level.kind.component),
        kind="slow" if change < 0 else "fast",
        severity=severity,
        effect=rounded(change, 4),
        metrics=metrics,
        cause=cause,
        summary=f"{beside.id}: {level.kind.title} of {nodes} {spoken(change, level.kind.is_rate)} against baseline {name} "
        f"({wording.nodes_word(beside.base.nodes)}){_example(beside, level.columns, values)}"
        + (f"; {cause}" if cause else ""),
    )


def _example(beside: Against, columns: Ints, values: Floats) -> str:
    column = int(columns[0])
    metric, expected = beside.metrics[column], float(beside.expected[column])
    value = float(values[column])
    return f": {metric.name} {wording.quantity(metric, value, expected)} where it has {wording.quantity(metric, expected)}"


def _evidence(beside: Against, column: int, value: float, own_part: str | None = None) -> Evidence:
    metric, expected = beside.metrics[column], float(beside.expected[column])
    change = (value / expected - 1) * (1 if metric.higher_is_better else -1)
    return Evidence(
        name=metric.name if own_part is None else f"{metric.component}.{own_part}.{metric.quantity}",
        value=significant(value, 6),
        expected=significant(expected, 6),
        unit=metric.unit,
        effect=rounded(change, 4),
    )


def _of_nodes(
    aligned: Aligned, beside: Against, rest: Floats, name: str, limits: Thresholds
) -> list[Finding]:
    rows = beside.rows
    changes = Changes(
        metrics=beside.metrics,
        distance=rest,
        error=aligned.error[0][rows],
        excuse=np.where(rest < 0, excuse_of(aligned.doubt[0][rows], rest), 0.0),
    )
    worst: dict[tuple[int, str, bool], tuple[float, Pieces, int]] = {}
    for each in pieces_of(changes):
        bar = _bar(each, beside, limits.of(each.limits))
        away = np.abs(each.distance) - np.where(each.distance < 0, each.excuse, 0.0)
        for place, part in np.argwhere(np.nan_to_num(away) > bar):
            distance = float(each.distance[place, part])
            title = each.parts[part] if each.component == "disk" else each.component
            key = (int(place), title, distance < 0)
            score = float(away[place, part] / bar[place, part]) - 1e6 * each.contrast
            if key not in worst or score > worst[key][0]:
                worst[key] = (score, each, int(part))
    return [
        _of_node(aligned, beside, place, each, part, name, limits)
        for (place, _, _), (_, each, part) in sorted(worst.items(), key=lambda item: item[0])
    ]


def _bar(each: Pieces, beside: Against, limits: Limits) -> Floats:
    """(n, p): what a node may be off: by the baseline's spread, by the session's own where that is larger and nodes enough
    show it."""
    spread, nodes = _of_base(beside, each.columns)
    if each.contrast:
        # Of a difference both sides stray, and each tells the other's spread where chance made one too small.
        others = [np.delete(range(len(spread)), part) for part in range(len(spread))]
        spread = np.hypot(spread, [medians(spread[other], 0) for other in others])
    sigma = np.maximum(spread, limits.noise)
    known = int(np.max(np.sum(~np.isnan(each.distance), axis=0), initial=0))
    if known >= 2 * LEAST_PEERS:
        sigma = np.maximum(sigma, noise(each.distance - medians(each.distance, 0), limits.noise)[0])
    # Few nodes tell neither what is usual nor how they scatter.
    few = np.array([few_nodes(many) for many in nodes])
    far = _SPREADS * few**2 * np.hypot(sigma, each.error)
    # One node of a delivery is compared with another delivery: what two batches may differ is no fault of it.
    least = floor_of(replace(limits, floor=max(_BATCH_FLOORS * limits.floor, _BATCH_LEAST)), each.is_rate)
    return np.maximum(far, least)


def _of_base(beside: Against, parts: Sequence[Ints]) -> tuple[Floats, Floats]:
    """(p,) the baseline's spread of each part's metrics, and the nodes that it was made from; NaN where it has none of them."""
    return (
        np.array([float(medians(beside.spread[columns], 0)) for columns in parts]),
        np.array([float(medians(beside.nodes[columns], 0)) for columns in parts]),
    )


def _of_node(
    aligned: Aligned, beside: Against, place: int, each: Pieces, part: int, name: str, limits: Thresholds
) -> Finding:
    row = int(beside.rows[place])
    node = aligned.machines[row].id
    change = effect(float(each.distance[place, part]), each.is_rate)
    own = each.parts[part]
    label = own
    if each.component == "disk":
        own = aligned.disks.own(row, own)
        disk = aligned.disks.disk(row, each.parts[part])
        label = own if disk is None else wording.disk_label(disk)
    columns = [c for c in each.columns[part].tolist() if not np.isnan(beside.distance[place, c])]
    columns.sort(key=lambda column: (beside.distance[place, column], column))
    severity: Severity = "info"
    if change < 0:
        severity = "fail" if -change >= limits.of(each.limits).fail else "warn"
    title = f"{each.component}, {label}" if each.limits == "other" else piece_title(each.limits, label)
    values = aligned.value[0][row]
    is_disk = each.component == "disk"
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component=cast(Component, each.component),
        kind="slow" if change < 0 else "fast",
        severity=severity,
        effect=rounded(change, 4),
        metrics=[
            _evidence(beside, c, float(values[c]), own if is_disk else None) for c in columns[:_MOST_METRICS]
        ],
        summary=f"{node}: {title} {spoken(change, each.is_rate)} against baseline {name}"
        + _example(beside, np.array(columns), values)
        + (f"; check {wording.advice(each.component, None)}" if change < 0 else ""),
    )
