"""How many rounds, and what each is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ahc_server.pairing import Pair
from ahc_server.rounds.history import Meeting
from ahc_server.rounds.matching import Load, Wish, matching, pair_key

#: ``rounds: auto`` measures all pairs of so few machines: that is hardly more, and nothing stays unseen.
ALL_PAIRS_UP_TO = 8
#: The fewest rounds of ``auto``, and by default the most.
LEAST_ROUNDS, MOST_ROUNDS = 6, 16
#: Rounds of ``bisection`` by default: as many different halves.
BISECTION_ROUNDS = 3
#: Seconds after which ``auto`` begins no further round, where the plan does not say: 16 rounds of 10 s each way take 6 minutes.
BUDGET_S = 600.0
#: With one partner nobody can tell which end is slow: so many rounds are taken whatever the plan's budget is.
LEAST_IN_BUDGET = 2
#: Rounds before the first in which what is in doubt decides who meets: earlier ones know too little of anybody.
_RANDOM_ROUNDS = 4

#: All pairs, a number of rounds, as many as it takes, or half of the machines against the other half.
Rounds = Literal["auto", "all", "bisection"] | int


def is_chosen(rounds: Rounds, machines: int) -> bool:
    """Whether so many machines meet in rounds that are chosen, and not in all pairs."""
    every = machines - 1 + machines % 2
    if isinstance(rounds, int):
        return rounds < every
    return machines > {"auto": ALL_PAIRS_UP_TO, "bisection": 1, "all": machines}[rounds]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rounds of one step. ``racks``: machine → switch, of those where it is known; ``seed`` any text.

    A number of ``rounds`` is random matchings, so many. ``bisection``: ``most`` rounds in which one half of the machines, of
    whole racks where they are known, meets the other half. ``auto``: LEAST_ROUNDS rounds, the first of them random; after each
    the flows are judged (``doubts``), and while something is in suspense there is another, in which machines meet that settle
    it and all others go on at random (the load stays the same); ``most`` rounds, or as many as the time allows, then it is
    the end in any case.

    ``budget_s``: no round begins that would probably end later than this after the first began; None is BUDGET_S, and
    LEAST_ROUNDS whatever they take.
    """

    names: Sequence[str]
    seed: str
    rounds: Rounds = "auto"
    most: int = MOST_ROUNDS
    racks: Mapping[str, str] = field(default_factory=dict)
    budget_s: float | None = None

    def next_round(self, number: int, seen: Sequence[Meeting], spent_s: float = 0.0) -> list[Pair] | None:
        """The pairs of round ``number`` (from 0) after what was ``seen`` in all rounds before, which took ``spent_s``; None is
        the end."""
        wishes: list[Wish] = []
        most = self.rounds if isinstance(self.rounds, int) else self.most
        if number >= min(most, len(self.names) - 1 + len(self.names) % 2):
            return None
        if self.rounds == "auto" and self._is_spent(number, spent_s):
            return None
        if self.rounds == "auto" and number >= _RANDOM_ROUNDS:
            from ahc_server.rounds.doubts import doubts  # numpy is loaded when it is first needed

            found = doubts(self.names, self.racks, seen)
            # Every round has its share of odd pairs, which meet again in the next: where none proved bad, those of the last round
            # are no reason to go on.
            is_path = found.has_bad_paths and number == LEAST_ROUNDS and found.about("path")
            if number >= LEAST_ROUNDS and not (
                found.about("slow", "uplink", "way") or found.is_vague or is_path
            ):
                return None
            wishes = found.wishes
        met = Counter(pair_key(*each.ends) for each in seen)
        load: Load = "across" if self.rounds == "bisection" else "mixed"
        racks = self._known_racks()
        return matching(self.names, self.seed, number, met=met, racks=racks, wishes=wishes, load=load)

    def _known_racks(self) -> Mapping[str, str] | None:
        """The racks where there are two or more to tell apart."""
        return self.racks if len(set(self.racks.values())) > 1 else None

    def _is_spent(self, number: int, spent_s: float) -> bool:
        """Whether a further round, as long as those before, would end too late."""
        least = LEAST_ROUNDS if self.budget_s is None else LEAST_IN_BUDGET
        budget_s = BUDGET_S if self.budget_s is None else self.budget_s
        return number >= least and spent_s * (number + 1) / number > budget_s
