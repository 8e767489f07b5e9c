"""One specification and one machine: the same answer as ``hardware.matcher.match_all``, in bounded time.

What that package does: line after line of the specification takes the first line of the machine that fits and is not taken
(one that is literally the same goes first). Where a line of the specification finds none, the last line that bound a new
variable goes to the end of the machine's lines, and all is tried again from there, up to 50 times within each other.

That can take forever. Two things are cheaper here and change no answer: a specification with a line that nothing fits is
answered at once; and a try is not repeated that failed before, where only lines stand in another order that do not compete.
Where that is still too long, ``possible`` tells whether there is a way at all; if there may be one, the answer is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter

from ahc_server.edeploy.functions import Refused, Word
from ahc_server.edeploy.possible import Choices, impossible
from ahc_server.edeploy.spec import Candidate, Line, Spec

MOST_LEVELS = 50
MOST_STEPS = 50_000

Bound = dict[str, Word]


class Machine:
    """A machine's lines, found by their words."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines
        self._by: dict[tuple[int, ...], dict[object, list[int]]] = {}
        self._all = list(range(len(lines)))

    def having(self, fixed: tuple[int, ...], words: Sequence[str]) -> list[int]:
        """Numbers of the lines that have these words in these places."""
        if not fixed:
            return self._all
        key = _key(fixed)
        table = self._by.get(fixed)
        if table is None:
            table = self._by[fixed] = {}
            for number, found in enumerate(map(key, self.lines)):
                if found in table:
                    table[found].append(number)
                else:
                    table[found] = [number]
        return table.get(key(words), [])


@lru_cache(maxsize=16)
def _key(fixed: tuple[int, ...]) -> Callable[[Sequence[Word]], object]:
    return itemgetter(*fixed)


@dataclass(frozen=True, slots=True)
class Match:
    """The answer. ``bound``: variable without its ``$`` → word. ``preferred``: of these those that were written ``$$``.

    Where it is a no, ``failed`` is the number of the line of the specification that was the last to find none, and ``alone``
    says that nothing on the machine fits it, whatever the others take.
    """

    fits: bool
    bound: Bound = field(default_factory=dict)
    preferred: Bound = field(default_factory=dict)
    failed: int | None = None
    alone: bool = False


def match(specs: Sequence[Spec], machine: Machine) -> Match:
    """Whether a machine fits a specification. Raises Refused where that cannot be told."""
    asked: list[_Asked] = []
    sound = True
    for number, spec in enumerate(specs):
        one = _ask(spec, machine)
        if not one.same and not one.loose:
            if sound:
                return Match(False, failed=number, alone=True)
            asked.append(one)
            break
        sound = sound and one.sound
        asked.append(one)
    search = _Search(asked)
    bound: Bound = {}
    preferred: Bound = {}
    try:
        if search.run(0, search.orders, bound, preferred, 0):
            return Match(True, bound, preferred)
    except _TooLong:
        if not impossible([one.choices for one in asked]):
            raise
    furthest = search.furthest
    return Match(False, failed=furthest, alone=not asked[furthest].same and not asked[furthest].loose)


class _TooLong(Refused):
    """The search was given up."""


@dataclass(slots=True)
class _Asked:
    """A line of the specification: the machine's lines that are the same, and those that fit by themselves."""

    same: frozenset[int]
    loose: dict[int, Candidate]
    rivals: int = -1

    @property
    def choices(self) -> Choices:
        return {number: each.binds for number, each in self.loose.items()} | dict.fromkeys(self.same, ())

    @property
    def sound(self) -> bool:
        return all(each.error is None for each in self.loose.values())


_ALL = (0, 1, 2, 3)


def _ask(spec: Spec, machine: Machine) -> _Asked:
    if spec.fixed == _ALL:
        same = machine.having(_ALL, spec.words)
        return _Asked(frozenset(same), {})
    loose: dict[int, Candidate] = {}
    for number in machine.having(spec.fixed, spec.words):
        found = spec.candidate(number, machine.lines[number])
        if found is not None:
            loose[number] = found
    return _Asked(frozenset(machine.having(_ALL, spec.words)), loose)


class _Search:
    """Lines that can take each other's place are rivals; of the order of the machine's lines only that within each group of
    rivals matters, and only it is kept."""

    def __init__(self, asked: list[_Asked]) -> None:
        self.asked = asked
        self.orders = _rivals(asked)
        self.furthest = 0
        self._steps = MOST_STEPS
        #: Where a try failed: place, bound variables, orders → the least depth of it.
        self._failed: dict[tuple[object, ...], int] = {}

    def run(
        self, start: int, orders: tuple[tuple[int, ...], ...], bound: Bound, preferred: Bound, level: int
    ) -> bool:
        """Fill ``bound`` and ``preferred``; as ``match_all``."""
        if level == MOST_LEVELS:
            return False
        key = (start, orders, tuple(bound.items()))
        before = self._failed.get(key)
        if before is not None and before <= level:
            return False
        earlier = dict(bound)
        points: list[tuple[int, tuple[tuple[int, ...], ...], Bound]] = []
        at = start
        while at < len(self.asked):
            group = self.asked[at].rivals
            taken = self._take(self.asked[at], orders, bound)
            if taken is None:
                self.furthest = max(self.furthest, at)
                while points:
                    at, orders, retried = points.pop()
                    if self.run(at, orders, retried, preferred, level + 1):
                        bound.update(retried)
                        return True
                self._failed[key] = level
                return False
            rest = tuple([number for number in orders[group] if number != taken])
            orders = (*orders[:group], rest, *orders[group + 1 :])
            if len(bound) != len(earlier):
                last = (*orders[:group], (*rest, taken), *orders[group + 1 :])
                points.append((at, last, earlier))
                earlier = dict(bound)
            at += 1
        for name in [name for name in bound if name.startswith("$")]:
            bound[name[1:]] = preferred[name[1:]] = bound.pop(name)
        return True

    def _take(self, asked: _Asked, orders: tuple[tuple[int, ...], ...], bound: Bound) -> int | None:
        """The first line that fits; its variables are bound."""
        if asked.rivals < 0:
            return None
        order = orders[asked.rivals]
        self._steps -= 1 + len(order) // 8
        if self._steps < 0:
            raise _TooLong(f"more than {MOST_STEPS:,} steps: too many lines fit too many others")
        for number in order:
            if number in asked.same:
                return number
        for number in order:
            candidate = asked.loose.get(number)
            if candidate is None or any(
                name in bound and bound[name] != word for name, word in candidate.binds
            ):
                continue
            if candidate.error is not None:
                raise candidate.error
            bound.update(candidate.binds)
            return number
        return None


def _rivals(asked: list[_Asked]) -> tuple[tuple[int, ...], ...]:
    """Groups of lines that no line of the specification asks for together with others; sets ``rivals`` of each."""
    parent: dict[int, int] = {}

    def root(number: int) -> int:
        while parent.setdefault(number, number) != number:
            parent[number] = number = parent[parent[number]]
        return number

    for each in asked:
        numbers = [*each.same, *each.loose]
        for number in numbers:
            parent[root(number)] = root(numbers[0])
    groups: dict[int, list[int]] = {}
    for number in sorted(parent):
        groups.setdefault(root(number), []).append(number)
    place = {top: at for at, top in enumerate(groups)}
    for each in asked:
        first = next(iter(each.same), next(iter(each.loose), None))
        each.rivals = -1 if first is None else place[root(first)]
    return tuple(tuple(numbers) for numbers in groups.values())
