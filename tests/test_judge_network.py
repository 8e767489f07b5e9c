"""What each node's card can do, from pairs that slow each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ahc_agent.wire.messages import Flow, PairOutcome, TaskOutcome
from ahc_server.judge import judge_session
from ahc_server.judge.arrays import Floats
from ahc_server.judge.model import Finding
from ahc_server.judge.network import Capacity, capacities, latencies, pair_runs
from ahc_server.session import OutcomeRecord, Session
from tests.judge_helpers import Fleet


def all_pairs(tx: Floats, rx: Floats) -> tuple[Capacity, Capacity]:
    """Every node to every other: each flow is the smaller of what its ends can do."""
    source, destination = np.array([(a, b) for a in range(len(tx)) for b in range(len(tx)) if a != b]).T
    return capacities(source, destination, np.minimum(tx[source], rx[destination]), len(tx))


@pytest.mark.parametrize("size", [3, 4, 5, 6, 30])
def test_a_slow_card_is_seen_and_does_not_drag_its_partners(size: int) -> None:
    tx, rx = np.full(size, 10.0), np.full(size, 10.0)
    tx[0] = rx[0] = 4.0
    sends, receives = all_pairs(tx, rx)
    assert sends.value == pytest.approx(tx)
    assert receives.value == pytest.approx(rx)
    assert sends.proven[0] == size - 1


def test_directions_are_told_apart() -> None:
    tx, rx = np.full(6, 10.0), np.full(6, 10.0)
    tx[2], rx[4] = 3.0, 5.0
    sends, receives = all_pairs(tx, rx)
    assert sends.value == pytest.approx(tx)
    assert receives.value == pytest.approx(rx)


@given(st.lists(st.sampled_from([10.0, 10.0, 10.0, 10.0, 4.0, 7.0]), min_size=7, max_size=12))
def test_fewer_than_half_slow_senders_are_all_seen(speeds: list[float]) -> None:
    tx = np.array(speeds)
    sends, receives = all_pairs(tx, np.full(len(tx), 10.0))
    assert sends.value == pytest.approx(tx)
    if np.sum(tx == 10.0) > len(tx) / 2 + 1:
        assert receives.value == pytest.approx(np.full(len(tx), 10.0))


def test_a_node_with_one_peer_only_is_not_judged() -> None:
    sends, _ = capacities(np.array([0, 0, 1]), np.array([1, 2, 0]), np.array([10.0, 10.0, 10.0]), 3)
    assert np.isnan(sends.value[1])
    assert not np.isnan(sends.value[0])


def test_a_node_whose_peers_are_all_slow_is_not_proven_slow() -> None:
    """n0 was only paired with n1 and n2, whose receiving sides are slow with everyone."""
    flows = [(0, 1, 4.0), (0, 2, 4.0), (3, 1, 4.0), (3, 4, 10.0), (4, 2, 4.0), (4, 3, 10.0), (3, 5, 10.0)]
    source, destination, speed = (np.array(each) for each in zip(*flows, strict=True))
    sends, _ = capacities(source.astype(int), destination.astype(int), speed, 6)
    assert sends.value[0] == 4.0
    assert sends.proven[0] == 0
    assert sends.value[3] == 10.0


def test_round_trips_are_each_nodes_own() -> None:
    one, other = np.array([(a, b) for a in range(6) for b in range(a + 1, 6)]).T
    own = np.array([20.0, 20.0, 20.0, 120.0, 20.0, 20.0])
    seen = latencies(one, other, own[one] + own[other], 6)
    assert seen.value == pytest.approx([40.0, 40.0, 40.0, 140.0, 40.0, 40.0])


def findings(fleet: Fleet) -> list[Finding]:
    return judge_session(fleet.session(), generated_at="").findings


@pytest.mark.parametrize(
    ("tx", "rx", "direction"),
    [({"n5": 0.4}, {}, "tx"), ({}, {"n5": 0.4}, "rx"), ({"n5": 0.4}, {"n5": 0.4}, None)],
)
def test_the_slow_side_of_a_card_is_named(tx: dict[str, float], rx: dict[str, float], direction: str) -> None:
    [found] = findings(Fleet(6).network(tx=tx, rx=rx))
    assert found.element == "node:n5"
    assert (found.component, found.kind, found.direction, found.severity) == (
        "network",
        "slow",
        direction,
        "fail",
    )
    assert found.effect == pytest.approx(-0.6, abs=0.02)


@pytest.mark.parametrize(("size", "more_us"), [(5, 80.0), (8, 50.0), (30, 40.0)])
def test_slow_round_trips_are_a_finding_without_direction(size: int, more_us: float) -> None:
    """The others' are 40 µs."""
    [found] = findings(Fleet(size).benchmarks().network(rtt={"n2": more_us}))
    assert (found.element, found.component, found.direction) == ("node:n2", "network", None)
    assert "power-saving states" in found.summary


