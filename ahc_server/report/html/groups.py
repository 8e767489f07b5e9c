"""A section per group: its hardware, its nodes, how far each is from the others, and its metrics in figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ahc_agent.order import natural_order
from ahc_server.judge import model, wording
from ahc_server.judge.suspects import GroupTest
from ahc_server.report import words
from ahc_server.report.html.markup import Markup, join, tag
from ahc_server.report.html.scale import Scale
from ahc_server.report.html.strips import SHAPES, Members, draw_strips
from ahc_server.report.values import MetricRow


@dataclass(frozen=True, slots=True)
class Group:
    """One group of the report, with its test and its members. ``counted``: nodes by verdict."""

    of: model.Group
    test: GroupTest
    members: Members
    counted: Mapping[model.Verdict, int]


def draw_group(group: Group, scale: Scale, metrics: Sequence[MetricRow]) -> Markup:
    """The section of one group; ``metrics``: the table of its metrics, none to leave it out."""
    told = ", ".join(f"{group.counted[each]:,} {each}" for each in words.VERDICTS if group.counted.get(each))
    return tag(
        "section",
        tag("h3", group.of.id, tag("small", f"{wording.nodes_word(group.of.size)}: {told}")),
        tag("p", group.of.hardware),
        _names(group),
        draw_strips(group.test.scores, group.members, scale),
        _metrics(metrics) if metrics else None,
        class_="group",
    )


def legend() -> Markup:
    """What the marks of the strips mean."""
    shapes = [(SHAPES[each], each, f"{each}, beyond the bar") for each in ("fail", "warn")]
    marks = [
        *((tag("path", d=shape, class_=each), text) for shape, each, text in shapes),
        (tag("circle", r="4", class_="ring warn"), "a sheep in another plot"),
        (tag("circle", r="2.5"), "a node"),
    ]
    return tag(
        "div",
        [tag("span", _key(mark), text) for mark, text in marks],
        tag("span", "dashed: the bar, beyond which a node is accused"),
        tag("span", "left is slower than its peers make one expect; the scale is stretched around 0"),
        class_="legend",
    )


def _key(mark: Markup) -> Markup:
    return tag("svg", mark, width=14, height=14, viewBox="-7 -7 14 14", aria_hidden="true")


def _names(group: Group) -> Markup:
    members = group.members
    order = sorted(range(len(members.names)), key=lambda place: natural_order(members.names[place]))
    return tag(
        "details",
        tag("summary", "Its nodes"),
        tag("ul", [_node(members, place) for place in order], class_="names"),
    )


def _node(members: Members, place: int) -> Markup:
    name, verdict, link = members.names[place], members.verdicts[place], members.links[place]
    drawn: Markup | str = tag("a", name, href=f"#{link}") if link else name
    return tag("li", drawn, tag("b", f" {verdict}", class_=verdict) if verdict != "pass" else None)


def _metrics(rows: Sequence[MetricRow]) -> Markup:
    heads = ("metric", "nodes", "median", "spread", "worst", "effect")
    return tag(
        "details",
        tag("summary", f"Its {len(rows):,} metrics"),
        tag(
            "table",
            tag("thead", tag("tr", [tag("th", each) for each in heads])),
            tag("tbody", [tag("tr", _cells(row)) for row in rows]),
            class_="metrics",
        ),
    )


def _cells(row: MetricRow) -> Markup:
    cells = [row.label, f"{row.nodes:,}", "not judged", "", "", ""]
    if row.expected is not None and row.spread is not None and row.worst_effect is not None:
        cells[2:] = [
            wording.quantity(row.metric, row.expected),
            f"± {100 * row.spread:.1f} %",
            row.worst,
            wording.percent(row.worst_effect),
        ]
    return join(tag("td", cell) for cell in cells)
