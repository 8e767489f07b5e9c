"""Which group of a baseline a group of a session is compared with, and both side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ahc_agent.facts import Inventory
from ahc_server.history.aligned import Aligned
from ahc_server.history.baseline import BaselineGroup, BaselineMetric, usual_facts
from ahc_server.history.factchanges import concerns
from ahc_server.history.robust import log_ratio
from ahc_server.judge import wording
from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.disks import match_disks
from ahc_server.judge.features import Metric
from ahc_server.judge.hardware import FACTS, hardware_of


@dataclass(frozen=True, slots=True)
class Against:
    """One group beside its baseline: ``rows`` of the session; ``expected``, ``spread``, ``nodes`` it was made from (m,), NaN
    where the baseline has no such metric; ``facts``: what most nodes have otherwise than the baseline: component → texts."""

    id: str
    rows: Ints
    base: BaselineGroup
    metrics: list[Metric]
    expected: Floats
    spread: Floats
    nodes: Floats
    distance: Floats
    facts: list[tuple[str, str]]

    def cause(self, component: str) -> str | None:
        """The facts that could have to do with a component's speed."""
        told = [text for of, text in self.facts if of in concerns(component)]
        return "; ".join(told[:3]) or None


def base_of(
    aligned: Aligned, rows: Ints, groups: Sequence[BaselineGroup]
) -> tuple[BaselineGroup | None, str | None]:
    """The baseline's group of the same five facts, sizes within 6 %; else what differs from the nearest."""
    typical = aligned.machines[_typical(aligned, rows)].inventory
    known: list[Inventory | None] = [typical, *(group.like for group in groups)]
    mine, *theirs = hardware_of(known)
    nearest: tuple[int, str] = (len(FACTS) + 1, "it is empty")
    for group, other in zip(groups, theirs, strict=True):
        different = [
            f"{name} {one or 'unknown'}, there {two or 'unknown'}"
            for (name, _), one, two in zip(FACTS, mine.facts(), other.facts(), strict=True)
            if one != two
        ]
        if not different:
            return group, None
        nearest = min(nearest, (len(different), "; ".join(different)))
    return None, nearest[1]


def _typical(aligned: Aligned, rows: Ints) -> int:
    """A node with the commonest hardware of its group."""
    kinds = [aligned.hardware[row] for row in rows]
    usual = max(kinds, key=lambda kind: (kinds.count(kind), kind.line())) if len(kinds) < 1000 else kinds[0]
    return int(rows[kinds.index(usual)])


def against(aligned: Aligned, group: str, rows: Ints, base: BaselineGroup) -> Against:
    typical = _typical(aligned, rows)
    inventory = aligned.machines[typical].inventory
    both = match_disks([base.like, inventory], [np.array([0, 1])])
    place_of: dict[str, str] = {}
    for disk in inventory.disks if inventory is not None else ():
        place_of[both.common(1, disk.name)] = aligned.disks.common(typical, disk.name)
    by_key: dict[tuple[object, ...], BaselineMetric] = {}
    for metric in base.metrics:
        part = metric.part
        if metric.component == "disk":
            common = both.common(0, part)
            part = place_of.get(common, common)
        by_key[metric.component, part, metric.quantity, metric.unit, metric.higher_is_better, metric.job] = (
            metric
        )
    expected = np.full(len(aligned.metrics), np.nan)
    spread, nodes = np.full_like(expected, np.nan), np.full_like(expected, np.nan)
    for column, known in enumerate(aligned.metrics):
        key = (known.component, known.part, known.quantity, known.unit, known.higher_is_better, known.job)
        found = by_key.get(key)
        if found is not None and found.median > 0:
            expected[column], spread[column] = found.median, max(found.spread, 0.0)
            nodes[column] = found.nodes
    values = aligned.value[0][rows]
    return Against(
        id=group,
        rows=rows,
        base=base,
        metrics=aligned.metrics,
        expected=np.where(np.any(~np.isnan(values), axis=0), expected, np.nan),
        spread=spread,
        nodes=nodes,
        distance=log_ratio(values, np.broadcast_to(expected, values.shape), aligned.sign),
        facts=_other_facts(aligned, rows, base),
    )


def _other_facts(aligned: Aligned, rows: Ints, base: BaselineGroup) -> list[tuple[str, str]]:
    """(component, text) of the facts that most nodes have otherwise than the baseline's."""
    inventories = [known for row in rows if (known := aligned.machines[row].inventory) is not None]
    was = {(fact.component, fact.name, fact.place): fact.value for fact in base.facts}
    told: dict[tuple[str, str, str, str], list[str]] = {}
    for fact in usual_facts(inventories):
        old = was.get((fact.component, fact.name, fact.place))
        if old is not None and old != fact.value:
            told.setdefault((fact.component, fact.name, fact.value, old), []).append(fact.place)
    return [
        (
            component,
            f"{name}{' of ' + wording.listed(places, most=3) if any(places) else ''} is {now}, the baseline had {old}",
        )
        for (component, name, now, old), places in sorted(told.items())
    ]
