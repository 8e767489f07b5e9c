"""Facts of machines that their peers should share, and who has which: a table of nodes and facts for each group.

A fact is what a machine is, as a short text: its BIOS, what is in a DIMM slot, the write cache of a disk. What names
one machine (serials, addresses, host names) and what changes by itself (counters, temperatures) is no fact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ahc_agent.facts import Inventory
from ahc_server.judge.arrays import Ints
from ahc_server.judge.disks import DiskNames, match_disks
from ahc_server.judge.facts import devices, extras, machine
from ahc_server.judge.facts.told import Alike, Fact

Codes = NDArray[np.int32]

_SECTIONS = (*machine.SECTIONS, *devices.SECTIONS)


@dataclass(frozen=True)
class FactTable:
    """The facts of one group's n nodes.

    ``rows`` (n,): rows of the fleet, ascending. ``codes`` (n, facts): which of the fact's ``values`` a node has; 0 is the
    commonest (of equally common ones the one whose text sorts first), −1 where the machine does not tell.
    ``absent``: the facts of parts, and the text that says "there is none".
    """

    rows: Ints
    facts: list[Fact]
    codes: Codes
    values: list[list[str]]
    absent: dict[Fact, str] = field(default_factory=dict)

    def value(self, place: int, column: int) -> str | None:
        """The text of a fact of the node at a place (not row) of the table."""
        code = int(self.codes[place, column])
        return self.values[column][code] if code >= 0 else None

    def places(self, rows: Collection[int]) -> Ints:
        """Where rows of the fleet stand in the table; those that are not in it are left out."""
        wanted = np.sort(np.fromiter(rows, dtype=np.int64, count=len(rows)))
        found = np.searchsorted(self.rows, wanted)
        there = found < len(self.rows)
        there[there] = self.rows[found[there]] == wanted[there]
        return found[there]

    @cached_property
    def everybody(self) -> list[Ints]:
        """``counts`` of all nodes, for each fact: asked for again and again where many nodes are sick."""
        return [self.counts(column) for column in range(len(self.facts))]

    def counts(self, column: int, places: Ints | None = None) -> Ints:
        """How many nodes have each value of a fact: of all, or of those at some places."""
        codes = self.codes[:, column] if places is None else self.codes[places, column]
        return np.bincount(codes[codes >= 0], minlength=len(self.values[column]))

    def mixed(self) -> list[int]:
        """Columns of the facts of which nodes have different values."""
        return [column for column, values in enumerate(self.values) if len(values) > 1]

    def batches(self, least_nodes: int = 3, least_part: float = 0.12) -> list[tuple[Fact, Codes]]:
        """Legitimate parts of the group: facts of which at least two values have so many nodes each.

        Their codes (n,): −1 for nodes with a rarer value, or that do not tell. Facts that divide the group in the same
        way are told once, by the first of them; the others tell of nodes that lack it, as their first disk is gone.
        """
        least = max(least_nodes, least_part * len(self.rows))
        found: list[tuple[Fact, Codes]] = []
        for column in self.mixed():
            large = self.counts(column) >= least
            if np.sum(large) < 2:
                continue
            codes = self.codes[:, column]
            codes = np.where((codes >= 0) & large[codes], codes, -1).astype(np.int32)
            alike = next((n for n, (_, other) in enumerate(found) if same_division(codes, other)), None)
            if alike is None:
                found.append((self.facts[column], codes))
            else:
                fact, known = found[alike]
                found[alike] = fact, _completed(known, codes)
        return found


def _completed(known: Codes, other: Codes) -> Codes:
    """Codes of one fact, those that are lacking by another fact that divides the nodes alike."""
    both = (known >= 0) & (other >= 0)
    same = np.full(int(other.max(initial=0)) + 1, -1, dtype=np.int32)
    same[other[both]] = known[both]
    return np.where((known < 0) & (other >= 0), same[other], known).astype(np.int32)


def same_division(one: Codes, other: Codes) -> bool:
    """Whether two facts divide the nodes alike, those left out that tell only one of them: a slot that is empty has no model."""
    both = (one >= 0) & (other >= 0)
    if 2 * np.sum(both) < len(one):
        return False
    return bool(np.array_equal(partition(one[both]), partition(other[both])))


def partition(codes: Codes) -> Codes:
    """Codes renumbered in the order of their first appearance: equal where nodes are divided alike. −1 stays."""
    values, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.where(values < 0, -1, first)
    ranks = np.searchsorted(np.sort(order[order >= 0]), order)
    return np.where(order < 0, -1, ranks)[inverse].astype(np.int32)


def facts_of(inventory: Inventory) -> dict[Fact, str]:
    """Every fact of one machine; disks and cards under their own names."""
    alike = Alike()
    found: dict[Fact, str] = {}
    for section in _SECTIONS:
        signature = section.read(inventory, _itself)
        if signature is not None:
            found |= section.facts(signature, alike)
    return dict(sorted((found | extras.facts_of(inventory)).items()))


def table(
    rows: Sequence[int] | Ints, inventories: Sequence[Inventory | None], disks: DiskNames | None = None
) -> FactTable:
    """The facts of the nodes at ``rows`` of a fleet.

    ``disks``: which disk of one node is which of another's, matched here where it is not given. Machines whose parts are equal
    are read once, so the time grows with the number of nodes and not with the length of what they tell.
    """
    members = np.sort(np.asarray(rows, dtype=np.int64))
    known = {place: each for place, row in enumerate(members) if (each := inventories[int(row)]) is not None}
    if disks is None:
        disks = match_disks(inventories, [members])
    alike = Alike.of(list(known.values()))
    columns: dict[Fact, tuple[Codes, list[str]]] = {}
    absent: dict[Fact, str] = {}
    for section in _SECTIONS:
        numbers: dict[object, int] = {}
        kind = np.full(len(members), -1, dtype=np.int32)
        for place, inventory in known.items():
            signature = section.read(inventory, disks.of(int(members[place])))
            if signature is not None:
                kind[place] = numbers.setdefault(signature, len(numbers))
        found = [section.facts(signature, alike) for signature in numbers]
        columns |= _columns(kind, found, section.absent, absent)
    columns |= extras.columns(len(members), {p: i.extra_facts() for p, i in known.items()})
    facts = sorted(columns)
    absent |= {fact: extras.NO_DRIVE for fact in facts if fact.name == extras.DRIVE}
    codes = np.empty((len(members), len(facts)), dtype=np.int32)
    values: list[list[str]] = []
    for number, fact in enumerate(facts):
        codes[:, number], texts = by_frequency(*columns[fact])
        values.append(texts)
    return FactTable(members, facts, codes, values, absent)


def by_frequency(codes: Codes, texts: list[str]) -> tuple[Codes, list[str]]:
    """Renumber values: the commonest is 0, equally common ones by their text."""
    if len(texts) == 1:
        return codes, texts
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    order = sorted(range(len(texts)), key=lambda code: (-counts[code], texts[code]))
    ranks = np.full(len(texts) + 1, -1, dtype=np.int32)
    ranks[order] = np.arange(len(order))
    return ranks[codes], [texts[code] for code in order]


def _columns(
    kind: Codes, found: list[dict[Fact, str]], fillers: dict[str, str], absent: dict[Fact, str]
) -> dict[Fact, tuple[Codes, list[str]]]:
    """Fact → codes and texts, of one section. ``kind`` (n,): which of ``found`` a node has."""
    columns: dict[Fact, tuple[Codes, list[str]]] = {}
    for fact in dict.fromkeys(fact for each in found for fact in each):
        filler = fillers.get(fact.name)
        if filler is not None:
            absent[fact] = filler
        texts: dict[str, int] = {}
        of_kind = np.full(len(found) + 1, -1, dtype=np.int32)
        for number, each in enumerate(found):
            text = each.get(fact, filler)
            if text is not None:
                of_kind[number] = texts.setdefault(text, len(texts))
        columns[fact] = (of_kind[kind], list(texts))
    return columns


def _itself(name: str) -> str:
    return name
