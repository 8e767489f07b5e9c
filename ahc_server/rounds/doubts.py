"""What the rounds so far leave open, and who should meet whom to settle it.

Two looks at the same flows. The localiser says what stands: what it names is settled, unless the data would look the same
had something else been bad. The quick look (``suspicion``) says what may be bad but is not proven. Of both come questions:

=========  ==========================================  ========================================================
question   what cannot be told yet                     who meets whom
=========  ==========================================  ========================================================
slow       whether a node is slow at all               it meets machines beyond suspicion, inside its rack and outside in turn
uplink     its card, or its rack's uplink              it meets machines beyond suspicion on the side that it has not seen;
                                                       where racks are not known, suspects that are slow in the same way meet
                                                       each other: behind a bad uplink they are quick among themselves
way        the way between two racks, or single pairs  other machines of the two racks
path       a single pair, or a moment                  the same two again
=========  ==========================================  ========================================================

A cable that loses packets is a node that is slow both ways: each pair measures both, so that no further round tells more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ahc_server.judge.localise import Answer, Flows, Network, localise
from ahc_server.pairing import Pair
from ahc_server.rounds.history import Meeting
from ahc_server.rounds.matching import Wish, pair_key
from ahc_server.rounds.suspicion import Suspicions, suspicions

Question = Literal["slow", "uplink", "way", "path"]

#: Suspects that may share an uplink which nobody told of.
_LEAST_SHARED = 3
#: The localiser names the way between two racks from so many flows in one direction on: meetings, and one to spare.
_ENOUGH_OF_WAY = 5
#: Pairs of two racks that are asked for in one round.
_OF_WAY_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Doubt:
    """``about``: the node, the two of a pair, or the two switches of a way."""

    question: Question
    about: tuple[str, ...]
    wishes: tuple[Wish, ...]


@dataclass(frozen=True, slots=True)
class Doubts:
    """``open``: the most important first. ``has_bad_paths``: pairs were odd more than once, so that the other odd ones may
    be bad as well. ``is_vague``: flows stray so much that a loss of a tenth could not be told yet."""

    open: list[Doubt] = field(default_factory=list)
    has_bad_paths: bool = False
    is_vague: bool = False

    def about(self, *questions: Question) -> list[Doubt]:
        return [each for each in self.open if each.question in questions]

    @property
    def wishes(self) -> list[Wish]:
        return [wish for each in self.open for wish in each.wishes]


def doubts(names: Sequence[str], racks: Mapping[str, str], seen: Sequence[Meeting]) -> Doubts:
    """Of what was ``seen`` among ``names``. ``racks``: machine → switch where it is known."""
    found = suspicions(names, racks, seen)
    view = _View(names, racks, found, seen)
    answer = localise(network_of(names, racks, seen))
    named = {names[each.nodes[0]] for each in answer.culprits if each.kind == "node"}
    ways = [link for link in found.ways if view.met_between(link) < _ENOUGH_OF_WAY]
    return Doubts(
        open=[
            *(_slow(one, view) for one in found.unsettled if one not in named),
            *_uplinks(sorted(named), view),
            *_shared(answer, view),
            *(_way(link, view) for link in ways),
            *(Doubt("path", pair, (Wish(pair[0], [pair[1]]),)) for pair in found.odd if not named & {*pair}),
        ],
        has_bad_paths=any(not named & {*pair} for pair in found.bad_paths),
        is_vague=found.is_vague,
    )


def network_of(names: Sequence[str], racks: Mapping[str, str], seen: Sequence[Meeting]) -> Network:
    """Meetings as the localiser wants them: the first ends of all pairs send first, then the others."""
    row = {name: number for number, name in enumerate(names)}
    flows = [
        (
            2 * each.wave + (a != each.ends[0]),
            row[a],
            row[b],
            rate,
            np.nan if each.rtt_us is None else each.rtt_us,
        )
        for each in seen
        if set(each.ends) <= row.keys()
        for (a, b), rate in (each.flows or dict.fromkeys((each.ends, each.ends[::-1]), np.nan)).items()
    ]
    columns = np.array(flows, dtype=np.float64).reshape(-1, 5).T
    number, source, destination = (column.astype(np.int64) for column in columns[:3])
    leaves = sorted(set(racks.values()))
    place = {leaf: number for number, leaf in enumerate(leaves)}
    leaf = np.array([place[racks[name]] if name in racks else -1 for name in names], dtype=np.int64)
    return Network(len(names), Flows(number, source, destination, columns[3], columns[4]), leaf, leaves)


class _View:
    """Who has met whom, seen from one machine."""

    def __init__(
        self, names: Sequence[str], racks: Mapping[str, str], found: Suspicions, seen: Sequence[Meeting]
    ) -> None:
        self.names = names
        self.racks = racks
        self.good = found.good
        self._is_good = set(found.good)
        self._partners: dict[str, Counter[str]] = defaultdict(Counter)
        self._between: Counter[Pair] = Counter()
        for one, other in (each.ends for each in seen):
            self._partners[one][other] += 1
            self._partners[other][one] += 1
            if one in racks and other in racks:
                self._between[pair_key(racks[one], racks[other])] += 1

    def met(self, one: str) -> Counter[str]:
        return self._partners[one]

    def met_between(self, link: Pair) -> int:
        return self._between[link]

    def is_near(self, one: str, other: str) -> bool:
        return one in self.racks and self.racks[one] == self.racks.get(other)

    def met_good(self, one: str, *, near: bool) -> bool:
        return any(name in self._is_good and self.is_near(one, name) == near for name in self.met(one))

    def partners(self, one: str, *, near: bool) -> list[str]:
        """Machines beyond suspicion: new ones first, and those on the wanted side."""
        met = self.met(one)
        return sorted(self.good, key=lambda name: (met[name], self.is_near(one, name) != near))

    def of_rack(self, leaf: str) -> list[str]:
        """Its machines, those beyond suspicion first."""
        own = [name for name in self.names if self.racks.get(name) == leaf]
        return sorted(own, key=lambda name: (name not in self._is_good, self.met(name).total()))


def _slow(one: str, view: _View) -> Doubt:
    """In its rack and outside in turn, whichever it has seen less of."""
    met = view.met(one)
    near = sum(times for name, times in met.items() if view.is_near(one, name))
    return Doubt("slow", (one,), (Wish(one, view.partners(one, near=2 * near < met.total())),))


def _uplinks(named: Sequence[str], view: _View) -> Iterator[Doubt]:
    """Nodes that were named from one side of their uplink alone."""
    if len(set(view.racks.values())) < 2:
        return
    for one in named:
        for near in (True, False):
            some = any(name != one and view.is_near(one, name) == near for name in view.good)
            if one in view.racks and some and not view.met_good(one, near=near):
                yield Doubt("uplink", (one,), (Wish(one, view.partners(one, near=near)),))
                break


def _shared(answer: Answer, view: _View) -> Iterator[Doubt]:
    """Where no rack is known: nodes that are slow in the same way, and have not met each other."""
    if view.racks:
        return
    alike: dict[str | None, list[str]] = defaultdict(list)
    for each in (*answer.culprits, *answer.unmet):
        if each.kind == "node" and each.witness == "rate":
            alike[each.way].append(view.names[each.nodes[0]])
    for _, some in sorted(alike.items(), key=lambda item: str(item[0])):
        for one in some if len(some) >= _LEAST_SHARED else ():
            others = [name for name in some if name != one]
            if not any(name in view.met(one) for name in others):
                yield Doubt("uplink", (one,), (Wish(one, others),))


def _way(link: Pair, view: _View) -> Doubt:
    ends = [view.of_rack(leaf) for leaf in link]
    few = ends[0][:_OF_WAY_AT_ONCE]
    wishes = [Wish(one, sorted(ends[1], key=lambda name, one=one: view.met(one)[name])) for one in few]  # type: ignore[misc]
    return Doubt("way", link, tuple(wishes))
