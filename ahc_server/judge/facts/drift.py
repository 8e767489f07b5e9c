"""Which facts of a node have drifted away from those of its peers, by how rare they are.

What a few have while nearly all others agree is drift. What many have is a batch: a second delivery, half a fleet updated.
Legitimate batches cover an eighth of a group and more, drift a twentieth and less; the limit lies between them.
Parts that are gone are told of more nodes, and in smaller groups: nobody buys machines with an empty slot among full ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.arrays import Bools, Ints
from ahc_server.judge.facts.table import FactTable
from ahc_server.judge.facts.told import Fact

#: The part of a group that may have drifted, and that may lack a part.
_RARE, _RARE_LACK = 0.07, 0.15
#: Two nodes are drift in groups from this size on: nobody buys two of twenty machines apart.
_LEAST_FOR_TWO = 20
#: In smaller groups a setting of one node may as well be one of many.
_LEAST_NODES, _LEAST_NODES_LACK = 5, 3
#: Nodes with rare values, of any kind, together: where there are more of them, the fact is none that anybody keeps alike.
_MOST_RARE = 0.3
#: The part of a large group that has the commonest value (there may be batches), and which group is large.
_LEAST_AGREEING, _LARGE = 0.3, 12

#: Facts of which less is a part that is gone.
_COUNTED = frozenset({"sockets", "cores", "number", "count (disk)", "memory size", "usable memory"})
#: Parts that are a fact of their own for each place.
_PARTS = ("disk", "drive", "card")

#: Facts whose place is a kind of device.
_OF_DEVICES = frozenset({"number", "PCIe link"})

_MEMORY = Fact("memory", "memory size")

#: A fact → those that follow from it, by name: of one cause one is told.
_OF_CORES = ("logical CPUs", "logical CPUs online")
_FOLLOW: dict[str, frozenset[str]] = {
    "product": frozenset({"vendor", "board", "BIOS", "BMC firmware"}),
    "CPU model": frozenset(
        {
            "CPU stepping",
            "microcode",
            "highest frequency",
            "lowest frequency",
            "mitigation",
            "cores",
            *_OF_CORES,
        }
    ),
    "sockets": frozenset(
        {
            "cores",
            *_OF_CORES,
            "number of NUMA nodes",
            "distances",
            "memory",
            "DIMM",
            "memory size",
            "usable memory",
        }
    ),
    "cores": frozenset(_OF_CORES),
    "threads per core": frozenset({*_OF_CORES, "mitigation"}),
    "logical CPUs": frozenset({"logical CPUs online"}),
    "kernel": frozenset({"mitigation", "frequency driver"}),
    "DIMM": frozenset({"memory size", "usable memory", "memory"}),
    "DIMM model": frozenset({"DIMM speed", "rated DIMM speed", "DIMM ranks", "DIMM type"}),
    "memory size": frozenset({"memory"}),
    "usable memory": frozenset({"memory"}),
    "disk": frozenset({"number", "PCIe link", "count (disk)"}),
    "drive": frozenset({"count (disk)"}),
    "card": frozenset({"number", "PCIe link"}),
    "number": frozenset({"PCIe link"}),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact of one node beside its peers': ``have`` of ``peers`` that tell it have ``theirs`` (or, of a part, have any)."""

    fact: Fact
    kind: Literal["config", "missing", "extra"]
    mine: str
    theirs: str
    have: int
    peers: int


def differences(table: FactTable) -> dict[int, list[Difference]]:
    """Place in the table → what is odd about the node there; of what follows from one another only the first."""
    found: dict[int, list[Difference]] = defaultdict(list)
    for column in table.mixed():
        for code in np.flatnonzero(odd_values(table, column)).tolist():
            for place in np.flatnonzero(table.codes[:, column] == code).tolist():
                found[place].append(difference(table, column, place))
    for place in _with_all_memory(table, found):
        # It is not gone, but sits in another slot.
        found[place] = [
            replace(each, kind="config") if (each.fact.name, each.kind) == ("DIMM", "missing") else each
            for each in found[place]
        ]
    return {place: _first_causes(found[place]) for place in sorted(found)}


def _with_all_memory(table: FactTable, places: Iterable[int]) -> set[int]:
    """Which of these nodes have as much memory in DIMMs as most of their peers."""
    if _MEMORY not in table.facts:
        return set()
    column = table.facts.index(_MEMORY)
    return {place for place in places if table.codes[place, column] == 0}


def odd_values(table: FactTable, column: int) -> Bools:
    """Which values of a fact are drift, by code."""
    counts = table.counts(column)
    nodes = int(counts.sum())
    codes = np.arange(len(counts))
    none = _code_of_none(table, column)
    if none is None:
        lonely = nodes >= _LEAST_NODES_LACK and counts[0] == nodes - 1
        lacks = lonely and is_less(table.facts[column], *table.values[column])
        return np.asarray(_rare(counts, nodes) | ((codes == 1) & lacks), dtype=bool)
    rare = _rare(counts, nodes) & (codes != none)
    # In the smallest groups the others must agree in what they have there.
    told = nodes >= _LEAST_NODES or (nodes >= _LEAST_NODES_LACK and len(counts) == 2)
    lacks = told and bool(counts[none] <= max(1, _RARE_LACK * nodes))
    return np.asarray(rare | ((codes == none) & lacks), dtype=bool)


