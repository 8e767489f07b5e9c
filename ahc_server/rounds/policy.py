"""How many rounds, and what each is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ahc_server.pairing import Pair
from ahc_server.rounds.history import Meeting
from ahc_server.rounds.matching import Wish, matching, pair_key

#: ``rounds: auto`` measures all pairs of so few machines: that is hardly more, and nothing stays unseen.
ALL_PAIRS_UP_TO = 8
#: The fewest rounds of ``auto``, and by default the most.
LEAST_ROUNDS, MOST_ROUNDS = 6, 16

#: All pairs, a number of rounds, or as many as it takes.
Rounds = Literal["auto", "all"] | int


def is_chosen(rounds: Rounds, machines: int) -> bool:
    """Whether so many machines meet in rounds that are chosen, and not in all pairs."""
    every = machines - 1 + machines % 2
    return machines > ALL_PAIRS_UP_TO if rounds == "auto" else rounds != "all" and rounds < every


@dataclass(frozen=True, slots=True)
class Policy:
    """The rounds of one step. ``racks``: machine → switch, of those where it is known; ``seed`` any text.

    A number of ``rounds`` is random matchings, so many. ``auto``: LEAST_ROUNDS random ones; after each the flows are judged,
    and while anything is in suspense there is another, in which suspects meet machines that are beyond suspicion, odd pairs
    meet again and all others go on at random (the load stays the same); ``most`` rounds, then it is the end in any case.
    """

    names: Sequence[str]
    seed: str
    rounds: Rounds = "auto"
    most: int = MOST_ROUNDS
    racks: Mapping[str, str] = field(default_factory=dict)

    def next_round(self, number: int, seen: Sequence[Meeting]) -> list[Pair] | None:
        """The pairs of round ``number`` (from 0) after what was ``seen`` in all rounds before; None is the end."""
        wishes: list[Wish] = []
        most = self.rounds if isinstance(self.rounds, int) else self.most
        if number >= min(most, len(self.names) - 1 + len(self.names) % 2):
            return None
        if self.rounds == "auto" and number >= LEAST_ROUNDS:
            from ahc_server.rounds.suspicion import suspicions  # numpy is loaded when it is first needed

            found = suspicions(self.names, self.racks, seen)
            # Every round has its share of odd pairs: after the first of these rounds they are no reason to go on.
            if not (found.unsettled or found.is_vague or (found.odd and number == LEAST_ROUNDS)):
                return None
            wishes = [Wish(one, [other]) for one, other in found.odd]
            wishes = [Wish(one, self._partners(one, found.good, seen)) for one in found.unsettled] + wishes
        met = Counter(pair_key(*each.ends) for each in seen)
        return matching(self.names, self.seed, number, met=met, racks=self._known_racks(), wishes=wishes)

    def _known_racks(self) -> Mapping[str, str] | None:
        """The racks where there are two or more to tell apart."""
        return self.racks if len(set(self.racks.values())) > 1 else None

    def _partners(self, one: str, good: Sequence[str], seen: Sequence[Meeting]) -> list[str]:
        """Machines beyond suspicion: new ones first; in its rack and outside in turn, whichever it has seen less of."""
        met = Counter(name for each in seen if one in each.ends for name in each.ends)
        own = self.racks.get(one)

        def is_near(name: str) -> bool:
            return own is not None and self.racks.get(name) == own

        near = sum(times for name, times in met.items() if name != one and is_near(name))
        wants_near = 2 * near < met[one]
        return sorted(good, key=lambda name: (met[name], is_near(name) != wants_near))
