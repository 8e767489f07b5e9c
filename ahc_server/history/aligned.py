"""Several sessions as one block of numbers: a row for each machine, a column for each metric, a layer for each session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from ahc_server.history.machines import Machine, disk_labels, same_machines
from ahc_server.history.reading import Reading, Side
from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.disks import DiskNames, match_disks
from ahc_server.judge.features import Metric
from ahc_server.judge.groups import Grouping, group_nodes
from ahc_server.judge.hardware import Hardware, hardware_of

#: What tells metrics apart: component, part, quantity, job, how many machines at once, unit, which side is better.
_Key = tuple[str, str, str, str, int, str, bool]
#: Half width of a 95 % confidence interval in standard errors.
_HALF_WIDTH_ERRORS = 1.96


@dataclass(frozen=True, slots=True)
class Aligned:
    """k sessions, oldest first. ``value`` (k, n, m), NaN where there is none; ``error`` (k, n, m), the relative standard
    error that the node's own samples show, 0 where they show none; ``doubt`` (k, n, m), the part of a loss that disturbances
    could explain. ``failed``: (session, row, column) → why there is no value.

    ``grouping`` is of the newest inventories; ``disks`` names their disks by row and place; ``counts``: job → how many machines
    ran it at once in each session, where that is not the same everywhere.
    """

    sides: list[Side]
    machines: list[Machine]
    metrics: list[Metric]
    value: Floats
    error: Floats
    doubt: Floats
    failed: dict[tuple[int, int, int], str]
    hardware: list[Hardware]
    grouping: Grouping
    disks: DiskNames
    counts: dict[str, list[list[int]]] = field(default_factory=dict)

    @property
    def sign(self) -> Floats:
        """(m,): 1 where more is better, −1 where less is."""
        return np.array([1.0 if metric.higher_is_better else -1.0 for metric in self.metrics])


def align(readings: Sequence[Reading]) -> Aligned:
    """Join sessions (oldest first)."""
    machines = same_machines([reading.records for reading in readings])
    hardware = hardware_of([machine.inventory for machine in machines])
    grouping = group_nodes(hardware)
    disks = match_disks([machine.inventory for machine in machines], grouping.groups)
    labels = [
        disk_labels([None if record is None else record.inventory for record in machine.records])
        for machine in machines
    ]
    counts = _host_counts(readings)
    columns = _Columns(counts)
    places: list[tuple[Ints, Ints]] = []
    failed: dict[tuple[int, int, int], str] = {}
    for number, reading in enumerate(readings):
        row_of = {
            record.machine: row
            for row, machine in enumerate(machines)
            if (record := machine.records[number]) is not None
        }
        rows = np.array([row_of[record.machine] for record in reading.records], dtype=np.int64)
        names = _disk_names([of[number] for of in labels], disks)
        cells = reading.cells
        row, column = rows[cells.row], np.empty(len(cells.row), dtype=np.int64)
        by_column = np.argsort(cells.column, kind="stable")
        bounds = np.searchsorted(cells.column[by_column], np.arange(len(cells.metrics) + 1))
        for own, metric in enumerate(cells.metrics):
            mine = by_column[bounds[own] : bounds[own + 1]]
            column[mine] = columns.of(metric, row[mine], names)
        places.append((row, column))
        for (at, own), text in cells.errors.items():
            here = int(rows[at])
            [there] = columns.of(cells.metrics[own], np.array([here]), names)
            failed[number, here, int(there)] = text
    rank = columns.ranks()
    value = np.full((len(readings), len(machines), len(rank)), np.nan)
    error, doubt = np.zeros_like(value), np.zeros_like(value)
    for number, (reading, (row, column)) in enumerate(zip(readings, places, strict=True)):
        taken = reading.cells.value
        value[number, row, rank[column]] = taken
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = reading.cells.half_width / _HALF_WIDTH_ERRORS / taken
        error[number, row, rank[column]] = np.where(np.isfinite(relative), relative, 0.0)
        doubt[number, row, rank[column]] = np.nan_to_num(reading.cells.doubt)
    return Aligned(
        sides=[reading.side for reading in readings],
        machines=machines,
        metrics=[columns.metrics[each] for each in np.argsort(rank)],
        value=value,
        error=error,
        doubt=doubt,
        failed={(k, row, int(rank[column])): text for (k, row, column), text in sorted(failed.items())},
        hardware=hardware,
        grouping=grouping,
        disks=disks,
        counts={job: each for job, each in counts.items() if len({tuple(of) for of in each if of}) > 1},
    )


class _Columns:
    """The joint columns of all sessions, in the order in which they are met."""

    def __init__(self, counts: Mapping[str, list[list[int]]]) -> None:
        self.metrics: list[Metric] = []
        self._number: dict[_Key, int] = {}
        # A job that ran on all machines in each session is the same job, though one of them has left the fleet.
        self._hosts = {
            job: max(max(of) for of in each if of)
            for job, each in counts.items()
            if all(len(of) <= 1 for of in each)
        }

    def of(self, metric: Metric, rows: Ints, names: Callable[[str], list[str]]) -> Ints:
        """The column of a session's metric for each of these rows."""
        metric = replace(metric, hosts=self._hosts.get(metric.job, metric.hosts))
        if metric.component != "disk":
            return np.full(len(rows), self._column(metric), dtype=np.int64)
        parts = names(metric.part)
        column_of: dict[str, int] = {}
        for part in sorted({parts[row] for row in rows.tolist()}):
            column_of[part] = self._column(replace(metric, part=part))
        return np.array([column_of[parts[row]] for row in rows.tolist()], dtype=np.int64)

    def _column(self, metric: Metric) -> int:
        number = self._number.setdefault(_key(metric), len(self.metrics))
        if number == len(self.metrics):
            self.metrics.append(metric)
        return number

    def ranks(self) -> Ints:
        """(m,): each column's place in the order of names, so that the order of meeting leaves no trace."""
        rank = np.empty(len(self.metrics), dtype=np.int64)
        rank[sorted(range(len(rank)), key=lambda each: _key(self.metrics[each]))] = np.arange(len(rank))
        return rank


def _disk_names(labels: Sequence[Mapping[str, str]], disks: DiskNames) -> Callable[[str], list[str]]:
    """A disk's name in one session → for each machine the name of its place among its peers. ``labels``: see ``disk_labels``."""

    @cache
    def names(part: str) -> list[str]:
        return [disks.common(row, of.get(part, part)) for row, of in enumerate(labels)]

    return names


def _host_counts(readings: Sequence[Reading]) -> dict[str, list[list[int]]]:
    counted: dict[str, list[set[int]]] = defaultdict(lambda: [set() for _ in readings])
    for number, reading in enumerate(readings):
        for metric in reading.cells.metrics:
            counted[metric.job][number].add(metric.hosts)
    return {job: [sorted(of) for of in each] for job, each in sorted(counted.items())}


def _key(metric: Metric) -> _Key:
    return (
        metric.component,
        metric.part,
        metric.quantity,
        metric.job,
        metric.hosts,
        metric.unit,
        metric.higher_is_better,
    )
