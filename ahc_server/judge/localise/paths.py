"""Single pairs that are slow though both nodes are fine with all others: a path that only they take.

One bad flow is no proof: glitches happen. A pair is named where all its flows are bad, in both directions or in one that was
tried in several rounds, where so few flows are bad alone that this cannot be chance, and where both ends reach more with others.
A flow that was bad in the only test of its direction is odd: it accuses nobody, and asks for another test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.model import Flows, Way

#: A bad flow: so many spreads and this part below what is usual.
_SPREADS, _LEAST = 7.0, -np.log1p(-0.2)
#: More pairs than this part of all are no single paths; a few always may be.
_MOST, _FEW = 0.005, 3
#: Chance that glitches alone make a pair look so.
_CHANCE = 0.03
#: The best flow of a bad path is so many times as slow as that of any other that was tried as often.
_CLEAR = 1.5
#: Tests that name anything.
_LEAST_TRIED = 2


@dataclass(frozen=True, slots=True)
class Path:
    """A pair of rows, the lower one first, its loss (ln), and its flows. ``way``: "tx" where only what the first sends to the
    other is slow, "rx" where only what it receives from it is."""

    one: int
    other: int
    way: Way | None
    effect: float
    log_p: float
    flows: Ints


@dataclass(frozen=True, slots=True)
class Paths:
    """``odd``: numbers of flows that were bad in the only test of their direction, while nothing else between the two was; or
    in all tests, where these are few, or no other flows of both ends show that it is neither's card."""

    named: list[Path]
    odd: Ints


@dataclass(frozen=True, slots=True)
class _Sets:
    """Flows that share something: ``of`` (k,): the set of each; of the sets ``tried`` and ``failed`` flows, and ``best``: ln
    of the best flow against what is usual."""

    of: Ints
    tried: Ints
    failed: Ints
    best: Floats

    @classmethod
    def by(cls, key: Ints, bad: Bools, left: Floats) -> _Sets:
        _, of = np.unique(key, return_inverse=True)
        tried = np.bincount(of)
        best = np.full(len(tried), -np.inf)
        np.maximum.at(best, of, left)
        return cls(of, tried, np.bincount(of, bad, len(tried)).astype(np.int64), best)

    @property
    def is_bad(self) -> Bools:
        return np.asarray(self.failed == self.tried)


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    best: float


def bad_paths(flows: Flows, logs: Floats, left: Floats, scale: Floats, free: Bools, nodes: int) -> Paths:
    """``logs`` (k,): ln of each flow; ``left`` (k,): what the elements leave unexplained of it; ``free`` (k,): flows
    that no bad node slows."""
    low, high = np.minimum(flows.source, flows.destination), np.maximum(flows.source, flows.destination)
    bad = free & (left < -np.maximum(_SPREADS * scale, _LEAST))
    if not np.any(bad):
        return Paths([], np.zeros(0, dtype=np.int64))
    # A flow that a bad node slows proves no path.
    shown = np.where(free, left, 0.0)
    pairs = _Sets.by(low * nodes + high, bad, shown)
    ways = _Sets.by(flows.source * nodes + flows.destination, bad, shown)
    rounds = _rounds(ways.of, flows.round)
    both = _has_both(pairs, ways)
    whole = pairs.is_bad & both
    one_way = ways.is_bad & (rounds >= _LEAST_TRIED)
    one_way[ways.of[whole[pairs.of]]] = False
    candidate = whole[pairs.of] | one_way[ways.of]
    alone = int(np.sum(bad & ~candidate))
    found = [
        *_candidates(flows, left, pairs, whole, alone, None),
        *_candidates(flows, left, ways, one_way, alone, "tx"),
    ]
    named = _alone([each for each in found if each.path.log_p < log(_CHANCE)], nodes)
    if len(named) > max(_FEW, _MOST * len(pairs.tried)):
        named = []
    mine = np.zeros(len(left), dtype=bool)
    for each in named:
        mine[each.path.flows] = True
    strays = min(_strays(sets, mine) for sets in (pairs, ways))
    named = [each for each in named if each.best < _CLEAR * strays]
    odd = bad & (ways.tried[ways.of] == 1) & (pairs.failed[pairs.of] == 1)
    for each in found:
        if each.path.log_p >= log(_CHANCE):
            odd[each.path.flows] = True
    proven = []
    for each in named:
        if _is_neither_ends(flows, logs, each.path):
            proven.append(each.path)
        else:
            odd[each.path.flows] = True
    return Paths(proven, np.flatnonzero(odd))


def _is_neither_ends(flows: Flows, logs: Floats, path: Path) -> bool:
    """Whether both ends reach more with others, where there are any: what uplinks leave of flows may hide a card that is as slow
    as the path. With two nodes alone nobody asks."""
    for source, destination in np.unique(
        np.stack([flows.source, flows.destination])[:, path.flows], axis=1
    ).T:
        bar = float(np.median(logs[path.flows])) - path.effect / 2
        for others in (
            (flows.source == source) & (flows.destination != destination),
            (flows.destination == destination) & (flows.source != source),
        ):
            if np.any(others) and float(np.max(logs[others])) < bar:
                return False
    return True


def _rounds(of: Ints, number: Ints) -> Ints:
    """In how many rounds each set was tried."""
    return np.bincount(np.unique(np.stack([of, number]), axis=1)[0])


def _has_both(pairs: _Sets, ways: _Sets) -> Bools:
    """Pairs that were tried in both directions."""
    first = np.unique(ways.of, return_index=True)[1]
    return np.bincount(pairs.of[first], minlength=len(pairs.tried)) > 1


def _candidates(
    flows: Flows, left: Floats, sets: _Sets, chosen: Bools, alone: int, way: Way | None
) -> Iterator[_Candidate]:
    """``alone``: flows that are bad by themselves."""
    for number in np.flatnonzero(chosen).tolist():
        mine = np.flatnonzero(sets.of == number)
        source, destination = int(flows.source[mine[0]]), int(flows.destination[mine[0]])
        direction: Way | None = "rx" if way and source > destination else way
        log_p = _log_chance(int(sets.tried[number]), alone, len(left)) + log(len(sets.tried))
        ends = min(source, destination), max(source, destination)
        path = Path(*ends, direction, float(np.median(left[mine])), log_p, mine)
        yield _Candidate(path, float(sets.best[number]))


def _log_chance(tried: int, alone: int, flows: int) -> float:
    """ln of the chance that so many flows are all bad for a moment, where ``alone`` of all ``flows`` were: one after the other,
    with Jeffreys' prior, as few of them tell little of how often that happens."""
    return sum(log((alone + 0.5 + number) / (flows + 1 + number)) for number in range(tried))


def _alone(found: list[_Candidate], nodes: int) -> list[_Candidate]:
    """Several bad pairs of one node are the node's, or noise that nobody foresaw: no path that only two take."""
    ends = np.array([row for each in found for row in (each.path.one, each.path.other)], dtype=np.int64)
    often = np.bincount(ends, minlength=nodes) > 1
    return [each for each in found if not (often[each.path.one] or often[each.path.other])]


def _strays(sets: _Sets, named: Bools) -> float:
    """How far a pair strays by chance, even where all its flows stray together: the least best flow of those not named."""
    others = np.bincount(sets.of[named], minlength=len(sets.tried)) == 0
    return float(np.min(sets.best[others & (sets.tried >= _LEAST_TRIED)], initial=0.0))
