"""Who meets whom in the next round of a network test. Pure: what was seen so far goes in, pairs or the end come out.

::

    history     what the pairs of earlier rounds brought
    suspicion   from these: who is beyond suspicion, who is not, which single pairs are odd
    doubts      with what the localiser names: what is still open, and who should meet whom to settle it
    matching    random disjoint pairs, some of them as wished
    policy      how many rounds, and what is wished for in them
    unseen      what such a choice could not have seen, and what it left open

Nothing is remembered: the same history gives the same round, so that a restarted server goes on where it was.
"""

from __future__ import annotations

from ahc_server.rounds.history import History, Meeting
from ahc_server.rounds.policy import (
    ALL_PAIRS_UP_TO,
    BISECTION_ROUNDS,
    BUDGET_S,
    LEAST_IN_BUDGET,
    LEAST_ROUNDS,
    MOST_ROUNDS,
    Policy,
    Rounds,
    is_chosen,
)
from ahc_server.rounds.unseen import unseen, unsettled

__all__ = [
    "ALL_PAIRS_UP_TO",
    "BISECTION_ROUNDS",
    "BUDGET_S",
    "LEAST_IN_BUDGET",
    "LEAST_ROUNDS",
    "MOST_ROUNDS",
    "History",
    "Meeting",
    "Policy",
    "Rounds",
    "is_chosen",
    "unseen",
    "unsettled",
]
