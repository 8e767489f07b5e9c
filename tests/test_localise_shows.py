"""A node is accused of what its own flows show; whatever else it explains belongs to something that was not found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_server.judge.localise import Culprit, Own
from ahc_server.judge.localise.culprits import _shows
from ahc_server.judge.localise.model import Kind

FLOOR = 0.06
EFFECTS = st.one_of(st.floats(-2.0, 0.5), st.just(math.nan))


def culprit(kind: Kind = "node", row: int = 0) -> Culprit:
    nothing = np.zeros(0, dtype=np.int64)
    return Culprit(
        kind, "rate", (row, 1) if kind == "pair" else (row,), None, -0.5, -20.0, 1.0, 2.0, nothing, 5
    )


def own(effects: Sequence[float]) -> Own:
    """One side of some nodes, whose flows have these effects (ln)."""
    effect = np.array(effects, dtype=np.float64)
    return Own(np.exp(effect), effect, np.zeros(len(effect)), np.full(len(effect), 4), np.isnan(effect))


@pytest.mark.parametrize(
    ("sending", "receiving", "shows"),
    [
        (-0.4, 0.0, True),
        (0.0, -0.4, True),
        (-0.4, -0.4, True),
        (0.0, 0.0, False),
        (-0.4 * FLOOR, 0.01, False),
        (-0.6 * FLOOR, 0.01, True),
        (math.nan, -0.4, True),
        (math.nan, 0.0, False),
        (math.nan, math.nan, True),
    ],
)
def test_half_of_the_least_effect_in_a_direction_that_was_measured_is_enough(
    sending: float, receiving: float, shows: bool
) -> None:
    """Where neither was, as all peers are bad themselves, nothing speaks against it."""
    assert _shows(culprit(), [own([sending]), own([receiving])], FLOOR) is shows


@given(st.lists(EFFECTS, min_size=1, max_size=5), st.integers(0, 4), st.floats(0.01, 0.3))
def test_only_the_directions_that_it_is_named_for_and_its_own_row_are_asked(
    effects: list[float], other: int, floor: float
) -> None:
    row = other % len(effects)
    alone = math.isnan(effects[row]) or effects[row] < -floor / 2
    assert _shows(culprit(row=row), [own(effects)], floor) is alone


@given(EFFECTS, EFFECTS, st.floats(0.0, 1.0))
def test_a_larger_loss_never_shows_less(sending: float, receiving: float, more: float) -> None:
    before = _shows(culprit(), [own([sending]), own([receiving])], FLOOR)
    after = _shows(culprit(), [own([sending - more]), own([receiving])], FLOOR)
    assert after or not before


@pytest.mark.parametrize("kind", ["leaf", "link", "pair"])
def test_other_elements_are_not_asked(kind: Kind) -> None:
    assert _shows(culprit(kind), [own([0.0, 0.0])], FLOOR)
