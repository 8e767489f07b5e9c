"""Two network sessions side by side, on the page of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.draw.intervals import draw_intervals
from ahc_server.history.draw.networks import TITLES, element_told, row_of, standing_out
from ahc_server.history.flowchanges import FlowChange, QuantityChange
from ahc_server.history.flowside import Element
from ahc_server.history.networks import NetworkChange
from ahc_server.report.html.markup import Markup, tag
from ahc_server.report.html.sheep import badge

#: Of more leaves only those that stand out have a row of their own.
_MOST_LEAVES = 64
#: Ordered pairs listed; the JSON form has all.
_MOST_WAYS = 500


def draw_networks(changes: Sequence[NetworkChange]) -> Markup | None:
    """The section, None where there are none."""
    if not changes:
        return None
    return tag("section", tag("h2", "Network"), [_job(each) for each in changes], id="network")


def _job(each: NetworkChange) -> Markup:
    return tag(
        "section",
        tag("h3", each.job, " ", badge(each.severity) if each.came else None),
        _elements(each),
        [_quantity(quantity) for quantity in each.quantities],
        _ways("came through before and not now", each.silenced),
        _ways("comes through now and did not before", each.connected),
    )


def _elements(each: NetworkChange) -> Markup | None:
    parts: tuple[tuple[str, list[Element]], ...] = (
        ("bad now and not before", each.came),
        ("bad before and not now", each.went),
        ("bad before and now", each.stayed),
    )
    rows = [
        tag("tr", tag("th", title, scope="row"), tag("td", element_told(one)))
        for title, elements in parts
        for one in elements
    ]
    return tag("table", tag("tbody", rows)) if rows else tag("p", "No element is bad, before or now.")


def _quantity(each: QuantityChange) -> Markup:
    how = "each pair with itself" if each.paired else "each node's median, since the pairs are others"
    folded = len(each.leaves) > _MOST_LEAVES
    flows = standing_out(each) if folded else [*each.fleet, *each.leaves]
    title = f"{TITLES[each.quantity].capitalize()}, {how}"
    return tag(
        "figure",
        tag("figcaption", title),
        draw_intervals(each, flows) if flows else None,
        tag("p", "A diamond is worse for sure; the line is the interval of the median.", class_="muted"),
        tag("p", f"Of {len(each.leaves):,} leaves those that stand out.", class_="muted") if folded else None,
        _table("in figures", each, flows),
        _table("between these leaves it changed otherwise", each, each.blocks),
        _table(_pairs_title(each), each, each.pairs),
        class_="panel",
    )


def _pairs_title(each: QuantityChange) -> str:
    more = (
        f" (the clearest {len(each.pairs):,} of {each.odd_pairs:,})"
        if each.odd_pairs > len(each.pairs)
        else ""
    )
    return f"between these pairs it changed otherwise{more}"


def _table(title: str, of: QuantityChange, flows: Sequence[FlowChange]) -> Markup | None:
    if not flows:
        return None
    heads = ("", "flows", "before", "after", "change")
    return tag(
        "details",
        tag("summary", f"{title}: {len(flows):,}"),
        tag(
            "table",
            tag("thead", tag("tr", [tag("th", each) for each in heads])),
            tag("tbody", [tag("tr", [tag("td", cell) for cell in row_of(of, each)]) for each in flows]),
        ),
    )


def _ways(title: str, ways: Sequence[str]) -> Markup | None:
    if not ways:
        return None
    rest = len(ways) - _MOST_WAYS
    return tag(
        "details",
        tag("summary", f"{title}: {len(ways):,}"),
        tag("ul", [tag("li", each) for each in ways[:_MOST_WAYS]], class_="names"),
        tag("p", f"and {rest:,} more") if rest > 0 else None,
    )
