"""What proves a finding about the network: the flows that are as bad as it says, and the good ones that clear all others.

For a card that is its own flows, and what its peers do with others; for a leaf the flows that leave it and come in, and those
inside it and between other leaves. Flows through what else is bad say nothing of it and are left out, where others are left.
Beside them stand the switch port and the counters that rose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_agent.facts import Inventory
from ahc_server.judge import Judgement, wording
from ahc_server.judge.arrays import Bools
from ahc_server.judge.features import Metric
from ahc_server.judge.model import Finding
from ahc_server.report import words
from ahc_server.report.network.levels import Witness
from ahc_server.report.network.picture import Picture, Sight, named, rows_of, through, witness_of

_METRICS: Mapping[Witness, Metric] = {
    "rate": Metric("network", "flow", "bytes_per_s", "bytes/s", True, "", 0),
    "rtt": Metric("network", "flow", "round_trip_us", "us", False, "", 0),
}
_EXAMPLES, _MOST_COUNTERS, _MOST_PORTS = 3, 6, 4
#: Without an effect a flow is bad where it is so far from usual.
_LEAST = -float(np.log1p(-0.07))


@dataclass(frozen=True, slots=True)
class Way:
    """One flow: ``value`` and ``usual`` in bytes/s or µs; ``away``: the relative change of the value, None: no connection."""

    source: str
    destination: str
    value: float
    usual: float
    away: float | None

    def told(self, witness: Witness) -> str:
        return f"{self.source} → {self.destination} {value_told(self.value, self.away, witness)}"


@dataclass(frozen=True, slots=True)
class Side:
    """Flows of one kind. ``bad`` of ``flows`` are as the finding says; ``value``: their median, ``away``: relative to what is
    usual, None where nothing came through. ``ways``: the most typical, of the bad ones where those are most."""

    what: str
    witness: Witness
    flows: int
    bad: int
    value: float
    away: float | None
    ways: Sequence[Way]

    def told(self) -> str:
        return value_told(self.value, self.away, self.witness)

    def examples(self) -> list[str]:
        return [each.told(self.witness) for each in self.ways]


@dataclass(frozen=True, slots=True)
class Proof:
    """``finding``: the most serious one about its element. ``ports``, ``counters``: sentences."""

    finding: Finding
    job: str
    sides: Sequence[Side]
    ports: Sequence[str]
    counters: Sequence[str]


def proofs(
    judgement: Judgement, drawn: Sequence[Picture], inventories: Mapping[str, Inventory]
) -> list[Proof]:
    """Of every element that a finding about the network names, in the order of the report."""
    found = []
    blamed = named(judgement.report)
    for finding in blamed.values():
        others = [each for each in blamed.values() if each is not finding]
        job, sides = _sides(finding, others, drawn)
        found.append(
            Proof(
                finding,
                job,
                sides,
                _ports(finding, inventories),
                _counters(finding, judgement.report.findings),
            )
        )
    return found


def _sides(finding: Finding, others: Sequence[Finding], drawn: Sequence[Picture]) -> tuple[str, list[Side]]:
    """From the job in which the element's own flows are worst."""
    witness = witness_of(finding)
    best: tuple[float, str, list[Side]] = (0.0, drawn[0].job if drawn else "", [])
    for picture in drawn:
        sight = picture.sight(witness)
        if sight is None:
            continue
        spoilt = np.zeros(len(picture.source), dtype=bool)
        for each in others:
            if witness_of(each) == witness or each.kind == "missing":
                spoilt |= through(each, picture)
        told = [
            side
            for what, mask in _masks(finding, picture)
            if (
                side := _side(
                    what, mask & ~spoilt if np.any(mask & ~spoilt) else mask, picture, sight, finding
                )
            )
        ]
        worst = max((each.bad / each.flows for each in told[:2]), default=0.0)
        if told and (not best[2] or worst > best[0]):
            best = (worst, picture.job, told)
    return best[1], best[2]


def _masks(finding: Finding, picture: Picture) -> Iterator[tuple[str, Bools]]:
    """Kinds of flows (k,): first those of the element, then those that clear others."""
    source, destination = picture.source, picture.destination
    rows = rows_of(finding, picture)
    kind = finding.element.partition(":")[0]
    if kind == "node" and rows:
        sends, receives = source == rows[0], destination == rows[0]
        peer = np.zeros(len(picture.names), dtype=bool)
        peer[destination[sends]] = peer[source[receives]] = True
        yield "it sends", sends
        yield "it receives", receives
        yield "its peers, with others", (peer[source] | peer[destination]) & ~sends & ~receives
    elif kind == "pair" and len(rows) > 1:
        one, other = rows[:2]
        yield "one way", (source == one) & (destination == other)
        yield "the other way", (source == other) & (destination == one)
        for row, peer_row in ((one, other), (other, one)):
            mine = (source == row) | (destination == row)
            yield f"{picture.names[row]} with others", mine & (source != peer_row) & (destination != peer_row)
    elif kind in ("leaf", "link"):
        yield from _masks_of_leaves(kind, np.isin(np.arange(len(picture.names)), rows), picture)


