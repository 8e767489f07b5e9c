"""Which entry of a ``.cmdb`` a machine gets, as ``hardware.cmdb.update_cmdb`` has it.

First an entry that already says what the machine's variables say (of those written ``$$`` only these count): so a machine
gets its own entry again. Else the first one without the mark ``used``; where there are ``$$`` variables, none. The
entry then holds the variables and the mark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ahc_agent.errors import CannotAnswer
from ahc_server.edeploy.files import Entry
from ahc_server.edeploy.matcher import Match


class NoEntry(CannotAnswer):
    """The machine fits, but nothing can be handed out to it."""


@dataclass(frozen=True, slots=True)
class Given:
    """``number`` of the entry, from 0; ``entry`` as it is to be kept, its variables first. ``again``: it had been given."""

    number: int
    entry: Entry
    again: bool


def give(entries: list[Entry], match: Match, *, as_text: bool = False) -> Given:
    """The entry for a machine; ``entries`` stays as it is. Raises NoEntry.

    ``as_text``: ``2`` and ``'2'`` are the same (the store keeps no types of a machine's words).
    """
    same = _same_text if as_text else _same
    sought = match.preferred or match.bound
    number = next((at for at, entry in enumerate(entries) if _includes(entry, sought, same)), None)
    if number is None and match.preferred:
        wanted = ", ".join(f"{name} {value}" for name, value in list(match.preferred.items())[:4])
        raise NoEntry(f"no entry has {wanted}")
    if number is None:
        number = next((at for at, entry in enumerate(entries) if "used" not in entry), None)
    if number is None:
        raise NoEntry(f"all {len(entries):,} entries are used")
    entry = entries[number]
    kept = {**match.bound, **{name: value for name, value in entry.items() if name not in match.bound}}
    kept["used"] = 1
    return Given(number, kept, again="used" in entry)


def _includes(entry: Entry, sought: dict[str, Any], same: Callable[[Any, Any], bool]) -> bool:
    return all(name in entry and same(entry[name], value) for name, value in sought.items())


def _same(left: Any, right: Any) -> bool:
    return bool(left == right)


def _same_text(left: Any, right: Any) -> bool:
    return bool(left == right or str(left) == str(right))
