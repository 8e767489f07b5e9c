"""What the localiser found, as findings: of leaves, links and paths its own, of nodes what proves them and what to check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from ahc_agent.facts import Inventory
from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.localise import Answer, Culprit
from ahc_server.judge.localise.model import Kind, Way
from ahc_server.judge.model import Evidence, Finding
from ahc_server.judge.network import PairRun
from ahc_server.judge.thresholds import Thresholds

_MOST_PAIRS = 3
_RATE = Metric("network", "flow", "bytes_per_s", "bytes/s", True, "", 0)
_TIME = Metric("network", "flow", "round_trip_us", "us", False, "", 0)
#: What runs through an element; the nodes of a pair are filled in.
_THROUGH: dict[tuple[Kind, Way | None], str] = {
    ("node", None): "flows with it",
    ("node", "tx"): "flows that it sends",
    ("node", "rx"): "flows that it receives",
    ("leaf", None): "flows between it and other racks",
    ("leaf", "tx"): "flows that leave it",
    ("leaf", "rx"): "flows that come in",
    ("link", None): "flows between the two",
    ("pair", None): "flows between them",
    ("pair", "tx"): "flows from {0} to {1}",
    ("pair", "rx"): "flows from {1} to {0}",
}
_CHECK = {
    "leaf": "its uplinks: their number, speed and errors, what else loads them, and how flows are spread over them",
    "link": "the links between these two switches, and how flows are spread over them",
    "pair": "the path that this pair takes (how switches spread flows over their uplinks), and measure it again",
}


@dataclass(slots=True)
class Named:
    """What was named in all runs of a session. ``nodes``: (row, "tx", "rx" or "rtt") → ln of the chance that a healthy node
    looks so; ``culprits``: row → the clearest one about it, with its run; ``unclear``: row → what its flows suffer from, though
    it is not its own doing, or for ``unmet`` rows need not be."""

    nodes: dict[tuple[int, str], float] = field(default_factory=dict)
    culprits: dict[int, tuple[PairRun, Culprit]] = field(default_factory=dict)
    unclear: dict[int, tuple[PairRun, Culprit]] = field(default_factory=dict)
    unmet: set[int] = field(default_factory=set)


def named(runs: Sequence[tuple[PairRun, Answer]]) -> Named:
    """Nodes that are named in at least half of the runs that measured them."""
    told = Named()
    seen: dict[int, int] = {}
    by_part: dict[tuple[int, str], list[float]] = {}
    for run, answer in runs:
        for row in run.rows:
            seen[row] = seen.get(row, 0) + 1
        told.unclear |= {each.nodes[0]: (run, each) for each in (*answer.unclear, *answer.unmet)}
        told.unmet |= {each.nodes[0] for each in answer.unmet}
        for each in answer.culprits:
            if each.kind == "node" and each.witness != "dead":
                for part in _parts(each):
                    by_part.setdefault((each.nodes[0], part), []).append(each.log_p)
                clearest = told.culprits.get(each.nodes[0])
                if clearest is None or each.log_p < clearest[1].log_p:
                    told.culprits[each.nodes[0]] = run, each
    for (row, part), chances in by_part.items():
        if 2 * len(chances) >= seen[row]:
            told.nodes[row, part] = min(chances)
    return told


def notes(runs: Sequence[tuple[PairRun, Answer]], names: Sequence[str]) -> list[str]:
    """What the flows tell of the network as a whole, a sentence each."""
    slower = sorted({row for _, answer in runs for row in answer.slower})
    if not slower:
        return []
    listed = wording.listed([names[row] for row in slower])
    return [
        f"network: {wording.nodes_word(len(slower))} have cards of a slower kind, or too many are slow by the same to be broken, "
        f"and are compared with each other ({listed})"
    ]


def _parts(each: Culprit) -> list[str]:
    if each.witness == "rtt":
        return ["rtt"]
    ways = ["tx", "rx"] if each.way is None else [each.way]
    return [*ways, *(("rtt",) if "rtt" in each.also else ())]


def element_findings(
    runs: Sequence[tuple[PairRun, Answer]], names: Sequence[str], thresholds: Thresholds
) -> list[Finding]:
    """Of leaves, links between them, and single pairs."""
    found: dict[str, Finding] = {}
    for run, answer in runs:
        for each in answer.culprits:
            if each.kind != "node" and each.witness != "dead":
                finding = _finding(each, run, names, thresholds)
                found.setdefault(finding.element, finding)
    return list(found.values())


def node_findings(
    told: Named, findings: Sequence[Finding], names: Sequence[str], thresholds: Thresholds
) -> list[Finding]:
    """Of nodes that are named though their own peers do not show it, as they are of another kind or as bad: flows with others
    prove them as well. And of those whose flows are slow by the doing of something that was not found."""
    known = {each.element for each in findings if each.component == "network" and each.kind != "fast"}
    proven = [
        _finding(each, run, names, thresholds)
        for row, (run, each) in sorted(told.culprits.items())
        if f"node:{names[row]}" not in known and any((row, part) in told.nodes for part in _parts(each))
    ]
    known |= {each.element for each in proven}
    return proven + [
        _unclear(each, run, names, is_unmet=row in told.unmet)
        for row, (run, each) in sorted(told.unclear.items())
        if f"node:{names[row]}" not in known
    ]


def _unclear(each: Culprit, run: PairRun, names: Sequence[str], *, is_unmet: bool) -> Finding:
    node = names[each.nodes[0]]
    ways = proof(each, run, names)
    why = (
        "; others are slow in just the same way, and it met none of them: they may share an uplink, or have bad cards"
        if is_unmet
        else ", and others prove its card good: it may share something slow that was not found"
    )
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component="network",
        kind="not-measured",
        direction=each.way,
        severity="info",
        summary=f"{node}: network: some of its flows are slow{f', as {ways}' if ways else ''}{why}, so it cannot "
        "be told; tell the topology, or measure more rounds",
    )


def _finding(each: Culprit, run: PairRun, names: Sequence[str], thresholds: Thresholds) -> Finding:
    is_rate = each.witness == "rate"
    metric = _RATE if is_rate else _TIME
    nodes = [names[row] for row in each.nodes]
    element, title = _title(each, nodes)
    limits = thresholds.of("tx" if is_rate else "rtt")
    value, expected = (wording.quantity(metric, of, each.expected) for of in (each.value, each.expected))
    through = _THROUGH[each.kind, each.way].format(*nodes)
    did = (
        f"{value} where such flows elsewhere reach {expected}"
        if is_rate
        else f"{value} round trips where {expected} are usual"
    )
    text = [f"{title}: network: {through}: {did} ({wording.percent(each.value / each.expected - 1)})"]
    if "rtt" in each.also:
        text.append("their round trips are longer too")
    text.append(f"seen in {each.seen:,} flows, as {proof(each, run, names)}")
    if each.kind == "leaf":
        within = np.isin(run.flows.source, each.nodes) & np.isin(run.flows.destination, each.nodes)
        text.append(
            "inside the rack all is well"
            if each.leaves
            else "the cards of its nodes are good among themselves"
            if np.any(within)
            else "no two of these nodes met: their cards may be the reason as well"
        )
    if each.kind == "pair" and _other_way_is_known(each, run):
        text.append("the other way is well")
    part = "rtt" if each.witness == "rtt" else each.way
    check = wording.advice("network", part) if each.kind == "node" else _CHECK[each.kind]
    text.append(f"check {check}")
    return Finding(
        element=element,
        nodes=nodes,
        component="network",
        kind="slow",
        direction=each.way,
        severity="fail" if -each.effect >= limits.fail else "warn",
        effect=rounded(each.effect, 4),
        q=significant(float(np.exp(max(each.log_p, -700.0)))),
        metrics=[
            Evidence(
                name=metric.name,
                value=significant(each.value, 6),
                expected=significant(each.expected, 6),
                unit=metric.unit,
                effect=rounded(each.effect, 4),
            )
        ],
        summary="; ".join(text),
    )


def _other_way_is_known(each: Culprit, run: PairRun) -> bool:
    """Whether of a pair that is slow one way the other was measured as well."""
    if each.way is None:
        return False
    back = each.nodes[::-1] if each.way == "tx" else each.nodes
    flows = run.flows
    return bool(np.any((flows.source == back[0]) & (flows.destination == back[1]) & (flows.rate > 0)))


def element_of(each: Culprit, names: Sequence[str]) -> str:
    """The element's name in findings. ``names``: by row."""
    return _title(each, [names[row] for row in each.nodes])[0]


