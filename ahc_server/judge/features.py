"""From a session to arrays: one column per metric, one row per node, and how far each value can be trusted.

Values stand as a list of cells (row, column, value, ...), because nodes of different hardware have different metrics; each
group gets its own dense matrix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.trust import doubt, numbers_of, possible, within
from ahc_server.measured import Measured, Name, Names
from ahc_server.session import Session

if TYPE_CHECKING:
    from ahc_server.judge.disks import DiskNames

#: Why there is no value, where nobody said.
_NO_REASON = "no value and no reason given"


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
        self._blocks: list[_Block] = []

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
        one = [np.array([each]) for each in (value, half_width, within, doubt)]
        self.add_row(row, np.array([column], dtype=np.int64), *one)

    def add_row(
        self,
        row: int,
        columns: Ints,
        value: Floats,
        half_width: Floats | None = None,
        within: Floats | None = None,
        doubt: Floats | None = None,
    ) -> None:
        """Values of one node; arrays of shape (k,), None is zero throughout."""
        self._blocks.append(_Block(row, columns, value, (half_width, within, doubt)))

    def cells(self) -> Cells:
        """All that was added; columns in the order of their names, so that the order of adding leaves no trace."""
        named = [(m.component, m.part, m.quantity, m.job, m.hosts) for m in self.metrics]
        order = sorted(range(len(named)), key=named.__getitem__)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        blocks, self._blocks = sorted(self._blocks, key=lambda block: block.row), []
        key, fields = _joined(blocks, rank)
        by = np.argsort(key)
        key = key[by]
        if np.any(key[1:] == key[:-1]):
            # The order of adding must choose neither the order in which repeats are added up.
            by = by[np.lexsort((fields[0][by], key))]
        fields = [each[by] if np.any(each) else each for each in fields]
        first = np.flatnonzero(np.r_[True, key[1:] != key[:-1]][: len(key)])
        if len(first) < len(key):
            repeats = np.diff(np.r_[first, len(key)])
            key, fields = key[first], [np.add.reduceat(each, first) / repeats for each in fields]
        row, column = np.divmod(key, max(len(order), 1))
        value, half_width, within, doubt = fields
        return Cells(
            metrics=[self.metrics[number] for number in order],
            row=row,
            column=column,
            value=value,
            half_width=half_width,
            within=within,
            doubt=doubt,
            errors={(r, int(rank[c])): text for (r, c), text in sorted(self.errors.items())},
        )


@dataclass(frozen=True, slots=True)
class _Block:
    """Values of one row. ``more``: half width, within and doubt, None where zero throughout."""

    row: int
    columns: Ints
    value: Floats
    more: tuple[Floats | None, Floats | None, Floats | None]


def _joined(blocks: list[_Block], rank: Ints) -> tuple[Ints, list[Floats]]:
    """row × number of columns + rank of the column of every cell, and value, half width, within and doubt."""
    ends = np.cumsum([0, *(len(block.value) for block in blocks)])
    key = np.empty(ends[-1], dtype=np.int64)
    # Pages of zeros that nobody writes to take no memory.
    fields = [np.empty(ends[-1]), *(np.zeros(ends[-1]) for _ in range(3))]
    for block, start, end in zip(blocks, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        np.add(rank[block.columns], block.row * len(rank), out=key[start:end])
        fields[0][start:end] = block.value
        for field, told in zip(fields[1:], block.more, strict=True):
            if told is not None:
                field[start:end] = told
    return key, fields


def write_measurements(session: Session, rows: dict[str, int], disks: DiskNames, to: CellWriter) -> None:
    """Add every measurement of every node. ``rows`` maps machine keys to rows; a disk's part is the name of its place."""
    layouts: dict[tuple[Names, str, int], _Layout] = {}
    for record in session.outcomes:
        row = rows.get(record.machine)
        if row is None:
            continue
        taken = record.columns
        if not taken.names:
            continue
        # Most nodes report the same metrics in the same order: what is known of those is looked up once.
        known = (taken.names, record.job, record.hosts)
        layout = layouts.get(known)
        if layout is None:
            layout = layouts[known] = _Layout(*known)
        _write(taken, layout.higher, row, layout.columns(row, disks, to), to)


class _Layout:
    """Which columns the measurements of a task go to, for all nodes whose tasks have the same."""

    def __init__(self, names: Names, job: str, hosts: int) -> None:
        self.higher: Bools = np.array([name.higher_is_better for name in names])
        self._names, self._job, self._hosts = names, job, hosts
        self._disks = list(dict.fromkeys(name.part for name in names if name.component == "disk"))
        self._columns: dict[tuple[str, ...], Ints] = {}

    def columns(self, row: int, disks: DiskNames, to: CellWriter) -> Ints:
        """Numbers of the columns (k,): those of most nodes, whatever a node's own names of its disks are."""
        places = tuple(map(disks.of(row), self._disks))
        if places not in self._columns:
            place_of = dict(zip(self._disks, places, strict=True))
            numbers = [to.column(self._metric(name, place_of)) for name in self._names]
            self._columns[places] = np.array(numbers, dtype=np.int64)
        return self._columns[places]

    def _metric(self, name: Name, place_of: dict[str, str]) -> Metric:
        part = place_of[name.part] if name.component == "disk" else name.part
        return Metric(
            name.component, part, name.quantity, name.unit, name.higher_is_better, self._job, self._hosts
        )


def _write(taken: Measured, higher: Bools, row: int, columns: Ints, to: CellWriter) -> None:
    value = numbers_of(taken, "value")
    assert value is not None
    half_width = numbers_of(taken, "ci95")
    more = [None if half_width is None else np.nan_to_num(half_width), within(taken), doubt(taken)]
    good = possible(value, higher)
    if not np.all(good):
        for place in np.flatnonzero(~good).tolist():
            to.errors[row, int(columns[place])] = _why_not(taken, place, float(value[place]))
        columns, value = columns[good], value[good]
        more = [None if each is None else each[good] for each in more]
    to.add_row(row, columns, value, *more)


def _why_not(taken: Measured, place: int, value: float) -> str:
    if np.isnan(value):
        return taken.errors.get(place, _NO_REASON)
    return f"{value:g} {taken.names[place].unit} is no possible result: repeat"


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
    # What most tools do not tell is zero for everybody, and need not be gathered cell by cell.
    sources = [
        (each if np.any(each) else None, empty)
        for each, empty in (
            (cells.value, np.nan),
            (cells.half_width, 0.0),
            (cells.within, np.nan),
            (cells.doubt, np.nan),
        )
    ]
    made = []
    for number, group in enumerate(members):
        mine = by_group[bounds[number] : bounds[number + 1]]
        taken = cells.column[mine]
        has = np.zeros(len(cells.metrics), dtype=bool)
        has[taken] = True
        has[list(failed.get(number, ()))] = True
        columns = np.flatnonzero(has)
        where = place_of[cells.row[mine]] * len(columns) + (np.cumsum(has) - 1)[taken]
        layers = []
        for source, empty in sources:
            layer = np.full(len(group) * len(columns), empty)
            layer[where] = 0.0 if source is None else source[mine]
            layers.append(layer.reshape(len(group), len(columns)))
        made.append(Matrix(group, columns, *layers))
    return made