@pytest.mark.parametrize("size", [3, 4, 5])
def test_a_slow_card_is_seen_in_small_groups_though_it_slows_all_its_peers_flows(size: int) -> None:
    """Half or more of each healthy node's flows are slow by the fault of the slow one: that is no noise of theirs."""
    [found] = findings(Fleet(size, noise=0.02).network(tx={"n3": 0.5}, rx={"n3": 0.5}))
    assert (found.element, found.kind, found.severity) == ("node:n3", "slow", "fail")


def test_two_slow_cards_of_five_are_both_seen() -> None:
    slow = {"n1": 0.3, "n3": 0.5}
    assert [each.element for each in findings(Fleet(5, noise=0.02).network(tx=slow, rx=slow))] == [
        "node:n1",
        "node:n3",
    ]


def test_a_pair_that_connects_but_carries_nothing_is_a_finding_about_the_pair() -> None:
    fleet = Fleet(5).network()
    for number, record in enumerate(fleet.outcomes):
        pair = record.outcome.pair
        assert pair is not None
        if {record.machine, pair.peer} == {"n2", "n4"}:
            flows = [replace(flow, bytes_per_s=0.0) for flow in pair.flows]
            outcome = TaskOutcome(status="ok", pair=replace(pair, flows=flows))
            fleet.outcomes[number] = dataclasses.replace(record, outcome=outcome)
    [found] = findings(fleet)
    assert (found.element, found.kind) == ("pair:n2-n4", "missing")
    assert "MTU" in found.summary


def test_a_pair_that_cannot_connect_is_a_finding_about_the_pair() -> None:
    [found] = findings(Fleet(5).network(cut=[("n4", "n2")]))
    assert found.element == "pair:n2-n4"
    assert found.nodes == ["n2", "n4"]
    assert "connection timed out" in found.summary


def test_a_node_that_reaches_nobody_is_one_finding() -> None:
    [found] = findings(Fleet(5).network(cut=[("n3", peer) for peer in ("n1", "n2", "n4", "n5")]))
    assert (found.element, found.kind, found.severity) == ("node:n3", "missing", "fail")


def test_where_no_pair_connects_nobody_is_singled_out() -> None:
    names = ["n1", "n2", "n3", "n4"]
    [found] = [
        each
        for each in findings(Fleet(4).network(cut=[(a, b) for a in names for b in names]))
        if each.severity == "fail"
    ]
    assert found.nodes == names


def test_a_broken_pair_with_a_node_that_vanished_blames_nobody_else() -> None:
    fleet = Fleet(5).network(cut=[("n3", peer) for peer in ("n1", "n2", "n4", "n5")])
    fleet.lost["n3"] = "silent for 15 s"
    report = judge_session(fleet.session(), generated_at="")
    assert {node.id: node.verdict for node in report.nodes} == {
        "n1": "pass",
        "n2": "pass",
        "n3": "unknown",
        "n4": "pass",
        "n5": "pass",
    }


def report_of(machine: str, peer: str, *flows: tuple[str, str, float | None]) -> OutcomeRecord:
    pair = PairOutcome(
        pair_id="p",
        role="connect",
        peer=peer,
        connected=True,
        flows=[Flow(source=a, destination=b, bytes_per_s=speed) for a, b, speed in flows],
    )
    return OutcomeRecord(machine, machine, "network", "network", 1, 2, TaskOutcome(status="ok", pair=pair))


def test_the_receivers_word_counts_and_strangers_are_ignored() -> None:
    session = Session(
        "s",
        "",
        "done",
        0.0,
        outcomes=[
            report_of("a", "b", ("a", "b", 9.0), ("b", "a", 5.0), ("x", "a", 1.0)),
            report_of("b", "a", ("a", "b", 8.0), ("b", "a", None), ("a", "c", 2.0)),
            report_of("c", "stranger", ("c", "stranger", 2.0)),
        ],
    )
    [run] = pair_runs(session, {"a": 0, "b": 1, "c": 2})
    assert list(zip(run.source, run.destination, run.bytes_per_s, strict=True)) == [(0, 1, 8.0), (1, 0, 5.0)]
