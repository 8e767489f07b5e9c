"""Second runs as numbers: what a suspect and its healthy peers measured again, beside what they did first.

Distances are ln(value / what its peers made one expect), negative is worse. In a repeat the expectation is that of the first
run, moved by what the controls have moved themselves: each is paired with its own first value, so that few of them suffice,
and it does not matter that the whole fleet ran at once in the first run and a handful in the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ahc_server.judge.arrays import MAD_TO_SIGMA, Floats
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.features import CellWriter, Metric, write_measurements
from ahc_server.judge.model import Finding
from ahc_server.judge.network import pair_runs, write_capacities
from ahc_server.judge.suspects import GroupTest
from ahc_server.session import OutcomeRecord, Session

#: What the peers' spread in the first run counts for beside what the controls show (as so many of them).
_PRIOR = 2.0
#: No node repeats itself better than this (standard deviation of the difference between two runs).
_LEAST_NOISE = 0.004
#: Standard error of a median over that of a mean (normal distribution): the square root of π/2.
_MEDIAN = 1.2533
#: Slower than this is as good as standing still (ln): one value of zero must not be infinitely far.
_FARTHEST = float(np.log(1e3))


@dataclass(frozen=True, slots=True)
class Run:
    """One repeat. ``value``, ``doubt``: (row, metric) → what was measured again, and how far disturbance could explain a loss.

    ``failed``: row and component of a job → why something could not be measured again. ``asked``: those that were to be.
    """

    value: dict[tuple[int, Metric], float]
    doubt: dict[tuple[int, Metric], float]
    failed: dict[tuple[int, str], str]
    asked: set[tuple[int, str]]


def split_repeats(session: Session) -> tuple[Session, list[Session]]:
    """The plan's own run, and each repeat as if it had been the plan's (same steps, same number of hosts at once).

    So a repeat can neither add columns that only suspects and controls have, nor a second value to the first run's.
    """
    again = {step.step: step for step in session.steps if step.repeat}
    if not again:
        return session, []
    steps = {step.step: step for step in session.steps}
    taken: dict[int, list[OutcomeRecord]] = {step.repeat: [] for step in again.values()}
    for record in sorted(session.outcomes, key=lambda each: (each.task_id, each.machine)):
        if record.step in again:
            step = again[record.step]
            first = steps.get(step.of_step if step.of_step is not None else record.step, step)
            taken[step.repeat].append(replace(record, step=first.step, hosts=first.hosts))
    kept = [record for record in session.outcomes if record.step not in again]
    plan = [step for step in session.steps if not step.repeat]
    runs = [replace(session, outcomes=taken[number], steps=plan) for number in sorted(taken)]
    return replace(session, outcomes=kept, steps=plan), runs


def run_of(session: Session, rows: dict[str, int], disks: DiskNames) -> Run:
    """One repeat, read with the same eyes as the first run."""
    writer = CellWriter()
    write_measurements(session, rows, disks, writer)
    for pairs in pair_runs(session, rows):
        write_capacities(pairs, len(rows), writer)
    cells = writer.cells()
    places = list(zip(cells.row.tolist(), [cells.metrics[column] for column in cells.column], strict=True))
    component_of = {record.job: record.component for record in session.outcomes}
    failed: dict[tuple[int, str], str] = {}
    for (row, column), text in cells.errors.items():
        failed.setdefault((row, component_of[cells.metrics[column].job]), text)
    asked: set[tuple[int, str]] = set()
    for record in session.outcomes:
        if record.machine not in rows:
            continue
        about = (rows[record.machine], record.component)
        asked.add(about)
        if record.outcome.status != "ok":
            failed[about] = record.outcome.error or f"the task ended as {record.outcome.status}"
    return Run(
        dict(zip(places, cells.value.tolist(), strict=True)),
        dict(zip(places, cells.doubt.tolist(), strict=True)),
        failed,
        asked,
    )


def columns_of(finding: Finding, test: GroupTest, place: int, disks: DiskNames) -> dict[int, float]:
    """The metrics that carry a finding, as columns of its group, with what was expected.

    Of equal names (a ramp-up has the same metric at each of its steps) the one of the same value.
    """
    row = int(test.matrix.rows[place])
    named: dict[str, list[int]] = {}
    for column, metric in enumerate(test.metrics):
        named.setdefault(own_name(metric, row, disks), []).append(column)
    found: dict[int, float] = {}
    for each in finding.metrics:
        if each.value is None or not each.expected:
            continue
        values = test.matrix.value[place]
        for column in named.get(each.name, []):
            if np.isclose(values[column], each.value, rtol=1e-4) and column not in found:
                found[column] = each.expected
                break
    return found


def own_name(metric: Metric, row: int, disks: DiskNames) -> str:
    """A metric's name as a report has it: a disk is called what its node calls it."""
    return (
        replace(metric, part=disks.own(row, metric.part)).name if metric.component == "disk" else metric.name
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """A suspect's distance in the first run and in each repeat (over the same metrics), and what is known of the noise.

    ``columns``: the metrics measured again; ``expected`` (columns,): in the first run. ``shift`` (runs,): how the controls moved.
    ``noise``: standard deviation of a healthy node's difference between two runs; ``error``: standard error of the shift.
    ``controls``: how many there were, in the run that had the fewest. ``disturbed``: whether the repeats were, too.
    """

    columns: list[int]
    expected: Floats
    first: float
    again: Floats
    shift: Floats
    noise: float
    error: float
    controls: int
    disturbed: bool


def compare(
    finding: Finding,
    test: GroupTest,
    place: int,
    columns: dict[int, float],
    controls: Sequence[int],
    runs: Sequence[Run],
) -> Comparison | None:
    """None where the suspect has no second value of what it is accused of."""
    row = int(test.matrix.rows[place])
    measured = [column for column in columns if any((row, test.metrics[column]) in run.value for run in runs)]
    told = {column for column in columns if test.metrics[column].component == finding.component}
    if not measured or 2 * len(told.intersection(measured)) < len(told):
        return None
    expected = np.array([columns[column] for column in measured])
    before = test.matrix.value[place, measured]
    sign = np.array([1.0 if test.metrics[column].higher_is_better else -1.0 for column in measured])
    first = float(np.median(_distance(before, expected, sign)))
    again: list[float] = []
    shifts: list[float] = []
    residues: list[float] = []
    fewest = len(controls)
    doubts: list[float] = []
    for run in runs:
        now = second_values(run, row, test, measured)
        if np.all(np.isnan(now)):
            continue
        moved = []
        for other in controls:
            then = test.matrix.value[other, measured]
            each = _distance(second_values(run, int(test.matrix.rows[other]), test, measured), then, sign)
            if not np.all(np.isnan(each)):
                moved.append(float(np.nanmedian(each)))
        shift = float(np.median(moved)) if moved else 0.0
        fewest = min(fewest, len(moved))
        residues += [abs(each - shift) for each in moved]
        shifts.append(shift)
        again.append(float(np.nanmedian(_distance(now, expected, sign))) - shift)
        doubts += [run.doubt.get((row, test.metrics[column]), 0.0) for column in measured]
    spread = float(np.nanmedian(test.found.spread[measured]))
    usual = max(2**0.5 * spread if np.isfinite(spread) else 0.0, _LEAST_NOISE)
    seen = MAD_TO_SIGMA * float(np.median(residues)) if residues else 0.0
    noise = ((_PRIOR * usual**2 + len(residues) * seen**2) / (_PRIOR + len(residues))) ** 0.5
    return Comparison(
        columns=measured,
        expected=expected,
        first=first,
        again=np.array(again),
        shift=np.array(shifts),
        noise=noise,
        error=_MEDIAN * noise / max(len(residues), 1) ** 0.5,
        controls=fewest,
        disturbed=bool(doubts) and float(np.median(doubts)) > 0,
    )


def second_values(run: Run, row: int, test: GroupTest, columns: Sequence[int]) -> Floats:
    """What a node measured again, NaN where it did not."""
    return np.array([run.value.get((row, test.metrics[column]), np.nan) for column in columns])


def _distance(value: Floats, expected: Floats, sign: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(value / expected)
    return np.clip(sign * ratio, -_FARTHEST, _FARTHEST)
