"""Networks for the reports, made by hand: what is usual and what is bad is given, and nothing else changes a drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ahc_agent.facts import Inventory, Lldp, Nic
from ahc_server.judge import Judgement
from ahc_server.judge.localise import Answer, Flows
from ahc_server.judge.model import Counts, Evidence, Finding, NodeVerdict, Report
from ahc_server.judge.network import PairRun, Wiring
from tests.network_helpers import all_pairs

USUAL, USUAL_US = 3.0e9, 20.0

#: (source, destination) → the part of the usual that comes through, 0 for no connection.
Part = Callable[[str, str], float]

NODES = [f"n{number}" for number in range(1, 13)]
#: Three racks of which the last is not full, and one node of which nobody knows where it is.
RACKS = {name: f"leaf{place // 4 + 1}" for place, name in enumerate(NODES[:11])}


def judgement(
    names: Sequence[str],
    racks: dict[str, str],
    part: Part,
    *,
    times: Part | None = None,
    findings: Sequence[Finding] = (),
    rounds: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Judgement:
    """All pairs of the nodes unless ``rounds`` say otherwise. ``times``: as ``part``, of the usual round trip."""
    ways = [(number, a, b) for number, one in enumerate(rounds or all_pairs(len(names))) for a, b in one]
    number, one, other = np.array(ways, dtype=np.int64).reshape(-1, 3).T
    source, destination = np.concatenate([one, other]), np.concatenate([other, one])
    rate = USUAL * np.array([part(names[a], names[b]) for a, b in zip(source, destination, strict=True)])
    rtt = np.full(len(rate), np.nan)
    if times is not None:
        rtt = USUAL_US * np.array(
            [times(names[a], names[b]) for a, b in zip(source, destination, strict=True)]
        )
        rtt[rate == 0] = np.nan
    return judged(
        names, racks, Flows(np.concatenate([number, number]), source, destination, rate, rtt), findings
    )


def judged(
    names: Sequence[str], racks: dict[str, str], flows: Flows, findings: Sequence[Finding] = ()
) -> Judgement:
    """A report that says these findings of these flows."""
    leaves = sorted(set(racks.values()))
    leaf = np.array([leaves.index(racks[name]) if name in racks else -1 for name in names], dtype=np.int64)
    count = len(flows)
    answer = Answer(usual=np.full(count, USUAL), usual_times={"tcp": np.full(count, USUAL_US)}, leaf=leaf)
    nothing = np.zeros(0, dtype=np.int64)
    run = PairRun("pairs", len(names), nothing, nothing, np.zeros(0), {}, flows, {"tcp": flows.rtt_us})
    bad = {
        name: each.severity
        for each in reversed(findings)
        for name in each.nodes
        if each.element.startswith(("node:", "pair:"))
    }
    verdicts = [
        NodeVerdict(
            id=name,
            group=None,
            verdict="fail" if bad.get(name) == "fail" else "warn" if name in bad else "pass",
        )
        for name in names
    ]
    told = [each.verdict for each in verdicts]
    report = Report(
        session="fabric",
        generated_at="2024-05-01T10:30:00Z",
        nodes=verdicts,
        groups=[],
        findings=list(findings),
        counts=Counts(
            nodes=len(names),
            passed=told.count("pass"),
            warn=told.count("warn"),
            fail=told.count("fail"),
            unknown=0,
        ),
    )
    wiring = Wiring(leaf, leaves, np.full(len(names), np.nan), np.full(len(names), -1, dtype=np.int64))
    return Judgement(report=report, nodes=list(names), tests=[], runs=[(run, answer)], wiring=wiring)


def finding(
    element: str,
    nodes: Sequence[str],
    effect: float,
    *,
    direction: str | None = None,
    severity: str = "fail",
    rtt: bool = False,
    kind: str = "slow",
) -> Finding:
    value = USUAL_US * (1 - effect) if rtt else USUAL * (1 + effect)
    return Finding(
        element=element,
        nodes=list(nodes),
        component="network",
        kind=kind,  # type: ignore[arg-type]
        direction=direction,  # type: ignore[arg-type]
        severity=severity,  # type: ignore[arg-type]
        effect=effect,
        metrics=[
            Evidence(
                name=f"network.flow.{'round_trip_us' if rtt else 'bytes_per_s'}",
                value=value,
                expected=USUAL_US if rtt else USUAL,
                unit="us" if rtt else "bytes/s",
                effect=effect,
            )
        ],
        summary=f"{element.partition(':')[2]}: network: is {kind}; check what it hangs on",
    )


def risen(node: str) -> Finding:
    """Counters that rose on a node's card."""
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component="network",
        kind="health",
        severity="warn",
        metrics=[
            Evidence(name="network.eth2.crc_rise", value=18_220, expected=0, unit="events", effect=None)
        ],
        summary=f"{node}: CRC errors on eth2 rose by 18,220 during the network tests; check its cable",
    )


#: n2 sends half, what comes into leaf2 is six tenths, n3 and n9 cannot talk, n12 answers late.
FINDINGS = (
    finding("pair:n3-n9", ["n3", "n9"], -1.0, kind="missing"),
    finding("node:n2", ["n2"], -0.5, direction="tx"),
    finding("leaf:leaf2", ["n5", "n6", "n7", "n8"], -0.4, direction="rx"),
    finding("node:n12", ["n12"], -2.0, severity="warn", rtt=True),
    risen("n2"),
)


def broken(source: str, destination: str) -> float:
    if {source, destination} == {"n3", "n9"}:
        return 0.0
    into = RACKS.get(destination) == "leaf2" and RACKS.get(source) != "leaf2"
    return min(0.5 if source == "n2" else 1.0, 0.6 if into else 1.0)


def late(source: str, destination: str) -> float:
    return 3.0 if "n12" in (source, destination) else 1.0


def fabric() -> Judgement:
    """Twelve nodes with the faults above."""
    return judgement(NODES, RACKS, broken, times=late, findings=FINDINGS)


def inventories() -> dict[str, Inventory]:
    """What LLDP told of the cables."""
    return {
        name: Inventory(
            collected_at="2024-05-01T10:00:00Z",
            nics=[Nic(name="eth2", lldp=Lldp(system_name=leaf, port_id=f"Eth1/{place + 1}"))],
        )
        for place, (name, leaf) in enumerate(RACKS.items())
    }
