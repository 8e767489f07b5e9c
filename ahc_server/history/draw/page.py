"""A comparison as one HTML file, drawn with the report's own elements and style."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.draw.comparison import carried, from_to, verdict, who
from ahc_server.history.draw.networkpage import draw_networks
from ahc_server.history.draw.rampups import said, step_rows
from ahc_server.history.model import Comparison, FactChange, Gap, MetricChange
from ahc_server.history.rampups import RampChange
from ahc_server.judge import wording
from ahc_server.report.html.frame import document
from ahc_server.report.html.markup import Child, Markup, join, tag
from ahc_server.report.html.sheep import badge
from ahc_server.report.rampup import title


def draw_page(comparison: Comparison) -> str:
    """The page: what changed for many nodes alike, for some otherwise, facts, ramp-ups, the network, what was not compared."""
    before, after = comparison.before, comparison.after
    sections = [
        each
        for each in (
            _shared(comparison),
            _changed(comparison),
            _facts(comparison.facts, len(comparison.nodes)),
            _rampups(comparison.rampups or []),
            draw_networks(comparison.networks or []),
            _gaps(comparison.gaps),
            _notes(comparison.notes),
            _every(comparison.every),
        )
        if each is not None
    ]
    body = join(
        tag(
            "header",
            tag("h1", f"{before.session} → {after.session}"),
            tag("p", verdict(comparison) + "."),
            [
                tag(
                    "p",
                    f"{when}: {side.session}, data up to {side.data_up_to}, {wording.nodes_word(side.nodes)}",
                    class_="muted",
                )
                for when, side in (("before", before), ("after", after))
            ],
        ),
        tag("main", sections),
    )
    return document(f"{before.session} → {after.session}: {verdict(comparison)}", body)


def _section(anchor: str, heading: str, *children: Child) -> Markup:
    return tag("section", tag("h2", heading), *children, id=anchor)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Child]], class_: str | None = None) -> Markup:
    return tag(
        "table",
        tag("thead", tag("tr", [tag("th", each) for each in heads])),
        tag("tbody", [tag("tr", [tag("td", cell) for cell in row]) for row in rows]),
        class_=class_,
    )


def _shared(comparison: Comparison) -> Markup | None:
    """Those that matter; the others only where every metric was asked for."""
    chosen = [each for each in comparison.shared if each.matters or comparison.every]
    rows = [
        (
            badge(each.severity) if each.matters else None,
            each.group,
            wording.percent(each.change),
            each.summary + carried(each),
        )
        for each in chosen
    ]
    heads = ("", "group", "change", "what")
    return (
        _section("shared", "What changed for many nodes alike", _table(heads, rows, "findings"))
        if rows
        else None
    )


def _changed(comparison: Comparison) -> Markup | None:
    rows = [
        (
            badge(each.severity),
            each.node,
            wording.percent(each.difference),
            join(
                tag("p", each.summary.removeprefix(f"{each.node}: ")),
                tag("p", each.cause, class_="muted") if each.cause else None,
            ),
        )
        for each in comparison.changed
    ]
    heads = ("", "node", "against peers", "what")
    title = "Nodes that changed otherwise than their peers"
    return _section("nodes", title, _table(heads, rows, "findings")) if rows else None


def _facts(facts: Sequence[FactChange], nodes: int) -> Markup | None:
    if not facts:
        return None
    rows = [
        (
            tag(
                "details",
                tag("summary", who(each.nodes, nodes)),
                tag("ul", [tag("li", name) for name in each.nodes], class_="names"),
            )
            if len(each.nodes) > 1
            else who(each.nodes, nodes),
            each.name,
            from_to(each),
        )
        for each in facts
    ]
    return _section("facts", "Facts that changed", _table(("who", "fact", "change"), rows))


def _rampups(changes: Sequence[RampChange]) -> Markup | None:
    if not changes:
        return None
    return _section("rampups", "Ramp-ups", [_rampup(each) for each in changes])


def _rampup(each: RampChange) -> Markup:
    heads, *rows = step_rows(each)
    return tag(
        "section",
        tag("h3", title(each)),
        tag("p", said(each)),
        tag("p", f"before: {each.before}", class_="muted"),
        tag("p", f"after: {each.after}", class_="muted"),
        _table(heads, rows),
    )


def _gaps(gaps: Sequence[Gap]) -> Markup | None:
    if not gaps:
        return None
    rows = [tag("li", each.what, f": {', '.join(each.nodes)}" if each.nodes else None) for each in gaps]
    return _section("gaps", "Not compared", tag("ul", rows, class_="notes"))


def _notes(notes: Sequence[str]) -> Markup | None:
    return (
        _section("notes", "Notes", tag("ul", [tag("li", each) for each in notes], class_="notes"))
        if notes
        else None
    )


def _every(metrics: Sequence[MetricChange]) -> Markup | None:
    if not metrics:
        return None
    rows = [
        (
            each.name,
            *("" if value is None else f"{value:.6g}" for value in (each.before, each.after)),
            each.unit,
            "" if each.change is None else wording.percent(each.change),
        )
        for each in metrics
    ]
    heads = ("metric", "before", "after", "unit", "change, negative is worse")
    return _section("every", "Every metric, medians", _table(heads, rows))
