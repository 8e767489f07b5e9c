"""One round: disjoint pairs at random, mixed within and across racks, some of them as wished."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ahc_server.pairing import Pair

#: "mixed": racks are crossed in even rounds and left alone in odd ones; "across": crossed in all.
Load = Literal["mixed", "across"]

#: A partner is looked for among so many of the next ones.
_LOOK_AHEAD = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """``one`` should meet the first of ``partners`` that is still free."""

    one: str
    partners: Sequence[str]


def pair_key(one: str, other: str) -> Pair:
    """The same for both orders."""
    return (one, other) if one <= other else (other, one)


def matching(
    names: Sequence[str],
    seed: str,
    number: int,
    *,
    met: Counter[Pair],
    racks: Mapping[str, str] | None = None,
    wishes: Sequence[Wish] = (),
    load: Load = "mixed",
) -> list[Pair]:
    """Round ``number``: ⌊n/2⌋ disjoint pairs. Wishes come first, in their order; who has met (``met``, by ``pair_key``)
    meets again only where nobody else is free. Of an odd number the one rests that has met most.

    Where racks are known, even rounds load the uplinks in full: half of the racks meet the other half and send first, all of
    their nodes at once; of an odd number of racks, one in turn is on either side. Odd rounds leave the uplinks idle (partners
    in the same rack): a card shows in both, an uplink in the first alone. With ``load`` "across" every round is of the first
    kind; without racks its halves are random. The same arguments give the same pairs.
    """
    chance = random.Random(f"{seed} {number}")  # a text is hashed by SHA-512: the same everywhere
    order = list(names)
    chance.shuffle(order)
    taken: set[str] = set()
    pairs: list[Pair] = []

    def take_so(one: str, other: str) -> None:
        taken.update((one, other))
        pairs.append((one, other))

    def take(one: str, other: str) -> None:
        take_so(*((one, other) if chance.random() < 0.5 else (other, one)))

    for wish in wishes:
        if wish.one in taken:
            continue
        partner = next((each for each in wish.partners if each not in taken and each != wish.one), None)
        if partner is not None:
            take(wish.one, partner)
    free = [name for name in order if name not in taken]
    if len(free) % 2:
        meetings = Counter(name for pair in met.elements() for name in pair)
        free.remove(max(free, key=lambda name: meetings[name]))
    of = racks or {}
    if load == "across" or (racks is not None and number % 2 == 0):
        turn = number if load == "across" else number // 2
        free = _across(free, of, chance, met, take_so, _between_sides(of, seed, turn))
    elif racks is not None:
        free = _inside(free, of, met, take)
    _pair_up(free, met, lambda one, other: one not in of or of[one] != of.get(other), take)
    return pairs


def _across(
    free: Sequence[str],
    racks: Mapping[str, str],
    chance: random.Random,
    met: Counter[Pair],
    take: Callable[[str, str], None],
    on_either: str | None,
) -> list[str]:
    """Pair up half of the racks with the other half, sending end first; answers who is left. Were the halves mixed, an uplink
    would carry half of its nodes at a time, and one at half of its rate would show nothing. Racks that never met come first.
    Of the rack ``on_either`` some are in each half; they do not meet each other while there are others."""
    ways = Counter(
        {
            pair_key(racks[one], racks[other]): times
            for (one, other), times in met.items()
            if one in racks and other in racks
        }
    )
    sides = _halves(free, racks, chance, ways, on_either)
    left = list(reversed(sides[1]))
    alone = []
    for one in sorted(sides[0], key=lambda name: on_either is None or racks.get(name) != on_either):
        if not left:
            alone.append(one)
            continue
        best, least = len(left) - 1, (True, True, 1 << 30)
        for place in range(len(left) - 1, max(-1, len(left) - 1 - _LOOK_AHEAD), -1):
            other = left[place]
            together = one in racks and racks[one] == racks.get(other)
            price = (together, met[pair_key(one, other)] > 0, ways[_way(one, other, racks)])
            if price < least:
                best, least = place, price
            if price == (False, False, 0):
                break
        other = left.pop(best)
        ways[_way(one, other, racks)] += 1
        take(one, other)
    return alone + left


def _way(one: str, other: str, racks: Mapping[str, str]) -> Pair:
    return pair_key(racks.get(one, ""), racks.get(other, ""))


def _between_sides(racks: Mapping[str, str], seed: str, turn: int) -> str | None:
    """Of an odd number of racks the one that is split, so that all others can send or receive as a whole."""
    leaves = sorted(set(racks.values()))
    if len(leaves) % 2 == 0 or len(leaves) == 1:
        return None
    random.Random(seed).shuffle(leaves)
    return leaves[turn % len(leaves)]


def _halves(
    free: Sequence[str],
    racks: Mapping[str, str],
    chance: random.Random,
    ways: Counter[Pair],
    on_either: str | None,
) -> tuple[list[str], list[str]]:
    """Whole racks on either side, those apart that have met least; the rack ``on_either`` and who is in none fill up."""
    size = Counter(racks[name] for name in free if racks.get(name, on_either) != on_either)
    leaves = sorted(size)
    chance.shuffle(leaves)
    halves: tuple[list[str], list[str]] = ([], [])
    count = [0, 0]
    for leaf in sorted(leaves, key=lambda leaf: -size[leaf]):
        side = int(count[1] < count[0])
        if abs(count[0] - count[1]) < size[leaf]:
            new = [sum(not ways[pair_key(leaf, other)] for other in half) for half in halves]
            side = side if new[0] == new[1] else int(new[0] > new[1])
        halves[side].append(leaf)
        count[side] += size[leaf]
    second = set(halves[1])
    sides: tuple[list[str], list[str]] = ([], [])
    for name in free:
        if racks.get(name, on_either) != on_either:
            sides[int(racks[name] in second)].append(name)
    for name in free:
        if racks.get(name, on_either) == on_either:
            sides[int(len(sides[1]) < len(sides[0]))].append(name)
    return sides


def _inside(
    free: Sequence[str], racks: Mapping[str, str], met: Counter[Pair], take: Callable[[str, str], None]
) -> list[str]:
    """Pair up in each rack; answers who is left."""
    members: dict[str | None, list[str]] = {}
    for name in free:
        members.setdefault(racks.get(name), []).append(name)
    left = members.pop(None, [])
    for own in members.values():
        if len(own) % 2:
            left.append(own.pop())
        _pair_up(own, met, lambda one, other: True, take)
    return left


def _pair_up(
    free: Sequence[str],
    met: Counter[Pair],
    is_fit: Callable[[str, str], bool],
    take: Callable[[str, str], None],
) -> None:
    """An even number of names, each with the best of the next ones: fit and new, else fit, else new, else the next. Where the
    last ones find nobody, they change partners with a pair that was found before."""

    def cost(one: str, other: str) -> int:
        return 2 * (met[pair_key(one, other)] > 0) + (not is_fit(one, other))

    left = list(reversed(free))
    found: list[Pair] = []
    while left:
        one = left.pop()
        best, least = len(left) - 1, 4
        for place in range(len(left) - 1, max(-1, len(left) - 1 - _LOOK_AHEAD), -1):
            price = cost(one, left[place])
            if price < least:
                best, least = place, price
            if not price:
                break
        found.append((one, left.pop(best)))
        if least:
            _change(found, cost)
    for one, other in found:
        take(one, other)


def _change(found: list[Pair], cost: Callable[[str, str], int]) -> None:
    """The last pair changes partners with an earlier one where both are the better for it."""
    one, other = found[-1]
    for place in range(len(found) - 2, max(-1, len(found) - 2 - _LOOK_AHEAD), -1):
        a, b = found[place]
        for first, second in (((one, a), (other, b)), ((one, b), (other, a))):
            if not (cost(*first) or cost(*second)):
                found[place], found[-1] = first, second
                return
