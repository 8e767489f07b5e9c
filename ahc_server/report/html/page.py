"""The document: what is the matter first, then the groups, then each sheep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ahc_agent.facts import Inventory
from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Finding, NodeVerdict, Report
from ahc_server.report import words
from ahc_server.report.folding import Line, fold
from ahc_server.report.html.frame import document
from ahc_server.report.html.groups import Group, draw_group, legend
from ahc_server.report.html.markup import Markup, join, tag
from ahc_server.report.html.network import (
    NetworkPage,
    draw_elements,
    draw_network,
    draw_proof,
    network_of,
)
from ahc_server.report.html.peers import Peers
from ahc_server.report.html.rampup import draw_rampups
from ahc_server.report.html.scale import scale_of
from ahc_server.report.html.sheep import badge, draw_sheep, told
from ahc_server.report.html.strips import Members
from ahc_server.report.values import MetricRow, metric_rows

#: In larger fleets a point in a plot is no element of its own, unless it is a sheep's.
_EACH_POINT = 400
#: Names in one line of the findings; the nodes' sections have all.
_MOST_NAMES = 24


@dataclass(frozen=True, slots=True)
class _Sheep:
    """A node that findings are about. ``place``: its row in the matrix of its group, None in no group."""

    node: NodeVerdict
    anchor: str
    findings: list[Finding]
    group: int | None
    place: int


def draw_html(
    judgement: Judgement, inventories: Mapping[str, Inventory] | None = None, *, metrics: bool = False
) -> str:
    """The page. ``inventories``: what is known of the nodes, by id; ``metrics``: also a table of every group's metrics."""
    report = judgement.report
    sheep = _sheep(judgement)
    anchors = {name: each.anchor for name, each in sheep.items()}
    network = network_of(judgement, inventories or {})
    places = {f"node:{name}": at for name, at in anchors.items()} | {**network.elements}
    peers = [Peers(group.id, test) for group, test in zip(report.groups, judgement.tests, strict=True)]
    sections = [
        draw_sheep(
            each.node,
            each.anchor,
            each.findings,
            (inventories or {}).get(each.node.id),
            peers[each.group] if each.group is not None else None,
            each.place,
            draw_proof(proof) if (proof := network.proofs.get(f"node:{each.node.id}")) else None,
        )
        for each in sheep.values()
    ]
    body = join(
        _head(report),
        tag("nav", [tag("a", text, href=f"#{at}") for at, text in _ways(report, network, bool(sheep))]),
        _counts(report),
        tag(
            "main",
            _findings(report, places),
            draw_network(network, places),
            draw_rampups(report),
            _groups(judgement, anchors, metrics),
            draw_elements(network),
            _sheep_pages(sections),
        ),
        _notes(report.notes),
        [each.defs() for each in peers],
    )
    return document(f"{report.session}: {_sick(report)}", body)


def _sick(report: Report) -> str:
    bad = report.counts.fail + report.counts.warn
    differ = "differs from its peers" if bad == 1 else "differ from their peers"
    return f"{bad:,} of {wording.nodes_word(report.counts.nodes)} {differ}"


def _head(report: Report) -> Markup:
    return tag(
        "header",
        tag("h1", report.session),
        tag("p", f"{_sick(report)}. Data up to {report.generated_at}.", class_="muted"),
    )


def _ways(report: Report, network: NetworkPage, sheep: bool) -> list[tuple[str, str]]:
    ways = [
        ("findings", "Findings", True),
        ("network", "Network", bool(network.drawn)),
        ("rampups", "Ramp-ups", bool(report.rampups)),
        ("groups", "Groups", True),
        ("elements", "Elements", bool(network.elements)),
        ("nodes", "Nodes", sheep),
        ("notes", "Notes", bool(report.notes)),
    ]
    return [(at, text) for at, text, there in ways if there]


def _counts(report: Report) -> Markup:
    counts = report.counts
    numbers = {"fail": counts.fail, "warn": counts.warn, "unknown": counts.unknown, "pass": counts.passed}
    return tag(
        "dl",
        [
            tag("div", tag("dt", each), tag("dd", f"{numbers[each]:,}"), class_=each)
            for each in words.VERDICTS
        ],
        class_="counts",
    )


