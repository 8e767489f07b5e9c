"""Racks: the nodes of each leaf by verdict, and what is known of its uplinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import Judgement, wording
from ahc_server.judge.arrays import Ints
from ahc_server.judge.model import Finding, Verdict
from ahc_server.report.network.matrix import UNKNOWN
from ahc_server.report.network.picture import Picture, named

_WAYS = {None: "", "tx": "out ", "rx": "in "}


@dataclass(frozen=True, slots=True)
class Rack:
    """``nodes``: names with verdicts in natural order. ``uplink``: the finding about it, None where nothing is wrong.
    ``links``: findings about its ways to single other leaves. ``state``: all of it in a word or two. ``is_known``: False for the
    column of nodes whose leaf nobody knows."""

    name: str
    nodes: Sequence[tuple[str, Verdict]]
    uplink: Finding | None
    links: Sequence[Finding]
    state: str
    is_known: bool = True


def racks(judgement: Judgement, drawn: Sequence[Picture]) -> list[Rack]:
    """By leaf, in natural order, nodes of unknown leaf last; empty where no leaf is known at all."""
    names = judgement.nodes
    picture = next((each for each in drawn if each.has_leaves), None)
    if picture is None:
        return []
    verdict = {node.id: node.verdict for node in judgement.report.nodes}
    found = named(judgement.report)
    across = _leaves_across(drawn, picture.leaf)
    order = sorted(range(len(picture.leaves)), key=lambda number: natural_order(picture.leaves[number]))
    drawn_racks = []
    for number in [*order, -1]:
        rows = np.flatnonzero(picture.leaf == number).tolist()
        if not rows:
            continue
        inside = sorted((names[row] for row in rows), key=natural_order)
        listed = [(name, verdict[name]) for name in inside]
        if number < 0:
            drawn_racks.append(Rack(UNKNOWN, listed, None, (), "", is_known=False))
            continue
        name = picture.leaves[number]
        uplink = found.get(f"leaf:{name}")
        links = [
            each for element, each in found.items() if element.startswith("link:") and inside[0] in each.nodes
        ]
        drawn_racks.append(
            Rack(name, listed, uplink, links, _state(uplink, links, measured=number in across))
        )
    return drawn_racks


def _leaves_across(drawn: Sequence[Picture], leaf: Ints) -> set[int]:
    """Leaves of which flows to other leaves were measured."""
    seen: set[int] = set()
    for picture in drawn:
        one, other = leaf[picture.source], leaf[picture.destination]
        far = (one != other) & (one >= 0) & (other >= 0)
        seen |= {*one[far].tolist(), *other[far].tolist()}
    return seen


def _state(uplink: Finding | None, links: Sequence[Finding], *, measured: bool) -> str:
    if uplink is not None:
        return _WAYS[uplink.direction] + _lost(uplink)
    if links:
        return f"a link {_lost(links[0])}" if len(links) == 1 else f"{len(links)} links bad"
    return "no finding" if measured else "not measured"


def _lost(finding: Finding) -> str:
    if finding.kind == "missing" or finding.effect is None:
        return "no connection"
    of_times = any(each.unit == "us" for each in finding.metrics[:1])
    return f"RTT {wording.percent(-finding.effect)}" if of_times else wording.percent(finding.effect)
