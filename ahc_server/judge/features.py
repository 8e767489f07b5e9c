"""From a session to arrays: one column per metric, one row per node, and how far each value can be trusted.

Values stand as a list of cells (row, column, value, ...), because nodes of different hardware have different metrics; each
group gets its own dense matrix.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ahc_agent.measure import Measurement
from ahc_server.judge.outliers import Floats, Ints
from ahc_server.session import Session

if TYPE_CHECKING:
    from ahc_server.judge.disks import DiskNames

#: Of a measurement whose samples were mostly disturbed, by what nobody noted: the part of its loss that may be excused.
_DOUBT_UNKNOWN = 0.5
_DOUBT_MOST = 0.9
#: Time that others took can cost a benchmark more than its share (caches, queues): it is counted twice.
_DOUBT_FACTOR = 2.0
#: No rate and no time in any unit of ours comes near this.
_IMPOSSIBLE = 1e18
#: Half width of a 95 % confidence interval over the standard error, for 1 to 10 degrees of freedom (Student's t).
_T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)


@dataclass(frozen=True, slots=True)
class Metric:
    """One column. The same metric under another job, or with another number of hosts at once, is another one."""

    component: str
    part: str
    quantity: str
    unit: str
    higher_is_better: bool
    job: str
    hosts: int

    @property
    def name(self) -> str:
        return f"{self.component}.{self.part}.{self.quantity}"


@dataclass(frozen=True, slots=True)
class Cells:
    """Everything measured. The arrays have one entry per measured value, ordered by row, then column.

    ``half_width``: of the 95 % confidence interval, in the metric's unit. ``within``: relative standard deviation of the node's
    own samples. ``doubt``: the part of a loss that disturbances could explain. ``errors``: why a value is missing.
    """

    metrics: list[Metric]
    row: Ints
    column: Ints
    value: Floats
    half_width: Floats
    within: Floats
    doubt: Floats
    errors: dict[tuple[int, int], str]


class CellWriter:
    """Gathers cells; ``cells()`` orders them and joins repeated values of one metric on one node by their mean."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str, str, str, int], int] = {}
        self.metrics: list[Metric] = []
        self.errors: dict[tuple[int, int], str] = {}
        self._row, self._column = array("q"), array("q")
        self._value, self._half_width, self._within, self._doubt = (array("d") for _ in range(4))

    def column(self, metric: Metric) -> int:
        """Number of this metric's column, made where it is new."""
        key = (metric.component, metric.part, metric.quantity, metric.job, metric.hosts)
        number = self._columns.get(key)
        if number is None:
            number = self._columns[key] = len(self.metrics)
            self.metrics.append(metric)
        return number

    def add(
        self, row: int, column: int, value: float, half_width: float, within: float, doubt: float
    ) -> None:
        self._row.append(row)
        self._column.append(column)
        self._value.append(value)
        self._half_width.append(half_width)
        self._within.append(within)
        self._doubt.append(doubt)

    def cells(self) -> Cells:
        """All that was added; columns in the order of their names, so that the order of adding leaves no trace."""
        named = [(m.component, m.part, m.quantity, m.job, m.hosts) for m in self.metrics]
        order = sorted(range(len(named)), key=named.__getitem__)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        row = np.array(self._row, dtype=np.int64)
        column = rank[np.array(self._column, dtype=np.int64)]
        fields = [
            np.array(each, dtype=np.float64)
            for each in (self._value, self._half_width, self._within, self._doubt)
        ]
        by = np.lexsort((fields[0], column, row))
        row, column, fields = row[by], column[by], [each[by] for each in fields]
        first = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(column) != 0)][: len(row)])
        repeats = np.diff(np.r_[first, len(row)])
        value, half_width, within, doubt = (
            np.add.reduceat(each, first) / repeats if len(row) else each for each in fields
        )
        return Cells(
            metrics=[self.metrics[number] for number in order],
            row=row[first],
            column=column[first],
            value=value,
            half_width=half_width,
            within=within,
            doubt=doubt,
            errors={(r, int(rank[c])): text for (r, c), text in sorted(self.errors.items())},
        )


