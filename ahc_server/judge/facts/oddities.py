"""What a node *is* differently from its peers: parts, firmware, settings. Facts, no measurements.

Where a few nodes differ from what nearly all of their group have, each is told so. Where many differ there is no usual, and
that is one remark about the group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, cast

import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.arrays import Bools
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.facts.drift import Difference, differences, followers, odd_values, phrases
from ahc_server.judge.facts.lopsided import lopsided
from ahc_server.judge.facts.table import Codes, FactTable, same_division
from ahc_server.judge.facts.told import Fact
from ahc_server.judge.model import Component, Finding, Kind

#: Kinds of differences, the most serious first: of several in one component it is the finding's.
_KINDS: tuple[Kind, ...] = ("missing", "config", "extra")
#: A group in which so few nodes differ that they can be named.
_NAMED = 4
#: From so many nodes on there can be a usual, and no more kinds than this are a choice that somebody made.
_LEAST_TELLING, _MOST_KINDS = 3, 6

#: Facts of parts that were replaced by another make: worth knowing, and no fault.
_REPLACED = frozenset({"DIMM model", "DIMM ranks", "DIMM type", "disk model", "card model", "CPU stepping"})

_CHECK = {
    "cpu": "the settings of firmware and operating system",
    "memory": "that every DIMM is seated, and that the firmware has not switched one off",
    "numa": "the NUMA settings of the firmware",
    "disk": "that all its disks are seen and set up alike: power, cables, backplane, controller",
    "network": "negotiated speed, cable, transceiver and switch port, and its settings",
    "firmware": "whether it missed an update",
}
#: A fact that differs → components of which a node lacks measurements because of it.
_LACK: dict[str, tuple[str, ...]] = {
    "threads per core": ("cpu", "memory", "numa"),
    "logical CPUs": ("cpu", "memory", "numa"),
    "logical CPUs online": ("cpu", "memory", "numa"),
    "cores": ("cpu", "memory", "numa"),
    "sockets": ("cpu", "memory", "numa"),
    "number of NUMA nodes": ("memory", "numa"),
    "disk": ("disk",),
    "card": ("network",),
    "drive": ("disk",),
    "link": ("network",),
}


class Odd(NamedTuple):
    """One difference: what is said of it, and the fact that it is about (of several places the first)."""

    text: str
    fact: Fact


@dataclass(slots=True)
class Oddities:
    """Of one group. ``of_node``: row → component → what is different, in its parts. ``kinds``: (row, component) → kind.

    ``explained``: row → component → what is different, of those components of which the node cannot have all measurements
    that its peers have: they are explained and no gap. ``shared``: remarks about the group.
    """

    of_node: dict[int, dict[str, list[Odd]]] = field(default_factory=dict)
    kinds: dict[tuple[int, str], Kind] = field(default_factory=dict)
    explained: dict[int, dict[str, str]] = field(default_factory=dict)
    shared: list[Finding] = field(default_factory=list)

    def causes(self) -> dict[int, dict[str, str]]:
        """Row → component → all that is different, as one text."""
        return {
            row: {part: "; ".join(odd.text for odd in odds) for part, odds in of.items()}
            for row, of in self.of_node.items()
        }

    @property
    def missing(self) -> set[tuple[int, str]]:
        return {at for at, kind in self.kinds.items() if kind == "missing"}


def oddities(table: FactTable, group: str, names: Sequence[str], disks: DiskNames | None = None) -> Oddities:
    """What differs within one group. ``names`` are of the whole fleet, by row."""
    found = Oddities()
    disks = disks or DiskNames()
    for place, odd in differences(table).items():
        row = int(table.rows[place])
        for difference, text in phrases(table, place, odd, partial(disks.own, row)):
            _tell(found, row, difference, text)
    if len(table.rows) < _LEAST_TELLING:
        _tell_lopsided(found, table)
    found.shared = _remarks(table, group, names)
    return found


def _tell_lopsided(found: Oddities, table: FactTable) -> None:
    """Of nodes without peers, unless two have the same slot empty: then it is how they were bought."""
    of_nodes = {int(row): lopsided(table, place) for place, row in enumerate(table.rows)}
    for row, found_slot in of_nodes.items():
        if found_slot is not None and list(of_nodes.values()).count(found_slot) == 1:
            slot, other = found_slot
            text = f"DIMM slot {slot} empty whose counterpart at another socket is filled ({other})"
            _tell(found, row, Difference(Fact("memory", "DIMM", slot), "config", "empty", "", 0, 0), text)


def _tell(found: Oddities, row: int, difference: Difference, text: str) -> None:
    component = difference.fact.component
    found.of_node.setdefault(row, {}).setdefault(component, []).append(Odd(text, difference.fact))
    known = found.kinds.get((row, component), difference.kind)
    found.kinds[row, component] = min(known, difference.kind, key=_KINDS.index)
    for lacking in _LACK.get(difference.fact.name, ()):
        found.explained.setdefault(row, {}).setdefault(lacking, text)


def odd_nodes(
    found: Oddities,
    names: Sequence[str],
    peers: int,
    about: Iterable[Finding],
    causes: Mapping[int, Collection[Fact]] | None = None,
) -> list[Finding]:
    """One finding for each node and component that is different, but for what is told already.

    That is what a finding in ``about`` has in its cause, and the facts that ``causes`` (by row) say are the cause of one.
    """
    told: dict[str, list[str]] = {}
    for each in about:
        if each.cause is not None:
            told.setdefault(each.element, []).append(each.cause)
    findings: list[Finding] = []
    for row, of_node in sorted(found.of_node.items()):
        known = " ".join(told.get(f"node:{names[row]}", ()))
        named = {fact[:2] for fact in (causes or {}).get(row, ())}
        for component, odds in of_node.items():
            new = [odd for odd in odds if odd.text not in known and odd.fact[:2] not in named]
            if new:
                findings.append(_odd(names[row], component, new, peers, found.kinds[row, component]))
    return findings


def _odd(node: str, component: str, odds: Sequence[Odd], peers: int, kind: Kind) -> Finding:
    plain = "; ".join(odd.text.removeprefix("its ") for odd in odds)
    check = f"; check {_CHECK[component]}" if component in _CHECK else ""
    replaced = all(odd.fact.name in _REPLACED for odd in odds)
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component=cast(Component, component),
        kind=kind,
        severity="fail" if kind == "missing" else "info" if replaced else "warn",
        cause="; ".join(odd.text for odd in odds),
        summary=f"{node}{_beside(peers)}: {plain}{'' if replaced else check}",
    )


def _beside(peers: int) -> str:
    if peers < 1:
        return ""
    return " differs from its peer" if peers == 1 else f" differs from its {peers:,} peers"


def _remarks(table: FactTable, group: str, names: Sequence[str]) -> list[Finding]:
    """What is not the same everywhere, though nobody is odd. Facts that divide the group in the same way are one remark."""
    divisions: list[tuple[Codes, list[int]]] = []
    follow = followers(table.facts[column].name for column in table.mixed())
    for column in table.mixed():
        if table.facts[column].name in follow:
            continue
        odd = odd_values(table, column)
        nodes, kinds = int(table.counts(column).sum()), int(np.sum(~odd))
        if nodes < _LEAST_TELLING or not 2 <= kinds <= min(_MOST_KINDS, (nodes + 1) // 2):
            continue
        codes = table.codes[:, column]
        codes = np.where(odd[codes], -1, codes).astype(np.int32)
        for known, columns in divisions:
            if same_division(known, codes):
                columns.append(column)
                break
        else:
            divisions.append((codes, [column]))
    return [_remark(table, columns, group, names) for _, columns in divisions]


def _remark(table: FactTable, columns: Sequence[int], group: str, names: Sequence[str]) -> Finding:
    first = columns[0]
    titles: dict[str, list[str]] = {}
    for column in columns:
        titles.setdefault(table.facts[column].name, []).append(table.facts[column].place)
    told = [
        f"{name} ({wording.listed(sorted(filter(None, places), key=natural_order), most=4)})"
        if any(places)
        else name
        for name, places in titles.items()
    ]
    counts, odd, codes = table.counts(first), odd_values(table, first), table.codes[:, first]
    usual = np.flatnonzero(~odd).tolist()
    kinds = [
        f"{table.values[first][code]} ({_who(table, codes == code, counts[code], names)})" for code in usual
    ]
    also = f", and with it {wording.listed(told[1:], most=3)}," if told[1:] else ""
    return Finding(
        element=f"group:{group}",
        nodes=[names[row] for row in table.rows[codes >= 0]],
        component=cast(Component, table.facts[first].component),
        kind="config",
        severity="info",
        summary=f"{group}: {told[0]}{also} is not the same everywhere: {wording.listed(kinds, most=4)}",
    )


def _who(table: FactTable, having: Bools, many: int, names: Sequence[str]) -> str:
    """How many nodes; which, where they are few among many."""
    text = wording.nodes_word(int(many))
    if many <= _NAMED and 3 * many <= len(table.rows):
        return f"{text}: {', '.join(names[row] for row in table.rows[having])}"
    return text
