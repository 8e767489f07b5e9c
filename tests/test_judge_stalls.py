"""Flows that do not fill one packet in a round trip: told of a group, accusing no node."""

from __future__ import annotations

import pytest

from ahc_agent.wire.messages import Identity, TaskOutcome
from ahc_server.judge import judge_session
from ahc_server.judge.stalls import PACKET_BYTES, stalled_flows
from ahc_server.session import NodeRecord, OutcomeRecord, Session
from tests.judge_helpers import inventory, measurement


def session(bytes_per_s: float, requests_per_s: float, nodes: int = 6, spoilt: int = 0) -> Session:
    """Nodes with flows of that rate and that many answers; ``spoilt`` of them do a thousandth."""
    outcomes = []
    for number in range(nodes):
        rate = bytes_per_s * (0.001 if number < spoilt else 1.0 + 0.01 * number)
        taken = [
            measurement("network", "tx", "flow_bytes_per_s", "bytes/s", True, rate),
            measurement("network", "all", "flow_requests_per_s", "requests/s", True, requests_per_s),
        ]
        outcome = TaskOutcome(status="ok", measurements=taken)
        outcomes.append(OutcomeRecord(f"t{number}", f"m{number}", "net", "network", 0, nodes, outcome))
    names = [NodeRecord(f"m{n}", f"n{n}", Identity(uuid=f"m{n}"), inventory()) for n in range(nodes)]
    return Session("net", "", "done", 0.0, names, outcomes)


def told(of: Session) -> list[str]:
    nodes = {each.machine: each.node for each in of.nodes}
    return [each.summary for each in stalled_flows(of, nodes, dict.fromkeys(nodes.values(), "g1"))]


def test_flows_of_less_than_a_packet_in_a_round_trip_are_told_with_what_to_check() -> None:
    [summary] = told(session(115_000.0, 2_000.0))
    assert summary.startswith(
        "g1: network: flows of 0.94 Mbit/s where 2,000 small requests a second are answered"
    )
    assert "check the MTU of the whole path" in summary
    report = judge_session(session(115_000.0, 2_000.0), generated_at="")
    assert report.counts.fail == report.counts.warn == 0, "the path is at fault, and no node"
    assert [each.element for each in report.findings if "MTU" in each.summary] == ["group:g1"]


@pytest.mark.parametrize(
    "healthy",
    [
        session(117_000_000.0, 20_000.0),
        session(PACKET_BYTES * 2_000.0, 2_000.0),
        session(115_000.0, 20.0),
        session(117_000_000.0, 20_000.0, spoilt=2),
        session(115_000.0, 2_000.0, nodes=2),
        Session("empty", "", "done", 0.0),
    ],
    ids=["fast", "one packet", "far away", "two bad nodes of six", "too few", "nothing"],
)
def test_a_path_that_carries_full_packets_is_not(healthy: Session) -> None:
    assert told(healthy) == []
