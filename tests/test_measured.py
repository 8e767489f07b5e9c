"""Measurements as columns: nothing that the judge asks is lost, and what is trusted of each is what its samples say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.measure import Conditions, Measurement, Sample
from ahc_agent.wire.messages import Identity, TaskOutcome
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.features import Cells, CellWriter, Metric, write_measurements
from ahc_server.judge.trust import doubt, numbers_of, within
from ahc_server.measured import CONDITIONS, FIELDS, Measured, is_told, measured_of, measurements_of
from ahc_server.session import NodeRecord, OutcomeRecord, Session

FINITE = st.floats(-1e9, 1e12)
SAMPLES = st.lists(
    st.builds(Sample, value=FINITE, disturbed=st.sampled_from(["", "steal 0.12", "throttled 3"])), max_size=14
)
SHARES = st.none() | st.floats(0, 1)
MEASUREMENTS = st.builds(
    Measurement,
    component=st.sampled_from(["cpu", "disk", "memory"]),
    part=st.sampled_from(["all", "core1", "sda"]),
    quantity=st.sampled_from(["loops_per_s", "read_p99_us"]),
    unit=st.just("x"),
    higher_is_better=st.booleans(),
    value=st.none() | FINITE,
    ci95=st.none() | st.floats(0, 1e6),
    samples=SAMPLES,
    conditions=st.none()
    | st.builds(
        Conditions,
        steal_fraction=SHARES,
        others_cpu_fraction=SHARES,
        throttle_events=st.none() | st.integers(0, 500),
    ),
    error=st.none() | st.just("no such tool"),
)
PLAIN = st.builds(
    Measurement,
    component=st.sampled_from(["cpu", "disk"]),
    part=st.sampled_from(["all", "sda"]),
    quantity=st.just("loops_per_s"),
    unit=st.just("x"),
    value=FINITE,
    ci95=st.none() | st.floats(0, 1e6),
)


def cells_of(*records: OutcomeRecord) -> Cells:
    writer = CellWriter()
    machines = list(dict.fromkeys(record.machine for record in records))
    nodes = [NodeRecord(machine, machine, Identity(name=machine)) for machine in machines]
    rows = {machine: row for row, machine in enumerate(machines)}
    write_measurements(Session("s", "p", "done", 0.0, nodes, list(records)), rows, DiskNames(), writer)
    return writer.cells()


def record(taken: list[Measurement] | Measured, machine: str = "n1", task: str = "t") -> OutcomeRecord:
    if isinstance(taken, Measured):
        outcome, columns = TaskOutcome(status="ok"), taken
        return OutcomeRecord(task, machine, "job", "cpu", 1, 1, outcome, columns)
    return OutcomeRecord(task, machine, "job", "cpu", 1, 1, TaskOutcome(status="ok", measurements=taken))


def cpu(value: float | None, **more: Any) -> Measurement:
    return Measurement(
        component="cpu", part="all", quantity="loops_per_s", unit="loops/s", value=value, **more
    )


@given(st.lists(MEASUREMENTS, max_size=6))
def test_every_number_that_a_measurement_tells_is_in_its_column(taken: list[Measurement]) -> None:
    columns = measured_of(taken)
    assert set(columns.fields) <= set(FIELDS)
    assert columns.known == sum(each.value is not None for each in taken)
    for field in ("value", "ci95"):
        expected = [getattr(each, field) for each in taken]
        read = numbers_of(columns, field)
        told = [None] * len(taken) if read is None else [None if math.isnan(x) else x for x in read]
        assert told == expected
    for field in CONDITIONS:
        expected = [getattr(each.conditions, field, None) for each in taken]
        read = numbers_of(columns, field)
        told = [None] * len(taken) if read is None else [None if math.isnan(x) else x for x in read]
        assert told == expected


@given(st.lists(PLAIN, max_size=6))
def test_what_is_plain_comes_back_as_it_was(taken: list[Measurement]) -> None:
    assert is_told(taken)
    assert measurements_of(measured_of(taken)) == taken


@pytest.mark.parametrize(
    "more",
    [
        {"samples": [Sample(value=1.0)]},
        {"conditions": Conditions()},
        {"stop": "time"},
        {"duration_s": 1.0},
        {"error": "half of it failed"},
    ],
)
def test_what_columns_do_not_tell_is_said(more: dict[str, object]) -> None:
    assert not is_told([cpu(1.0), cpu(1.0, **more)])


@given(st.lists(MEASUREMENTS, max_size=6))
def test_the_judge_sees_the_same_of_columns_and_of_measurements(taken: list[Measurement]) -> None:
    one, other = cells_of(record(taken)), cells_of(record(measured_of(taken)))
    assert (one.metrics, one.errors) == (other.metrics, other.errors)
    for field in ("row", "column", "value", "half_width", "within", "doubt"):
        assert np.array_equal(getattr(one, field), getattr(other, field))


def test_own_samples_tell_the_spread_by_students_t() -> None:
    """Two samples 1 and 3: mean 2, standard deviation √2, half width of the interval 12.71 · √2 / √2."""
    pair = cpu(2.0, ci95=12.71, samples=[Sample(value=1.0), Sample(value=3.0)])
    many = cpu(10.0, ci95=2.0 * 0.5 / 10, samples=[Sample(value=10.0)] * 100)
    alone = cpu(2.0, ci95=1.0, samples=[Sample(value=2.0)])
    found = within(measured_of([pair, many, alone, cpu(0.0, ci95=1.0, samples=[Sample(value=0.0)] * 2)]))
    assert found == pytest.approx([2**0.5 / 2, 0.05, 0.0, 0.0])
    assert within(measured_of([cpu(2.0, ci95=1.0)])) is None


STEAL, THROTTLED, CLEAN = "steal 0.20", "throttled", ""


@pytest.mark.parametrize(
    ("marks", "conditions", "expected"),
    [
        ([STEAL, STEAL, CLEAN], Conditions(steal_fraction=0.2), 0.4),
        ([STEAL, STEAL, CLEAN], Conditions(steal_fraction=0.2, others_cpu_fraction=0.1), 0.6),
        ([STEAL, STEAL, CLEAN], Conditions(steal_fraction=0.8), 0.9),
        ([STEAL, STEAL, CLEAN], Conditions(), 0.5),
        ([STEAL, STEAL, CLEAN], None, 0.5),
        ([STEAL, CLEAN], Conditions(steal_fraction=0.2), 0.0),
        ([THROTTLED, THROTTLED, CLEAN], Conditions(steal_fraction=0.2), 0.0),
        ([THROTTLED, STEAL, STEAL], Conditions(steal_fraction=0.1), 0.2),
    ],
)
def test_disturbed_samples_excuse_as_much_as_was_taken_away(
    marks: list[str], conditions: Conditions | None, expected: float
) -> None:
    samples = [Sample(value=1.0, disturbed=mark) for mark in marks]
    taken = measured_of([cpu(1.0), cpu(1.0, samples=samples, conditions=conditions)])
    found = doubt(taken)
    assert (np.zeros(2) if found is None else found) == pytest.approx([0.0, expected])


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (cpu(None, error="sysbench is not there"), "sysbench is not there"),
        (cpu(None), "no value and no reason given"),
        (cpu(-1.0), "-1 loops/s is no possible result: repeat"),
        (cpu(1e18), "1e+18 loops/s is no possible result: repeat"),
        (cpu(0.0, higher_is_better=False), "0 loops/s is no possible result: repeat"),
    ],
)
def test_what_is_no_value_is_an_error_with_its_reason(taken: Measurement, said: str) -> None:
    cells = cells_of(record([taken]))
    assert (cells.errors, len(cells.value)) == ({(0, 0): said}, 0)


def test_a_rate_of_zero_is_a_value() -> None:
    assert cells_of(record([cpu(0.0)])).value.tolist() == [0.0]


@given(st.permutations(range(5)))
def test_repeats_are_one_value_whatever_their_order(order: list[int]) -> None:
    values = [0.1, 0.2, 0.3, 1e9, 1e-9]
    records = [record([cpu(values[place])], task=f"t{place}") for place in order]
    cells = cells_of(*records)
    assert cells.value.tolist() == cells_of(*(record([cpu(value)]) for value in values)).value.tolist()
    assert cells.value == pytest.approx([sum(values) / 5])


def test_columns_are_ordered_by_name_and_rows_by_number() -> None:
    writer = CellWriter()
    late = writer.column(Metric("memory", "all", "x", "u", True, "job", 1))
    early = writer.column(Metric("cpu", "all", "x", "u", True, "job", 1))
    writer.add(1, late, 4.0, 0.4, 0.04, 0.004)
    writer.add_row(0, np.array([late, early]), np.array([2.0, 1.0]), doubt=np.array([0.2, 0.1]))
    cells = writer.cells()
    assert [metric.component for metric in cells.metrics] == ["cpu", "memory"]
    assert (cells.row.tolist(), cells.column.tolist()) == ([0, 0, 1], [0, 1, 1])
    assert cells.value.tolist() == [1.0, 2.0, 4.0]
    assert cells.half_width.tolist() == [0.0, 0.0, 0.4]
    assert cells.doubt.tolist() == [0.1, 0.2, 0.004]


def test_nothing_measured_is_no_cells() -> None:
    cells = cells_of(record([]))
    assert (cells.metrics, len(cells.row), len(cells.value)) == ([], 0, 0)
