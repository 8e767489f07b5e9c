"""The fewest elements that explain what is slow: greedily, the one that explains most first, until none is worth its price.

An element's price is the logarithm of how many there are to choose from. What an accepted element explains is taken away from
all others, and so is the doubt about it: a flow that runs through something bad says little of the rest of its way. At the
end each element has to stand on its own against all others, and more of its flows have to be slow than chance makes of any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.families import (
    MOST_STRAY,
    Estimates,
    Family,
    Tail,
    estimate,
    flows_of,
    only,
    slack_of,
    slow_peers,
    suffered,
)
from ahc_server.judge.localise.noise import FlowNoise, log_chance

_ROUNDS = 40
#: Chance that a healthy network has anything to explain, and share of false elements among many.
ALPHA = 0.01
#: A flow through something bad stands this part of its effect less firmly.
_LOOSER = 0.15
#: Part of what an element explains that nothing else may explain better.
_OWN = 0.5
_KEEPS = 0.8
#: The tail is read from so many flows.
_MANY_FLOWS = 400
#: In the end, when all other elements are known: from so many that do not run through the element in question.
_SOME_FLOWS = 24
#: Flows that stray by no more than this part of the noise are told by it; Student's t with four degrees of freedom has 1.2.
_STRAYS = 1.3
#: What flows that stay inside a rack say nothing of.
_OF_LEAVES = ("leaf", "out", "in", "link")
#: Where a node is slow with a single peer, however often, nobody can tell which of the two is bad.
_LEAST_PEERS = 2
#: Part of the flows between racks that no bad leaf slows.
_LEAST_LEFT = 0.15


@dataclass(frozen=True, slots=True)
class Taken:
    """An element that was accepted: ``family`` is its number, ``group`` its key in it. ``effect`` under its highest load;
    ``suffered`` (j,): of each of its flows."""

    family: int
    group: int
    effect: float
    gain: float
    log_p: float
    flows: Ints
    suffered: Floats


@dataclass(slots=True)
class Explanation:
    """``expected`` (k,): what the elements leave of each flow (ln, 0 is all). ``cost``: how improbable the flows are with them,
    and what the elements cost."""

    taken: list[Taken]
    expected: Floats
    scale: Floats
    cost: float


def explain(
    value: Floats, families: Sequence[Family], noise: FlowNoise, far: Bools | None = None
) -> Explanation:
    """``value`` (k,): ln of each flow against what is usual. ``far`` (k,): flows that may leave a rack, by default all."""
    state = _State(value, families, noise, np.ones(len(value), dtype=bool) if far is None else far)
    for _ in range(_ROUNDS):
        if not state.accept():
            break
    state.settle()
    expected, scale = state.expected(), state.scale()
    misfit = -float(np.sum(noise.log_density(value - expected, scale)))
    return Explanation(state.taken, expected, scale, misfit + len(state.taken) * state.price)


def expected_of(taken: Sequence[Taken], flows: int) -> Floats:
    """What the elements leave of each flow (k,), ln, 0 is all."""
    best = np.zeros(flows)
    for each in taken:
        best[each.flows] = np.minimum(best[each.flows], each.suffered)
    return best


class _State:
    def __init__(self, value: Floats, families: Sequence[Family], noise: FlowNoise, far: Bools) -> None:
        self.value = value
        self.families = families
        self.noise = noise
        self.taken: list[Taken] = []
        self.candidates = sum(family.groups for family in families)
        self.price = float(np.log(max(self.candidates, 1) / ALPHA))
        self._best = np.zeros(len(value))
        self._far = far

    def expected(self, without: Taken | None = None) -> Floats:
        if without is None:
            return self._best
        return expected_of([each for each in self.taken if each is not without], len(self.value))

    def scale(self, expected: Floats | None = None) -> Floats:
        best = self._best if expected is None else expected
        return np.asarray(np.hypot(self.noise.scale, _LOOSER * best))

    def estimates(self, family: Family, expected: Floats, own: Ints | None = None) -> Estimates:
        """``own`` (i,): flows through the only element of the family: how far the others stray is what it is held against."""
        scale = self.scale(expected)
        left = self.value - expected
        # Where something bad limits a flow more than all others would, it says nothing of them.
        tells = ~((expected < 0) & (left > 2 * scale))
        free = expected == 0
        if own is not None:
            free[own] = False
            if family.member in _OF_LEAVES:
                free &= self._far
        return estimate(
            family,
            left,
            scale,
            tells,
            self.noise,
            self._tail(left[free], _MANY_FLOWS if own is None else _SOME_FLOWS),
        )

    def _tail(self, free: Floats, least: int) -> Tail:
        """How far flows stray that nothing explains: where a hash spreads them over links, half may be as they should be and half
        not, and neither is the spread of the whole. A few flows are left to their own spread, as a fault is too much of them."""
        if len(free) < least:
            return Tail()
        kept = np.clip(free, -MOST_STRAY, MOST_STRAY)
        return Tail(min(float(np.mean(kept)), 0.0), float(np.std(kept)))

    def passes(self, family: Family, seen: Estimates, expected: Floats, ease: float = 1.0) -> Bools:
        with np.errstate(invalid="ignore"):
            good = np.asarray(
                (seen.count >= family.least)
                & (seen.effect < -family.floor * ease)
                & (log_chance(seen.z) < ease * -self.price)
                & (seen.gain > ease * self.price)
            )
        if family.peer is not None and np.any(good):
            good &= slow_peers(family, self.value - expected, seen.effect, good) >= _LEAST_PEERS
        return good

    def accept(self) -> bool:
        """Take all elements that explain their flows better than any other does."""
        found: list[tuple[int, Estimates, Ints]] = []
        top = np.zeros(len(self.value))
        mine = {(each.family, each.group) for each in self.taken}
        for number, family in enumerate(self.families):
            seen = self.estimates(family, self._best)
            good = np.flatnonzero(self.passes(family, seen, self._best))
            good = np.array([group for group in good.tolist() if (number, group) not in mine], dtype=np.int64)
            if family.member == "link" and len(good):
                good = good[~self._has_bad_end(family, good)]
            if len(good):
                found.append((number, seen, good))
                gain = np.zeros(family.groups)
                gain[good] = seen.gain[good]
                np.maximum.at(top, family.flow, gain[family.key])
        chosen = []
        for number, seen, good in found:
            family = self.families[number]
            for group in good.tolist():
                flows = flows_of(family, group)
                one = self._taken(number, group, seen, flows)
                slow = self._slow(one)
                if len(slow) and np.mean(top[slow] <= seen.gain[group] * (1 + 1e-9)) >= _OWN:
                    chosen.append(one)
        # Two that explain the same flows equally well: the first, or both would be named.
        chosen.sort(key=lambda each: (-each.gain, each.family, each.group))
        free = np.ones(len(self.value), dtype=bool)
        before = len(self.taken)
        for each in chosen:
            slow = self._slow(each)
            if np.mean(free[slow]) >= _OWN and self._leaves_measure(each):
                free[slow] = False
                self.taken.append(each)
        for each in self.taken[before:]:
            self._best[each.flows] = np.minimum(self._best[each.flows], each.suffered)
        return len(self.taken) > before

    def _has_bad_end(self, family: Family, groups: Ints) -> Bools:
        """Links of a leaf that is bad itself: whatever they suffer is its doing."""
        bad = np.zeros(len(self.value), dtype=bool)
        for each in self.taken:
            if self.families[each.family].member in ("leaf", "out", "in"):
                bad[each.flows] = True
        return np.array([bool(np.mean(bad[flows_of(family, group)]) > _OWN) for group in groups.tolist()])

    def _leaves_measure(self, each: Taken) -> bool:
        """Whether enough flows of other leaves are left to say what is usual: not all can be bad."""
        if self.families[each.family].member not in _OF_LEAVES:
            return True
        after = self._best.copy()
        for one in [*self.taken, each]:
            after[one.flows] = np.minimum(after[one.flows], one.suffered)
        return bool(np.mean(after[self._far] == 0) >= _LEAST_LEFT)

    def _slow(self, each: Taken) -> Ints:
        """Flows that are as an element would have them, rather than as they were without it."""
        left = self.value[each.flows] - self._best[each.flows]
        return np.asarray(each.flows[left < each.suffered / 2], dtype=np.int64)

    def _taken(self, number: int, group: int, seen: Estimates, flows: Ints) -> Taken:
        effect = float(seen.effect[group])
        slack = slack_of(self.families[number], group)
        log_p = float(log_chance(seen.z[group]))
        return Taken(number, group, effect, float(seen.gain[group]), log_p, flows, suffered(effect, slack))

    def _is_chance(self, part: Family, effect: float, expected: Floats) -> bool:
        """Whether so many of its flows may be nearer to the effect than to what is usual without it, seen how many are of
        those that nothing bad slows: that is counted, whatever makes flows stray."""
        from scipy.special import betainc  # loaded where there is something to doubt

        left = self.value - expected
        free = expected == 0
        if part.member in _OF_LEAVES:
            free &= self._far
        own, free[part.flow] = part.flow[free[part.flow]], False
        if np.sum(free) < _SOME_FLOWS or not len(own):
            return False
        if np.std(np.clip(left[free], -MOST_STRAY, MOST_STRAY)) < _STRAYS * self.noise.error:
            return False
        usual = (float(np.sum(left[free] < effect / 2)) + 1) / (float(np.sum(free)) + 2)
        tried, slow = len(own) / part.together, float(np.sum(left[own] < effect / 2)) / part.together
        chance = float(betainc(slow, tried - slow + 1, usual)) if slow else 1.0
        return bool(chance > np.exp(-_KEEPS * self.price - part.choices))

    def settle(self) -> None:
        """Each element once more against all others; those that the others explain are dropped, the weakest first."""
        for each in sorted(self.taken, key=lambda one: one.gain):
            others = self.expected(without=each)
            family = self.families[each.family]
            part = only(family, each.group)
            seen = self.estimates(part, others, each.flows)
            place = self.taken.index(each)
            if self.passes(part, seen, others, _KEEPS)[0] and not self._is_chance(
                part, float(seen.effect[0]), others
            ):
                effect = float(seen.effect[0])
                self.taken[place] = replace(
                    each,
                    effect=effect,
                    gain=float(seen.gain[0]),
                    suffered=suffered(effect, slack_of(family, each.group)),
                )
            else:
                del self.taken[place]
        self._best = self.expected(without=_NOBODY)


_NOBODY = Taken(-1, -1, 0.0, 0.0, 0.0, np.zeros(0, dtype=np.int64), np.zeros(0))
