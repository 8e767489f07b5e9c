"""Strip plots: every node's distance from its peers, one strip a score, one panel a component.

A node is a dot. A sheep is a diamond (fail) or a triangle (warn), so that nothing hangs on colour; a sheep of another strip is a
ring, so that one can follow it. The shaded side of the dashed line is where a node is accused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.model import Verdict
from ahc_server.judge.scores import Score
from ahc_server.report.html.cloud import cloud, heights, stretched
from ahc_server.report.html.markup import Markup, join, tag
from ahc_server.report.html.scale import Scale, as_percent

#: More parts of one kind (cores) share a strip, each node by its worst part.
_MOST_PARTS = 4
_HEIGHT, _TOP, _CLOUD = 44, 7, 30
_MOST_LABELS, _LONGEST_LABEL = 4, 20
#: Labels nearer than this, in per cent of the width and parts of the height, would overlap.
_NEAR = (12.0, 0.4)
SHAPES = {"fail": "M0-6L6 0 0 6-6 0z", "warn": "M-5.5-4.5h11L0 5.5z"}


@dataclass(frozen=True, slots=True)
class Members:
    """The n nodes of one group: their names, verdicts, and where on the page each is told of (None: nowhere).

    ``each``: whether every point is an element of its own with a title.
    """

    names: Sequence[str]
    verdicts: Sequence[Verdict]
    links: Sequence[str | None]
    each: bool


@dataclass(frozen=True, slots=True)
class _Strip:
    """``part`` (n,): which of ``parts`` each node is shown by."""

    title: str
    parts: Sequence[str]
    part: Ints
    distance: Floats
    bar: Floats

    def accused(self) -> Bools:
        return np.asarray(np.nan_to_num(self.distance - self.bar, nan=1.0) < 0, dtype=np.bool_)


def draw_strips(scores: Sequence[Score], members: Members, scale: Scale) -> Markup:
    """A panel per component, nothing where there are no scores."""
    panels: dict[str, dict[str, list[Score]]] = {}
    for score in scores:
        if not np.all(np.isnan(score.distance)):
            panels.setdefault(score.component, {}).setdefault(score.kind, []).append(score)
    return join(_panel(component, _strips(kinds), members, scale) for component, kinds in panels.items())


def _strips(kinds: dict[str, list[Score]]) -> list[_Strip]:
    strips = []
    for kind, scores in kinds.items():
        if len(scores) > _MOST_PARTS:
            strips.append(_pooled(kind, scores))
        else:
            none = np.zeros(len(scores[0].distance), dtype=np.int64)
            strips += [_Strip(each.title, [""], none, each.distance, each.bar) for each in scores]
    return strips


def _pooled(kind: str, scores: Sequence[Score]) -> _Strip:
    """Each node by the part that is nearest to being accused, or beyond it."""
    distance = np.stack([each.distance for each in scores], axis=1)
    bar = np.stack([each.bar for each in scores], axis=1)
    margin = distance - np.nan_to_num(bar)
    part = np.argmin(np.nan_to_num(margin, nan=np.inf), axis=1)
    chosen = (np.arange(len(part)), part)
    return _Strip(
        f"{kind}: the worst of {len(scores)}",
        [each.title for each in scores],
        part.astype(np.int64),
        distance[chosen],
        bar[chosen],
    )


def _panel(component: str, strips: Sequence[_Strip], members: Members, scale: Scale) -> Markup:
    marks = scale.marks()
    grid = [
        tag(
            "line",
            x1=f"{x:.2f}%",
            x2=f"{x:.2f}%",
            y1="0",
            y2="100%",
            class_="zero" if text == "peers" else "grid",
        )
        for x, text, _ in marks
    ]
    axis = [
        tag("text", text, x=f"{x:.2f}%", y="12", text_anchor="middle", class_="minor" if minor else None)
        for x, text, minor in marks
    ]
    return tag(
        "figure",
        tag("figcaption", component),
        [_strip(each, members, scale, grid) for each in strips],
        tag("div", tag("svg", axis, width="100%", height=18, aria_hidden="true"), class_="strip axis"),
        class_="panel",
    )


def _strip(strip: _Strip, members: Members, scale: Scale, grid: Sequence[Markup]) -> Markup:
    accused = strip.accused()
    known = ~np.isnan(strip.distance)
    x = scale.at(np.nan_to_num(strip.distance))
    y = np.zeros(len(x))
    y[known] = heights(strip.distance[known])
    sheep = np.array([verdict in SHAPES for verdict in members.verdicts], dtype=bool)
    marked = known & (accused | sheep)
    plain = known & ~marked
    if members.each:
        dots = tag("g", [_dot(strip, members, place, x, y) for place in np.flatnonzero(plain).tolist()])
    else:
        dots = stretched(cloud(x[plain], y[plain]), "dots")
    chosen = np.flatnonzero(marked).tolist()
    chosen.sort(key=lambda place: (bool(accused[place]), -float(strip.distance[place])))
    count = int(np.sum(accused))
    return tag(
        "div",
        tag("div", strip.title, tag("small", f"{count:,} beyond the bar") if count else None, class_="label"),
        tag(
            "svg",
            _bar(strip, scale),
            grid,
            tag("svg", dots, y=_TOP, width="100%", height=_CLOUD, overflow="visible"),
            [_mark(strip, members, place, x, y, bool(accused[place])) for place in chosen],
            _labels(members, [place for place in reversed(chosen) if accused[place]], x, y),
            width="100%",
            height=_HEIGHT,
            role="img",
            aria_label=_told(strip, members, accused),
        ),
        class_="strip",
    )


def _bar(strip: _Strip, scale: Scale) -> Markup | None:
    """The bar; where nodes have bars of their own, the middle one."""
    bars = strip.bar[~np.isnan(strip.bar) & ~np.isnan(strip.distance)]
    if not len(bars):
        return None
    at = f"{scale.one(float(np.median(bars))):.2f}%"
    return join(
        tag("rect", x="0", y="0", width=at, height="100%", class_="beyond"),
        tag("line", x1=at, x2=at, y1="0", y2="100%", class_="bar"),
    )


def _title(strip: _Strip, members: Members, place: int) -> Markup:
    part = strip.parts[int(strip.part[place])]
    return tag(
        "title",
        f"{members.names[place]}: {part + ' ' if part else ''}{as_percent(float(strip.distance[place]))}",
    )


def _dot(strip: _Strip, members: Members, place: int, x: Floats, y: Floats) -> Markup:
    return tag(
        "circle", _title(strip, members, place), cx=f"{x[place]:.2f}%", cy=f"{100 * y[place]:.0f}%", r="2.5"
    )


def _mark(strip: _Strip, members: Members, place: int, x: Floats, y: Floats, accused: bool) -> Markup:
    verdict = members.verdicts[place]
    if accused and verdict in SHAPES:
        shape = tag("path", d=SHAPES[verdict], class_=verdict)
    else:
        shape = tag("circle", r="4", class_=f"ring {verdict}")
    link = members.links[place]
    content = join(_title(strip, members, place), shape)
    return tag(
        "svg",
        tag("a", content, href=f"#{link}") if link else content,
        x=f"{x[place]:.2f}%",
        y=_TOP + _CLOUD * float(y[place]),
        overflow="visible",
    )


def _labels(members: Members, places: Sequence[int], x: Floats, y: Floats) -> list[Markup]:
    """Names beside the clearest sheep, as far as they do not overlap."""
    labelled: list[int] = []
    for place in places:
        if len(labelled) < _MOST_LABELS and not any(
            abs(x[place] - x[each]) < _NEAR[0] and abs(y[place] - y[each]) < _NEAR[1] for each in labelled
        ):
            labelled.append(place)
    return [
        tag(
            "text",
            _short(members.names[place]),
            x=f"{x[place]:.2f}%",
            y=_TOP + _CLOUD * float(y[place]) + 4,
            dx="10" if x[place] < 80 else "-10",
            text_anchor="start" if x[place] < 80 else "end",
            class_="name" if number == 0 else "name minor",
        )
        for number, place in enumerate(labelled)
    ]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"


def _told(strip: _Strip, members: Members, accused: Bools) -> str:
    """The plot in words."""
    known = strip.distance[~np.isnan(strip.distance)]
    places = np.flatnonzero(accused).tolist()
    names = ", ".join(members.names[place] for place in places[:10]) + (
        " and others" if len(places) > 10 else ""
    )
    return (
        f"{strip.title}: {len(known):,} nodes from {as_percent(float(known.min()))} to {as_percent(float(known.max()))}; "
        + (f"beyond the bar: {names}" if places else "nobody beyond the bar")
    )
