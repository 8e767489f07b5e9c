"""Which rounds are chosen: suspects meet who is beyond suspicion, doubts are settled, time is kept; there is an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_server.rounds import (
    ALL_PAIRS_UP_TO,
    BISECTION_ROUNDS,
    LEAST_ROUNDS,
    MOST_ROUNDS,
    Meeting,
    Policy,
    Rounds,
    is_chosen,
)
from ahc_server.rounds.doubts import doubts
from ahc_server.rounds.matching import matching, pair_key
from ahc_server.rounds.suspicion import suspicions
from tests.rounds_helpers import FIRST_CHOSEN, Rate, hash_of, met, names, play, racks, slow, wobble

# ── the policy ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rounds", "machines", "chosen"),
    [
        ("auto", ALL_PAIRS_UP_TO, False),
        ("auto", ALL_PAIRS_UP_TO + 1, True),
        ("all", 1000, False),
        (3, 4, False),
        (3, 5, True),
        (2, 4, True),
        ("bisection", 2, True),
        ("bisection", 1, False),
    ],
)
def test_small_fleets_and_all_are_every_pair(rounds: Rounds, machines: int, chosen: bool) -> None:
    assert is_chosen(rounds, machines) is chosen


def test_a_healthy_fleet_is_done_after_the_fewest_rounds() -> None:
    rounds, _ = play(Policy(names(64), "seed", racks=racks(64, 8)), slow())
    assert len(rounds) == LEAST_ROUNDS


def test_a_number_of_rounds_is_that_number_whatever_they_bring() -> None:
    for rate in (slow(), slow("n3")):
        assert len(play(Policy(names(64), "seed", 9), rate)[0]) == 9


def test_what_is_plain_needs_no_further_round() -> None:
    rounds, _ = play(Policy(names(64), "seed"), slow("n3", "n40"))
    assert len(rounds) == LEAST_ROUNDS


@settings(max_examples=20)
@given(st.integers(9, 70), st.text(max_size=4), st.floats(0, 1))
def test_whatever_is_measured_there_is_an_end(count: int, seed: str, chaos: float) -> None:
    def rate(one: str, other: str) -> float:
        return 1 - chaos * (hash_of(one + other) % 97) / 96

    rounds, _ = play(Policy(names(count), seed), rate)
    assert LEAST_ROUNDS <= len(rounds) <= MOST_ROUNDS


def test_where_flows_stray_more_rounds_are_taken() -> None:
    def rate(one: str, other: str) -> float:
        return 1 - 0.3 * (hash_of(one + other) % 97) / 96

    assert len(play(Policy(names(64), "seed"), rate)[0]) > LEAST_ROUNDS
    assert len(play(Policy(names(64), "seed", most=7), rate)[0]) == 7


def test_a_suspect_meets_machines_beyond_suspicion_inside_and_outside_its_rack() -> None:
    where = racks(64, 8)
    policy = Policy(names(64), "seed", racks=where)

    rate = slow("n5", left=0.945)  # neither well nor ill
    seen: list[Meeting] = []
    partners = []
    for number in range(MOST_ROUNDS):
        found = suspicions(policy.names, where, seen)
        pairs = policy.next_round(number, seen)
        if pairs is None:
            break
        if number >= FIRST_CHOSEN and "n5" in found.unsettled:
            (pair,) = [pair for pair in pairs if "n5" in pair]
            partner = next(name for name in pair if name != "n5")
            assert partner in found.good
            partners.append(partner)
        seen += met(number, pairs, rate)
    assert len(partners) == len(set(partners)) > 1, "it was in suspense"
    assert {where[name] == "leaf0" for name in partners} == {True, False}, (
        "its card shows in both, its uplink in one"
    )


def test_a_single_pair_that_is_slow_meets_again_once_without_a_further_round() -> None:
    policy = Policy(names(64), "seed")
    first = policy.next_round(0, [])
    assert first is not None
    bad = frozenset(first[0])
    rounds, _ = play(policy, lambda one, other: 0.4 if {one, other} == bad else 1.0)
    again = [number for number, pairs in enumerate(rounds) if bad in map(frozenset, pairs)]
    assert again == [0, FIRST_CHOSEN]
    assert len(rounds) == LEAST_ROUNDS


def test_where_pairs_proved_bad_the_odd_ones_of_the_last_round_meet_again_as_well() -> None:
    policy = Policy(names(64), "seed")
    rounds = [policy.next_round(number, []) or [] for number in range(LEAST_ROUNDS)]
    early = frozenset(rounds[0][0])

    def bad(late: frozenset[str]) -> Rate:
        return lambda one, other: 0.4 if {one, other} in (early, late) else 1.0

    last = play(policy, bad(early))[0][LEAST_ROUNDS - 1]
    late = next(frozenset(pair) for pair in last if not early & {*pair})
    played, _ = play(policy, bad(late))
    assert late in map(frozenset, played[LEAST_ROUNDS - 1])
    assert late in map(frozenset, played[LEAST_ROUNDS])


def test_a_pair_that_was_silent_once_meets_again_and_its_ends_stay_beyond_suspicion() -> None:
    policy = Policy(names(64), "seed")
    first = policy.next_round(0, [])
    assert first is not None
    bad = frozenset(first[0])
    rounds, seen = play(policy, lambda one, other: 0.0 if {one, other} == bad else 1.0)
    assert bad in map(frozenset, rounds[FIRST_CHOSEN])
    assert not suspicions(policy.names, {}, seen).unsettled


# ── what is open ───────────────────────────────────────────────────────────────────────────────────


def rounds_of(where: dict[str, str] | None, numbers: Sequence[int], rate: Rate) -> list[Meeting]:
    seen: list[Meeting] = []
    for number in numbers:
        counted = Counter(pair_key(*each.ends) for each in seen)
        seen += met(number, matching(names(64), "seed", number, met=counted, racks=where), rate)
    return seen


def test_a_healthy_fleet_leaves_nothing_open() -> None:
    where = racks(64, 8)
    found = doubts(names(64), where, rounds_of(where, range(4), slow()))
    assert not found.open and not found.is_vague and not found.has_bad_paths


def test_what_the_localiser_names_from_both_sides_of_its_uplink_is_settled() -> None:
    where = racks(64, 8)
    assert not doubts(names(64), where, rounds_of(where, range(4), slow("n5"))).open


@pytest.mark.parametrize(("numbers", "is_near"), [([0, 2, 4, 6], True), ([1, 3, 5, 7], False)])
def test_a_node_that_was_named_from_one_side_of_its_uplink_meets_the_other_side(
    numbers: list[int], is_near: bool
) -> None:
    where = racks(64, 8)
    (doubt,) = doubts(names(64), where, rounds_of(where, numbers, slow("n5"))).open
    assert (doubt.question, doubt.about) == ("uplink", ("n5",))
    partner = doubt.wishes[0].partners[0]
    assert (where[partner] == "leaf0") is is_near


def test_without_known_racks_suspects_of_one_kind_meet_each_other() -> None:
    sick = ("n3", "n20", "n41", "n60")
    seen = [each for each in rounds_of(None, range(7), slow(*sick)) if len(set(each.ends) & {*sick}) < 2]
    found = doubts(names(64), {}, seen)
    assert {each.about for each in found.about("uplink")} == {(name,) for name in sick}
    assert all(set(each.wishes[0].partners) == {*sick} - {*each.about} for each in found.about("uplink"))
    policy = Policy(names(64), "seed")
    together = [pair for pair in policy.next_round(LEAST_ROUNDS, seen) or [] if {*pair} <= {*sick}]
    assert len(together) == 2, "behind one bad uplink they would be quick"
    seen += met(LEAST_ROUNDS, together, slow(*sick))
    assert not doubts(names(64), {}, seen).about("uplink")


def test_an_odd_pair_of_two_racks_has_others_of_these_racks_meet() -> None:
    where = racks(64, 8)

    def rate(one: str, other: str) -> float:
        return 0.5 if {where[one], where[other]} == {"leaf1", "leaf6"} else 1.0

    seen = rounds_of(where, range(4), rate)
    (doubt,) = doubts(names(64), where, seen).about("way")
    assert doubt.about == ("leaf1", "leaf6")
    assert all(where[wish.one] == "leaf1" and where[wish.partners[0]] == "leaf6" for wish in doubt.wishes)
    rounds, seen = play(Policy(names(64), "seed", racks=where), rate)
    assert len(rounds) <= LEAST_ROUNDS + 1
    assert not doubts(names(64), where, seen).about("way"), "so many met that it is settled"


def test_a_cable_that_loses_packets_makes_no_odd_pairs() -> None:
    def rate(one: str, other: str) -> float:
        return 0.1 + 0.3 * (hash_of(one + other) % 97) / 96 if "n9" in (one, other) else 1.0

    found = doubts(names(64), {}, rounds_of(None, range(5), rate))
    assert not found.about("path") and not found.has_bad_paths


# ── time, and halves ───────────────────────────────────────────────────────────────────────────────


def noisy(one: str, other: str) -> float:
    return 1 - 0.3 * (hash_of(one + other) % 97) / 96


def rounds_in(policy: Policy, each_s: float, rate: Rate) -> int:
    seen: list[Meeting] = []
    number = 0
    while (pairs := policy.next_round(number, seen, number * each_s)) is not None:
        seen += met(number, pairs, rate)
        number += 1
    return number


@pytest.mark.parametrize(
    ("budget_s", "each_s", "rounds"),
    [
        (None, 30.0, MOST_ROUNDS),
        (None, 60.0, 10),
        (None, 500.0, LEAST_ROUNDS),
        (200.0, 60.0, 3),
        (1.0, 60.0, 2),
    ],
)
def test_no_round_begins_that_would_end_after_the_budget(
    budget_s: float | None, each_s: float, rounds: int
) -> None:
    assert rounds_in(Policy(names(64), "seed", budget_s=budget_s), each_s, noisy) == rounds


def test_a_budget_ends_auto_alone() -> None:
    assert rounds_in(Policy(names(64), "seed", 9, budget_s=1.0), 60.0, noisy) == 9


@pytest.mark.parametrize("where", [{}, racks(64, 8)])
def test_a_bisection_is_one_half_against_the_other_in_every_round(where: dict[str, str]) -> None:
    policy = Policy(names(64), "seed", "bisection", BISECTION_ROUNDS, where)
    rounds, _ = play(policy, slow("n3"))
    assert [len(pairs) for pairs in rounds] == [32] * BISECTION_ROUNDS
    halves = [frozenset(one for one, _ in pairs) for pairs in rounds]
    assert len(set(halves)) == BISECTION_ROUNDS
    for half in halves if where else ():
        assert not {where[name] for name in half} & {where[name] for name in names(64) if name not in half}


def test_racks_that_have_met_least_are_set_against_each_other() -> None:
    where = racks(64, 8)
    rounds, _ = play(Policy(names(64), "seed", "bisection", BISECTION_ROUNDS, where), slow())
    ways = {pair_key(where[a], where[b]) for a, b in chain.from_iterable(rounds)}
    assert len(ways) == 8 * 7 // 2, "three halvings tell eight racks apart"


def test_a_machine_that_reaches_nobody_is_settled() -> None:
    policy = Policy(names(64), "seed")
    rounds, seen = play(policy, lambda one, other: 0.0 if "n7" in (one, other) else 1.0)
    found = suspicions(policy.names, {}, seen)
    assert len(rounds) == LEAST_ROUNDS
    assert "n7" not in found.unsettled and "n7" not in found.good
    assert len(found.good) == 63, "its partners are none the worse for it"


def test_a_bad_uplink_does_not_make_suspects_of_its_machines() -> None:
    where = racks(64, 8)

    def rate(one: str, other: str) -> float:
        return 0.5 if where[one] != where[other] and "leaf2" in (where[one], where[other]) else 1.0

    rounds, seen = play(Policy(names(64), "seed", racks=where), rate)
    found = suspicions(names(64), where, seen)
    assert len(rounds) <= LEAST_ROUNDS + 2
    assert len(found.unsettled) <= 2


def test_round_trips_alone_are_judged_as_well() -> None:
    policy = Policy(names(64), "seed")
    seen: list[Meeting] = []
    number = 0
    while (pairs := policy.next_round(number, seen)) is not None:
        for pair in pairs:
            us = 30.0 if "n9" in pair else 10.0
            seen.append(Meeting(number, pair, {}, us * wobble(*pair, number)))
        number += 1
    found = suspicions(policy.names, {}, seen)
    assert number == LEAST_ROUNDS
    assert "n9" not in found.good and "n8" in found.good
