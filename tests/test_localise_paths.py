"""Paths that only one pair takes, both ways or one; and cards, which are never accused of what a single peer saw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_server.judge.localise import Answer, Network, localise
from ahc_server.rounds import LEAST_ROUNDS, Policy
from ahc_server.rounds.doubts import network_of
from tests.network_helpers import Part, all_pairs, names, network, said
from tests.rounds_helpers import FIRST_CHOSEN, LINE, play
from tests.rounds_helpers import names as machines

Pairs = list[list[tuple[int, int]]]


def one_way(source: int, destination: int, left: float = 0.4) -> Part:
    return lambda a, b: left if (a, b) == (source, destination) else 1.0


def told(of: Network) -> tuple[Answer, list[tuple[int, int]]]:
    """The answer, and the ways that it calls odd."""
    answer = localise(of)
    flows = zip(of.flows.source[answer.odd].tolist(), of.flows.destination[answer.odd].tolist(), strict=True)
    return answer, list(flows)


# ── both ways ──────────────────────────────────────────────────────────────────────────────────────


def test_a_path_that_one_pair_alone_takes_is_named() -> None:
    part = lambda a, b: 0.5 if {a, b} == {3, 9} else 1.0  # noqa: E731
    [found] = localise(network(16, all_pairs(16), part)).culprits
    assert (found.kind, found.nodes, found.way) == ("pair", (3, 9), None)
    assert found.effect == pytest.approx(-0.5, abs=0.03)


def test_a_glitch_elsewhere_hides_no_bad_path() -> None:
    """One flow that fell to a tenth is no measure of how far a pair strays in both directions."""
    of = network(16, all_pairs(16), lambda a, b: 0.5 if {a, b} == {3, 9} else 1.0)
    other = np.flatnonzero((of.flows.source == 5) & (of.flows.destination == 12))
    of.flows.rate[other] *= 0.1
    answer, odd = told(of)
    assert said(answer) == [("pair", (3, 9), None)]
    assert odd == [(5, 12)]


# ── one way ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("times", [2, 5])
@pytest.mark.parametrize(("ends", "way"), [((3, 9), "tx"), ((9, 3), "rx")])
def test_a_way_that_is_slow_each_time_is_named_with_its_direction(
    times: int, ends: tuple[int, int], way: str
) -> None:
    of = network(16, all_pairs(16) + [[(3, 9)]] * (times - 1), one_way(*ends))
    answer, odd = told(of)
    [found] = answer.culprits
    assert (found.kind, found.nodes, found.way, found.seen) == ("pair", (3, 9), way, times)
    assert found.effect == pytest.approx(-0.6, abs=0.03)
    assert set(of.flows.source[found.flows].tolist()) == {ends[0]}
    assert not odd


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 15), st.integers(1, 15), st.floats(0.05, 0.7), st.integers(0, 1000))
def test_one_try_alone_accuses_nobody_and_is_told(source: int, step: int, left: float, seed: int) -> None:
    ends = source, (source + step) % 16
    answer, odd = told(network(16, all_pairs(16), one_way(*ends, left), seed=seed))
    assert said(answer) == []
    assert odd == [ends]


def test_a_pair_whose_ends_reach_no_more_with_others_is_odd_and_not_named() -> None:
    """Inside its rack n0 met n1 only, and across racks all are as slow: its card may be the reason."""
    racks = [row // 8 for row in range(32)]
    across = [[pair for pair in one if racks[pair[0]] != racks[pair[1]]] for one in all_pairs(32)]
    inside = [[(a + 8 * rack, b + 8 * rack) for rack in range(4) for a, b in one] for one in all_pairs(8)]
    inside = [[pair for pair in one if 0 not in pair or pair == (0, 1)] for one in inside]
    rounds = [*across, *inside, *inside]

    def part(a: int, b: int) -> float:
        return min(1.0 if racks[a] == racks[b] else 0.5, 0.5 if (a, b) == (0, 1) else 1.0)

    answer, odd = told(network(32, rounds, part, racks=racks))
    assert (said(answer), set(odd)) == ([], {(0, 1)})
    rounds.append([(0, 2)])
    assert names(network(32, rounds, part, racks=racks)) == [("pair", (0, 1), "tx")]


def test_two_flows_of_one_round_are_one_try() -> None:
    rounds = all_pairs(16)
    where = next(number for number, pairs in enumerate(rounds) if {3, 9} in map(set, pairs))
    rounds[where].append((3, 9))
    assert names(network(16, rounds, one_way(3, 9))) == []


def test_a_way_that_was_well_once_is_no_bad_path() -> None:
    of = network(16, all_pairs(16) + [[(3, 9)]] * 3, one_way(3, 9))
    last = np.flatnonzero((of.flows.source == 3) & (of.flows.destination == 9))[-1]
    of.flows.rate[last] /= 0.4
    assert said(told(of)[0]) == []


def test_where_many_flows_are_bad_for_a_moment_two_such_moments_prove_no_path() -> None:
    """Of 300 ways that were tried twice each, several are bad twice where one moment in eight is."""
    rounds = all_pairs(18)
    of = network(18, rounds + rounds)
    random = np.random.default_rng(4)
    of.flows.rate[random.random(len(of.flows)) < 0.12] *= 0.4
    assert [each for each in localise(of).culprits if each.kind == "pair"] == []


def test_rounds_that_are_chosen_have_an_odd_way_meet_again_and_then_it_is_named() -> None:
    policy = Policy(machines(64), "seed")
    first = policy.next_round(0, [])
    assert first is not None
    source, destination = first[0]
    _, seen = play(policy, lambda a, b: 0.4 if (a, b) == (source, destination) else 1.0)
    assert 1 + max(each.wave for each in seen) == LEAST_ROUNDS
    before = localise(network_of(policy.names, {}, [each for each in seen if each.wave < FIRST_CHOSEN]))
    assert (said(before), len(before.odd)) == ([], 1)
    rows = sorted((policy.names.index(source), policy.names.index(destination)))
    [found] = localise(network_of(policy.names, {}, seen)).culprits
    assert (found.kind, list(found.nodes)) == ("pair", rows)
    assert found.way == ("tx" if policy.names[rows[0]] == source else "rx")
    assert found.expected == pytest.approx(LINE, rel=0.03)


# ── nothing comes through ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ends", "way"), [((3, 9), "tx"), ((9, 3), "rx")])
def test_a_way_through_which_nothing_comes_is_told_with_its_direction(
    ends: tuple[int, int], way: str
) -> None:
    assert names(network(16, [*all_pairs(16), [(3, 9)]], one_way(*ends, 0.0))) == [("pair", (3, 9), way)]


# ── a card needs two peers ─────────────────────────────────────────────────────────────────────────


def repeated(times: int) -> Pairs:
    """Three nodes in few rounds, of which one pair met again and again."""
    return [[(0, 1)]] * times + [[(0, 2)], [(1, 2)]]


@pytest.mark.parametrize("times", [2, 3, 5])
@pytest.mark.parametrize("ends", [(0, 1), (1, 0)])
def test_of_three_nodes_a_pair_that_is_slow_one_way_accuses_no_card(
    times: int, ends: tuple[int, int]
) -> None:
    found = names(network(3, repeated(times), one_way(*ends)))
    assert found in ([], [("pair", (0, 1), "tx" if ends == (0, 1) else "rx")])
    assert found or times == 2


def test_of_three_nodes_a_card_that_is_slow_with_both_others_is_named() -> None:
    assert names(network(3, repeated(4), lambda a, b: 0.4 if a == 0 else 1.0)) == [("node", (0,), "tx")]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_card_is_accused_of_what_a_single_peer_saw(data: st.DataObject) -> None:
    """Whatever is slow: of a card that is named, flows with two peers at least are."""
    nodes = data.draw(st.integers(3, 7))
    pair = st.tuples(st.integers(0, nodes - 1), st.integers(1, nodes - 1))
    met = data.draw(st.lists(pair, min_size=3, max_size=20))
    rounds = [[(a, (a + step) % nodes)] for a, step in met]
    slow = data.draw(st.dictionaries(st.sampled_from([*met, *((b, a) for a, b in met)]), st.floats(0.2, 0.9)))
    of = network(nodes, rounds, lambda a, b: slow.get((a, b), slow.get((a, (b - a) % nodes), 1.0)))
    answer = localise(of)
    assert answer.usual is not None
    for each in answer.culprits:
        if each.kind == "node":
            mine = of.flows.source == each.nodes[0]
            mine |= of.flows.destination == each.nodes[0]
            mine &= of.flows.rate < 0.97 * answer.usual
            peers = {*of.flows.source[mine].tolist(), *of.flows.destination[mine].tolist()}
            assert len(peers - {each.nodes[0]}) >= 2
