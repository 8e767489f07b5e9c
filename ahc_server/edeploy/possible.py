"""Whether lines of a specification could all find lines of their own at all, in whatever order they are tried.

Asked where the package's way of trying takes too long: what is impossible it cannot find either. Lines that share neither a
variable nor a candidate are looked at apart, so two cards that do not agree need not wait for all orders of ten disks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ahc_server.edeploy.functions import Word

MOST_STEPS = 20_000
_MOST_LINES = 200

#: Of one line of a specification: line of the machine → the variables that it binds.
Choices = dict[int, tuple[tuple[str, Word], ...]]


def impossible(asked: Sequence[Choices]) -> bool:
    """True where it is certain that there is no way; False where there is one, or it cannot be told in bounded time."""
    return any(_Part(part).none() for part in _apart(asked))


def _apart(asked: Sequence[Choices]) -> Iterable[list[Choices]]:
    """Lines that are connected by a variable or by a candidate, in their order."""
    parent = list(range(len(asked)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = at = parent[parent[at]]
        return at

    seen: dict[object, int] = {}
    for at, choices in enumerate(asked):
        for number, binds in choices.items():
            for mark in (number, *(name for name, _ in binds)):
                parent[root(at)] = root(seen.setdefault(mark, at))
    parts: dict[int, list[Choices]] = {}
    for at, choices in enumerate(asked):
        parts.setdefault(root(at), []).append(choices)
    return parts.values()


class _Part:
    def __init__(self, asked: list[Choices]) -> None:
        self._asked = asked
        self._left = MOST_STEPS

    def none(self) -> bool:
        return len(self._asked) <= _MOST_LINES and not self._some(0, frozenset(), {})

    def _some(self, at: int, taken: frozenset[int], bound: dict[str, Word]) -> bool:
        """Whether there is a way from line ``at`` on; also where there are no steps left."""
        if at == len(self._asked):
            return True
        for number, binds in self._asked[at].items():
            self._left -= 1
            if self._left < 0:
                return True
            if number in taken or any(name in bound and bound[name] != word for name, word in binds):
                continue
            if self._some(at + 1, taken | {number}, {**bound, **dict(binds)}):
                return True
        return False
