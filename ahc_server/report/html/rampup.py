"""Ramp-ups on the page: sum and mean against the number of nodes at once, where the sum bends, and every step in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ahc_server.judge import wording
from ahc_server.judge.model import Report
from ahc_server.judge.rampup_model import RampStep, Rampup
from ahc_server.report.html.markup import Markup, tag
from ahc_server.report.rampup import behind, cells, heads, metric_of, title

#: The plot's inside, in units of its view box, and the room around it for the axes' words.
_WIDTH, _HEIGHT = 340.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 22.0, 26.0
#: Steps of an axis that a person reads easily, and how many marks it has at most.
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_MARKS = 5


@dataclass(frozen=True, slots=True)
class _Axes:
    """Largest values; both axes begin at 0."""

    hosts: float
    value: float

    def x(self, hosts: float) -> float:
        return _LEFT + _WIDTH * hosts / self.hosts

    def y(self, value: float) -> float:
        return _TOP + _HEIGHT * (1 - value / self.value)


def draw_rampups(report: Report) -> Markup | None:
    """The section; None where the session has no ramp-up."""
    ramps = report.rampups or []
    if not ramps:
        return None
    return tag(
        "section",
        tag("h2", "Ramp-ups: a job on ever more nodes at once"),
        [_ramp(ramp) for ramp in ramps],
        id="rampups",
    )


def _ramp(ramp: Rampup) -> Markup:
    sums = [(step, step.sum) for step in ramp.steps if step.sum is not None]
    means = [(step, step.mean) for step in ramp.steps if step.mean is not None]
    return tag(
        "article",
        tag("h3", title(ramp)),
        tag("p", ramp.growth.summary),
        [tag("p", behind(each), class_="warn") for each in ramp.behind],
        tag(
            "div",
            _plot(ramp, sums, "sum of all nodes", bend=True) if sums else None,
            _plot(ramp, means, "mean of a node, and the spread", bend=False) if means else None,
            class_="ramps",
        ),
        _figures(ramp),
        class_="ramp",
    )


def _plot(ramp: Rampup, points: Sequence[tuple[RampStep, float]], what: str, *, bend: bool) -> Markup:
    axes = _Axes(
        max(step.hosts for step, _ in points) * 1.02,
        max(value if bend else value + (step.spread or 0.0) for step, value in points) * 1.05 or 1.0,
    )
    growth = ramp.growth
    marked = growth.hosts if bend else None
    metric = metric_of(ramp)
    told = ", ".join(f"{step.hosts}: {wording.quantity(metric, value)}" for step, value in points)
    line = " ".join(f"{axes.x(step.hosts):.1f},{axes.y(value):.1f}" for step, value in points)
    return tag(
        "svg",
        tag("text", f"{what}, {_split(ramp, 0.0, axes.value)[1]}", x=_LEFT, y=12, class_="name"),
        _scales(ramp, axes),
        _band(points, axes) if not bend else None,
        _bend(axes, growth.hosts_low, growth.hosts_high, marked) if marked is not None else None,
        tag("polyline", points=line, class_="sum"),
        [
            tag(
                "circle",
                tag("title", f"{step.hosts} nodes: {wording.quantity(metric, value)}"),
                cx=axes.x(step.hosts),
                cy=axes.y(value),
                r="3",
            )
            for step, value in points
        ],
        viewBox=f"0 0 {_LEFT + _WIDTH + _RIGHT:.0f} {_TOP + _HEIGHT + _BOTTOM:.0f}",
        role="img",
        aria_label=f"{title(ramp)}, {what}, by nodes at once: {told}",
    )


def _scales(ramp: Rampup, axes: _Axes) -> list[Markup]:
    """Grid and words of both axes."""
    bottom, right = _TOP + _HEIGHT, _LEFT + _WIDTH
    drawn = []
    # Rates of networks are told in bits: what is round there is not in bytes.
    factor = 8 if ramp.component == "network" and ramp.unit == "bytes/s" else 1
    for mark in _marks(axes.value * factor):
        value = mark / factor
        y = axes.y(value)
        word = _split(ramp, value, axes.value)[0] if value else "0"
        drawn.append(tag("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="grid" if value else "zero"))
        drawn.append(tag("text", word, x=_LEFT - 5, y=y + 4, text_anchor="end"))
    for hosts in _marks(axes.hosts):
        drawn.append(tag("text", f"{hosts:g}", x=axes.x(hosts), y=bottom + 16, text_anchor="middle"))
    return drawn


def _split(ramp: Rampup, value: float, like: float) -> tuple[str, str]:
    """A value's number and its unit, on the scale of ``like``."""
    number, _, unit = wording.quantity(metric_of(ramp), value, like).partition(" ")
    return number, unit


def _marks(most: float) -> list[float]:
    """Round values from 0 to ``most``."""
    if most <= 0:
        return [0.0]
    size = 1.0
    while size * _MOST_MARKS < most:
        size *= 10
    while size * _MOST_MARKS >= 10 * most:
        size /= 10
    step = next(each * size / 10 for each in _ROUND if each * size / 10 * _MOST_MARKS >= most)
    return [number * step for number in range(int(most / step) + 1)]


def _band(points: Sequence[tuple[RampStep, float]], axes: _Axes) -> Markup:
    """Mean plus and minus the standard deviation."""
    upper = [(axes.x(step.hosts), axes.y(value + (step.spread or 0.0))) for step, value in points]
    lower = [(axes.x(step.hosts), axes.y(max(0.0, value - (step.spread or 0.0)))) for step, value in points]
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)])
    return tag("polygon", points=outline, class_="band")


def _bend(axes: _Axes, low: float | None, high: float | None, at: float) -> list[Markup | None]:
    bottom = _TOP + _HEIGHT
    left, right = axes.x(at if low is None else low), axes.x(at if high is None else high)
    return [
        tag("rect", x=left, y=_TOP, width=max(right - left, 1.0), height=_HEIGHT, class_="beyond"),
        tag("line", x1=axes.x(at), x2=axes.x(at), y1=_TOP, y2=bottom, class_="bar"),
        tag("text", f"{at:.0f}", x=axes.x(at) + 4, y=bottom - 5),
    ]


def _figures(ramp: Rampup) -> Markup:
    return tag(
        "details",
        tag("summary", f"Its {len(ramp.steps)} steps"),
        tag(
            "table",
            tag("thead", tag("tr", [tag("th", each) for each in heads(ramp)])),
            tag(
                "tbody",
                [
                    tag("tr", [tag("td", cell, class_="number") for cell in cells(ramp, step)])
                    for step in ramp.steps
                ],
            ),
        ),
    )
