"""Where nothing came through: a finding per node that reaches nobody, per leaf, or per pair.

One flow of one test that carried nothing, while the other way did, is no proof of a broken connection: behind a full uplink
the first packets of a short test may all be lost. That is said, and accuses nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.localise import Answer, Culprit
from ahc_server.judge.model import Finding
from ahc_server.judge.network import PairRun

_MUTE = "connected, but no data came through: check the MTU on the way"


def broken_connections(
    runs: Sequence[tuple[PairRun, Answer]], names: Sequence[str]
) -> tuple[list[Finding], set[int]]:
    """Findings, and the rows of nodes that reached nobody."""
    said: dict[tuple[int, int], str] = {}
    found: dict[str, Finding] = {}
    isolated: set[int] = set()
    for run, answer in runs:
        for pair, text in run.said.items():
            said.setdefault(pair, text)
        for each in answer.culprits:
            if each.witness == "dead":
                finding = _stalled(each, run, names) or _finding(each, run, names, said)
                found.setdefault(finding.element, finding)
                if each.kind == "node" and each.way is None:
                    isolated.update(each.nodes)
    return list(found.values()), isolated


def _stalled(each: Culprit, run: PairRun, names: Sequence[str]) -> Finding | None:
    """Of a single flow of two nodes that carried nothing, where the other way did; None for all else."""
    if each.kind != "pair" or each.way is None or len(each.flows) != 1:
        return None
    one, other = (names[row] for row in _ends(each))
    return Finding(
        element=f"pair:{names[each.nodes[0]]}-{names[each.nodes[1]]}",
        nodes=[names[row] for row in each.nodes],
        component="network",
        kind="not-measured",
        direction=None,
        severity="info",
        summary=f"from {one} to {other} nothing came through in {_tests(each, run)}, though the other way did and both reach "
        "others: a stall, or a bad path; measure this pair again",
    )


def _finding(each: Culprit, run: PairRun, names: Sequence[str], said: dict[tuple[int, int], str]) -> Finding:
    pairs = sorted(set(_pairs(each, run)))
    text = next((said[pair] for pair in pairs if said.get(pair)), "")
    if not any(pair in said for pair in pairs):
        text = _MUTE if run.said or len(each.nodes) == 2 else ""
    tests = _tests(each, run) if each.way is not None or len(each.flows) < _tried(each, run) else None
    element, summary = _told(
        each, [names[row] for row in each.nodes], len(pairs), tests, f" ({text})" if text else ""
    )
    return Finding(
        element=element,
        nodes=[names[row] for row in each.nodes],
        component="network",
        kind="missing",
        direction=each.way,
        severity="fail",
        effect=-1.0,
        summary=summary,
    )


def _ends(each: Culprit) -> tuple[int, ...]:
    """Of a pair whose one way is dead: the sender and the receiver."""
    return each.nodes if each.way == "tx" else each.nodes[::-1]


def _tests(each: Culprit, run: PairRun) -> str:
    """ "2 of 5 tests of it": of the ways that are dead, how many tests found them so."""
    tests = _tried(each, run)
    return "the one test of it" if tests == 1 else f"{len(each.flows)} of {tests} tests of it"


def _tried(each: Culprit, run: PairRun) -> int:
    """Tests of the ways that are dead."""
    way = run.flows.source * (1 + max(run.rows)) + run.flows.destination
    return int(np.sum(np.isin(way, way[each.flows])))


def _pairs(each: Culprit, run: PairRun) -> Iterator[tuple[int, int]]:
    for flow in each.flows.tolist():
        one, other = int(run.flows.source[flow]), int(run.flows.destination[flow])
        yield min(one, other), max(one, other)


def _told(each: Culprit, nodes: list[str], pairs: int, tests: str | None, said: str) -> tuple[str, str]:
    """The element and the sentence. ``tests``: of a pair that came through once, or one way: how many did not."""
    if each.kind == "node":
        what = {
            None: "reached none",
            "tx": "nothing that it sent reached any",
            "rx": "nothing reached it from any",
        }[each.way]
        return f"node:{nodes[0]}", (
            f"{nodes[0]}: network: {what} of {wording.nodes_word(pairs)}, which reach each other{said}; "
            "check its cable, switch port, VLAN and firewall"
        )
    if each.kind == "leaf":
        return f"leaf:{each.leaves[0]}", (
            f"{each.leaves[0]}: network: none of {pairs:,} pairs that leave the rack could connect{said}; "
            "check its uplinks and their configuration"
        )
    if len(nodes) > 2:
        return f"pair:{nodes[0]}-{nodes[1]}", (
            f"none of {pairs:,} pairs could connect{said}; check addresses, routes and firewalls between the nodes"
        )
    if each.way is not None:
        source, destination = nodes if each.way == "tx" else nodes[::-1]
        return f"pair:{nodes[0]}-{nodes[1]}", (
            f"from {source} to {destination} nothing came through in {tests}, though the other way did and both reach "
            f"others{said}; check routes, VLANs and firewalls between these two"
        )
    if tests is not None:
        return f"pair:{nodes[0]}-{nodes[1]}", (
            f"between {nodes[0]} and {nodes[1]} nothing came through in {tests.removesuffix(' of it')}, either way, though both "
            f"reach others{said}; check routes, VLANs and firewalls between these two"
        )
    return f"pair:{nodes[0]}-{nodes[1]}", (
        f"{nodes[0]} and {nodes[1]} cannot talk to each other, though both reach others{said}; check routes, VLANs and "
        "firewalls between these two"
    )
