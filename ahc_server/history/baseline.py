"""A baseline: what the nodes of a group did that passed, kept for the next delivery of the same model.

It names no machine: hardware as it is sold, the facts that most nodes shared, and for each metric the median, the
spread and the number of nodes. The file may be carried to another site.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Annotated, Literal

import msgspec
import numpy as np

from ahc_agent.errors import NoData
from ahc_agent.facts import Cpu, Disk, Finite, Inventory, Memory, Nic, System, Text
from ahc_server.history.aligned import Aligned, align
from ahc_server.history.reading import Reading
from ahc_server.history.robust import log_ratio, medians, spread_of
from ahc_server.judge.arrays import Ints
from ahc_server.judge.facts.table import facts_of
from ahc_server.judge.findings import significant
from ahc_server.judge.hardware import Hardware

_Count = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]


class BaselineMetric(msgspec.Struct, kw_only=True, frozen=True):
    """``median`` in the metric's unit; ``spread``: standard deviation between nodes, relative, robust where
    there are many (``robust.spread_of``). A disk's part is its name in the group's ``like``."""

    component: Text
    part: Text
    quantity: Text
    unit: Text
    higher_is_better: bool
    job: Text
    median: Finite
    spread: Finite
    nodes: _Count

    @property
    def name(self) -> str:
        return f"{self.component}.{self.part}.{self.quantity}"


class BaselineFact(msgspec.Struct, kw_only=True, frozen=True):
    """A fact that more than half of the nodes shared."""

    component: Text
    name: Text
    place: Text = ""
    value: Text


class BaselineGroup(msgspec.Struct, kw_only=True, frozen=True):
    """One group. ``like``: the inventory of a typical node, only what makes nodes comparable. ``nodes``: how many it was
    made from; ``judged``: False where they were too few to be judged by their peers."""

    hardware: Text
    nodes: _Count
    judged: bool
    like: Inventory
    facts: list[BaselineFact]
    metrics: list[BaselineMetric]


class Baseline(msgspec.Struct, kw_only=True, frozen=True):
    """``ahc.baseline/1``. ``session``, ``data_up_to``: what it was made from."""

    schema: Literal["ahc.baseline/1"] = "ahc.baseline/1"
    name: Text
    session: Text
    data_up_to: Text
    groups: list[BaselineGroup]


def baseline_of(reading: Reading, name: str, verdicts: dict[str, str]) -> Baseline:
    """A baseline of the nodes that passed; ``verdicts``: node → the judge's. Raises NoData where there is none."""
    aligned = align([reading])
    groups = [
        _group(aligned, rows, aligned.grouping.usual[number], judged)
        for number, members in enumerate(aligned.grouping.groups)
        for rows, judged in [_chosen(aligned, members, verdicts)]
        if len(rows)
    ]
    if not groups:
        raise NoData(
            f"session {reading.side.session}: no node passed, so there is nothing to take for a baseline"
        )
    return Baseline(
        name=name, session=reading.side.session, data_up_to=reading.side.data_up_to, groups=groups
    )


def _chosen(aligned: Aligned, members: Ints, verdicts: dict[str, str]) -> tuple[Ints, bool]:
    """Those that passed; of a group in which nobody could, because it is too small, those that nothing is known against."""

    def with_verdict(verdict: str) -> Ints:
        return np.array(
            [row for row in members if verdicts.get(aligned.machines[row].id) == verdict], dtype=np.int64
        )

    passed = with_verdict("pass")
    if len(passed):
        return passed, True
    unknown = with_verdict("unknown")
    measured = np.any(~np.isnan(aligned.value[0][unknown]), axis=1)
    return (unknown[measured] if len(members) < 3 else passed), False


def _group(aligned: Aligned, rows: Ints, usual: Hardware, judged: bool) -> BaselineGroup:
    typical = next((int(row) for row in rows if aligned.hardware[row] == usual), int(rows[0]))
    values = aligned.value[0][rows]
    middle = medians(values, 0)
    spread = spread_of(log_ratio(values, np.broadcast_to(middle, values.shape), np.ones(len(middle))))
    counts = np.sum(~np.isnan(values), axis=0)
    metrics = []
    for column in np.flatnonzero(middle > 0):
        metric = aligned.metrics[column]
        part = aligned.disks.own(typical, metric.part) if metric.component == "disk" else metric.part
        metrics.append(
            BaselineMetric(
                component=metric.component,
                part=part,
                quantity=metric.quantity,
                unit=metric.unit,
                higher_is_better=metric.higher_is_better,
                job=metric.job,
                median=significant(float(middle[column]), 6),
                spread=significant(float(spread[column]), 3),
                nodes=int(counts[column]),
            )
        )
    inventories = [known for row in rows if (known := aligned.machines[row].inventory) is not None]
    return BaselineGroup(
        hardware=usual.line(),
        nodes=len(rows),
        judged=judged,
        like=_like(aligned.machines[typical].inventory),
        facts=usual_facts(inventories),
        metrics=metrics,
    )


def usual_facts(inventories: Collection[Inventory]) -> list[BaselineFact]:
    """The facts that more than half of some machines share."""
    counted = Counter(each for inventory in inventories for each in facts_of(inventory).items())
    return [
        BaselineFact(component=fact.component, name=fact.name, place=fact.place, value=value)
        for (fact, value), many in sorted(counted.items())
        if 2 * many > len(inventories) and len(value) <= 4096
    ]


def _like(inventory: Inventory | None) -> Inventory:
    """What makes a machine comparable, and nothing that tells it from its like."""
    if inventory is None:
        return Inventory(collected_at="")
    system, cpu = inventory.system, inventory.cpu
    return Inventory(
        collected_at=inventory.collected_at,
        system=System(vendor=system.vendor, product=system.product, virtualization=system.virtualization),
        cpu=Cpu(
            model=cpu.model,
            vendor=cpu.vendor,
            architecture=cpu.architecture,
            logical_present=cpu.logical_present,
            logical_online=cpu.logical_online,
            sockets=cpu.sockets,
            cores=cpu.cores,
            threads_per_core=cpu.threads_per_core,
        ),
        memory=Memory(total_bytes=inventory.memory.total_bytes),
        disks=[_like_disk(disk) for disk in inventory.disks],
        nics=[
            Nic(name=nic.name, kind=nic.kind, driver=nic.driver, speed_mbps=nic.speed_mbps)
            for nic in inventory.nics
        ],
    )


def _like_disk(disk: Disk) -> Disk:
    return Disk(
        name=disk.name,
        kind=disk.kind,
        size_bytes=disk.size_bytes,
        rotational=disk.rotational,
        removable=disk.removable,
        model=disk.model,
        transport=disk.transport,
    )
