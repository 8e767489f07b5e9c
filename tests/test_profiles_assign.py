"""Assignment: the best answer for the whole fleet, proved against trying everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from ahc_server.profiles.assign import FREE, assign
from ahc_server.profiles.profile import Quota

Fits = list[list[bool]]


def solve(fits: Fits, quotas: Sequence[Quota]) -> list[int]:
    return assign(np.array(fits, dtype=np.bool_).reshape(len(fits), len(quotas)), quotas)


def every_answer(fits: Fits, quotas: Sequence[Quota]) -> Iterator[tuple[int, ...]]:
    choices = [[FREE, *(p for p, fit in enumerate(row) if fit)] for row in fits]
    for answer in product(*choices):
        held = Counter(answer)
        if all(quota.most is None or held[p] <= quota.most for p, quota in enumerate(quotas)):
            yield answer


def worth(answer: Sequence[int], quotas: Sequence[Quota]) -> tuple[object, ...]:
    """What is best, as the module says it: minimum quotas in order, nodes placed, then profiles in order, the rest last."""
    held = Counter(answer)
    last = sorted(range(len(quotas)), key=lambda p: (quotas[p].is_rest, p))
    return (
        [min(held[p], quota.least) for p, quota in enumerate(quotas)],
        sum(place != FREE for place in answer),
        [held[p] for p in last],
    )


quota = st.one_of(
    st.just(Quota()),
    st.just(Quota(is_rest=True)),
    st.integers(0, 3).map(lambda n: Quota(n, n)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)).map(lambda each: Quota(each[0], sum(each))),
)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Fits, list[Quota]]:
    profiles = draw(st.integers(1, 4))
    row = st.lists(st.booleans(), min_size=profiles, max_size=profiles)
    return draw(st.lists(row, max_size=6)), draw(st.lists(quota, min_size=profiles, max_size=profiles))


@given(fleets())
@settings(max_examples=200)
def test_no_other_answer_is_better(fleet: tuple[Fits, list[Quota]]) -> None:
    fits, quotas = fleet
    answer = solve(fits, quotas)
    assert tuple(answer) in set(every_answer(fits, quotas))
    assert worth(answer, quotas) == max(worth(each, quotas) for each in every_answer(fits, quotas))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_as_many_are_placed_as_a_solver_of_assignment_problems_places(seed: int) -> None:
    random = np.random.default_rng(seed)
    fits = random.random((60, 6)) < 0.3
    quotas = [Quota(0, int(most)) for most in random.integers(3, 15, 6)]
    slots = [p for p, each in enumerate(quotas) for _ in range(each.most or 0)]
    rows, columns = linear_sum_assignment(fits[:, slots], maximize=True)
    best = int(fits[:, slots][rows, columns].sum())
    assert sum(place != FREE for place in assign(fits, quotas)) == best


def test_first_come_first_served_would_be_worse() -> None:
    """Both fit the first profile, one of them fits only that: the other has to move."""
    assert solve([[True, True], [True, False]], [Quota(1, 1), Quota(1, 1)]) == [1, 0]


def test_a_chain_of_moves_frees_a_place() -> None:
    fits = [[True, True, False], [False, True, True], [True, False, False], [False, False, True]]
    assert FREE not in solve(fits, [Quota(1, 1), Quota(1, 1), Quota(2, 2)])


def test_a_minimum_of_higher_priority_is_filled_before_one_of_lower() -> None:
    assert solve([[True, True]], [Quota(1), Quota(1)]) == [0]
    assert solve([[True, True]] * 2, [Quota(), Quota(1)]) == [1, 0]


def test_the_rest_gets_what_all_others_leave() -> None:
    assert solve([[True, True]] * 4, [Quota(is_rest=True), Quota(1, 2)]) == [1, 1, 0, 0]


def test_nodes_that_can_do_nothing_else_are_taken_first_and_equal_ones_in_order() -> None:
    assert solve([[True, True], [True, False], [True, False]], [Quota(0, 1), Quota()]) == [1, 0, FREE]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_no_nodes_or_no_profiles_are_no_trouble(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape, dtype=np.bool_), [Quota(1)] * shape[1]) == [FREE] * shape[0]