def _sheep(judgement: Judgement) -> dict[str, _Sheep]:
    """Nodes that a finding blames, in the order of their most serious one."""
    report = judgement.report
    about: dict[str, list[Finding]] = {}
    for finding in report.findings:
        # What a switch does is told of the switch, and not of all the nodes behind it.
        if words.blames(finding) and not finding.element.startswith(("group:", "leaf:", "link:")):
            for name in finding.nodes:
                about.setdefault(name, []).append(finding)
    nodes = {node.id: node for node in report.nodes}
    places = {
        judgement.nodes[int(row)]: (number, place)
        for number, test in enumerate(judgement.tests)
        for place, row in enumerate(test.matrix.rows)
    }
    return {
        name: _Sheep(nodes[name], f"n{number}", found, *places.get(name, (None, 0)))
        for number, (name, found) in enumerate(about.items(), 1)
    }


def _findings(report: Report, places: Mapping[str, str]) -> Markup:
    blaming = [each for each in report.findings if words.blames(each)]
    remarks = [each for each in report.findings if not words.blames(each)]
    heads = ("", "who", "effect", "what, why, and what to check")
    drawn = tag(
        "table",
        tag("thead", tag("tr", [tag("th", each) for each in heads])),
        tag("tbody", [_line(line, places) for line in fold(blaming)]),
        class_="findings",
    )
    return tag(
        "section",
        tag(
            "h2", "Findings, most serious first" if blaming else "No findings: nobody differs from its peers"
        ),
        drawn if blaming else None,
        tag(
            "details",
            tag("summary", f"Remarks that blame nobody: {len(remarks):,}"),
            tag("ul", [tag("li", each.summary) for each in remarks]),
        )
        if remarks
        else None,
        id="findings",
    )


def _line(line: Line, places: Mapping[str, str]) -> Markup:
    worst, names = line.worst, line.names
    many = len(names) > 1
    linked = [
        join(", " if number else None, _linked(words.who(each), places.get(each.element)))
        for number, each in enumerate(line.findings[:_MOST_NAMES])
    ]
    rest = len(names) - _MOST_NAMES
    who = join(linked, f" and {rest:,} more" if rest > 0 else None)
    range_ = f"{line.range()}; the worst:" if line.range() else None
    return tag(
        "tr",
        tag("td", badge(worst.severity)),
        tag("td", tag("b", wording.nodes_word(len(names))) if many else who),
        tag("td", wording.percent(worst.effect) if worst.effect is not None else None),
        tag(
            "td",
            tag("p", who) if many else None,
            tag("p", range_, class_="muted") if range_ else None,
            told(worst, line.facts()),
        ),
    )


def _linked(name: str, anchor: str | None) -> Markup | str:
    return tag("a", name, href=f"#{anchor}") if anchor else name


def _groups(judgement: Judgement, anchors: Mapping[str, str], metrics: bool) -> Markup:
    report = judgement.report
    verdicts = {node.id: node.verdict for node in report.nodes}
    scale = scale_of(score.distance for test in judgement.tests for score in test.scores)
    each = len(report.nodes) <= _EACH_POINT
    rows: dict[str, list[MetricRow]] = {}
    for row in metric_rows(judgement) if metrics else ():
        rows.setdefault(row.group, []).append(row)
    drawn = []
    for group, test in zip(report.groups, judgement.tests, strict=True):
        names = [judgement.nodes[int(row)] for row in test.matrix.rows]
        members = Members(
            names, [verdicts[name] for name in names], [anchors.get(name) for name in names], each
        )
        drawn.append(
            draw_group(Group(group, test, members, Counter(members.verdicts)), scale, rows.get(group.id, []))
        )
    alone = [node.id for node in report.nodes if node.group is None]
    return tag(
        "section",
        tag("h2", "Groups of comparable nodes"),
        legend() if any(test.scores for test in judgement.tests) else None,
        drawn,
        tag(
            "p",
            "In no group: ",
            [join(", " if n else None, _linked(name, anchors.get(name))) for n, name in enumerate(alone)],
        )
        if alone
        else None,
        id="groups",
    )


def _sheep_pages(sections: Sequence[Markup]) -> Markup | None:
    return tag("section", tag("h2", "Nodes with findings"), sections, id="nodes") if sections else None


def _notes(notes: Sequence[str]) -> Markup | None:
    if not notes:
        return None
    listed = tag("ul", [tag("li", each) for each in notes], class_="notes")
    return tag("section", tag("h2", "Notes on the data"), listed, id="notes")
