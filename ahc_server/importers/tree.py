"""Rows as a tree from which the facts that we know are taken; what is left over is kept under its own name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ahc_server.importers.model import Row
from ahc_server.importers.values import printable, text_of

#: The machines of a fleet tell the same of themselves, but for serial numbers.
_text_of = lru_cache(maxsize=8192)(text_of)


class Tree:
    """kind → part → item → text. Taking an item removes it; ``rest`` tells what nobody took."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._kinds: dict[str, dict[str, dict[str, str]]] = {}
        self._repeats: dict[tuple[str, str, str], int] = {}
        for kind, part, item, value in rows:
            word = _text_of(value)
            if word is not None:
                self.keep(kind, part, item, word)

    def keep(self, kind: str, part: str, item: str, word: str) -> None:
        """Put in, or back. A second value of one item ("id" of a disk) is "id#2"; the same one twice is one."""
        items = self._kinds.setdefault(kind, {}).setdefault(part, {})
        if items.setdefault(item, word) != word:
            number = self._repeats.get((kind, part, item), 1) + 1
            self._repeats[kind, part, item] = number
            items[f"{item}#{number}"] = word

    def parts(self, kind: str) -> list[str]:
        return list(self._kinds.get(kind, ()))

    def take(self, kind: str, part: str, item: str) -> str | None:
        items = self._kinds.get(kind, {}).get(part)
        return None if items is None else items.pop(item, None)

    def take_all(self, kind: str, part: str, item: str) -> list[str]:
        """The item and its repeats."""
        items = self._kinds.get(kind, {}).get(part, {})
        names = [name for name in items if name == item or name.startswith(f"{item}#")]
        return [items.pop(name) for name in names]

    def items(self, kind: str, part: str) -> list[str]:
        """Names of what was not taken yet."""
        return list(self._kinds.get(kind, {}).get(part, ()))

    def rest(self) -> dict[str, str]:
        """What nobody took: "kind/part/item" → text."""
        return {
            printable(f"{kind}/{part}/{item}")[:256]: word
            for kind, parts in self._kinds.items()
            for part, items in parts.items()
            for item, word in items.items()
        }


def rows_of(data: Any) -> list[Row] | None:
    """Rows from JSON: ``hardware-detect``'s list of lists, or the same grouped (kind → part → item → value). None: neither."""
    if isinstance(data, list):
        rows = [row for each in data if (row := _row(each)) is not None]
        return rows if rows and 2 * len(rows) >= len(data) else None
    if not isinstance(data, Mapping) or not data:
        return None
    grouped: list[Row] = []
    for kind, parts in data.items():
        if not isinstance(parts, Mapping):
            return None
        for part, items in parts.items():
            if not isinstance(items, Mapping):
                return None
            grouped += [(str(kind), str(part), str(item), _word(value)) for item, value in items.items()]
    return grouped or None


def _row(each: Any) -> Row | None:
    if not isinstance(each, list) or len(each) not in (3, 4):
        return None
    if not all(isinstance(word, str) for word in each[:3]):
        return None
    return each[0], each[1], each[2], _word(each[3]) if len(each) == 4 else None


def _word(value: Any) -> str | None:
    """Numbers as text; lists and objects are no value of a row."""
    return None if value is None or isinstance(value, list | dict) else str(value)
