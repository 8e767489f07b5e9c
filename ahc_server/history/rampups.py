"""Two ramp-ups side by side: what became of mean, sum and spread at each number of nodes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import stdtrit

from ahc_agent.errors import CannotAnswer
from ahc_server.history.plans import difference
from ahc_server.history.reading import Reading
from ahc_server.judge.findings import rounded
from ahc_server.judge.rampup_model import RampStep, Rampup

_CONFIDENCE = 0.95
#: The least that steps stray: a few that agree by chance are not known so well.
_LEAST_SPREAD = 0.01


class StepChange(msgspec.Struct, kw_only=True, frozen=True):
    """One number of nodes at once. The changes are relative, negative is worse; that of the spread is of its size relative to
    the mean, and more is worse. None: not in both."""

    hosts: int
    before: RampStep | None
    after: RampStep | None
    mean: float | None = None
    sum: float | None = None
    spread: float | None = None


class RampChange(msgspec.Struct, kw_only=True, frozen=True):
    """One metric of one job. ``change``: of the mean, over all steps in both, with its interval of 95 % confidence (the steps
    are the repeats; None of fewer than three); ``before``, ``after``: what is said of its growth."""

    job: str
    component: str
    metric: str
    unit: str
    higher_is_better: bool
    steps: list[StepChange]
    change: float | None
    low: float | None
    high: float | None
    before: str
    after: str


def ramp_changes(before: Reading, after: Reading) -> list[RampChange]:
    """Every ramp-up that both sessions have. Raises CannotAnswer where both are ramp-ups, and of different plans."""
    if not before.rampups or not after.rampups:
        return []
    differ = difference(before.plan, after.plan)
    if differ is not None:
        raise CannotAnswer(
            f"{before.side.session} and {after.side.session} ran different plans, so that their ramp-ups cannot be compared: "
            f"{differ}"
        )
    later = {(ramp.job, ramp.metric): ramp for ramp in after.rampups}
    pairs = [(ramp, later.get((ramp.job, ramp.metric))) for ramp in before.rampups]
    return [_change(one, other) for one, other in pairs if other is not None]


def _change(before: Rampup, after: Rampup) -> RampChange:
    sign = 1.0 if before.higher_is_better else -1.0
    first = {step.hosts: step for step in before.steps}
    second = {step.hosts: step for step in after.steps}
    steps = [_step(hosts, first.get(hosts), second.get(hosts), sign) for hosts in sorted({*first, *second})]
    ratios = [
        sign * float(np.log(step.after.mean / step.before.mean))
        for step in steps
        if step.before is not None and step.after is not None and step.before.mean and step.after.mean
    ]
    change, low, high = _interval(ratios)
    return RampChange(
        job=before.job,
        component=before.component,
        metric=before.metric,
        unit=before.unit,
        higher_is_better=before.higher_is_better,
        steps=steps,
        change=_effect(change, sign),
        low=_effect(low, sign),
        high=_effect(high, sign),
        before=before.growth.summary,
        after=after.growth.summary,
    )


def _step(hosts: int, before: RampStep | None, after: RampStep | None, sign: float) -> StepChange:
    if before is None or after is None:
        return StepChange(hosts=hosts, before=before, after=after)
    return StepChange(
        hosts=hosts,
        before=before,
        after=after,
        mean=_relative(before.mean, after.mean, sign),
        sum=_relative(before.sum, after.sum, sign),
        spread=_relative(_scatter(before), _scatter(after), -1.0),
    )


def _scatter(step: RampStep) -> float | None:
    return None if step.spread is None or not step.mean else step.spread / step.mean


def _relative(before: float | None, after: float | None, sign: float) -> float | None:
    """(after − before) / before, with the sign of better."""
    return rounded(sign * (after / before - 1.0), 4) if before and after is not None else None


def _effect(distance: float | None, sign: float) -> float | None:
    """From ln, in which more is better, to a relative change of the value."""
    return None if distance is None else rounded(sign * float(np.expm1(sign * distance)), 4)


def _interval(ratios: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Mean of what the steps say, and Student's interval."""
    if not ratios:
        return None, None, None
    middle = float(np.mean(ratios))
    if len(ratios) < 3:
        return middle, None, None
    spread = max(float(np.std(ratios, ddof=1)), _LEAST_SPREAD)
    width = float(stdtrit(len(ratios) - 1, 0.5 + _CONFIDENCE / 2)) * spread / len(ratios) ** 0.5
    return middle, middle - width, middle + width
