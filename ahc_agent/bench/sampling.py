"""Repeated samples of one benchmark, and the rule that says when there are enough.

Sampling stops as soon as the 95 % confidence interval of the mean is within ``ci_target`` of it (the rule of
CONFIRM: Maricq et al., "Taming Performance Variability", OSDI'18; they take a non-parametric interval of the median,
we the Student interval of the mean), after ``min_samples`` at the earliest and ``runtime_s`` at the latest.

Looking at the interval after every sample favours stopping on a lucky streak, and neighbouring samples of one
machine are alike (a noisy neighbour stays for seconds), which makes the plain interval too narrow. Therefore the interval
is widened by the factor sqrt((1 + r) / (1 - r)) for samples with lag-1 correlation r (the variance of an AR(1) mean),
where r is estimated, corrected by 1/n for the bias of that estimate in short series, and never negative. Simulated
(4,000 runs, at most 20 samples, spread 0.5 to 4 %, target 1 %, at least 5 samples) the interval at the stop covers the
truth in 94 to 96 % of runs of independent samples (plain: 92 to 95 %) and in 81 to 88 % at r = 0.5 (plain: 70 to 79 %).
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ahc_agent.bench.conditions import Watch
from ahc_agent.errors import ProgramError, ProgramTimeout
from ahc_agent.measure import Conditions, Sample, Stop
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import BenchLimits

#: A measurement holds no more samples than this (``Measurement.samples``).
SAMPLES_LIMIT = 4096
#: With fewer undisturbed samples than this, the disturbed ones are needed too.
UNDISTURBED_ENOUGH = 3

#: 97.5 % quantiles of Student's t by degrees of freedom (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2).
_T_SMALL = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_T_LARGE = ((30, 2.042), (40, 2.021), (60, 2.000), (100, 1.984), (math.inf, 1.960))
_CORRELATION_LIMIT = 0.9

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean of the samples that count, and the half width of its 95 % confidence interval (None from one sample)."""

    mean: float
    half_width: float | None


@dataclass(frozen=True, slots=True)
class Taken(Generic[Row]):
    """One row of observations (one value per metric measured at once), when it was taken, and what disturbed it."""

    row: Row
    at_s: float
    disturbed: str


@dataclass(slots=True)
class Run(Generic[Row]):
    """All that sampling one benchmark gave. ``error``: why it could not go on; then the samples are not to be used."""

    taken: list[Taken[Row]] = field(default_factory=list)
    stop: Stop | None = None
    duration_s: float = 0.0
    conditions: Conditions | None = None
    error: str | None = None

    def samples(self, value: Callable[[Row], float]) -> list[Sample]:
        """One metric's samples."""
        return [
            Sample(value=value(each.row), at_s=round(each.at_s, 3), disturbed=each.disturbed)
            for each in self.taken
        ]


def sample(
    step: Callable[[float], Sequence[Row]],
    values: Callable[[Row], Sequence[float]],
    limits: BenchLimits,
    context: TaskContext,
    watch: Watch,
) -> Run[Row]:
    """Call ``step(seconds left)`` until there is enough.

    A step gives at least one row, or none where the time left is too short for another. ``values`` are the values
    of a row that have to be known to ``ci_target``. Errors of programs end the run and are kept in it.
    """
    run: Run[Row] = Run()
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < limits.rampup_s and not context.cancelled.is_set():
            if not step(limits.rampup_s - (time.monotonic() - begun)):
                break
        watch.start()
        begun = time.monotonic()
        run.stop = _fill(run, step, values, limits, context, watch, begun)
    except ProgramError as error:
        if context.cancelled.is_set():
            run.stop = "cancelled"
        elif isinstance(error, ProgramTimeout) and len(run.taken) > 1:
            run.stop = "time"
        else:
            run.error = str(error)
    if run.stop == "cancelled" and not run.taken:
        run.error = "cancelled before the first sample"
    run.duration_s = round(time.monotonic() - begun, 3)
    run.conditions = watch.total()
    return run


def _fill(
    run: Run[Row],
    step: Callable[[float], Sequence[Row]],
    values: Callable[[Row], Sequence[float]],
    limits: BenchLimits,
    context: TaskContext,
    watch: Watch,
    begun: float,
) -> Stop:
    while True:
        if context.cancelled.is_set():
            return "cancelled"
        lap_s = time.monotonic() - begun
        left_s = limits.runtime_s - lap_s
        if left_s <= 0 and run.taken:
            return "time"
        rows = step(left_s)
        if not rows:
            return "time"
        disturbed = watch.lap()
        each_s = (time.monotonic() - begun - lap_s) / len(rows)
        run.taken += [Taken(row, lap_s + each_s * (index + 1), disturbed) for index, row in enumerate(rows)]
        if len(run.taken) >= SAMPLES_LIMIT:
            del run.taken[SAMPLES_LIMIT:]
            return "samples"
        if _enough([each for each in run.taken if not each.disturbed], values, limits):
            return "converged"


def _enough(
    undisturbed: Sequence[Taken[Row]], values: Callable[[Row], Sequence[float]], limits: BenchLimits
) -> bool:
    if limits.ci_target <= 0 or len(undisturbed) < limits.min_samples:
        return False
    columns = zip(*(values(each.row) for each in undisturbed), strict=True)
    return all(converged(list(column), limits.ci_target) for column in columns)


def converged(values: Sequence[float], target: float) -> bool:
    """Whether the mean of ``values`` is known to within ``target`` (relative) at 95 % confidence."""
    half_width = ci95(values)
    return half_width is not None and half_width <= target * abs(statistics.fmean(values))


def ci95(values: Sequence[float]) -> float | None:
    """Half width of the 95 % confidence interval of the mean, widened for correlated samples; None below two."""
    count = len(values)
    if count < 2:
        return None
    plain = t_quantile(count - 1) * statistics.stdev(values) / math.sqrt(count)
    related = min(max(_lag1(values) + 1 / count, 0.0), _CORRELATION_LIMIT)
    return plain * math.sqrt((1 + related) / (1 - related))


def t_quantile(degrees: int) -> float:
    """97.5 % quantile of Student's t; between the table's rows linear in 1/degrees (error below 0.1 %)."""
    if degrees < 1:
        raise ValueError("a confidence interval needs two samples")
    if degrees <= len(_T_SMALL):
        return _T_SMALL[degrees - 1]
    for (low, t_low), (high, t_high) in itertools.pairwise(_T_LARGE):
        if degrees <= high:
            part = (1 / low - 1 / degrees) / (1 / low - 1 / high)
            return t_low + part * (t_high - t_low)
    raise AssertionError("the table ends at infinity")


def estimate(samples: Sequence[Sample]) -> Estimate:
    """Mean and interval of the undisturbed samples, or of all where too few are undisturbed. Needs one sample."""
    clean = [each.value for each in samples if not each.disturbed]
    used = clean if len(clean) >= UNDISTURBED_ENOUGH else [each.value for each in samples]
    return Estimate(statistics.fmean(used), ci95(used))


def _lag1(values: Sequence[float]) -> float:
    """Correlation of neighbours; 0 for a constant series."""
    mean = statistics.fmean(values)
    deviations = [value - mean for value in values]
    square = math.fsum(each * each for each in deviations)
    if square <= 0:
        return 0.0
    return math.fsum(a * b for a, b in itertools.pairwise(deviations)) / square
