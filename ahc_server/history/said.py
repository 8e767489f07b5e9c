"""From arrays to what is told: shared changes, and nodes that changed otherwise, in words that a technician can act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from ahc_server.history.aligned import Aligned
from ahc_server.history.factchanges import Change, causes
from ahc_server.history.levels import Level
from ahc_server.history.model import MetricChange, NodeChange, SharedChange
from ahc_server.history.pieces import Changes, Pieces, piece_title, pieces_of
from ahc_server.history.robust import LEAST_PEERS, TWO_RUNS, bars, effect, excuse_of, medians, spoken
from ahc_server.judge import wording
from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.model import Component, Severity
from ahc_server.judge.thresholds import Thresholds

#: A change of the whole fleet is worth a warning from so many floors on.
_SHARED_WARN = 2.0
#: Without peers a change is judged by its own samples alone, which do not show how runs differ: it must be so much clearer.
_ALONE_ERRORS, _ALONE_FLOORS = 8.0, 3.0
_MOST_METRICS = 12
_NOTHING = 0.0005


def metric_change(
    aligned: Aligned, column: int, before: float, after: float, change: float, row: int | None = None
) -> MetricChange:
    """One metric; of one node (``row``) with the node's own name for its disk."""
    metric = aligned.metrics[column]
    part = metric.part
    if metric.component == "disk" and row is not None:
        part = aligned.disks.own(row, part)
    return MetricChange(
        name=f"{metric.component}.{part}.{metric.quantity}",
        unit=metric.unit,
        before=significant(before, 6),
        after=significant(after, 6),
        change=rounded(change, 4),
    )


def shared_change(aligned: Aligned, group: str, rows: Ints, level: Level, limits: Thresholds) -> SharedChange:
    """What ``rows`` of a group share, as data and as one sentence."""
    kind, middle = level.kind, level.middle
    inside = rows[level.nodes]
    values = aligned.value[:, inside]
    change = effect(middle.change, kind.is_rate)
    low, high = effect(middle.low, kind.is_rate), effect(middle.high, kind.is_rate)
    row_of_limits = limits.of(kind.limits)
    severity: Severity = "info"
    if level.matters and change < 0:
        is_large = -change >= _SHARED_WARN * row_of_limits.floor
        severity = "fail" if -change >= row_of_limits.fail else "warn" if is_large else "info"
    among = _among(level, len(inside))
    nodes = wording.nodes_word(len(inside))
    interval = " … ".join(
        spoken(each, kind.is_rate) for each in ((low, high) if kind.is_rate else (high, low))
    )
    return SharedChange(
        group=group,
        nodes=[aligned.machines[row].id for row in inside],
        among=among,
        component=cast(Component, kind.component),
        title=level.title,
        kind="slower" if change < 0 else "faster",
        severity=severity,
        matters=level.matters,
        change=rounded(change, 4),
        low=rounded(low, 4),
        high=rounded(high, 4),
        confidence=rounded(middle.confidence, 4),
        metrics=[_median_change(aligned, values, int(column), kind.is_rate) for column in level.columns],
        summary=f"{level.title}: {spoken(change, kind.is_rate)} ({interval}) on {nodes}"
        + (f", {among}" if among else ""),
    )


def _among(level: Level, nodes: int) -> str | None:
    if level.cohort is None:
        return None
    if level.cohort.text is None:
        return (
            "the other part of the group"
            if level.outside
            else "one part of the group; no fact that changed divides them"
        )
    return "the others" if level.outside else f"those where {level.cohort.text}"


def _median_change(aligned: Aligned, values: Floats, column: int, rate: bool) -> MetricChange:
    pair = values[:, :, column]
    paired = ~np.isnan(pair).any(axis=0)
    before, after = (float(np.median(pair[k, paired])) if paired.any() else np.nan for k in (0, 1))
    return metric_change(aligned, column, before, after, (after / before - 1) * (1 if rate else -1))


@dataclass(slots=True)
class _Odd:
    """One piece of one node that changed otherwise, by how much, and how much would not count."""

    each: Pieces
    part: int
    difference: float
    limit: float
    excuse: float
    error: float

    @property
    def score(self) -> float:
        return abs(self.difference) / self.limit


def node_changes(
    aligned: Aligned,
    group: str,
    rows: Ints,
    change: Floats,
    own: Floats,
    facts: Sequence[Sequence[Change]],
    limits: Thresholds,
) -> list[NodeChange]:
    """The nodes of a group whose change is not their peers'. ``own`` (n, m): the changes without what is shared."""
    alone = len(rows) < LEAST_PEERS
    base = change if alone else own
    # A run that was disturbed explains a loss if it is the later one, and a gain if it is the earlier.
    before, after = (excuse_of(aligned.doubt[k][rows], base) for k in (0, 1))
    changes = Changes(
        metrics=aligned.metrics,
        distance=base,
        error=np.hypot(aligned.error[0][rows], aligned.error[1][rows]),
        excuse=np.where(base < 0, after, before),
    )
    odd: dict[int, list[_Odd]] = {}
    for each in pieces_of(changes):
        for place, piece in _odd(each, limits, alone=alone):
            odd.setdefault(place, []).append(piece)
    spread = Counter(each for of_node in facts for each in of_node)
    told: list[NodeChange] = []
    for place, pieces in sorted(odd.items()):
        for joined in _joined(pieces):
            cause = causes(joined[0].each.component, facts[place], spread, len(rows))
            told.append(_node_change(aligned, group, int(rows[place]), place, change, joined, cause, limits))
    return told


