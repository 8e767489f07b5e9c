"""Rounds, groups, waves and the fair spread."""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from ahc_server.pairing import group_rounds, rounds, spread, waves

sizes = st.integers(0, 40)


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(count)]


@given(sizes)
def test_every_pair_meets_exactly_once(count: int) -> None:
    met = Counter(frozenset(pair) for pair in chain.from_iterable(rounds(names(count))))
    assert met == Counter(frozenset(pair) for pair in combinations(names(count), 2))


@given(sizes)
def test_a_round_is_disjoint_and_there_are_as_few_as_can_be(count: int) -> None:
    every = list(rounds(names(count)))
    for one in every:
        assert len(set(chain.from_iterable(one))) == 2 * len(one) == count - count % 2
    assert len(every) == (0 if count < 2 else count - 1 + count % 2)


@given(st.integers(2, 40))
def test_everybody_comes_first_as_often_as_second(count: int) -> None:
    first = Counter(pair[0] for pair in chain.from_iterable(rounds(names(count))))
    assert all(abs(first[name] - (count - 1) / 2) <= 1 for name in names(count))


@given(st.integers(0, 60), st.integers(2, 9))
def test_groups_meet_among_themselves_and_at_the_same_time(count: int, arity: int) -> None:
    every = list(group_rounds(names(count), arity))
    met = Counter(frozenset(pair) for pair in chain.from_iterable(every))
    assert set(met.values()) <= {1}
    assert all(len(set(chain.from_iterable(one))) == 2 * len(one) for one in every)
    if count > 1:
        assert set(chain.from_iterable(chain.from_iterable(every))) == set(names(count)), "nobody is left out"
    if count and count % arity == 0:
        groups = [names(count)[start : start + arity] for start in range(0, count, arity)]
        assert set(met) == {frozenset(pair) for group in groups for pair in combinations(group, 2)}


def test_edeploys_groups_of_three() -> None:
    every = [[set(pair) for pair in one] for one in group_rounds(list("abcdef"), 3)]
    assert every == [[{"b", "c"}, {"e", "f"}], [{"a", "c"}, {"d", "f"}], [{"a", "b"}, {"d", "e"}]]


@given(
    st.lists(st.sets(st.integers(0, 8).map(str), min_size=1, max_size=2), max_size=40),
    st.one_of(st.none(), st.integers(1, 5)),
)
def test_waves_hold_everything_once_and_no_host_twice_at_a_time(
    units: list[set[str]], parallel: int | None
) -> None:
    numbered = list(enumerate(units))
    every = waves(numbered, lambda unit: unit[1], parallel)
    assert sorted(unit[0] for wave in every for unit in wave) == list(range(len(units)))
    for wave in every:
        taken = [host for _, hosts in wave for host in hosts]
        assert len(taken) == len(set(taken))
        assert 0 < len(wave) <= (parallel or len(units))


def test_on_one_physical_host_a_wave_has_one_pair() -> None:
    every = [wave for one in rounds(names(6)) for wave in waves(one, lambda pair: {"lab"})]
    assert len(every) == 15
    assert all(len(wave) == 1 for wave in every)


@given(st.lists(st.integers(0, 5), max_size=40), st.one_of(st.none(), st.integers(1, 4)))
def test_every_beginning_of_a_spread_is_fair(hosts: list[int], at_most: int | None) -> None:
    host = {f"n{number}": str(of) for number, of in enumerate(hosts)}
    order = spread(list(host), host.__getitem__, at_most)
    sizes = Counter(host.values())
    assert len(order) == len(set(order)) == sum(min(size, at_most or size) for size in sizes.values())
    for end in range(len(order) + 1):
        taken = Counter(host[name] for name in order[:end])
        most = max(taken.values(), default=0)
        assert all(taken[one] >= min(most - 1, size) for one, size in sizes.items()), (
            "a host waits for no other"
        )
