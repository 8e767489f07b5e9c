"""Who meets whom, and who may run at the same time: pure functions over names.

Rounds of pairs by the circle method (the schedule of round-robin tournaments, Kirkman 1847): one name stands
still, the others turn around it; every pair meets exactly once, in n - 1 rounds (n even) or n rounds (n odd).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

Pair = tuple[str, str]
T = TypeVar("T")


def rounds(names: Sequence[str]) -> Iterator[list[Pair]]:
    """All pairs of distinct names, in rounds of disjoint pairs; every pair once.

    Deterministic in the order of the names. Over all rounds everybody comes first about as often as second.
    """
    circle: list[int | None] = list(range(len(names)))
    if len(circle) % 2:
        circle.append(None)  # whoever meets None rests in this round
    size = len(circle)
    for _ in range(size - 1 if len(names) > 1 else 0):
        meetings = ((circle[place], circle[size - 1 - place]) for place in range(size // 2))
        yield [_pair(names, one, two) for one, two in meetings if one is not None and two is not None]
        circle.insert(1, circle.pop())


def _pair(names: Sequence[str], one: int, two: int) -> Pair:
    low, high = min(one, two), max(one, two)
    return (names[low], names[high]) if (low + high) % 2 else (names[high], names[low])


def group_rounds(names: Sequence[str], arity: int) -> Iterator[list[Pair]]:
    """eDeploy's arity: groups of ``arity`` names in their order; each group does its pairs in sequence.

    Round k holds the k-th pair of every group. A single name left over joins the last group: nobody is left unmeasured.
    """
    groups = [list(names[start : start + arity]) for start in range(0, len(names), arity)]
    if len(groups) > 1 and len(groups[-1]) == 1:
        alone = groups.pop()
        groups[-1] += alone
    sequences = [[pair for one in rounds(group) for pair in one] for group in groups]
    for turn in range(max(map(len, sequences), default=0)):
        yield [sequence[turn] for sequence in sequences if turn < len(sequence)]


def waves(
    units: Iterable[T], hosts: Callable[[T], Iterable[str]], parallel: int | None = None
) -> list[list[T]]:
    """Split units that could run together into waves in which no two use the same host.

    ``hosts(unit)`` are the resources a unit occupies (a pair on one physical host occupies it once); ``parallel``
    bounds the size of a wave. First fit in the given order, so that the answer is deterministic.
    """
    out: list[tuple[list[T], set[str]]] = []
    free_from: dict[str, int] = {}  # host → no wave before this one is free of it
    not_full_from = 0
    for unit in units:
        wanted = set(hosts(unit))
        start = max([not_full_from, *(free_from.get(host, 0) for host in wanted)])
        place = next((n for n in range(start, len(out)) if _fits(out[n], wanted, parallel)), len(out))
        if place == len(out):
            out.append(([], set()))
        members, taken = out[place]
        members.append(unit)
        taken |= wanted
        for host in wanted:
            if free_from.get(host, 0) == place:
                free_from[host] = place + 1
        if parallel is not None and place == not_full_from and len(members) == parallel:
            not_full_from += 1
    return [members for members, _ in out]


def _fits(wave: tuple[list[T], set[str]], wanted: set[str], parallel: int | None) -> bool:
    members, taken = wave
    return (parallel is None or len(members) < parallel) and taken.isdisjoint(wanted)


def spread(names: Sequence[str], host_of: Callable[[str], str], at_most: int | None = None) -> list[str]:
    """Names in an order whose every beginning is spread fairly over the physical hosts.

    Takes one name of each host in turn, hosts in the order of their first name; ``at_most`` names of one host.
    """
    by_host: dict[str, list[str]] = {}
    for name in names:
        by_host.setdefault(host_of(name), []).append(name)
    depth = max(map(len, by_host.values()), default=0)
    if at_most is not None:
        depth = min(depth, at_most)
    return [own[level] for level in range(depth) for own in by_host.values() if level < len(own)]