def _odd(each: Pieces, limits: Thresholds, *, alone: bool) -> list[tuple[int, _Odd]]:
    """Place and piece of those beyond their limit; of one or two nodes every change above the floor."""
    row = limits.of(each.limits)
    distance, bar = each.distance, np.full(each.distance.shape, row.floor)
    if not alone:
        distance = distance - medians(distance, 0)
        bar = bars(distance, each.error, row, is_rate=each.is_rate, prior=TWO_RUNS * row.noise)
    far = np.nan_to_num(np.abs(distance)) > np.where(np.isnan(bar), np.inf, bar)
    if each.alone is not None and len(each.parts) == 2:
        # Of two it is the one that moved: the other is not faster because of it.
        far &= np.nan_to_num(np.abs(each.alone)) >= np.nan_to_num(np.abs(each.alone[:, ::-1]))
    return [
        (
            int(place),
            _Odd(
                each,
                int(part),
                difference=float(distance[place, part]),
                limit=float(bar[place, part]),
                excuse=float(each.excuse[place, part]),
                error=float(each.error[place, part]),
            ),
        )
        for place, part in np.argwhere(far)
    ]


def _joined(pieces: Sequence[_Odd]) -> list[list[_Odd]]:
    """One entry for each component, of disks for each disk; slower and faster apart; what is clearest first."""
    by: dict[tuple[str, str, bool], list[_Odd]] = {}
    for piece in pieces:
        part = piece.each.parts[piece.part] if piece.each.component == "disk" else ""
        by.setdefault((piece.each.component, part, piece.difference < 0), []).append(piece)
    for component in {piece.each.component for piece in pieces if piece.each.contrast}:
        # Of two sockets one is faster because the other is slower.
        if (component, "", True) in by and all(
            piece.each.contrast for piece in by.get((component, "", False), ())
        ):
            by.pop((component, "", False), None)
    # A part against the others of its node says little where the node as a whole changed.
    return [sorted(each, key=lambda piece: (piece.each.contrast, -piece.score)) for each in by.values()]


def _node_change(
    aligned: Aligned,
    group: str,
    row: int,
    place: int,
    change: Floats,
    pieces: Sequence[_Odd],
    cause: str | None,
    limits: Thresholds,
) -> NodeChange:
    head = pieces[0]
    rate, alone = head.each.is_rate, len(change) < LEAST_PEERS
    columns = head.each.columns[head.part]
    columns = columns[~np.isnan(change[place, columns])]
    whole = float(np.median(change[place, columns]))
    difference = effect(head.difference, rate)
    expected = None if alone or head.each.contrast else effect(whole - head.difference, rate)
    excused = head.excuse > 0 and abs(head.difference) - head.excuse < head.limit
    titles = [_title(aligned, row, piece) for piece in pieces]
    text = f"{titles[0]} {spoken(difference if head.each.contrast else effect(whole, rate), rate)}"
    if expected is not None:
        changed = f"changed by {spoken(expected, rate)}" if abs(expected) >= _NOTHING else "did not change"
        text += f" where its {len(change) - 1:,} peers {changed}"
    others = list(dict.fromkeys(titles[1:]))
    if others:
        text += f"; also {wording.listed(others, most=4)}"
    if excused:
        text += "; its samples were disturbed, so it cannot be told: repeat"
    severity: Severity = "info"
    if difference < 0 and not excused and (not alone or _clear_alone(head, limits)):
        severity = "fail" if -difference >= limits.of(head.each.limits).fail else "warn"
    node = aligned.machines[row].id
    return NodeChange(
        node=node,
        group=group,
        component=cast(Component, head.each.component),
        title=titles[0],
        kind="slower" if difference < 0 else "faster",
        severity=severity,
        change=rounded(effect(whole, rate), 4),
        expected=None if expected is None else rounded(expected, 4),
        difference=rounded(difference, 4),
        limit=None if alone else rounded(abs(effect(-head.limit, rate)), 4),
        metrics=_evidence(aligned, row, place, change, columns),
        cause=cause,
        summary=f"{node}: {text}" + (f"; {cause}" if cause else ""),
    )


def _clear_alone(head: _Odd, limits: Thresholds) -> bool:
    """Whether the node's own samples rule chance out: so many standard errors, and far above the floor."""
    far = abs(head.difference) > _ALONE_FLOORS * limits.of(head.each.limits).floor
    return head.error > 0 and far and abs(head.difference) > _ALONE_ERRORS * head.error


def _title(aligned: Aligned, row: int, piece: _Odd) -> str:
    part = piece.each.parts[piece.part]
    if piece.each.component == "disk":
        disk = aligned.disks.disk(row, part)
        part = part if disk is None else wording.disk_label(disk)
    if piece.each.limits == "other":
        metric = aligned.metrics[int(piece.each.columns[piece.part][0])]
        return f"{metric.component}, {part}: {wording.what(metric)}"
    return piece_title(piece.each.limits, part)


def _evidence(aligned: Aligned, row: int, place: int, change: Floats, columns: Ints) -> list[MetricChange]:
    """The metrics that carry it, the worst first."""
    ordered = sorted(columns.tolist(), key=lambda column: (change[place, column], column))
    return [
        metric_change(
            aligned,
            column,
            float(aligned.value[0, row, column]),
            float(aligned.value[1, row, column]),
            effect(float(change[place, column]), aligned.metrics[column].higher_is_better),
            row,
        )
        for column in ordered[:_MOST_METRICS]
    ]
