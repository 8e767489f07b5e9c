"""Racks on the page: leaves side by side under the spine, each with its uplink, its nodes as cells by verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ahc_server.judge.model import Finding, Verdict
from ahc_server.report.html.markup import Markup, tag
from ahc_server.report.network.racks import Rack

#: What stands in a cell: a verdict is never told by its colour alone.
_SIGNS: Mapping[Verdict, str] = {"pass": "", "warn": "▼", "fail": "◆", "unknown": "?"}


def draw_racks(racks: Sequence[Rack], anchors: Mapping[str, str]) -> Markup | None:
    """None where no leaf is known. ``anchors``: element → its section on the page."""
    if not racks:
        return None
    return tag(
        "figure",
        tag("figcaption", "Racks: uplinks, and nodes by verdict (◆ fail, ▼ warn, ? unknown, empty: pass)"),
        tag("div", [_rack(each, anchors) for each in racks], class_="racks"),
        class_="panel",
    )


def _rack(rack: Rack, anchors: Mapping[str, str]) -> Markup:
    named = [(name, verdict) for name, verdict in rack.nodes if verdict != "pass"]
    worst = rack.uplink or (rack.links[0] if rack.links else None)
    anchor = anchors.get(worst.element) if worst is not None else None
    return tag(
        "div",
        _uplink(rack, worst) if rack.is_known else None,
        tag("b", tag("a", rack.name, href=f"#{anchor}") if anchor else rack.name),
        tag("small", rack.state) if rack.state else None,
        tag("div", [_node(name, verdict, anchors) for name, verdict in rack.nodes], class_="cells"),
        tag("ul", [tag("li", _linked(name, anchors), f" {verdict}") for name, verdict in named])
        if named
        else None,
        class_="rack" if rack.is_known else "rack apart",
    )


def _uplink(rack: Rack, worst: Finding | None) -> Markup:
    """Two lines to the spine, out and in: whole where all is as usual, broken where it is not."""
    ways = (("tx", 6, "out"), ("rx", 16, "in"))

    def state(way: str) -> str:
        if worst is None:
            return "unmeasured" if rack.state == "not measured" else "well"
        return worst.severity if worst.direction in (None, way) else "well"

    return tag(
        "svg",
        tag("title", f"{rack.name}: {worst.summary if worst is not None else rack.state}"),
        [tag("line", x1=x, x2=x, y1=0, y2=24, class_=f"uplink {state(way)}") for way, x, _ in ways],
        width=22,
        height=24,
        role="img",
    )


def _node(name: str, verdict: Verdict, anchors: Mapping[str, str]) -> Markup:
    anchor = anchors.get(f"node:{name}")
    title = f"{name}: {verdict}"
    if anchor:
        return tag("a", _SIGNS[verdict], href=f"#{anchor}", title=title, class_=verdict)
    return tag("i", _SIGNS[verdict], title=title, class_=verdict if verdict != "pass" else None)


def _linked(name: str, anchors: Mapping[str, str]) -> Markup | str:
    anchor = anchors.get(f"node:{name}")
    return tag("a", name, href=f"#{anchor}") if anchor else name
