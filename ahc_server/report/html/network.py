"""The network on the page: the matrix of each job, the racks, and for each element that is named what proves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ahc_agent.facts import Inventory
from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Finding
from ahc_server.report.html.markup import Markup, join, tag
from ahc_server.report.html.matrix import draw_matrix
from ahc_server.report.html.racks import draw_racks
from ahc_server.report.html.sheep import badge, told
from ahc_server.report.network.picture import Picture, about, named, pictures
from ahc_server.report.network.proof import Proof, Side, proofs
from ahc_server.report.network.racks import Rack, racks

_INTRODUCTION = (
    "What each node (line) sends to each other one (column), against what is usual for such flows. Lines and columns are in the "
    "same order, by leaf. What a finding names is marked at the edge."
)
_TITLES = {"rate": "Bandwidth", "rtt": "Round trips"}


@dataclass(frozen=True, slots=True)
class NetworkPage:
    """What the page has of the network. ``elements``: leaves, links and pairs with findings → where they stand."""

    drawn: Sequence[Picture]
    racks: Sequence[Rack]
    proofs: Mapping[str, Proof]
    elements: Mapping[str, str]
    found: Mapping[str, Finding]


def network_of(judgement: Judgement, inventories: Mapping[str, Inventory]) -> NetworkPage:
    drawn = pictures(judgement)
    found = named(judgement.report)
    own = [element for element in found if not element.startswith("node:")]
    return NetworkPage(
        drawn,
        racks(judgement, drawn),
        {each.finding.element: each for each in proofs(judgement, drawn, inventories)} if drawn else {},
        {element: f"e{number}" for number, element in enumerate(own, 1)},
        found,
    )


def draw_network(network: NetworkPage, anchors: Mapping[str, str]) -> Markup | None:
    """The section with the matrices and the racks. ``anchors``: element → its section on the page."""
    if not network.drawn:
        return None
    return tag(
        "section",
        tag("h2", "Network"),
        tag("p", _INTRODUCTION),
        [_job(number, each, network.found, anchors) for number, each in enumerate(network.drawn, 1)],
        draw_racks(network.racks, anchors),
        id="network",
    )


def _job(number: int, picture: Picture, found: Mapping[str, Finding], anchors: Mapping[str, str]) -> Markup:
    """One quantity at a time: the parts share a name, so that opening one closes the other."""
    parts = []
    for place, sight in enumerate(picture.sights):
        parts.append(
            tag(
                "details",
                tag("summary", _TITLES[sight.witness]),
                draw_matrix(picture, sight, about(found, sight.witness), anchors),
                name=f"map{number}",
                open="" if place == 0 else None,
            )
        )
    head = f"{picture.job}: {wording.nodes_word(len(picture.order))}"
    return tag("figure", tag("figcaption", head), parts, class_="panel")


def draw_elements(network: NetworkPage) -> Markup | None:
    """A section for each leaf, link and pair with a finding."""
    if not network.elements:
        return None
    return tag(
        "section",
        tag("h2", "Elements of the network with findings"),
        [
            _element(network.found[element], anchor, network.proofs.get(element))
            for element, anchor in network.elements.items()
        ],
        id="elements",
    )


def _element(finding: Finding, anchor: str, proof: Proof | None) -> Markup:
    kind, _, name = finding.element.partition(":")
    effect = wording.percent(finding.effect) if finding.effect is not None else None
    return tag(
        "section",
        tag(
            "h3", name, " ", badge(finding.severity), tag("small", kind), tag("span", effect, class_="effect")
        ),
        told(finding),
        draw_proof(proof) if proof is not None else None,
        tag(
            "details",
            tag("summary", f"Its {wording.nodes_word(len(finding.nodes))}"),
            tag("ul", [tag("li", each) for each in finding.nodes], class_="names"),
        )
        if kind in ("leaf", "link")
        else None,
        id=anchor,
        class_="element",
    )


def draw_proof(proof: Proof) -> Markup:
    """The flows that speak for a finding and those that clear others, then ports and counters."""
    heads = ("flows", "how many", "not as usual", "median", "such as")
    return join(
        tag(
            "table",
            tag("thead", tag("tr", [tag("th", each) for each in heads])),
            tag("tbody", [_side(each) for each in proof.sides]),
            class_="proof",
        )
        if proof.sides
        else None,
        [tag("p", each) for each in (*proof.ports, *proof.counters)],
    )


def _side(side: Side) -> Markup:
    return tag(
        "tr",
        tag("th", side.what, scope="row"),
        tag("td", f"{side.flows:,}"),
        tag("td", f"{side.bad:,}"),
        tag("td", side.told(), class_="number"),
        tag("td", [tag("div", each) for each in side.examples()]),
    )
