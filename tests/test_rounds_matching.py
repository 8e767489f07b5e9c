"""Matchings: disjoint, everybody, the same again, racks mixed and uplinks loaded in full."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.rounds import (
    Policy,
)
from ahc_server.rounds.matching import Wish, matching, pair_key
from tests.rounds_helpers import names, play, racks, slow


@given(st.integers(0, 60), st.integers(0, 20), st.sampled_from([0, 3, 7]))
def test_a_matching_is_disjoint_and_leaves_out_nobody_but_an_odd_one(
    count: int, number: int, rack: int
) -> None:
    where = racks(count, rack) if rack else None
    pairs = matching(names(count), "seed", number, met=Counter(), racks=where)
    taken = list(chain.from_iterable(pairs))
    assert len(taken) == len(set(taken)) == count - count % 2
    assert set(taken) <= set(names(count))


@given(st.integers(2, 40), st.text(max_size=8), st.integers(0, 20))
def test_the_same_seed_gives_the_same_matching_and_another_one_another(
    count: int, seed: str, number: int
) -> None:
    again = [matching(names(count), seed, number, met=Counter()) for _ in range(2)]
    assert again[0] == again[1]
    if count > 20:
        assert again[0] != matching(names(count), seed + "x", number, met=Counter())
        assert again[0] != matching(names(count), seed, number + 1, met=Counter())


@given(st.integers(12, 60), st.data())
def test_wishes_come_true_in_their_order(count: int, data: st.DataObject) -> None:
    chosen = data.draw(st.permutations(names(count)))[:6]
    wishes = [Wish(chosen[0], [chosen[1]]), Wish(chosen[2], [chosen[1], chosen[3]])]
    pairs = {frozenset(pair) for pair in matching(names(count), "s", 3, met=Counter(), wishes=wishes)}
    assert {frozenset(chosen[:2]), frozenset(chosen[2:4])} <= pairs


@given(st.integers(20, 80))
def test_nobody_meets_twice_while_others_are_left(count: int) -> None:
    policy = Policy(names(count), "seed", 8)
    rounds, _ = play(policy, slow())
    times = Counter(pair_key(*pair) for pair in chain.from_iterable(rounds))
    assert max(times.values()) == 1


@given(st.sampled_from([21, 33, 47]))
def test_of_an_odd_number_everybody_rests_in_turn(count: int) -> None:
    rounds, _ = play(Policy(names(count), "seed", 8), slow())
    turns = Counter(chain.from_iterable(chain.from_iterable(rounds)))
    assert min(turns.values()) >= 7


def test_known_racks_are_mixed_rounds_load_the_uplinks_and_leave_them_alone_in_turn() -> None:
    where = racks(64, 8)
    rounds, _ = play(Policy(names(64), "seed", 6, racks=where), slow())
    inside = [sum(where[a] == where[b] for a, b in pairs) for pairs in rounds]
    assert inside[0::2] == [0, 0, 0]
    assert inside[1::2] == [32, 32, 32]


@pytest.mark.parametrize("size", [4, 8, 16])
def test_in_rounds_across_a_rack_sends_or_receives_as_a_whole_so_that_its_uplink_is_full(size: int) -> None:
    where = racks(64, size)
    for pairs in play(Policy(names(64), "seed", 6, racks=where), slow())[0][0::2]:
        send, receive = ({where[pair[end]] for pair in pairs} for end in (0, 1))
        assert not send & receive
        assert len(send) == len(receive)


@pytest.mark.parametrize(("count", "size"), [(12, 4), (24, 8), (60, 12)])
def test_of_an_odd_number_of_racks_one_in_turn_is_on_both_sides_and_all_others_fill_their_uplinks(
    count: int, size: int
) -> None:
    where = racks(count, size)
    leaves = set(where.values())
    split = []
    for pairs in play(Policy(names(count), "seed", 2 * len(leaves), racks=where), slow())[0][0::2]:
        assert all(where[a] != where[b] for a, b in pairs)
        send, receive = ({where[pair[end]] for pair in pairs} for end in (0, 1))
        (both,) = send & receive
        split.append(both)
    assert sorted(split) == sorted(leaves)


def test_racks_of_other_sizes_are_halved_as_evenly_as_they_come_and_nobody_rests() -> None:
    where = {f"n{number}": "big" if number < 20 else f"small{number % 3}" for number in range(35)}
    everybody = names(40)  # of five nothing is known
    pairs = matching(everybody, "seed", 0, met=Counter(), racks=where)
    assert set(chain.from_iterable(pairs)) == set(everybody)
    assert all(where.get(a) != where.get(b) for a, b in pairs if a in where)


def test_partners_across_are_spread_over_the_racks() -> None:
    where = racks(64, 8)
    rounds, _ = play(Policy(names(64), "seed", 6, racks=where), slow())
    partners = {
        where[b] if where[a] == "leaf0" else where[a] for a, b in rounds[0] if "leaf0" in (where[a], where[b])
    }
    assert len(partners) >= 3