def _rare(counts: Ints, nodes: int) -> Bools:
    rare = counts <= max(2 if nodes >= _LEAST_FOR_TWO else 1, _RARE * nodes)
    agree = counts[0] >= _LEAST_AGREEING * nodes if nodes >= _LARGE else 2 * counts[0] > nodes
    if nodes < _LEAST_NODES or not agree or int(counts[rare].sum()) > max(1, _MOST_RARE * nodes):
        return np.zeros(len(counts), dtype=bool)
    return np.asarray(rare & (np.arange(len(counts)) != 0), dtype=bool)


def is_less(fact: Fact, common: str, mine: str, *_: str) -> bool:
    """Whether a node has fewer of what is counted, or less memory."""
    if fact.name not in _COUNTED:
        return False
    many, few = _amount(common), _amount(mine)
    return many is not None and few is not None and few < many


def _amount(text: str) -> float | None:
    """The number in "8", and the GiB in "512 MiB"."""
    number, _, unit = text.partition(" ")
    try:
        return float(number) / (1024 if unit == "MiB" else 1)
    except ValueError:
        return None


def difference(table: FactTable, column: int, place: int) -> Difference:
    """The difference between a node and the commonest value of its peers (of a part: the commonest but "none")."""
    counts = table.counts(column)
    fact, values = table.facts[column], table.values[column]
    code, peers = int(table.codes[place, column]), int(counts.sum()) - 1
    none = _code_of_none(table, column)
    if none is not None and code == none:
        theirs = next(values[each] for each in range(len(values)) if each != none)
        return Difference(fact, "missing", values[code], theirs, peers + 1 - int(counts[none]), peers)
    common = 1 if code == 0 else 0
    if none is not None and none == common:
        return Difference(fact, "extra", values[code], values[none], int(counts[none]), peers)
    kind: Literal["config", "missing"] = (
        "missing" if is_less(fact, values[common], values[code]) else "config"
    )
    return Difference(fact, kind, values[code], values[common], int(counts[common]), peers)


def _code_of_none(table: FactTable, column: int) -> int | None:
    text = table.absent.get(table.facts[column])
    return table.values[column].index(text) if text in table.values[column] else None


def _first_causes(found: list[Difference]) -> list[Difference]:
    """Without what follows from another one."""
    follow = followers(each.fact.name for each in found)
    return [each for each in found if each.fact.name not in follow]


def followers(names: Iterable[str]) -> frozenset[str]:
    """Names of facts that follow from some of these."""
    return frozenset().union(*(_FOLLOW.get(name, frozenset()) for name in set(names)))


def phrases(
    table: FactTable,
    place: int,
    found: Iterable[Difference],
    own: Callable[[str], str] = str,
) -> list[tuple[Difference, str]]:
    """What is said of one node's differences, equal ones of several places (slots, disks, cards) as one.

    ``own``: the place of a disk → the node's own name of it.
    """
    alike: dict[tuple[str, ...], list[Difference]] = defaultdict(list)
    for each in found:
        alike[each.fact.component, each.fact.name, each.kind, each.mine, each.theirs].append(each)
    return [(several[0], _phrase(table, place, several, own)) for several in alike.values()]


def _phrase(table: FactTable, place: int, several: Sequence[Difference], own: Callable[[str], str]) -> str:
    first = several[0]
    name = first.fact.name
    have = min(each.have for each in several)
    places = sorted((each.fact.place for each in several), key=natural_order)
    if first.fact.component == "disk" or name.endswith(" disks"):
        places = [own(each) for each in places]
    where = wording.listed(places)
    who = "its peers" if have == first.peers else f"{have:,} of its {first.peers:,} peers"
    if name == "DIMM" and first.mine == table.absent.get(first.fact):
        slots = f"{len(several):,} DIMM slot{'s' if len(several) > 1 else ''}"
        return f"{slots} empty that {have:,} of {first.peers:,} peers fill ({where})" + _memory(table, place)
    if name in _PARTS and first.kind == "missing":
        plural = "s" if len(several) > 1 else ""
        return f"no {name}{plural} {where} ({first.theirs}) that {have:,} of {first.peers:,} peers have"
    if first.kind == "extra":
        return f"{name} {where} ({first.mine}) that {have:,} of {first.peers:,} peers do not have"
    title = name if not where or _everywhere(table, place, several) else f"{name} ({where})"
    if name in _OF_DEVICES:
        title = f"{name} of {where}"
    return f"its {title}: {first.mine}, where {who} have {first.theirs}"


def _memory(table: FactTable, place: int) -> str:
    """ "; 112 GiB where they have 128 GiB"."""
    column = table.facts.index(_MEMORY)
    mine, usual = table.value(place, column), table.values[column][0]
    return f"; {mine} where they have {usual}" if mine not in (None, usual) else ""


def _everywhere(table: FactTable, place: int, several: Sequence[Difference]) -> bool:
    """Whether all places of which the node tells this fact differ in the same way."""
    fact = several[0].fact
    told = [c for c, each in enumerate(table.facts) if each[:2] == fact[:2] and table.codes[place, c] >= 0]
    return len(told) == len(several)
