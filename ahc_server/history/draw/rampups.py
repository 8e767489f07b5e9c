"""Two ramp-ups side by side, as text."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.rampups import RampChange, StepChange
from ahc_server.judge import wording
from ahc_server.judge.rampup_model import RampStep
from ahc_server.report.layout import table, wrapped
from ahc_server.report.rampup import metric_of, right_aligned, title

#: From ten times on a rise is told as a factor.
_MANY = 9.0


def ramp_lines(changes: Sequence[RampChange], width: int) -> list[str]:
    """The section, empty where there are none."""
    lines = ["", "Ramp-ups, before and after"] if changes else []
    for each in changes:
        lines += ["", *wrapped(f"{title(each)}: {said(each)}", width, "    ", first="  ")]
        lines += wrapped(f"before: {each.before}", width, "      ", first="    ")
        lines += wrapped(f"after: {each.after}", width, "      ", first="    ")
        lines += _steps(each)
    return lines


def said(each: RampChange) -> str:
    if each.change is None:
        return "no number of nodes at once is in both"
    told = _change(each.change)
    if each.low is None or each.high is None:
        return f"{told}, from too few steps to say how surely"
    interval = f"{_change(each.low)} to {_change(each.high)}"
    if each.low <= 0 <= each.high:
        return f"no change that is sure: {told} ({interval})"
    return f"{'better' if each.change > 0 else 'worse'}, {told} ({interval}, 95 % confidence)"


def _steps(each: RampChange) -> list[str]:
    return [line.rstrip() for line in table(right_aligned([(*row, "") for row in step_rows(each)]))]


def step_rows(each: RampChange) -> list[tuple[str, ...]]:
    """Heads, then a row for each number of nodes."""
    adds_up = any(step.sum is not None for step in each.steps)
    what = "sum" if adds_up else "mean"
    rows: list[tuple[str, ...]] = [
        ("nodes", f"{what} before", "after", "change", "mean before", "after", "spread before", "after")
        if adds_up
        else ("nodes", f"{what} before", "after", "change", "spread before", "after")
    ]
    for step in each.steps:
        rows.append(_row(each, step, adds_up=adds_up))
    return rows


def _row(each: RampChange, step: StepChange, *, adds_up: bool) -> tuple[str, ...]:
    both = (step.before, step.after)
    spreads = [_spread(of) for of in both]
    means = _told(each, both, "mean")
    if not adds_up:
        return (f"{step.hosts:,}", *means, _change(step.mean), *spreads)
    return (f"{step.hosts:,}", *_told(each, both, "sum"), _change(step.sum), *means, *spreads)


def _told(each: RampChange, both: Sequence[RampStep | None], what: str) -> list[str]:
    """Of each side on a scale of its own: a change may be of a thousand times."""
    told = []
    for side, step in zip(("before", "after"), both, strict=True):
        steps = [getattr(of, side) for of in each.steps]
        most = max((getattr(of, what) or 0.0 for of in steps if of is not None), default=0.0)
        value = None if step is None else getattr(step, what)
        told.append("" if value is None else wording.quantity(metric_of(each), value, most))
    return told


def _change(change: float | None) -> str:
    """ "+12 %", and "90 times" where it is many times."""
    if change is None:
        return ""
    return f"{change + 1:,.0f} times" if change >= _MANY else wording.percent(change)


def _spread(step: RampStep | None) -> str:
    if step is None or step.spread is None or not step.mean:
        return ""
    return f"± {100 * step.spread / step.mean:.1f} %"
