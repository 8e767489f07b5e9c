"""An empty DIMM slot that the node itself gives away: its sockets are filled alike but for this one.

For nodes without peers only. Machines with several sockets are filled alike on all of them, as their makers ask for
(each socket's channels are interleaved). Where more than one slot differs, or one of few, somebody may have meant it.
"""

from __future__ import annotations

from ahc_agent.order import natural_order
from ahc_server.judge.facts.table import FactTable
from ahc_server.judge.facts.told import Fact

#: Of a socket with so few DIMMs one may be left out on purpose.
_LEAST_FILLED = 4
_SOCKETS = Fact("cpu", "sockets")
_EMPTY = "empty"


def lopsided(table: FactTable, place: int) -> tuple[str, str] | None:
    """The empty slot of one node and its filled counterpart; None where its sockets are filled alike, or it cannot be told."""
    slots = [
        (fact.place, value)
        for column, fact in enumerate(table.facts)
        if fact[:2] == ("memory", "DIMM") and (value := table.value(place, column)) is not None
    ]
    sockets = table.value(place, table.facts.index(_SOCKETS)) if _SOCKETS in table.facts else None
    many = int(sockets) if sockets and sockets.isdecimal() else 0
    if many < 2 or not slots or len(slots) % many:
        return None
    slots.sort(key=lambda slot: natural_order(slot[0]))
    size = len(slots) // many
    blocks = [slots[first : first + size] for first in range(0, len(slots), size)]
    fullest = max(blocks, key=lambda block: sum(value != _EMPTY for _, value in block))
    filled = [value != _EMPTY for _, value in fullest]
    found: list[tuple[str, str]] = []
    for block in blocks:
        for (slot, value), (counterpart, _), wanted in zip(block, fullest, filled, strict=True):
            if value != _EMPTY and not wanted:
                return None
            if value == _EMPTY and wanted:
                found.append((slot, counterpart))
    return found[0] if len(found) == 1 and sum(filled) >= _LEAST_FILLED else None
