"""Two network sessions side by side, job by job: what flows gained or lost, which elements came or went, who fell silent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from ahc_server.history.aligned import Aligned
from ahc_server.history.flowchanges import UNITS, Flows, Quantity, QuantityChange, quantity_change
from ahc_server.history.flowside import Element, FlowSide
from ahc_server.history.reading import Reading
from ahc_server.judge.arrays import Ints
from ahc_server.judge.model import Severity
from ahc_server.judge.thresholds import Thresholds


class NetworkChange(msgspec.Struct, kw_only=True, frozen=True):
    """One job. ``came``, ``went``, ``stayed``: elements that are bad afterwards, were before, or both (as they are afterwards).
    ``silenced``, ``connected``: ordered pairs "A → B" that came through only before, or only afterwards. ``severity``: of the
    worst that came, "info" where nothing did."""

    job: str
    severity: Severity
    quantities: list[QuantityChange]
    came: list[Element]
    went: list[Element]
    stayed: list[Element]
    silenced: list[str]
    connected: list[str]


def network_changes(
    before: Reading, after: Reading, aligned: Aligned, limits: Thresholds
) -> list[NetworkChange]:
    """Every job of both sessions that tested pairs."""
    rows = _rows(before, 0, aligned), _rows(after, 1, aligned)
    names = [machine.id for machine in aligned.machines]
    later = {side.job: side for side in after.flows}
    return [
        _change(side, later[side.job], *rows, names, limits) for side in before.flows if side.job in later
    ]


def _rows(reading: Reading, number: int, aligned: Aligned) -> Ints:
    """Row of the reading → row of both."""
    place = {
        record.machine: row
        for row, machine in enumerate(aligned.machines)
        if (record := machine.records[number]) is not None
    }
    return np.array([place[record.machine] for record in reading.records], dtype=np.int64)


def _change(
    one: FlowSide, other: FlowSide, rows: Ints, later: Ints, names: Sequence[str], limits: Thresholds
) -> NetworkChange:
    leaf: list[str | None] = [None] * len(names)
    for side, at in ((one, rows), (other, later)):
        for row, name in zip(at.tolist(), side.leaf, strict=True):
            leaf[row] = name or leaf[row]
    quantities = []
    for quantity in UNITS:
        before, after = _flows(one, rows, quantity), _flows(other, later, quantity)
        if len(before.value) and len(after.value):
            quantities.append(quantity_change(quantity, names, leaf, before, after))
    first, second = ({each.element: each for each in side.elements} for side in (one, other))
    dead, alive = _ways(one, rows, dead=True), _ways(one, rows, dead=False)
    dead_now, alive_now = _ways(other, later, dead=True), _ways(other, later, dead=False)
    came = [each for element, each in second.items() if element not in first]
    return NetworkChange(
        job=one.job,
        severity=_severity(came, limits),
        quantities=quantities,
        came=came,
        went=[each for element, each in first.items() if element not in second],
        stayed=[each for element, each in second.items() if element in first],
        silenced=[f"{names[a]} → {names[b]}" for a, b in sorted(alive & dead_now)],
        connected=[f"{names[a]} → {names[b]}" for a, b in sorted(dead & alive_now)],
    )


def _severity(came: Sequence[Element], limits: Thresholds) -> Severity:
    told = {
        "fail" if -each.effect >= limits.of("rtt" if each.by == "rtt" else "tx").fail else "warn"
        for each in came
    }
    return "fail" if "fail" in told else "warn" if told else "info"


def _ways(side: FlowSide, rows: Ints, *, dead: bool) -> set[tuple[int, int]]:
    mine = side.dead if dead else ~side.dead
    return set(zip(rows[side.source[mine]].tolist(), rows[side.destination[mine]].tolist(), strict=True))


def _flows(side: FlowSide, rows: Ints, quantity: Quantity) -> Flows:
    value = np.log(side.rate) if quantity == "rate" else -np.log(side.rtt_us)
    known = ~np.isnan(value)
    return Flows(rows[side.source[known]], rows[side.destination[known]], value[known])
