"""Changes of flows as a picture: a point for each kind of flows, a line for how surely its change is known.

Worse lies to the left, for bandwidth and for round trips alike; each axis says what its own quantity became ("+100 %" of a round
trip is twice the time). A diamond is worse for sure: its interval ends before "no change".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ahc_server.history.flowchanges import FlowChange, QuantityChange
from ahc_server.judge import wording
from ahc_server.report.html.markup import Markup, tag
from ahc_server.report.html.scale import Scale, scale_of

#: What the quantity became, where the axis is marked.
_MARKS = (-0.9, -0.75, -0.5, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 9.0)
#: Pixels: a row, the room for names and for what is said, the axis between them, and below.
_ROW, _NAMES, _AXIS, _SAID, _FOOT = 24.0, 190.0, 380.0, 150.0, 20.0
#: Two marks of the axis are so far apart (pixels).
_APART = 48.0
_LONGEST = 26


def draw_intervals(of: QuantityChange, flows: Sequence[FlowChange]) -> Markup:
    """One row for each of ``flows``."""
    ends = [
        _distance(of, end) for each in flows for end in (each.change, each.low, each.high) if end is not None
    ]
    scale = scale_of([np.array(ends)])
    bottom = _ROW * len(flows)
    return tag(
        "svg",
        _axis(of, scale, bottom),
        [_row(of, each, scale, _ROW * (place + 0.5)) for place, each in enumerate(flows)],
        viewBox=f"0 0 {_NAMES + _AXIS + _SAID:.0f} {bottom + _FOOT:.0f}",
        width=f"{_NAMES + _AXIS + _SAID:.0f}",
        role="img",
        aria_label="; ".join(f"{each.what} {_said(of, each.change)}" for each in flows),
        class_="matrix",
    )


def _distance(of: QuantityChange, change: float) -> float:
    """A change (a fraction, negative is worse) as a logarithm, which is as far for half as for twice."""
    if of.quantity == "rate":
        return math.log1p(max(change, -0.9999))
    return -math.log1p(max(-change, -0.9999))


def _said(of: QuantityChange, change: float) -> str:
    return wording.percent(change if of.quantity == "rate" else -change)


def _axis(of: QuantityChange, scale: Scale, bottom: float) -> list[Markup]:
    drawn: list[Markup] = []
    taken: list[float] = []
    # No change first, then outwards: where there is little room it is the finer marks that are left out.
    for became in sorted(_MARKS, key=lambda each: (each != 0, -abs(each))):
        distance = _distance(of, became if of.quantity == "rate" else -became)
        at = _at(scale, distance)
        if not scale.low - 1e-9 <= distance <= scale.high + 1e-9 or any(
            abs(at - one) < _APART for one in taken
        ):
            continue
        taken.append(at)
        drawn.append(tag("line", x1=at, x2=at, y1=0.0, y2=bottom, class_="grid" if became else "zero"))
        text = f"{'+' if became > 0 else wording.MINUS}{100 * abs(became):g} %" if became else "as before"
        drawn.append(tag("text", text, x=at, y=bottom + 14, text_anchor="middle"))
    return drawn


def _row(of: QuantityChange, each: FlowChange, scale: Scale, y: float) -> Markup:
    at = _at(scale, _distance(of, each.change))
    line = None
    if each.low is not None and each.high is not None:
        low, high = (_at(scale, _distance(of, end)) for end in (each.low, each.high))
        line = tag("line", x1=low, x2=high, y1=y, y2=y, class_="sum")
    worse = each.high is not None and each.high < 0
    point = (
        tag("path", d=f"M{at:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z", class_="fail")
        if worse
        else tag("circle", cx=at, cy=y, r=4)
    )
    name = each.what if len(each.what) <= _LONGEST else each.what[: _LONGEST - 1] + "…"
    return tag(
        "g",
        tag("title", f"{each.what}: {_said(of, each.change)}, {each.flows:,} flows"),
        tag("text", name, x=0.0, y=y + 4, class_="name"),
        line,
        tag("g", point, class_="fail") if worse else point,
        tag("text", _said(of, each.change), x=_NAMES + _AXIS + 12, y=y + 4, class_="name"),
    )


def _at(scale: Scale, distance: float) -> float:
    return _NAMES + _AXIS * scale.one(distance) / 100
