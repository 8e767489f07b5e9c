"""The same fleet before and after: what changed for all, who changed otherwise, and what could not be compared.

Each node is compared with itself, so that its own level falls out: what remains is the noise between two runs, which the
fleet itself shows. A node is named when its change differs from that of its peers by more than this noise, and by more
than matters in practice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np

from ahc_agent.errors import CannotAnswer
from ahc_server.history.aligned import Aligned, align
from ahc_server.history.factchanges import Change, changes_between, fold
from ahc_server.history.groups import groups_of
from ahc_server.history.levels import Cohort, levels
from ahc_server.history.limits import limits_of, note_of
from ahc_server.history.model import Comparison, Gap, MetricChange
from ahc_server.history.networks import network_changes
from ahc_server.history.pieces import kinds_of
from ahc_server.history.rampups import ramp_changes
from ahc_server.history.reading import Reading
from ahc_server.history.robust import LEAST_PEERS, effect, log_ratio, medians
from ahc_server.history.said import metric_change, node_changes, shared_change
from ahc_server.judge import wording
from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.thresholds import Tables

#: A fact that changed on fewer nodes makes no part of a group: they are judged one by one.
_LEAST_COHORT = 3
_MOST_COHORTS = 12


def compare(
    before: Reading, after: Reading, chosen: Tables | None = None, *, every: bool = False
) -> Comparison:
    """Compare two sessions. ``chosen``: limits other than those that are shipped; ``every``: also each metric's median change.
    Raises CannotAnswer where they share nothing."""
    ramps = ramp_changes(before, after)
    limits = limits_of(chosen, [before, after])
    aligned = align([before, after])
    both = np.array(
        [row for row, machine in enumerate(aligned.machines) if all(machine.records)], dtype=np.int64
    )
    if not len(both) and not ramps:
        raise CannotAnswer(f"{before.side.session} and {after.side.session} have no node in common")
    names = [aligned.machines[row].id for row in both]
    facts = [_fact_changes(aligned, int(row)) for row in both]
    change = log_ratio(aligned.value[1], aligned.value[0], aligned.sign)
    measured = np.any(~np.isnan(change[both]), axis=0)
    known = [
        all(r is not None and r.inventory is not None for r in aligned.machines[row].records) for row in both
    ]
    if not np.any(measured) and not any(known) and not ramps:
        raise CannotAnswer(
            f"{before.side.session} and {after.side.session} have no metric in common, and no two inventories to compare"
        )
    shared, changed = [], []
    place_of = {int(row): place for place, row in enumerate(both)}
    for group, rows in groups_of(aligned.grouping, both):
        mine = [facts[place_of[int(row)]] for row in rows]
        kinds = kinds_of(aligned.metrics)
        found, own = levels(change[rows], kinds, _cohorts(mine), limits)
        if len(rows) >= LEAST_PEERS:
            shared += [shared_change(aligned, group, rows, level, limits) for level in found]
        changed += node_changes(aligned, group, rows, change[rows], own, mine, limits)
    changed.sort(
        key=lambda each: (each.severity != "fail", each.severity != "warn", each.difference, each.node)
    )
    shared.sort(
        key=lambda each: (not each.matters, each.severity != "fail", each.severity != "warn", each.change)
    )
    return Comparison(
        before=aligned.sides[0],
        after=aligned.sides[1],
        nodes=names,
        gone=[m.id for m in aligned.machines if m.records[1] is None],
        new=[m.id for m in aligned.machines if m.records[0] is None],
        metrics=int(measured.sum()),
        shared=shared,
        changed=changed,
        facts=fold(names, facts),
        gaps=_gaps(aligned, both),
        notes=note_of(chosen) + _notes(before, after, aligned, len(both), int(sum(known))),
        every=_every(aligned, both, change) if every else [],
        rampups=ramps or msgspec.UNSET,
        networks=network_changes(before, after, aligned, limits) or msgspec.UNSET,
    )


def _fact_changes(aligned: Aligned, row: int) -> list[Change]:
    old, new = [None if record is None else record.inventory for record in aligned.machines[row].records]
    return changes_between(old, new)


def _cohorts(facts: Sequence[Sequence[Change]]) -> list[Cohort]:
    """Parts of a group in which something changed that did not change in the rest; each part once, the largest first."""
    members: dict[Change, list[int]] = defaultdict(list)
    for place, of_node in enumerate(facts):
        for change in of_node:
            members[change].append(place)
    texts: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for change in sorted(members, key=lambda each: (each.component, each.title, each.said())):
        if _LEAST_COHORT <= len(members[change]) <= len(facts) - _LEAST_COHORT:
            texts[tuple(members[change])].append(change.said())
    chosen = sorted(texts, key=lambda places: (-len(places), places))[:_MOST_COHORTS]
    cohorts = []
    for places in chosen:
        inside = np.zeros(len(facts), dtype=bool)
        inside[list(places)] = True
        cohorts.append(Cohort("; ".join(texts[places][:3]), inside))
    return cohorts


def _gaps(aligned: Aligned, both: Ints) -> list[Gap]:
    """What one session has and the other has not: metrics, values of single nodes, nodes that were lost."""
    gaps: list[Gap] = []
    there = ~np.isnan(aligned.value[:, both])
    in_session = np.any(there, axis=1)
    for number, session in enumerate(aligned.sides):
        only = np.flatnonzero(in_session[number] & ~in_session[1 - number])
        by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
        for column in only:
            metric = aligned.metrics[column]
            by_kind[metric.component, metric.job].append(metric.name)
        for (component, job), metrics in sorted(by_kind.items()):
            gaps.append(
                Gap(
                    what=f"only in {session.session}: {_many(len(metrics), 'metric')} of {component} (job {job}): "
                    + wording.listed(metrics, most=3)
                )
            )
    lacking: dict[str, list[str]] = defaultdict(list)
    common = in_session.all(axis=0)
    for place, row in enumerate(both):
        lost = np.flatnonzero(common & there[0, place] & ~there[1, place])
        if len(lost):
            reasons = [aligned.failed.get((1, int(row), int(column))) for column in lost]
            reason = next((each for each in reasons if each), None)
            record = aligned.machines[row].records[1]
            reason = reason or (record.lost if record is not None else None)
            components = ", ".join(sorted({aligned.metrics[column].component for column in lost}))
            what = f"not measured in {aligned.sides[1].session}: {components}" + (
                f": {reason}" if reason else ""
            )
            lacking[what].append(aligned.machines[row].id)
    gaps += [Gap(what=what, nodes=nodes, blocking=True) for what, nodes in sorted(lacking.items())]
    gone = [m.id for m in aligned.machines if m.records[1] is None]
    if gone:
        gaps.append(Gap(what=f"not in {aligned.sides[1].session}", nodes=gone, blocking=True))
    new = [m.id for m in aligned.machines if m.records[0] is None]
    if new:
        gaps.append(Gap(what=f"not in {aligned.sides[0].session}", nodes=new))
    return gaps


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _notes(before: Reading, after: Reading, aligned: Aligned, nodes: int, inventories: int) -> list[str]:
    notes = [
        f"{each.side.session} is {each.side.state}: it may lack results"
        for each in (before, after)
        if each.side.state != "done"
    ]
    if before.plan != after.plan:
        notes.append("the two sessions ran different plans: only jobs of one name are compared")
    for job, counts in aligned.counts.items():
        told = " and ".join(", ".join(map(str, of)) or "none" for of in counts)
        notes.append(f"job {job} ran on {told} nodes at once: what they share may have been loaded otherwise")
    if nodes < LEAST_PEERS:
        notes.append(
            f"with {wording.nodes_word(nodes)} the noise between two runs is unknown: a change is told, and judged only by what "
            "the samples of each run show"
        )
    if inventories < nodes:
        notes.append(
            f"{wording.nodes_word(nodes - inventories)} without an inventory in both: facts not compared"
        )
    return notes


def _every(aligned: Aligned, both: Ints, change: Floats) -> list[MetricChange]:
    """Each metric's medians and median change over the nodes that have it in both."""
    middle = medians(change[both], 0)
    paired = ~np.isnan(change[both])
    values = [medians(np.where(paired, aligned.value[k][both], np.nan), 0) for k in (0, 1)]
    return [
        metric_change(
            aligned,
            column,
            float(values[0][column]),
            float(values[1][column]),
            effect(float(middle[column]), aligned.metrics[column].higher_is_better),
        )
        for column in np.flatnonzero(~np.isnan(middle)).tolist()
    ]
