"""When something changed, over many sessions: for all nodes of a group alike, and for single nodes.

Every metric of a node is taken relative to its own median over the sessions, and metrics of one piece of hardware are
joined. What the nodes of a group share at each session is one series, and is told once; a node's own series is what
remains. The noise is read from the steps between neighbouring sessions, of which few are changes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import cast

import numpy as np

from ahc_agent.errors import CannotAnswer, NoData
from ahc_agent.facts import Inventory
from ahc_server.history.aligned import Aligned, align
from ahc_server.history.factchanges import Change, changes_between, concerns
from ahc_server.history.groups import groups_of
from ahc_server.history.limits import limits_of, note_of
from ahc_server.history.model import Point, Series, Timeline
from ahc_server.history.pieces import Pieces, piece_title
from ahc_server.history.reading import Reading
from ahc_server.history.robust import effect, spoken
from ahc_server.history.series import Levels, Step, levels_of, own_steps, shared_steps
from ahc_server.judge import wording
from ahc_server.judge.arrays import Ints
from ahc_server.judge.findings import rounded
from ahc_server.judge.model import Component, Severity
from ahc_server.judge.thresholds import Tables, Thresholds

LEAST_SESSIONS = 3
#: A fact that changed on more than this part of the other nodes at the same time explains nothing about one.
_COMMON = 1 / 3


def timeline(
    readings: Sequence[Reading],
    chosen: Tables | None = None,
    *,
    node: str | None = None,
    pattern: str | None = None,
    series: bool = False,
) -> Timeline:
    """Changes over sessions (oldest first). ``chosen``: limits other than those that are shipped; ``node``: only of this one, and
    what it shared; ``pattern``: only metrics of such names; ``series``: the levels too. Raises NoData for a node or metrics that
    no session has, CannotAnswer for too few sessions."""
    if len(readings) < LEAST_SESSIONS:
        raise CannotAnswer(
            f"{len(readings)} sessions with nodes: a change point needs {LEAST_SESSIONS} at least"
            " (`ahc compare` lays two side by side)"
        )
    aligned = align(readings)
    named = [pattern is None or fnmatchcase(metric.name, pattern) for metric in aligned.metrics]
    columns = np.flatnonzero(named)
    if not len(columns):
        raise NoData(f"no metric is called {pattern!r}" if pattern else "these sessions hold no measurements")
    wanted = _rows(aligned, node)
    points: list[Point] = []
    drawn: list[Series] = []
    for group, rows in groups_of(aligned.grouping, np.arange(len(aligned.machines))):
        if not np.isin(rows, wanted).any():
            continue
        telling = _Telling(aligned, group, rows, limits_of(chosen, readings))
        levels = levels_of(aligned, rows, columns, telling.limits)
        points += telling.points(levels, wanted)
        if series:
            drawn += [each for level in levels for each in _series(aligned, rows, level, wanted)]
    points.sort(
        key=lambda p: (p.severity != "fail", p.severity != "warn", not p.shared, p.change, p.nodes, p.title)
    )
    return Timeline(
        sessions=aligned.sides,
        nodes=len(aligned.machines),
        metrics=len(columns),
        points=points,
        series=drawn,
        notes=note_of(chosen) + _notes(readings),
    )


def _rows(aligned: Aligned, node: str | None) -> Ints:
    """All machines, or the one that had this id in any of the sessions."""
    if node is None:
        return np.arange(len(aligned.machines))
    rows = [
        row
        for row, machine in enumerate(aligned.machines)
        if any(record is not None and node in (record.node, record.machine) for record in machine.records)
    ]
    if not rows:
        raise NoData(f"no node {node!r} in these sessions")
    return np.array(rows, dtype=np.int64)


@dataclass(slots=True)
class _Found:
    """A step, and whose."""

    pieces: Pieces
    step: Step


class _Telling:
    """Turns the steps of one group into points."""

    def __init__(self, aligned: Aligned, group: str, rows: Ints, limits: Thresholds) -> None:
        self._aligned, self._group, self._rows, self.limits = aligned, group, rows, limits
        # What changed at a session is asked for only where something became slower or faster there.
        self._changes = cache(self._changes_at)

    def points(self, levels: Iterable[Levels], wanted: Ints) -> list[Point]:
        shared: list[_Found] = []
        own: dict[int, list[_Found]] = defaultdict(list)
        for each in levels:
            for part in range(len(each.pieces.parts)):
                shared += [_Found(each.pieces, step) for step in shared_steps(each, part)]
            for place, step in own_steps(each):
                if self._rows[place] in wanted:
                    own[place].append(_Found(each.pieces, step))
        told = [self._shared_point(found) for found in _joined(shared, by_disk=False)]
        told += [
            self._own_point(place, found)
            for place, of in sorted(own.items())
            for found in _joined(of, by_disk=True)
        ]
        return told

    def _shared_point(self, found: Sequence[_Found]) -> Point:
        head = found[0].step
        counted = Counter(change for of_node in self._changes(head.before, head.first) for change in of_node)
        component = found[0].pieces.component
        facts = [
            c.said()
            for c in sorted(counted)
            if 2 * counted[c] > len(self._rows) and c.component in concerns(component)
        ]
        return self._point(
            [self._aligned.machines[row].id for row in self._rows], found, facts, shared=True, row=None
        )

    def _own_point(self, place: int, found: Sequence[_Found]) -> Point:
        head = found[0].step
        changes = self._changes(head.before, head.first)
        counted = Counter(change for of_node in changes for change in of_node)
        most = 1 + _COMMON * max(len(self._rows) - 1, 1)
        component = found[0].pieces.component
        facts = [
            c.said() for c in changes[place] if counted[c] <= most and c.component in concerns(component)
        ]
        row = int(self._rows[place])
        return self._point([self._aligned.machines[row].id], found, facts, shared=False, row=row)

    def _changes_at(self, before: int, first: int) -> list[list[Change]]:
        """What changed on each node between two sessions, or since it last told of itself before the first of them."""
        return [
            changes_between(_told(self._aligned, row, before), _told(self._aligned, row, first, exact=True))
            for row in self._rows.tolist()
        ]

    def _point(
        self, nodes: list[str], found: Sequence[_Found], facts: list[str], *, shared: bool, row: int | None
    ) -> Point:
        head, pieces = found[0].step, found[0].pieces
        sides = self._aligned.sides
        before, after = sides[head.before], sides[head.first]
        until = None if head.until is None else sides[head.until]
        change = effect(head.size, pieces.is_rate)
        row_of_limits = self.limits.of(pieces.limits)
        severity: Severity = "info"
        if change < 0 and not head.tentative and until is None:
            severity = "fail" if -change >= row_of_limits.fail else "warn"
        titles = list(dict.fromkeys(self._title(each.pieces, each.step.part, row) for each in found))
        who = f"all {len(nodes):,} nodes of {self._group}" if shared else nodes[0]
        text = (
            f"{who}: {titles[0]} {spoken(change, pieces.is_rate)} between {before.session} and {after.session}"
            f" ({after.data_up_to[:10]}), {_since(head, None if until is None else until.session)}"
        )
        if len(titles) > 1:
            text += f"; also {wording.listed(titles[1:], most=3)}"
        if facts:
            text += f"; at the same time: {'; '.join(facts[:3])}"
        return Point(
            nodes=nodes,
            group=self._group,
            shared=shared,
            component=cast(Component, pieces.component),
            title=titles[0],
            kind="slower" if change < 0 else "faster",
            severity=severity,
            change=rounded(change, 4),
            before=before.session,
            after=after.session,
            at=after.data_up_to,
            until=None if until is None else until.session,
            sessions=head.sessions,
            tentative=head.tentative,
            also=titles[1:],
            facts=facts,
            summary=text,
        )

    def _title(self, pieces: Pieces, part: int, row: int | None) -> str:
        name = pieces.parts[part]
        if pieces.component == "disk" and row is not None:
            disk = self._aligned.disks.disk(row, name)
            name = name if disk is None else wording.disk_label(disk)
        if pieces.limits == "other":
            return f"{pieces.component}, {name}: {wording.what(self._aligned.metrics[int(pieces.columns[part][0])])}"
        return piece_title(pieces.limits, name)


def _since(step: Step, until: str | None) -> str:
    if step.tentative:
        return "in the newest session only: repeat it to be sure"
    sessions = f"{step.sessions:,} session{'s' if step.sessions != 1 else ''}"
    return f"until {until} ({sessions})" if until is not None else f"stable since then ({sessions})"


def _told(aligned: Aligned, row: int, session: int, *, exact: bool = False) -> Inventory | None:
    """The machine's inventory of a session; before a change the newest up to then will do."""
    records = (
        aligned.machines[row].records[session::-1] if not exact else [aligned.machines[row].records[session]]
    )
    return next((each.inventory for each in records if each is not None and each.inventory is not None), None)