def _title(each: Culprit, nodes: list[str]) -> tuple[str, str]:
    """The element and what a person calls it. A switch whose name nobody told is called after the first of its nodes."""
    if each.kind == "node":
        return f"node:{nodes[0]}", nodes[0]
    if each.kind == "pair":
        return f"pair:{nodes[0]}-{nodes[1]}", f"{nodes[0]} and {nodes[1]}"
    if each.leaves:
        name = "-".join(each.leaves)
        return f"{each.kind}:{name}", name if each.kind == "leaf" else f"between {' and '.join(each.leaves)}"
    listed = wording.listed(nodes, most=4)
    return f"{each.kind}:of-{nodes[0]}", f"the switch of {listed} ({wording.nodes_word(len(nodes))})"


def proof(each: Culprit, run: PairRun, names: Sequence[str]) -> str:
    """ "n5 → n1, n5 → n2 and 3 more"."""
    ways = [
        f"{names[int(run.flows.source[flow])]} → {names[int(run.flows.destination[flow])]}"
        for flow in each.flows.tolist()
    ]
    return wording.listed(list(dict.fromkeys(ways)), most=_MOST_PAIRS)


def with_proof(
    finding: Finding,
    told: Named,
    row_of: Mapping[str, int],
    names: Sequence[str],
    inventories: Sequence[Inventory | None],
) -> Finding:
    """A node's finding, with the flows that prove it and the port that its cable goes to."""
    row = row_of[finding.nodes[0]]
    if finding.component != "network" or finding.kind != "slow" or row not in told.culprits:
        return finding
    run, each = told.culprits[row]
    facts, check, rest = finding.summary.partition("; check ")
    ways = proof(each, run, names)
    shown = f"seen in {each.seen:,} flows with peers that do better elsewhere, as {ways}" if ways else ""
    port = _port(inventories[row])
    return msgspec.structs.replace(
        finding,
        summary=f"{facts}{f'; {shown}' if shown else ''}{check}{rest}{f' ({port})' if port and check else ''}",
    )


def _port(inventory: Inventory | None) -> str | None:
    """ "port Eth1/17 of leaf3", where one card heard its switch."""
    heard = [] if inventory is None else [nic.lldp for nic in inventory.nics if nic.lldp is not None]
    if len(heard) != 1 or not heard[0].port_id:
        return None
    return f"port {heard[0].port_id} of {heard[0].system_name or heard[0].chassis_id}"
