"""A section per sheep: what was found, why, where its peers are, and what machine it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ahc_agent.facts import Inventory
from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.judge.model import Evidence, Finding, NodeVerdict
from ahc_server.report import words
from ahc_server.report.html.machine import facts_of
from ahc_server.report.html.markup import Markup, join, tag
from ahc_server.report.html.peers import Peers

#: Metrics of one finding that are shown with their peers; the csv has them all.
_MOST_METRICS = 6


def draw_sheep(
    node: NodeVerdict,
    anchor: str,
    findings: Sequence[Finding],
    inventory: Inventory | None,
    peers: Peers | None,
    place: int,
    proof: Markup | None = None,
) -> Markup:
    """The section of one node. ``place``: its row in the matrix of ``peers``, which is None for a node in no group; ``proof``:
    the flows that prove what is wrong with its network."""
    group = f"group {node.group}" if node.group else "in no group"
    return tag(
        "section",
        tag("h3", node.id, " ", badge(node.verdict), tag("small", group)),
        [_finding(each, peers, place) for each in findings],
        proof,
        _machine(inventory) if inventory is not None else None,
        id=anchor,
        class_="sheep",
    )


def badge(word: str) -> Markup:
    return tag("b", word, class_=f"badge {word}")


def told(finding: Finding, facts: str | None = None) -> Markup:
    """The facts (the finding's own, unless others are given), the cause and what to check, each as a paragraph."""
    cause = words.cause(finding)
    advice = words.advice(finding)
    return join(
        tag("p", facts or words.facts(finding)),
        tag("p", tag("b", "Cause"), " ", cause, class_="cause") if cause else None,
        tag("p", tag("b", "Check"), " ", advice, class_="check") if advice else None,
    )


def _finding(finding: Finding, peers: Peers | None, place: int) -> Markup:
    effect = wording.percent(finding.effect) if finding.effect is not None else None
    rest = len(finding.metrics) - _MOST_METRICS
    return tag(
        "article",
        tag("h4", badge(finding.severity), " ", finding.component, tag("span", effect, class_="effect")),
        told(finding),
        tag(
            "table",
            tag(
                "thead",
                tag(
                    "tr",
                    [tag("th", each) for each in ("metric", "this node", "expected", "effect", "its peers")],
                ),
            ),
            tag("tbody", [_evidence(each, peers, place) for each in finding.metrics[:_MOST_METRICS]]),
            class_="evidence",
        )
        if finding.metrics
        else None,
        tag("p", f"and {rest:,} more metrics", class_="muted") if rest > 0 else None,
    )


def _evidence(evidence: Evidence, peers: Peers | None, place: int) -> Markup:
    column = peers.column(place, evidence) if peers is not None else None
    metric = peers.test.metrics[column] if peers is not None and column is not None else None
    return tag(
        "tr",
        tag("th", _name(evidence, metric), scope="row"),
        tag("td", _value(evidence, evidence.value, metric)),
        tag("td", _value(evidence, evidence.expected, metric)),
        tag("td", wording.percent(evidence.effect) if evidence.effect is not None else ""),
        tag(
            "td",
            peers.plot(place, column) if peers is not None and column is not None else None,
            class_="plot",
        ),
    )


def _name(evidence: Evidence, metric: Metric | None) -> str:
    if metric is None:
        return evidence.name
    part = evidence.name.split(".")[1] if metric.component == "disk" else ""
    return f"{part} {wording.what(metric)}".strip()


def _value(evidence: Evidence, value: float | None, metric: Metric | None) -> str:
    if value is None or not np.isfinite(value):
        return ""
    if metric is None:
        return f"{value:.6g} {evidence.unit}".rstrip()
    return wording.quantity(metric, value, evidence.expected)


def _machine(inventory: Inventory) -> Markup:
    return tag(
        "dl",
        [join(tag("dt", name), [tag("dd", line) for line in lines]) for name, lines in facts_of(inventory)],
        class_="facts",
    )