def _joined(found: Sequence[_Found], *, by_disk: bool) -> list[list[_Found]]:
    """One entry for each component (``by_disk``: for each disk), session and direction: the clearest, then what goes with it."""
    by: dict[tuple[str, str, int, bool], list[_Found]] = {}
    for each in found:
        part = each.pieces.parts[each.step.part] if by_disk and each.pieces.component == "disk" else ""
        by.setdefault((each.pieces.component, part, each.step.first, each.step.size < 0), []).append(each)
    for (component, part, first, worse), mine in list(by.items()):
        # Of two sockets one is faster because the other is slower.
        if not worse and (component, part, first, True) in by and all(each.pieces.contrast for each in mine):
            del by[component, part, first, worse]
    return [
        sorted(each, key=lambda f: (f.pieces.contrast, -abs(f.step.size), f.step.part))
        for each in by.values()
    ]


def _series(aligned: Aligned, rows: Ints, levels: Levels, wanted: Ints) -> list[Series]:
    drawn = []
    for place, row in enumerate(rows.tolist()):
        for part, name in enumerate(levels.pieces.parts):
            values = levels.whole[:, place, part]
            if row in wanted and np.any(~np.isnan(values)) and not levels.pieces.contrast:
                own = aligned.disks.own(row, name) if levels.pieces.component == "disk" else name
                title = (
                    f"{levels.pieces.component}, {own}"
                    if levels.pieces.limits == "other"
                    else piece_title(levels.pieces.limits, own)
                )
                numbers = [
                    None if np.isnan(v) else rounded(effect(float(v), levels.pieces.is_rate), 4)
                    for v in values
                ]
                drawn.append(Series(node=aligned.machines[row].id, title=title, values=numbers))
    return drawn


def _notes(readings: Sequence[Reading]) -> list[str]:
    notes = [
        f"{r.side.session} is {r.side.state}: it may lack results" for r in readings if r.side.state != "done"
    ]
    if len({reading.plan for reading in readings}) > 1:
        notes.append("the sessions ran different plans: only jobs of one name are one series")
    return notes
