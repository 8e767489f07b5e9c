"""Arrays for the tests of the judge's inner rooms: groups of nodes as columns of numbers, and scores made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from ahc_server.judge.arrays import Floats
from ahc_server.judge.cores import Layout
from ahc_server.judge.evidence import Values
from ahc_server.judge.features import CellWriter, Metric, matrices
from ahc_server.judge.noise import Halves, Noise
from ahc_server.judge.scores import Score
from ahc_server.judge.suspects import GroupTest, examine
from ahc_server.judge.thresholds import Thresholds

UNITS = {"_us": "us", "iops": "IOPS", "bytes_per_s": "bytes/s"}


def metric(name: str, *, job: str = "job", hosts: int = 1) -> Metric:
    """ "disk.sda.read_1M_bytes_per_s"; what ends in "_us" is a time."""
    component, part, quantity = name.split(".")
    unit = next((unit for tail, unit in UNITS.items() if quantity.endswith(tail)), "1/s")
    return Metric(component, part, quantity, unit, not quantity.endswith("_us"), job, hosts)


def steps(count: int, width: float = 0.004) -> Floats:
    """Quantiles of a normal noise of this width about 1, in an order that says nothing: the same on every machine."""
    normal = NormalDist()
    z = np.array([normal.inv_cdf((number + 0.5) / count) for number in range(count)])
    stride = next(step for step in range(max(count // 2 - 1, 1), count + 1) if np.gcd(step, count) == 1)
    return np.exp(width * z[(np.arange(count) * stride) % count])


def values_of(distance: Sequence[Sequence[float]] | Floats, *, sampled: bool = False) -> Values:
    """Distances as they are given, known exactly."""
    away = np.array(distance, dtype=np.float64)
    nothing = np.zeros(away.shape)
    return Values(away, nothing, nothing, np.full(away.shape, 0.001 if sampled else np.nan))


def examined(
    columns: Mapping[str, Sequence[float] | Floats],
    *,
    layouts: Sequence[Layout] = (),
    batches: Sequence[tuple[str, Sequence[int]]] = (),
    thresholds: Thresholds | None = None,
    half_width: float = 0.0,
    within: float = 0.0,
    doubt: Mapping[int, float] | None = None,
    localised: Mapping[tuple[int, str], float] | None = None,
) -> GroupTest:
    """One group, tested. ``columns``: metric → a value for each node, NaN where there is none. ``half_width`` and
    ``within``: of every value, relative to it; ``doubt``: node → the part of its losses that may be excused; ``localised``:
    whom the localiser names, as ``examine`` takes it."""
    writer = CellWriter()
    size = max(len(each) for each in columns.values())
    for name, told in columns.items():
        column = writer.column(metric(name))
        for row, value in enumerate(told):
            if not np.isnan(value):
                excuse = (doubt or {}).get(row, 0.0)
                writer.add(row, column, float(value), half_width * float(value), within, excuse)
    cells = writer.cells()
    [matrix] = matrices(cells, [np.arange(size, dtype=np.int64)], size)
    codes = [(component, np.array(each, dtype=np.int64)) for component, each in batches]
    limits = [thresholds or Thresholds()]
    [test] = examine(cells, [matrix], [codes], [list(layouts)], limits, named=localised)
    return test


def named(test: GroupTest, kind: str, part: str | None = None) -> tuple[int, Score]:
    """The only score of a kind (and part), and its number."""
    [found] = [
        (number, score)
        for number, score in enumerate(test.scores)
        if score.kind == kind and part in (None, score.part)
    ]
    return found


def answers(test: GroupTest, place: int) -> dict[str, set[tuple[str, str]]]:
    """What is said of one node: answer → kinds and parts of the scores."""
    return {
        answer: {(score.kind, score.part) for n, score in enumerate(test.scores) if flags[place, n]}
        for answer, flags in (
            ("slow", test.slow),
            ("fast", test.fast),
            ("cannot tell", test.cannot_tell),
            ("glitch", test.glitch),
        )
        if np.any(flags[place])
    }


def score(
    kind: str,
    component: str,
    part: str,
    distance: float,
    *,
    bar: float = -0.05,
    columns: Sequence[int] = (0,),
    halves: Halves | None = None,
) -> Score:
    """A score of a single node, made by hand."""
    nothing = np.zeros(1)
    return Score(
        kind=kind,
        component=component,
        part=part,
        title=part,
        columns=np.array(columns, dtype=np.int64),
        distance=np.array([distance]),
        error=np.array([0.01]),
        extra=nothing,
        floor=0.02,
        noise=Noise(0.01, 0.5, 0.0),
        like=1,
        excuse=nothing,
        log_p=nothing,
        single=nothing.astype(bool),
        halves=halves,
        bar=np.array([bar]),
    )