def _masks_of_leaves(kind: str, inside: Bools, picture: Picture) -> Iterator[tuple[str, Bools]]:
    source, destination = picture.source, picture.destination
    one, other = inside[source], inside[destination]
    leaf = picture.leaf
    same = (leaf[source] == leaf[destination]) & (leaf[source] >= 0)
    if kind == "link":
        yield "between the two", one & other & ~same
        yield "of the two with other leaves", one != other
        yield "inside both", one & other & same
    else:
        yield "that leave it", one & ~other
        yield "that come in", ~one & other
        yield "inside it", one & other
    yield "between other leaves", ~one & ~other & ~same


def _side(what: str, mask: Bools, picture: Picture, sight: Sight, finding: Finding) -> Side | None:
    away = sight.away
    mine = np.flatnonzero(mask & (sight.dead | ~np.isnan(away)))
    if not len(mine):
        return None
    dead = sight.dead[mine]
    bad = dead | (np.nan_to_num(away[mine]) < -_bar(finding, sight.witness))
    left = away[mine][~dead]
    middle = float(np.median(left)) if 2 * len(left) >= len(mine) else None
    value = float(np.median(sight.value[mine][~dead])) if middle is not None else 0.0
    alike = bad if 2 * np.sum(bad) >= len(mine) else ~bad
    shown = mine[alike]
    typical = float(np.median(np.where(sight.dead[shown], 0.0, away[shown])))
    by = np.argsort(np.abs(np.where(sight.dead[shown], 0.0, away[shown]) - typical), kind="stable")
    ways: dict[tuple[str, str], Way] = {}
    for flow in shown[by].tolist():
        if len(ways) == _EXAMPLES:
            break
        ends = picture.names[int(picture.source[flow])], picture.names[int(picture.destination[flow])]
        told = None if sight.dead[flow] else relative(float(away[flow]), sight.witness)
        ways.setdefault(ends, Way(*ends, float(sight.value[flow]), float(sight.usual[flow]), told))
    lost = None if middle is None else relative(middle, sight.witness)
    return Side(what, sight.witness, len(mine), int(np.sum(bad)), value, lost, [*ways.values()])


def _bar(finding: Finding, witness: Witness) -> float:
    """Half of the finding's effect, as ln: flows that are farther from usual are as it says."""
    if finding.effect is None or finding.effect >= 0:
        return _LEAST
    lost = -np.log1p(max(finding.effect, -0.99)) if witness == "rate" else np.log1p(-finding.effect)
    return float(lost / 2)


def relative(away: float, witness: Witness) -> float:
    """From ln, negative is worse, to the relative change of the value."""
    return float(np.expm1(away if witness == "rate" else -away))


def value_told(value: float, away: float | None, witness: Witness) -> str:
    """ "4.23 Gbit/s (−58 %)"; ``away`` is the relative change, None where nothing came through."""
    if away is None:
        return "no connection"
    return f"{wording.quantity(_METRICS[witness], value)} ({wording.percent(away)})"


def _ports(finding: Finding, inventories: Mapping[str, Inventory]) -> list[str]:
    """Where the cables of a node, or of both ends of a pair, go, as LLDP told."""
    if not finding.element.startswith(("node:", "pair:")):
        return []
    told = []
    for name in finding.nodes[:_MOST_PORTS]:
        for nic in inventories[name].nics if name in inventories else ():
            if nic.lldp is not None and (nic.lldp.port_id or nic.lldp.system_name):
                switch = nic.lldp.system_name or nic.lldp.chassis_id
                port = f"port {nic.lldp.port_id}" if nic.lldp.port_id else "a port"
                told.append(f"cable: {nic.name} of {name} goes to {port}{f' of {switch}' if switch else ''}")
    return told


def _counters(finding: Finding, findings: Sequence[Finding]) -> list[str]:
    """What rose on the nodes meanwhile, from the findings about it."""
    nodes = set(finding.nodes)
    told = [
        f"counters: {words.who(each)}: {words.facts(each)}"
        for each in findings
        if each.element.startswith("node:")
        and each.nodes[0] in nodes
        and any(metric.name.endswith("_rise") for metric in each.metrics)
    ]
    if not told and finding.cause and "rose" in finding.cause:
        told = [f"counters: {finding.cause}"]
    rest = len(told) - _MOST_COUNTERS
    return told[:_MOST_COUNTERS] + ([f"counters of {rest:,} more of its nodes rose"] if rest > 0 else [])
