"""One round: disjoint pairs at random, mixed within and across racks, some of them as wished."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ahc_server.pairing import Pair

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
) -> list[Pair]:
    """Round ``number``: ⌊n/2⌋ disjoint pairs. Wishes come first, in their order; who has met (``met``, by ``pair_key``)
    meets again only where nobody else is free. Of an odd number the one rests that has met most.

    Where racks are known, even rounds load the uplinks (partners in other racks), odd rounds leave them idle (partners in
    the same rack): a card shows in both, an uplink in the first alone. The same arguments give the same pairs.
    """
    chance = random.Random(f"{seed} {number}")  # a text is hashed by SHA-512: the same everywhere
    order = list(names)
    chance.shuffle(order)
    taken: set[str] = set()
    pairs: list[Pair] = []

    def take(one: str, other: str) -> None:
        taken.update((one, other))
        pairs.append((one, other) if chance.random() < 0.5 else (other, one))

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
    if racks is not None and number % 2:
        free = _inside(free, of, met, take)
    _pair_up(free, met, lambda one, other: one not in of or of[one] != of.get(other), take)
    return pairs


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
