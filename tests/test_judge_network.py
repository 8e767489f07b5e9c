"""What each node's card can do, from pairs that slow each other."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from ahc_agent.wire.messages import Flow, PairOutcome, TaskOutcome
from ahc_server.judge import judge_session
from ahc_server.judge.connections import broken_connections
from ahc_server.judge.localise import localise
from ahc_server.judge.model import Finding
from ahc_server.judge.network import PairRun, Wiring, examine_run, pair_runs
from ahc_server.pairing import Pair
from ahc_server.rounds.matching import matching, pair_key
from ahc_server.session import OutcomeRecord, Session
from tests.judge_helpers import Fleet
from tests.network_helpers import all_pairs, network


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


def test_one_flow_that_stalled_once_accuses_nobody_and_is_said() -> None:
    fleet = Fleet(5).network()
    for number, record in enumerate(fleet.outcomes):
        pair = record.outcome.pair
        assert pair is not None
        flows = [
            replace(flow, bytes_per_s=0.0) if (flow.source, flow.destination) == ("n2", "n4") else flow
            for flow in pair.flows
        ]
        outcome = TaskOutcome(status="ok", pair=replace(pair, flows=flows))
        fleet.outcomes[number] = dataclasses.replace(record, outcome=outcome)
    report = judge_session(fleet.session(), generated_at="")
    [found] = report.findings
    assert (found.element, found.kind, found.severity) == ("pair:n2-n4", "not-measured", "info")
    assert found.summary.startswith("from n2 to n4 nothing came through")
    assert report.counts.passed == 5


def test_of_a_pair_that_came_through_at_times_nobody_says_that_it_cannot_talk() -> None:
    """Each way once, in different rounds of three."""
    of = network(6, all_pairs(6) + [[(1, 4)]] * 2)
    flows = of.flows
    tests = [
        np.flatnonzero((flows.source == one) & (flows.destination == other))
        for one, other in ((1, 4), (4, 1))
    ]
    flows.rate[[tests[0][0], tests[1][1]]] = 0.0
    nothing = np.zeros(0, dtype=np.int64)
    run = PairRun("pairs", of.nodes, nothing, nothing, np.zeros(0), {}, flows, {"tcp": flows.rtt_us})
    [found], isolated = broken_connections([(run, localise(of))], [f"n{row}" for row in range(6)])
    assert (found.element, found.direction, isolated) == ("pair:n1-n4", None, set())
    assert found.summary.startswith(
        "between n1 and n4 nothing came through in 2 of 6 tests, either way, though both reach others"
    )


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


RACKS = {f"n{number}": f"leaf{(number - 1) // 4 + 1}" for number in range(1, 13)}


def ends_of_round(
    wave: int, pairs: Sequence[Pair], weak: str | None, chance: random.Random
) -> list[OutcomeRecord]:
    """All first ends send at once, then all others. The uplink of ``weak`` carries two flows of full speed each way; more
    share it as unfairly as TCP does in a short test."""
    flows: dict[Pair, float] = {}
    for way in (pairs, [pair[::-1] for pair in pairs]):
        far = [each for each in way if RACKS[each[0]] != RACKS[each[1]]]
        load = [Counter(RACKS[pair[end]] for pair in far)[weak or ""] for end in (0, 1)]
        for pair in way:
            through = [load[end] for end in (0, 1) if pair in far and RACKS[pair[end]] == weak]
            unfair = chance.uniform(0.4, 1.6) if max([0, *through]) > 2 else chance.gauss(1, 0.01)
            flows[pair] = 1e9 * min(1.0, 2 / max([1, *through])) * unfair
    return [
        OutcomeRecord(
            f"{wave}-{machine}",
            machine,
            "network",
            "network",
            1,
            12,
            TaskOutcome(
                status="ok",
                pair=PairOutcome(
                    pair_id="+".join(pair),
                    role="connect" if machine == pair[0] else "listen",
                    peer=pair[machine == pair[0]],
                    connected=True,
                    flows=[
                        Flow(source=a, destination=b, bytes_per_s=flows[a, b]) for a, b in (pair, pair[::-1])
                    ],
                ),
            ),
            wave=wave,
        )
        for pair in pairs
        for machine in pair
    ]


@pytest.mark.parametrize("weak", ["leaf1", "leaf2", "leaf3", None])
def test_an_uplink_that_carries_half_is_named_though_some_rounds_ask_only_half_of_it(
    weak: str | None,
) -> None:
    """The directions of a pair take turns, so that a rack of which half sends first never loads its uplink in full."""
    chance, met = random.Random(1), Counter[Pair]()
    ends: list[OutcomeRecord] = []
    for wave in range(6):
        pairs = matching(list(RACKS), "seed", wave, met=met, racks=RACKS)
        met.update(pair_key(*pair) for pair in pairs)
        ends += ends_of_round(wave, pairs, weak, chance)
    [run] = pair_runs(
        Session("s", "", "done", 0.0, outcomes=ends), {name: row for row, name in enumerate(RACKS)}
    )
    leaves = sorted(set(RACKS.values()))
    leaf = np.array([leaves.index(each) for each in RACKS.values()])
    wiring = Wiring(leaf, leaves, np.full(12, np.nan), np.full(12, -1))
    named = [(each.kind, each.leaves, each.way) for each in examine_run(run, 12, wiring).culprits]
    assert named == ([("leaf", (weak,), None)] if weak else [])
    if weak:
        assert examine_run(run, 12, wiring).culprits[0].effect == pytest.approx(-0.5, abs=0.12)
