"""Ramp-ups on the page: sum, mean, start jitter and duration against the number of nodes at once, and every step in figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ahc_server.judge import wording
from ahc_server.judge.model import Report
from ahc_server.judge.rampup_model import Rampup
from ahc_server.report.html.markup import Markup, tag
from ahc_server.report.rampup import behind, cells, heads, metric_of, title

#: The plot's inside, in units of its view box, and the room around it for the axes' words.
_WIDTH, _HEIGHT = 340.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 14.0, 22.0, 26.0
#: Steps of an axis that a person reads easily, and how many marks it has at most.
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_MARKS = 5


#: Tells a value on the scale of another one.
Tell = Callable[[float, float], str]


@dataclass(frozen=True, slots=True)
class _Curve:
    """One quantity against the number of nodes. ``spread``: half of the band around each point; ``factor``: what is round in the
    unit that is told is not in that of the values (bits and bytes)."""

    what: str
    points: Sequence[tuple[int, float]]
    tell: Tell
    spread: Sequence[float] = ()
    factor: float = 1.0

    @property
    def axes(self) -> _Axes:
        more = self.spread or [0.0] * len(self.points)
        tops = [value + each for (_, value), each in zip(self.points, more, strict=True)]
        return _Axes(max(hosts for hosts, _ in self.points) * 1.02, max(tops) * 1.05 or 1.0)

    def split(self, value: float) -> tuple[str, str]:
        """A value's number and its unit, on the scale of the axis."""
        number, _, unit = self.tell(value, self.axes.value).partition(" ")
        return number, unit


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
    growth = ramp.growth
    return tag(
        "article",
        tag("h3", title(ramp)),
        tag("p", growth.summary),
        [tag("p", behind(each), class_="warn") for each in ramp.behind],
        tag(
            "div",
            [
                _plot(ramp, curve, (growth.hosts_low, growth.hosts, growth.hosts_high) if first else None)
                for first, curve in _curves(ramp)
                if curve.points
            ],
            class_="ramps",
        ),
        _figures(ramp),
        class_="ramp",
    )


def _curves(ramp: Rampup) -> list[tuple[bool, _Curve]]:
    """What is drawn, and whether the bend belongs to it: the sum, the mean with its spread, start jitter and duration."""
    metric = metric_of(ramp)
    # Rates of networks are told in bits.
    factor = 8.0 if ramp.component == "network" and ramp.unit == "bytes/s" else 1.0

    def quantity(value: float, like: float) -> str:
        return wording.quantity(metric, value, like)

    sums = [(step.hosts, step.sum) for step in ramp.steps if step.sum is not None]
    means = [(step.hosts, step.mean) for step in ramp.steps if step.mean is not None]
    spread = [step.spread or 0.0 for step in ramp.steps if step.mean is not None]
    jitter = [
        (step.hosts, 1000 * step.start_jitter_s) for step in ramp.steps if step.start_jitter_s is not None
    ]
    took = [(step.hosts, step.duration_s) for step in ramp.steps if step.duration_s is not None]
    return [
        (True, _Curve("sum of all nodes", sums, quantity, factor=factor)),
        (False, _Curve("mean of a node, and the spread", means, quantity, spread, factor)),
        (False, _Curve("start jitter", jitter, lambda value, _: f"{value:,.4g} ms")),
        (False, _Curve("duration", took, lambda value, _: f"{value:,.4g} s")),
    ]


def _plot(
    ramp: Rampup, curve: _Curve, bend: tuple[float | None, float | None, float | None] | None
) -> Markup:
    axes = curve.axes
    told = ", ".join(f"{hosts}: {curve.tell(value, axes.value)}" for hosts, value in curve.points)
    line = " ".join(f"{axes.x(hosts):.1f},{axes.y(value):.1f}" for hosts, value in curve.points)
    return tag(
        "svg",
        tag("text", f"{curve.what}, {curve.split(0.0)[1]}", x=_LEFT, y=12, class_="name"),
        _scales(curve),
        _band(curve) if curve.spread else None,
        _bend(axes, *bend) if bend is not None else None,
        tag("polyline", points=line, class_="sum"),
        [
            tag(
                "circle",
                tag("title", f"{hosts} nodes: {curve.tell(value, axes.value)}"),
                cx=axes.x(hosts),
                cy=axes.y(value),
                r="3",
            )
            for hosts, value in curve.points
        ],
        viewBox=f"0 0 {_LEFT + _WIDTH + _RIGHT:.0f} {_TOP + _HEIGHT + _BOTTOM:.0f}",
        role="img",
        aria_label=f"{title(ramp)}, {curve.what}, by nodes at once: {told}",
    )


def _scales(curve: _Curve) -> list[Markup]:
    """Grid and words of both axes."""
    axes, bottom, right = curve.axes, _TOP + _HEIGHT, _LEFT + _WIDTH
    drawn = []
    for mark in _marks(axes.value * curve.factor):
        value = mark / curve.factor
        y = axes.y(value)
        word = curve.split(value)[0] if value else "0"
        drawn.append(tag("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="grid" if value else "zero"))
        drawn.append(tag("text", word, x=_LEFT - 5, y=y + 4, text_anchor="end"))
    for hosts in _marks(axes.hosts):
        drawn.append(tag("text", f"{hosts:g}", x=axes.x(hosts), y=bottom + 16, text_anchor="middle"))
    return drawn


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


def _band(curve: _Curve) -> Markup:
    """Each point plus and minus its spread."""
    axes = curve.axes
    both = list(zip(curve.points, curve.spread, strict=True))
    upper = [(axes.x(hosts), axes.y(value + more)) for (hosts, value), more in both]
    lower = [(axes.x(hosts), axes.y(max(0.0, value - more))) for (hosts, value), more in both]
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)])
    return tag("polygon", points=outline, class_="band")


def _bend(axes: _Axes, low: float | None, at: float | None, high: float | None) -> list[Markup]:
    if at is None:
        return []
    left, right = axes.x(at if low is None else low), axes.x(at if high is None else high)
    return [
        tag("rect", x=left, y=_TOP, width=max(right - left, 1.0), height=_HEIGHT, class_="beyond"),
        tag("line", x1=axes.x(at), x2=axes.x(at), y1=_TOP, y2=_TOP + _HEIGHT, class_="bar"),
        tag("text", f"{at:.0f}", x=axes.x(at) + 4, y=_TOP + _HEIGHT - 5),
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
