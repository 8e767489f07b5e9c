"""Findings joined with their causes: the facts that set slow nodes apart from their peers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import msgspec
import numpy as np

from ahc_server.judge.causes import Cause, explain, explanations
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.facts.table import FactTable
from ahc_server.judge.facts.told import Fact
from ahc_server.judge.findings import Accused
from ahc_server.judge.model import Finding
from ahc_server.judge.suspects import GroupTest
from ahc_server.judge.trust import numbers_of
from ahc_server.session import Session

#: So many nodes with the same slow piece are looked at without each other.
_FEW = 50


def counted(session: Session, rows: Mapping[str, int]) -> dict[int, dict[str, str]]:
    """Row → name of a count → what it was during the run, of the nodes where it says something."""
    throttled: dict[int, float] = {}
    for record in session.outcomes:
        row = rows.get(record.machine)
        events = numbers_of(record.columns, "throttle_events") if row is not None else None
        if row is not None and events is not None:
            throttled[row] = throttled.get(row, 0.0) + float(np.nansum(events))
    return {
        row: {"throttling": f"throttle counter rose by {rise:,.0f} during the run"}
        for row, rise in sorted(throttled.items())
        if rise > 0
    }


def with_causes(
    slow: Sequence[Accused],
    test: GroupTest,
    table: FactTable,
    disks: DiskNames,
    ran: Mapping[int, Mapping[str, str]],
) -> tuple[list[Finding], dict[int, Collection[Fact]]]:
    """The findings, each with the best explanation; and row → the facts that are told as a cause. ``ran``: see ``counted``.

    What all nodes with the same slow piece have in common explains more than what one of them has for itself.
    """
    members = [int(row) for row in test.matrix.rows]
    alike: dict[tuple[str, str | None], list[Accused]] = {}
    for each in slow:
        alike.setdefault(_piece(each, test), []).append(each)
    shared = {
        piece: explain(
            {members[each.place] for each in several}, members, table, piece[0], part=piece[1], ran=ran
        )
        for piece, several in alike.items()
    }
    findings: list[Finding] = []
    told: dict[int, set[Fact]] = {}
    for each in slow:
        piece = _piece(each, test)
        row = members[each.place]
        cause = _cause(row, members, table, piece, shared[piece], disks, ran)
        if cause is None and 1 < len(alike[piece]) <= _FEW:
            # Others that are slow in the same piece are no healthy peers that have the same and are well.
            ill = {members[other.place] for other in alike[piece]} - {row}
            cause = _cause(row, members, table, piece, None, disks, ran, aside=ill)
        findings.append(_with_cause(each.finding, cause))
        if cause is not None:
            told.setdefault(row, set()).update(cause.facts)
    return findings, dict(told)


def _with_cause(finding: Finding, cause: Cause | None) -> Finding:
    """A disk that is of another make than its peers', and somewhat slower, is as its maker made it."""
    if cause is None:
        return msgspec.structs.replace(finding, cause=None)
    is_other = bool(cause.facts) and all(fact.name == "disk model" for fact in cause.facts)
    severity = "info" if is_other and finding.severity == "warn" else finding.severity
    return msgspec.structs.replace(finding, cause=cause.text, severity=severity)


def _piece(each: Accused, test: GroupTest) -> tuple[str, str | None]:
    head = test.scores[each.sheep.head]
    return each.sheep.component, head.part if head.component == "disk" else None


def _cause(
    row: int,
    members: Sequence[int],
    table: FactTable,
    piece: tuple[str, str | None],
    shared: Cause | None,
    disks: DiskNames,
    ran: Mapping[int, Mapping[str, str]],
    aside: Collection[int] = (),
) -> Cause | None:
    component, part = piece
    own = explanations(
        {row}, members, table, component, part=part, ran=ran, own=partial(disks.own, row), aside=aside
    )
    if shared is not None and any(set(shared.facts) & set(each.facts) for each in own):
        return shared
    return own[0] if own else None
