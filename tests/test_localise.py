"""The localiser names the fewest elements that explain what is slow, and nobody else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_server.judge.localise import Culprit, Flows, Network, localise
from tests.network_helpers import LINE, Part, all_pairs, matchings, names, network

RACKS = [row // 8 for row in range(64)]


def slow(node: int, tx: float = 1.0, rx: float = 1.0) -> Part:
    return lambda a, b: min(tx if a == node else 1.0, rx if b == node else 1.0)


def only(of: Network) -> Culprit:
    [found] = localise(of).culprits
    return found


# ── one bad node ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("nodes", [3, 4, 5, 8, 30])
@pytest.mark.parametrize(("tx", "rx", "way"), [(0.5, 1.0, "tx"), (1.0, 0.5, "rx"), (0.5, 0.5, None)])
def test_a_bad_card_and_its_direction_are_named_from_all_pairs(
    nodes: int, tx: float, rx: float, way: str
) -> None:
    found = only(network(nodes, all_pairs(nodes), slow(1, tx, rx)))
    assert (found.kind, found.nodes, found.way, found.witness) == ("node", (1,), way, "rate")
    assert found.effect == pytest.approx(-0.5, abs=0.03)
    assert found.expected == pytest.approx(LINE, rel=0.03)


@pytest.mark.parametrize("way", ["tx", "rx", None])
def test_six_rounds_of_random_pairs_name_a_card_that_is_a_fifth_slower_among_a_thousand(
    way: str | None,
) -> None:
    part = slow(77, 1.0 if way == "rx" else 0.8, 1.0 if way == "tx" else 0.8)
    assert names(network(1000, matchings(1000, 6), part, noise=0.03)) == [("node", (77,), way)]


def test_the_flows_that_prove_it_are_the_nodes_own() -> None:
    of = network(12, all_pairs(12), slow(4, tx=0.5))
    found = only(of)
    assert found.seen == 11
    assert set(of.flows.source[found.flows].tolist()) == {4}


def test_two_bad_nodes_of_five_are_both_named_though_they_slow_most_flows() -> None:
    card = {0: 0.3, 2: 0.5}
    of = network(5, all_pairs(5), lambda a, b: min(card.get(a, 1.0), card.get(b, 1.0)), noise=0.02)
    assert names(of) == [("node", (0,), None), ("node", (2,), None)]


def test_a_cable_that_loses_packets_slows_each_flow_by_another_part() -> None:
    random = np.random.default_rng(3)
    of = network(24, all_pairs(24), lambda a, b: random.uniform(0.05, 0.5) if 7 in (a, b) else 1.0)
    assert names(of) == [("node", (7,), None)]


def test_a_node_that_only_met_bad_peers_is_not_named() -> None:
    """n0 sends to n1 and n2, which receive slowly from everybody."""
    flows = [(0, 1, 0.4), (0, 2, 0.4), (3, 1, 0.4), (4, 2, 0.4), (5, 1, 0.4), (6, 2, 0.4)]
    flows += [(a, b, 1.0) for a in (3, 4, 5, 6) for b in (0, 3, 4, 5, 6) if a != b]
    source, destination, rate = (np.array(each) for each in zip(*flows, strict=True))
    nothing = np.full(len(flows), np.nan)
    of = Network(
        7, Flows(np.zeros(len(flows), int), source, destination, rate * LINE, nothing), np.full(7, -1)
    )
    answer = localise(of)
    assert [(each.nodes, each.way) for each in answer.culprits] == [((1,), "rx"), ((2,), "rx")]
    assert answer.sending is not None and answer.sending.hidden[0]


@pytest.mark.parametrize("depth", [0.1, 0.5, 0.8])
def test_one_bad_flow_accuses_nobody(depth: float) -> None:
    of = network(20, matchings(20, 8), lambda a, b: 1.0)
    of.flows.rate[17] *= depth
    assert names(of) == []


def test_a_node_that_answers_late_is_named_by_its_round_trips() -> None:
    of = network(16, all_pairs(16), rtt=lambda a, b: 20.0 + 30.0 * (5 in (a, b)))
    found = only(of)
    assert (found.kind, found.nodes, found.witness, found.way) == ("node", (5,), "rtt", None)
    assert found.effect == pytest.approx(-1.5, abs=0.1)


def test_round_trips_that_agree_are_a_second_witness() -> None:
    of = network(16, all_pairs(16), slow(5, 0.5, 0.5), rtt=lambda a, b: 20.0 + 30.0 * (5 in (a, b)))
    assert only(of).also == ("rtt",)


# ── healthy ────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10_000), st.sampled_from([0.002, 0.01, 0.04]))
def test_healthy_networks_are_silent(nodes: int, seed: int, noise: float) -> None:
    assert names(network(nodes, all_pairs(nodes), rtt=lambda a, b: 20.0, noise=noise, seed=seed)) == []


@pytest.mark.parametrize(("nodes", "noise", "most"), [(3, 0.1, 4), (3, 0.05, 1), (5, 0.1, 2)])
def test_few_flows_that_scatter_widely_accuse_nearly_nobody(nodes: int, noise: float, most: int) -> None:
    """Of 60 groups. Six flows of which two are slow by chance are no proof, as six tell little of their noise."""
    told = [names(network(nodes, all_pairs(nodes), noise=noise, seed=seed)) for seed in range(60)]
    assert sum(map(len, told)) <= most


@pytest.mark.parametrize("nodes", [3, 4, 5])
def test_few_flows_that_scatter_widely_still_show_a_card_at_half_its_speed(nodes: int) -> None:
    told = [
        names(network(nodes, all_pairs(nodes), slow(1, 0.5, 0.5), noise=0.07, seed=seed))
        for seed in range(20)
    ]
    assert sum(("node", (1,), None) in each for each in told) >= 19


def test_uplinks_that_are_too_small_for_all_are_no_fault() -> None:
    part: Part = lambda a, b: 1.0 if RACKS[a] == RACKS[b] else 0.4  # noqa: E731
    assert names(network(64, matchings(64, 8), part, racks=RACKS)) == []
    assert names(network(64, all_pairs(64), part)) == []


def test_cards_of_another_kind_are_compared_with_each_other() -> None:
    small = set(range(0, 40, 3))
    card = dict.fromkeys(small, 0.4) | {6: 0.2}
    of = network(40, all_pairs(40), lambda a, b: min(card.get(a, 1.0), card.get(b, 1.0)))
    answer = localise(of)
    assert [each.nodes for each in answer.culprits] == [(6,)]
    assert set(answer.slower) == small - {6} or set(answer.slower) == small


def test_cards_whose_speeds_are_known_to_differ_are_not_accused() -> None:
    speed = np.where(np.arange(20) < 3, 0.4, 1.0) * LINE
    of = network(20, all_pairs(20), lambda a, b: min(speed[a], speed[b]) / LINE, speed=speed)
    assert names(of) == []


def test_two_nodes_cannot_be_told_from_each_other() -> None:
    assert all(each.kind != "node" for each in localise(network(2, [[(0, 1)]] * 3, slow(0, tx=0.4))).culprits)


# ── switches ───────────────────────────────────────────────────────────────────────────────────────


def uplink(rack: int, up: float = 1.0, down: float = 1.0) -> Part:
    def part(a: int, b: int) -> float:
        if RACKS[a] == RACKS[b]:
            return 1.0
        return (up if RACKS[a] == rack else 1.0) * (down if RACKS[b] == rack else 1.0)

    return part


MEMBERS = tuple(range(16, 24))


@pytest.mark.parametrize(("up", "down", "way"), [(0.5, 1.0, "tx"), (1.0, 0.5, "rx"), (0.5, 0.5, None)])
@pytest.mark.parametrize("pairs", [all_pairs(64), matchings(64, 7)], ids=["all pairs", "seven rounds"])
def test_a_bad_uplink_is_named_and_none_of_its_nodes(
    up: float, down: float, way: str | None, pairs: list[list[tuple[int, int]]]
) -> None:
    found = only(network(64, pairs, uplink(2, up, down), racks=RACKS))
    assert (found.kind, found.leaves, found.nodes, found.way) == ("leaf", ("leaf3",), MEMBERS, way)


def test_a_bad_node_behind_a_bad_uplink_is_named_too() -> None:
    part = lambda a, b: min(uplink(2, 0.6, 0.6)(a, b), slow(17, 0.3, 0.3)(a, b))  # noqa: E731
    found = localise(network(64, all_pairs(64), part, racks=RACKS)).culprits
    assert {(each.kind, each.nodes) for each in found} == {("leaf", MEMBERS), ("node", (17,))}


def test_a_bad_link_between_two_leaves_is_named() -> None:
    def part(a: int, b: int) -> float:
        return 0.5 if {RACKS[a], RACKS[b]} == {1, 4} else 1.0

    found = only(network(64, all_pairs(64), part, racks=RACKS))
    assert (found.kind, found.leaves) == ("link", ("leaf2", "leaf5"))


def test_an_uplink_that_carries_so_much_and_no_more_is_one_fault() -> None:
    """The fewer flows there are at once, the more each of them gets."""
    pairs = matchings(64, 8)
    members = [{row for pair in one for row in pair if RACKS[row] == 2} for one in pairs]
    loads = [sum((RACKS[a] == 2) != (RACKS[b] == 2) for a, b in one) for one in pairs]
    assert all(members) and len(set(loads)) > 1
    of = network(64, pairs, racks=RACKS)
    for flow in range(len(of.flows)):
        a, b = int(of.flows.source[flow]), int(of.flows.destination[flow])
        if (RACKS[a] == 2) != (RACKS[b] == 2):
            of.flows.rate[flow] *= min(1.0, 4.0 / loads[int(of.flows.round[flow])])
    assert names(of) == [("leaf", MEMBERS, None)]


def test_a_rack_whose_nodes_are_of_a_slower_kind_has_no_bad_uplink() -> None:
    """All of one rack, and others elsewhere."""
    small = {*MEMBERS, 1, 9, 12, 30, 33, 35, 40, 47, 58}
    part = lambda a, b: 0.4 if small & {a, b} else 1.0  # noqa: E731
    answer = localise(network(64, all_pairs(64), part, racks=RACKS))
    assert answer.culprits == []
    assert set(answer.slower) == small


SMALL = [*[row // 16 for row in range(64)], *[4] * 8]


def small_rack(with_it: float, without: float) -> Part:
    """Of flows between racks: four of sixteen, and one of eight."""

    def part(a: int, b: int) -> float:
        return 1.0 if SMALL[a] == SMALL[b] else with_it if 4 in (SMALL[a], SMALL[b]) else without

    return part


def test_a_rack_that_sends_more_has_longer_queues_and_is_no_culprit() -> None:
    """It is half as large as the others and shares its uplinks with fewer; a full card is what its packets wait for."""
    late = small_rack(30.0 / 20.0, 1.0)
    found = [
        names(
            network(
                72, matchings(72, 10), small_rack(more, 0.7), rtt=lambda a, b: 20 * late(a, b), racks=SMALL
            )
        )
        for more in (1.0, 0.7)
    ]
    assert found == [[], [("leaf", tuple(range(64, 72)), None)]], "where it does not send more, it is named"


def test_most_racks_are_not_bad_together() -> None:
    """One rack is faster than four: that is no proof against the four."""
    assert names(network(72, matchings(72, 10), small_rack(1.0, 0.7), racks=SMALL)) == []


@pytest.mark.parametrize("leaves", [4, 5, 6])
def test_two_bad_ways_between_leaves_are_named_though_their_ends_are_most_racks(leaves: int) -> None:
    """Most flows run elsewhere, and are good."""
    racks = [row // 6 for row in range(6 * leaves)]
    bad = ({0, 1}, {2, 3})
    part = lambda a, b: 0.5 if {racks[a], racks[b]} in bad else 1.0  # noqa: E731
    of = network(len(racks), all_pairs(len(racks)), part, racks=racks)
    assert names(of) == [("link", tuple(range(12)), None), ("link", tuple(range(12, 24)), None)]


def test_a_bad_leaf_and_a_way_between_others_are_both_named() -> None:
    racks = [row // 6 for row in range(24)]

    def part(a: int, b: int) -> float:
        return 0.6 if racks[a] == 0 != racks[b] else 0.5 if {racks[a], racks[b]} == {1, 2} else 1.0

    of = network(24, all_pairs(24), part, racks=racks)
    assert names(of) == [("leaf", tuple(range(6)), "tx"), ("link", tuple(range(6, 18)), None)]


# ── without a topology ─────────────────────────────────────────────────────────────────────────────


def hops(a: int, b: int) -> float:
    return 20.0 if RACKS[a] == RACKS[b] else 32.0


@pytest.mark.parametrize("rtt", [None, hops], ids=["no round trips", "round trips"])
@pytest.mark.parametrize("pairs", [all_pairs(64), matchings(64, 10)], ids=["all pairs", "ten rounds"])
def test_a_bad_uplink_is_named_by_its_nodes_where_nobody_told_of_racks(
    rtt: Callable[[int, int], float] | None, pairs: list[list[tuple[int, int]]]
) -> None:
    found = only(network(64, pairs, uplink(2, 0.5, 0.5), rtt=rtt))
    assert (found.kind, found.leaves, found.nodes) == ("leaf", (), MEMBERS)


def test_nodes_that_are_as_slow_among_themselves_share_no_uplink() -> None:
    bad = {3, 19, 33, 47, 60}
    part = lambda a, b: 0.5 if a in bad or b in bad else 1.0  # noqa: E731
    assert names(network(64, all_pairs(64), part)) == [("node", (row,), None) for row in sorted(bad)]


# ── nothing comes through ──────────────────────────────────────────────────────────────────────────


def dead(of: Network, gone: Callable[[int, int], bool]) -> Network:
    ways = zip(of.flows.source.tolist(), of.flows.destination.tolist(), strict=True)
    of.flows.rate[[gone(a, b) for a, b in ways]] = 0.0
    return of


def test_a_node_that_reaches_nobody_is_one_culprit() -> None:
    found = only(dead(network(6, all_pairs(6)), lambda a, b: 4 in (a, b)))
    assert (found.kind, found.nodes, found.way, found.witness) == ("node", (4,), None, "dead")


def test_a_node_that_only_cannot_send_is_told_so() -> None:
    assert names(dead(network(6, all_pairs(6)), lambda a, b: a == 4)) == [("node", (4,), "tx")]


def test_a_leaf_without_uplinks_is_one_culprit() -> None:
    of = dead(network(64, all_pairs(64), racks=RACKS), lambda a, b: (RACKS[a] == 2) != (RACKS[b] == 2))
    assert names(of) == [("leaf", MEMBERS, None)]


def test_a_pair_that_cannot_talk_is_the_pairs() -> None:
    assert names(dead(network(6, all_pairs(6)), lambda a, b: {a, b} == {1, 4})) == [("pair", (1, 4), None)]


def test_with_one_peer_each_nobody_knows_which_end_is_dead() -> None:
    assert names(dead(network(8, matchings(8, 1)), lambda a, b: 0 in (a, b)))[0][0] == "pair"


# ── where flows differ without a fault ─────────────────────────────────────────────────────────────


def loaded(nodes: int, rounds: int, part: Part, seed: int) -> Network:
    """Each pair gets what the load leaves of both its ways, half of them all of it."""
    of = network(nodes, matchings(nodes, rounds, seed), noise=0.004, seed=seed)
    random = np.random.default_rng(seed)
    left: dict[tuple[int, int, int], float] = {}
    for flow, (number, a, b) in enumerate(
        zip(of.flows.round.tolist(), of.flows.source.tolist(), of.flows.destination.tolist(), strict=True)
    ):
        of.flows.rate[flow] *= min(
            left.setdefault((number, *sorted((a, b))), min(1.0, random.uniform(0.5, 1.5))), part(a, b)
        )
    return of


@pytest.mark.parametrize(("tx", "rx", "way"), [(0.6, 1.0, "tx"), (1.0, 0.6, "rx"), (0.6, 0.6, None)])
def test_a_card_that_is_no_slower_than_what_the_load_leaves_shows_by_its_limit(
    tx: float, rx: float, way: str
) -> None:
    assert names(loaded(120, 10, slow(7, tx, rx), seed=2)) == [("node", (7,), way)]


def test_load_that_falls_on_pairs_by_chance_accuses_nearly_nobody() -> None:
    """Of 720 nodes."""
    told = [names(loaded(120, 6, lambda a, b: 1.0, seed)) for seed in range(6)]
    assert sum(map(len, told)) <= 1


def test_a_card_that_sends_little_waits_in_no_queue_and_makes_no_rack() -> None:
    part = slow(5, 0.6, 0.6)
    of = network(60, matchings(60, 8), part, rtt=lambda a, b: 14.0 if 5 in (a, b) else 20.0)
    assert names(of) == [("node", (5,), None)]


# ── whatever the order ─────────────────────────────────────────────────────────────────────────────


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(12)), st.integers(0, 1000))
def test_the_answer_does_not_depend_on_the_order_of_nodes_and_flows(order: list[int], seed: int) -> None:
    of = network(12, all_pairs(12), slow(5, rx=0.4))
    renamed = np.array(order)
    shuffled = np.random.default_rng(seed).permutation(len(of.flows))
    flows = Flows(
        of.flows.round[shuffled],
        renamed[of.flows.source][shuffled],
        renamed[of.flows.destination][shuffled],
        of.flows.rate[shuffled],
        of.flows.rtt_us[shuffled],
    )
    assert names(Network(12, flows, np.full(12, -1))) == [("node", (order[5],), "rx")]


def test_what_each_card_does_for_its_own_part_is_free_of_its_peers_faults() -> None:
    answer = localise(network(10, all_pairs(10), slow(3, tx=0.4), noise=0.001))
    assert answer.sending is not None and answer.receiving is not None
    expected = np.where(np.arange(10) == 3, 0.4, 1.0)
    assert answer.sending.value / LINE == pytest.approx(expected, rel=0.01)
    assert answer.receiving.value / LINE == pytest.approx(np.ones(10), rel=0.01)
