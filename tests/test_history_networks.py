"""Two network sessions side by side: what the fleet, a leaf and a pair gained, and which elements came or went."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.facts import Inventory, Lldp, Nic
from ahc_agent.wire.messages import Identity
from ahc_server.flows import FlowTable, packed_floats, packed_integers
from ahc_server.history.compare import compare
from ahc_server.history.draw.comparison import draw_comparison
from ahc_server.history.flowchanges import FlowChange, Flows, quantity_change
from ahc_server.history.model import Comparison
from ahc_server.history.networks import NetworkChange
from ahc_server.history.reading import Reading, read
from ahc_server.session import NodeRecord, Session
from tests.network_helpers import all_pairs, matchings

Part = Callable[[int, int], float]
Rounds = Sequence[Sequence[tuple[int, int]]]
NODES, RACK = 24, 8


def one(a: int, b: int) -> float:
    return 1.0


def session(
    name: str,
    rate: Part = one,
    times: Part = one,
    *,
    nodes: int = NODES,
    rounds: Rounds | None = None,
    seed: int = 1,
) -> Reading:
    """Of 3 GB/s and 20 µs what ``rate`` and ``times`` leave, with 1 % and 3 % of noise; three racks of eight."""
    random = np.random.default_rng(seed)
    machines = tuple(f"n{row}" for row in range(nodes))
    tables = []
    for number, pairs in enumerate(rounds or all_pairs(nodes)):
        ways = [way for a, b in pairs for way in ((a, b), (b, a))]
        rates = [3e9 * rate(a, b) * np.exp(0.01 * random.standard_normal()) for a, b in ways]
        rtts = [20 * times(a, b) * np.exp(0.03 * random.standard_normal()) for a, b in ways]
        tables.append(
            FlowTable(
                "pairs",
                1,
                nodes,
                number,
                machines,
                packed_integers(a for a, _ in ways),
                packed_integers(b for _, b in ways),
                packed_floats(rates),
                packed_floats(rtts),
            )
        )
    records = [
        NodeRecord(
            machine,
            machine,
            Identity(name=machine, hostname=machine),
            Inventory(
                collected_at="2024-05-01T10:00:00Z",
                nics=[Nic(name="eth0", lldp=Lldp(system_name=f"leaf{row // RACK + 1}"))],
            ),
        )
        for row, machine in enumerate(machines)
    ]
    return read(Session(name, "pairs", "done", 0.0, records, flows=tables), flows=True)


def between(before: Reading, after: Reading) -> NetworkChange:
    comparison = compare(before, after)
    assert comparison.networks
    [change] = comparison.networks
    return change


def near(change: FlowChange, expected: float, by: float = 0.01) -> bool:
    assert change.low is not None and change.high is not None
    return change.low <= change.change <= change.high and abs(change.change - expected) < by


def test_what_all_gained_is_told_of_the_fleet_and_of_nobody_else() -> None:
    """MTU 1500 against 9000: 18 % more, and round trips a tenth shorter."""
    change = between(session("mtu1500"), session("mtu9000", lambda a, b: 1.18, lambda a, b: 0.9, seed=2))
    rate, rtt = change.quantities
    assert rate.paired and rtt.paired
    assert [each.what for each in rate.fleet] == ["all flows", "inside leaves", "across leaves"]
    assert all(near(each, 0.18) for each in rate.fleet)
    assert all(near(each, 0.1) for each in rtt.fleet), "shorter is better"
    assert [each.what for each in rate.leaves] == [
        f"leaf{n}, {way}" for n in (1, 2, 3) for way in ("out", "in")
    ]
    assert (rate.blocks, rate.pairs, rtt.blocks, rtt.pairs) == ([], [], [], [])
    assert (change.came, change.went, change.severity) == ([], [], "info")


def test_an_uplink_that_went_bad_one_way_is_told_of_its_leaf_and_fails() -> None:
    def worse(a: int, b: int) -> float:
        return 0.5 if b // RACK == 1 and a // RACK != 1 else 1.0

    before, after = session("before"), session("after", worse, seed=2)
    change = between(before, after)
    leaves = {each.what: each for each in change.quantities[0].leaves}
    assert near(leaves["leaf2, in"], -0.5) and near(leaves["leaf2, out"], 0.0)
    assert change.quantities[0].pairs == [] and change.quantities[0].blocks == []
    assert [(each.element, each.direction) for each in change.came] == [("leaf:leaf2", "rx")]
    comparison = compare(before, after)
    assert (change.severity, comparison.worst) == ("fail", "fail")
    assert "1 element of the network newly bad" in draw_comparison(comparison)
    back = between(after, session("mended", seed=3))
    assert [each.element for each in back.went] == ["leaf:leaf2"] and back.severity == "info"


def test_one_way_between_two_leaves_that_changed_otherwise_is_told() -> None:
    def way(a: int, b: int) -> float:
        return 0.7 if (a // RACK, b // RACK) == (1, 2) else 1.0

    rate = between(session("before"), session("after", way, seed=2)).quantities[0]
    assert [each.what for each in rate.blocks] == ["leaf2 → leaf3"]
    assert near(rate.blocks[0], -0.3) and rate.blocks[0].flows == 64
    assert rate.pairs == []


def test_a_pair_that_changed_otherwise_is_told_with_its_interval() -> None:
    rate = between(
        session("before"), session("after", lambda a, b: 0.5 if (a, b) == (3, 20) else 1.0, seed=2)
    ).quantities[0]
    [pair] = rate.pairs
    assert (pair.what, rate.odd_pairs) == ("n3 → n20", 1)
    assert near(pair, -0.5, 0.02)


@pytest.mark.parametrize(
    ("ends", "told"), [((3, 20), "first to the second"), ((20, 3), "second to the first")]
)
def test_a_pair_that_went_bad_one_way_is_told_with_that_way(ends: tuple[int, int], told: str) -> None:
    twice = all_pairs(NODES) * 2
    after = session("after", lambda a, b: 0.5 if (a, b) == ends else 1.0, rounds=twice, seed=2)
    before = session("before", rounds=twice)
    assert [each.element for each in between(before, after).came] == ["pair:n3-n20"]
    drawn = draw_comparison(compare(before, after))
    assert re.search(rf"pair:n3-n20 \(−\d+ %, from the {told}\)", drawn)


def test_a_card_that_changed_is_told_of_its_node_and_not_of_its_pairs() -> None:
    after = session("after", lambda a, b: 0.5 if a == 3 else 1.0, seed=2)
    comparison = compare(session("before"), after)
    assert comparison.networks and comparison.networks[0].quantities[0].pairs == []
    assert [each.element for each in comparison.networks[0].came] == ["node:n3"]
    assert {each.node for each in comparison.changed} == {"n3"}


def test_who_fell_silent_and_who_talks_again() -> None:
    def gone(a: int, b: int) -> float:
        return 0.0 if {a, b} == {2, 9} else 1.0

    well, ill = session("well"), session("ill", gone, seed=2)
    assert between(well, ill).silenced == ["n2 → n9", "n9 → n2"]
    assert [each.by for each in between(well, ill).came] == ["dead"]
    assert between(ill, well).connected == ["n2 → n9", "n9 → n2"]


def test_where_rounds_were_drawn_anew_nodes_are_compared_by_their_medians() -> None:
    before = session("before", rounds=matchings(NODES, 6, seed=1))
    after = session("after", lambda a, b: 1.18, rounds=matchings(NODES, 6, seed=2), seed=2)
    rate = between(before, after).quantities[0]
    assert not rate.paired and rate.pairs == []
    assert near(rate.fleet[0], 0.18, 0.02)


def test_a_node_that_left_is_in_no_pair() -> None:
    rate = between(session("before"), session("after", nodes=23, seed=2)).quantities[0]
    assert rate.paired and rate.fleet[0].flows == 23 * 22


@pytest.mark.parametrize("nodes", [2, 3])
def test_the_smallest_networks_are_told(nodes: int) -> None:
    rate = between(
        session("before", nodes=nodes), session("after", lambda a, b: 1.5, nodes=nodes)
    ).quantities[0]
    assert rate.fleet[0].change == pytest.approx(0.5, abs=0.01)
    assert (rate.fleet[0].low is None) == (nodes < 3)


def told(comparison: Comparison, *, full: bool = False) -> str:
    drawn = draw_comparison(comparison, width=100, full=full)
    assert max(map(len, drawn.splitlines())) <= 100
    return drawn[drawn.index("Network, job") :]


def test_the_text_shows_what_stands_out_and_with_full_everything() -> None:
    def worse(a: int, b: int) -> float:
        return 0.5 if b // RACK == 1 and a // RACK != 1 else 1.18

    comparison = compare(session("before"), session("after", worse, lambda a, b: 1.5, seed=2))
    short, full = told(comparison), told(comparison, full=True)
    assert "leaf2, in" in short and "leaf3, out" not in short and "leaf3, out" in full
    assert "bad now and not before: leaf:leaf2 (−5" in short
    [rtt] = [line for line in short.partition("round trips")[2].splitlines() if "all flows" in line]
    assert "+50 %" in rtt, "a time is told as it changed"


def test_sessions_without_pairs_have_no_such_key() -> None:
    before, after = session("before"), session("after", seed=2)
    bare = [Reading(each.side, 0.0, each.plan, each.records, each.cells) for each in (before, after)]
    assert not compare(bare[0], bare[1]).networks


@given(
    st.integers(3, 12),
    st.floats(0.2, 5.0),
    st.lists(st.sampled_from(["a", "b", None]), min_size=12, max_size=12),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_turning_time_around_turns_the_ratio_around(
    nodes: int, factor: float, leaves: list[str | None], seed: int
) -> None:
    random = np.random.default_rng(seed)
    source, destination = (each.astype(np.int64) for each in np.nonzero(~np.eye(nodes, dtype=bool)))
    first = Flows(source, destination, 0.02 * random.standard_normal(len(source)))
    second = Flows(source, destination, first.value + np.log(factor))
    names = [f"n{row}" for row in range(nodes)]
    there = quantity_change("rate", names, leaves[:nodes], first, second)
    back = quantity_change("rate", names, leaves[:nodes], second, first)
    assert there.pairs == there.blocks == back.pairs == []
    for one_way, other_way in zip(there.fleet, back.fleet, strict=True):
        assert 1 + one_way.change == pytest.approx(factor, rel=1e-3)
        assert (1 + one_way.change) * (1 + other_way.change) == pytest.approx(1.0, abs=2e-3)
