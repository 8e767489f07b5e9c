"""Who is beyond suspicion after some rounds, and who is not: a quick look that decides what to measure next, not a verdict.

A flow passes the sending side of one card, the receiving side of another, and between racks two uplinks. Each of these
elements is estimated from its flows that no other bad element slows (the median of ln rate against what is usual); uplinks
first, as a bad card cannot move an uplink's median, but a bad uplink moves those of all its cards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ahc_server.pairing import Pair
from ahc_server.rounds.history import Meeting
from ahc_server.rounds.matching import pair_key

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Loss (ln) that matters, and what the rounds should be able to tell from none (a tenth).
_MATTERS, _TO_TELL = -float(np.log1p(-0.05)), -float(np.log1p(-0.10))
#: The same of round trips.
_RTT_MATTERS = float(np.log1p(0.25))
#: Standard errors: beyond suspicion above the first, settled as bad below the second; a tenth should be so many.
_DOUBT_Z, _SETTLED_Z, _TELL_Z = -2.5, -6.0, 4.5
#: Flows that settle anything; flows that let a machine be a good partner.
_ENOUGH = 3
#: Healthy cards differ by this part.
_NATURAL = 0.01
#: A single flow is odd when it lost this much, and so many deviations.
_ODD, _ODD_Z = 0.16, 6.0
_LEAST_SPREAD = 0.004
_STEPS = 4


@dataclass(frozen=True, slots=True)
class Suspicions:
    """``unsettled``: machines that are neither cleared nor proven bad, the worst first. ``good``: those beyond suspicion.
    ``odd``: pairs that met once and were far slower than both their ends elsewhere; ``bad_paths``: those that were so each time
    that they met. ``ways``: two racks (in order) between which most flows are odd. ``is_vague``: flows stray so much that a
    loss of a tenth could not be told yet."""

    unsettled: list[str]
    good: list[str]
    odd: list[Pair]
    bad_paths: list[Pair]
    ways: list[Pair]
    is_vague: bool


@dataclass(frozen=True, slots=True)
class _Element:
    """Like elements: ``key`` (k,) says which of them each flow passes, −1 none."""

    key: Ints
    count: int


@dataclass(frozen=True, slots=True)
class _Look:
    """Of each kind of elements, all (elements,): ``effect`` and ``z``, ``flows`` through each, ``clean``: those that tell of it.
    ``left`` (k,): of each flow what no element explains; ``spread`` of it."""

    effect: list[Floats]
    z: list[Floats]
    flows: list[Ints]
    clean: list[Ints]
    left: Floats
    spread: float


def suspicions(names: Sequence[str], racks: Mapping[str, str], seen: Sequence[Meeting]) -> Suspicions:
    """Judge what was ``seen``. ``racks``: machine → switch where it is known."""
    row = {name: number for number, name in enumerate(names)}
    leaf_number = {leaf: number for number, leaf in enumerate(sorted(set(racks.values())))}
    leaf = np.array([leaf_number.get(racks.get(name, ""), -1) for name in names], dtype=np.int64)
    ways = [
        (row[a], row[b], value, meeting)
        for meeting in seen
        for (a, b), value in meeting.flows.items()
        if a in row and b in row
    ]
    source, destination = _rows([each[0] for each in ways]), _rows([each[1] for each in ways])
    rate = np.array([each[2] for each in ways], dtype=np.float64)
    worst = np.zeros(len(names))
    unsettled = np.zeros(len(names), dtype=bool)
    good = np.zeros(len(names), dtype=bool)
    odd: list[Meeting] = []
    is_vague = False
    alive = rate > 0
    if np.any(alive):
        look = _look(source[alive], destination[alive], np.log(rate[alive]), leaf, _MATTERS)
        unsettled, good = _sides(look, range(2), len(names), _MATTERS)
        worst = np.fmin(look.z[0], look.z[1])
        odd = _odd([each[3] for each, lives in zip(ways, alive, strict=True) if lives], look)
        is_vague = _is_vague(look)
    trips = [each for each in seen if each.rtt_us is not None and set(each.ends) <= row.keys()]
    if trips:
        one, other = (_rows([row[each.ends[end]] for each in trips]) for end in (0, 1))
        times = -np.log(np.array([each.rtt_us for each in trips], dtype=np.float64))
        both = (np.r_[one, other], np.r_[other, one], np.r_[times, times])
        look = _look(*both, leaf, _RTT_MATTERS)
        slow, quick = _sides(look, range(1), len(names), _RTT_MATTERS)
        unsettled |= slow
        good = quick & good if np.any(alive) else quick
        worst = np.fmin(worst, look.z[0])
    silent, silenced = _silent(source, destination, rate, len(names))
    unsettled = (unsettled | silenced) & ~silent
    good &= ~(silent | silenced | unsettled)
    order = sorted(
        np.flatnonzero(unsettled).tolist(), key=lambda place: (float(np.nan_to_num(worst[place])), place)
    )
    for _, _, value, meeting in ways:
        if value == 0 and not any(silent[row[name]] for name in meeting.ends):
            odd.append(meeting)
    once, always = _by_pair(odd, seen)
    return Suspicions(
        unsettled=[names[place] for place in order],
        good=[names[place] for place in np.flatnonzero(good).tolist()],
        odd=once,
        bad_paths=always,
        ways=_ways(odd, seen, racks),
        is_vague=is_vague,
    )


def _by_pair(odd: Sequence[Meeting], seen: Sequence[Meeting]) -> tuple[list[Pair], list[Pair]]:
    """Pairs that were odd the only time that they met, and those that were so each of several times. ``odd``: the meeting of each
    odd flow."""
    met = Counter(pair_key(*each.ends) for each in seen)
    was_odd = Counter(pair_key(*each.ends) for each in {id(each): each for each in odd}.values())
    once = [pair for pair in was_odd if met[pair] == 1]
    return once, [pair for pair, times in was_odd.items() if 1 < met[pair] == times]


def _ways(odd: Sequence[Meeting], seen: Sequence[Meeting], racks: Mapping[str, str]) -> list[Pair]:
    """Two racks between which at least half of the meetings had an odd flow, and two flows were odd."""

    def between(each: Meeting) -> Pair | None:
        one, other = (racks.get(name) for name in each.ends)
        return None if one is None or other is None or one == other else pair_key(one, other)

    met = Counter(between(each) for each in seen)
    flows = Counter(between(each) for each in odd)
    meetings = Counter(between(each) for each in {id(each): each for each in odd}.values())
    return sorted(
        way for way, count in flows.items() if way is not None and count > 1 and 2 * meetings[way] >= met[way]
    )


def _rows(rows: Sequence[int]) -> Ints:
    return np.array(rows, dtype=np.int64)


def _look(source: Ints, destination: Ints, value: Floats, leaf: Ints, matters: float) -> _Look:
    one, other = leaf[source], leaf[destination]
    known = (one >= 0) & (other >= 0)
    across = known & (one != other)
    kind = np.where(known, across.astype(np.int64), 2)
    value = value.copy()
    for code in np.unique(kind):
        mine = kind == code
        value[mine] -= _usual(value[mine])
    leaves = int(leaf.max(initial=-1)) + 1
    # Uplinks first, see above.
    elements = [
        _Element(source, len(leaf)),
        _Element(destination, len(leaf)),
        _Element(np.where(across, one, -1), leaves),
        _Element(np.where(across, other, -1), leaves),
    ]
    slowed = [np.zeros(each.count) for each in elements]
    spread = max(_spread(value), _LEAST_SPREAD)
    effect: list[Floats] = [np.zeros(each.count) for each in elements]
    z: list[Floats] = [np.zeros(each.count) for each in elements]
    clean: list[Ints] = [np.zeros(each.count, dtype=np.int64) for each in elements]
    for step in range(_STEPS):
        for place in (2, 3, 0, 1):
            element = elements[place]
            through = element.key >= 0
            others = _by_others(elements, slowed, place, len(value))
            free = through & (others == 0)
            if step == 0 and place < 2:
                # Nobody is known yet: the better half of a card's flows met no bad partner.
                seen = _quantile(element.key[free], value[free], element.count, 0.75)
            else:
                seen = _quantile(element.key[free], value[free], element.count, 0.5)
            clean[place] = np.bincount(element.key[free], minlength=element.count)
            error = np.hypot(1.25 * spread / np.sqrt(np.maximum(clean[place], 1)), _NATURAL)
            effect[place], z[place] = seen, seen / error
            with np.errstate(invalid="ignore"):
                bad = (seen < -matters) & (z[place] < _DOUBT_Z)
            slowed[place] = np.where(bad, seen, 0.0)
        left = value - np.minimum(0.0, _by_others(elements, slowed, -1, len(value)))
        spread = max(_spread(left), _LEAST_SPREAD)
    flows = [np.bincount(each.key[each.key >= 0], minlength=each.count) for each in elements]
    return _Look(effect, z, flows, clean, left, spread)


def _by_others(elements: Sequence[_Element], slowed: Sequence[Floats], but: int, flows: int) -> Floats:
    """What all elements but one take of each flow: the worst of them, as the narrowest place decides."""
    least = np.zeros(flows)
    for place, element in enumerate(elements):
        if place != but and element.count:
            least = np.minimum(least, np.where(element.key >= 0, slowed[place][element.key], 0.0))
    return least


def _usual(value: Floats) -> float:
    """Middle of the densest half: what is slow is no measure of what is usual."""
    ordered = np.sort(value)
    held = max(1, int(np.ceil(len(ordered) / 2)))
    widths = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
    place = len(widths) - 1 - int(np.argmin(widths[::-1]))
    return float(np.median(ordered[place : place + held]))


def _spread(value: Floats) -> float:
    return float(1.4826 * np.median(np.abs(value - np.median(value))))


def _quantile(key: Ints, value: Floats, groups: int, part: float) -> Floats:
    """Quantile of the values of each key, between the two nearest; NaN where there are none."""
    order = np.lexsort((value, key))
    ordered, count = value[order], np.bincount(key, minlength=groups)
    place = (np.cumsum(count) - count) + part * np.maximum(count - 1, 0)
    if not len(ordered):
        return np.full(groups, np.nan)
    low = np.minimum(np.floor(place).astype(np.int64), len(ordered) - 1)
    high = np.minimum(np.ceil(place).astype(np.int64), len(ordered) - 1)
    return np.where(count > 0, (ordered[low] + ordered[high]) / 2, np.nan)


def _sides(look: _Look, places: range, nodes: int, matters: float) -> tuple[Bools, Bools]:
    """(in suspense, beyond suspicion) of each node, from its sides."""
    unsettled = np.zeros(nodes, dtype=bool)
    good = np.ones(nodes, dtype=bool)
    for place in places:
        effect, z, clean = look.effect[place], look.z[place], look.clean[place]
        with np.errstate(invalid="ignore"):
            slow = (effect < -matters) & (z < _DOUBT_Z)
            settled = slow & (z < _SETTLED_Z) & (clean >= _ENOUGH)
            # A machine without any flow is absent, or silent: that is told elsewhere.
            unsettled |= (slow & ~settled) | ((clean < 2) & (look.flows[place] > 0))
            good &= (effect > -matters / 2) & (clean >= _ENOUGH)
    return unsettled, good


def _is_vague(look: _Look) -> bool:
    clean = [each[each > 0] for each in look.clean[:2]]
    flows = float(np.median(np.concatenate(clean))) if any(map(len, clean)) else 1.0
    error = float(np.hypot(1.25 * look.spread / np.sqrt(flows), _NATURAL))
    return error * _TELL_Z > _TO_TELL


def _odd(meetings: Sequence[Meeting], look: _Look) -> list[Meeting]:
    """Of each odd flow its meeting."""
    limit = -max(_ODD, _ODD_Z * look.spread)
    return [meetings[place] for place in np.flatnonzero(look.left < limit).tolist()]


def _silent(source: Ints, destination: Ints, rate: Floats, nodes: int) -> tuple[Bools, Bools]:
    """(settled: nothing ever came through, with enough partners; in suspense: most of it did not)."""
    flows = np.bincount(np.r_[source, destination], minlength=nodes)
    is_dead = np.tile(rate == 0, 2)
    dead = np.bincount(np.r_[source, destination][is_dead], minlength=nodes)
    return (dead >= 2 * _ENOUGH) & (dead == flows), 2 * dead > flows
