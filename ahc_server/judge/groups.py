"""Group nodes whose hardware makes them comparable.

Nodes with equal facts belong together. A few nodes whose facts are nearly those of a larger group belong to that group, and
what is odd about them is a finding there: a node with half its memory missing has to be seen beside its peers, and
not in a group of its own where nobody is different.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Ints
from ahc_server.judge.hardware import Hardware

#: What each fact (system, CPU, memory, disks, network cards) counts when two kinds of hardware are compared, and how
#: much may differ between a few nodes and the group that takes them in: the platform or the CPU, or two of the rest.
_WEIGHTS = (2, 2, 1, 1, 1)
_MOST_DIFFERENT = 2
#: Equal nodes of this number, and of this part of the group beside them, are a group of their own right.
_ENOUGH_NODES = 3
_ENOUGH_PART = 0.10


@dataclass(frozen=True, slots=True)
class Grouping:
    """Rows of each group, the largest group first; ``usual`` are the commonest facts of each group.

    ``alone``: rows of which nothing is known that they could be compared by.
    """

    groups: list[Ints]
    usual: list[Hardware]
    alone: Ints


def group_nodes(hardware: Sequence[Hardware]) -> Grouping:
    """Group the nodes of a fleet; rows are positions in ``hardware``. The order of nodes makes no difference."""
    kinds: dict[Hardware, list[int]] = {}
    for row, each in enumerate(hardware):
        kinds.setdefault(each, []).append(row)
    unknown = kinds.pop(Hardware(), [])
    ordered = sorted(kinds, key=lambda kind: (-len(kinds[kind]), *(fact or "" for fact in kind.facts())))
    host_of = _hosts(ordered, [len(kinds[kind]) for kind in ordered])
    joined: dict[int, list[int]] = {}
    for number, kind in enumerate(ordered):
        joined.setdefault(host_of[number], []).extend(kinds[kind])
    if len(joined) <= 1:
        # With one kind of hardware in the fleet, a node that could not be inventoried is most likely of it too; with no
        # inventory at all (results of others, a plan without it) there is nothing to separate the nodes by.
        joined.setdefault(0, []).extend(unknown)
        unknown = []
    joined = {number: rows for number, rows in joined.items() if rows}
    by_size = sorted(joined, key=lambda number: (-len(joined[number]), number))
    groups = [np.array(sorted(joined[number]), dtype=np.int64) for number in by_size]
    return Grouping(
        groups=groups,
        usual=[_usual([hardware[row] for row in group]) for group in groups],
        alone=np.array(unknown, dtype=np.int64),
    )


def _hosts(ordered: list[Hardware], sizes: list[int]) -> list[int]:
    """For each kind of hardware (largest first) the kind whose group it joins: itself, or a larger one much like it."""
    if not ordered:
        return []
    codes = np.zeros((len(ordered), len(_WEIGHTS)), dtype=np.int64)
    for position in range(len(_WEIGHTS)):
        numbers: dict[str, int] = {}
        for number, kind in enumerate(ordered):
            fact = kind.facts()[position]
            codes[number, position] = 0 if fact is None else numbers.setdefault(fact, len(numbers) + 1)
    weights = np.array(_WEIGHTS)
    hosts: list[int] = []
    standing: list[int] = []
    for number, size in enumerate(sizes):
        candidates = np.array(standing, dtype=np.int64)
        mine, theirs = codes[number], codes[candidates]
        different = ((mine != theirs) & (mine != 0) & (theirs != 0)) @ weights
        large = np.array(sizes, dtype=np.int64)[candidates]
        near = (different <= _MOST_DIFFERENT) & ((size < _ENOUGH_NODES) | (size <= _ENOUGH_PART * large))
        near |= different == 0
        if np.any(near):
            hosts.append(int(candidates[np.argmin(np.where(near, different, np.inf))]))
        else:
            hosts.append(number)
            standing.append(number)
    return hosts


def _usual(members: list[Hardware]) -> Hardware:
    """The commonest value of each fact; equally common ones are settled by their text."""

    def commonest(facts: list[str | None]) -> str | None:
        counted = Counter(fact for fact in facts if fact is not None)
        return max(counted, key=lambda fact: (counted[fact], fact)) if counted else None

    return Hardware(*(commonest([member.facts()[each] for member in members]) for each in range(5)))