def write_measurements(session: Session, rows: dict[str, int], disks: DiskNames, to: CellWriter) -> None:
    """Add every measurement of every node. ``rows`` maps machine keys to rows; a disk's part is the name of its place."""
    layouts: dict[tuple[str, int], list[tuple[str, str, str, int]]] = {}
    for record in session.outcomes:
        row = rows.get(record.machine)
        if row is None or not record.outcome.measurements:
            continue
        # Nodes report the same metrics in the same order: looking where the last node had them saves most of the time.
        layout = layouts.setdefault((record.job, record.hosts), [])
        for position, taken in enumerate(record.outcome.measurements):
            here = layout[position] if position < len(layout) else None
            part = taken.part if taken.component != "disk" else disks.common(row, taken.part)
            if here is not None and here[:3] == (part, taken.quantity, taken.component):
                column = here[3]
            else:
                column = to.column(_metric(taken, part, record.job, record.hosts))
                entry = (part, taken.quantity, taken.component, column)
                if here is None:
                    layout.append(entry)
                else:
                    layout[position] = entry
            if taken.value is None:
                to.errors[row, column] = taken.error or "no value and no reason given"
            elif nonsense(taken.value, taken.higher_is_better):
                to.errors[row, column] = f"{taken.value:g} {taken.unit} is no possible result: repeat"
            elif taken.samples:
                to.add(row, column, taken.value, taken.ci95 or 0.0, within(taken), doubt(taken))
            else:
                to.add(row, column, taken.value, taken.ci95 or 0.0, 0.0, 0.0)


def nonsense(value: float, higher_is_better: bool) -> bool:
    """Whether nothing can have this rate, or take this time. A rate of 0 is possible: a piece that does nothing."""
    return not (0 <= value < _IMPOSSIBLE) or (value == 0 and not higher_is_better)


def _metric(taken: Measurement, part: str, job: str, hosts: int) -> Metric:
    return Metric(taken.component, part, taken.quantity, taken.unit, taken.higher_is_better, job, hosts)


def within(taken: Measurement) -> float:
    """Relative standard deviation of one measurement's samples, from its confidence interval."""
    count = len(taken.samples)
    if count < 2 or not taken.ci95 or not taken.value:
        return 0.0
    t = _T_95[count - 2] if count - 2 < len(_T_95) else 2.0
    return float(abs(taken.ci95 / t * count**0.5 / taken.value))


def doubt(taken: Measurement) -> float:
    """The part of a loss that disturbances could explain: 0 where most samples were undisturbed.

    Throttling is no excuse: it is the node's own.
    """
    marked = [sample.disturbed for sample in taken.samples if sample.disturbed]
    if 2 * len(marked) <= len(taken.samples):
        return 0.0
    if all(text.startswith("throttl") for text in marked):
        return 0.0
    seen = taken.conditions
    if seen is None or (seen.steal_fraction is None and seen.others_cpu_fraction is None):
        return _DOUBT_UNKNOWN
    taken_away = (seen.steal_fraction or 0.0) + (seen.others_cpu_fraction or 0.0)
    return min(_DOUBT_FACTOR * taken_away, _DOUBT_MOST)


@dataclass(frozen=True, slots=True)
class Matrix:
    """One group, dense: n nodes × m metrics, NaN where there is no value.

    ``rows`` (n,) and ``columns`` (m,) say which nodes and which of ``Cells.metrics``.
    """

    rows: Ints
    columns: Ints
    value: Floats
    half_width: Floats
    within: Floats
    doubt: Floats


def matrices(cells: Cells, groups: Iterable[Ints], nodes: int) -> list[Matrix]:
    """A dense matrix per group of rows, over the columns in which any of its nodes has a value or an error."""
    members = [np.sort(group) for group in groups]
    group_of = np.full(nodes, -1, dtype=np.int64)
    place_of = np.zeros(nodes, dtype=np.int64)
    for number, group in enumerate(members):
        group_of[group] = number
        place_of[group] = np.arange(len(group))
    failed: dict[int, set[int]] = {}
    for row, column in cells.errors:
        failed.setdefault(int(group_of[row]), set()).add(column)
    by_group = np.argsort(group_of[cells.row], kind="stable")
    bounds = np.searchsorted(group_of[cells.row][by_group], np.arange(len(members) + 1))
    made = []
    for number, group in enumerate(members):
        mine = by_group[bounds[number] : bounds[number + 1]]
        extra = np.array(sorted(failed.get(number, ())), dtype=np.int64)
        columns = np.union1d(cells.column[mine], extra)
        where = (place_of[cells.row[mine]], np.searchsorted(columns, cells.column[mine]))
        layers = []
        for source, empty in (
            (cells.value, np.nan),
            (cells.half_width, 0.0),
            (cells.within, np.nan),
            (cells.doubt, np.nan),
        ):
            layer = np.full((len(group), len(columns)), empty)
            layer[where] = source[mine]
            layers.append(layer)
        made.append(Matrix(group, columns, *layers))
    return made
