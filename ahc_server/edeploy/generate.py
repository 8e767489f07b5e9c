"""``generate({...})`` of a ``.cmdb``: one model with ranges in it, written out as a list of entries.

A text with a range is counted through: ``host1-3`` is host1, host2, host3; ``host01-10`` keeps its zeros; ``10-8`` counts down;
``1-2:7-8`` is 1, 2, 7, 8; of an address (``10.0.0-1.1-254``) the last number runs fastest. There are as many entries as the
shortest range has values; what has no range is the same in all. The rules are those of ``hardware.generate`` 0.24.0.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

from ahc_agent.errors import FileFormatError

MOST_ENTRIES = 100_000

_RANGE = re.compile(r"[0-9]+-[0-9]+(?::[0-9]+-[0-9]+)*")
_ADDRESS = re.compile(r"[0-9:.-]+")


def generate(model: Any, file: str) -> list[dict[str, Any]]:
    """The entries. Raises FileFormatError where the model has no ranges to end it, or too many values."""
    if not isinstance(model, dict) or not all(isinstance(key, str) for key in model):
        raise FileFormatError(file, "generate() needs a dict with names as keys: {'ip': '10.0.0.1-9'}")
    fixed = {
        key: value for key, value in model.items() if isinstance(value, str) and not _RANGE.search(value)
    }
    if len(fixed) == len(model):
        return [model]
    ranged: dict[str, Iterator[Any]] = {}
    for key, value in model.items():
        if isinstance(value, dict):
            raise FileFormatError(
                file, f"{key}: a dict inside of generate() is of no use: it would become empty"
            )
        if key not in fixed:
            ranged[key] = _values(value, key, file)
    entries: list[dict[str, Any]] = []
    for values in zip(*ranged.values(), strict=False):
        if len(entries) == MOST_ENTRIES:
            raise FileFormatError(
                file, f"generate() makes more than {MOST_ENTRIES:,} entries", remedy="give it shorter ranges"
            )
        one = dict(zip(ranged, values, strict=True))
        entries.append({key: fixed.get(key, one.get(key)) for key in model})
    return entries


def _values(value: Any, key: str, file: str) -> Iterator[Any]:
    if isinstance(value, list):
        return iter(value)
    if not isinstance(value, str):
        return itertools.repeat(value)
    parts = value.split(".")
    try:
        if len(parts) == 4 and _ADDRESS.fullmatch(value):
            return _addresses([_bounded(part, key, file) for part in parts])
    except IndexError:
        raise FileFormatError(file, f"{key}: {value!r} has a range without a beginning") from None
    found = _RANGE.search(value)
    assert found is not None, "texts without a range are not asked for"
    head, tail = value[: found.start()], value[found.end() :]
    return (head + number + tail for number in _numbers(found[0]))


def _bounded(part: str, key: str, file: str) -> list[str]:
    """The values of one part of an address."""
    values = list(itertools.islice(_numbers(part), MOST_ENTRIES + 1))
    if len(values) > MOST_ENTRIES:
        raise FileFormatError(file, f"{key}: {part!r} has more than {MOST_ENTRIES:,} values")
    return values


def _addresses(parts: list[list[str]]) -> Iterator[str]:
    return (".".join(numbers) for numbers in itertools.product(*parts))


def _numbers(text: str) -> Iterator[str]:
    """The numbers of "1-3:7-9". A piece that is no range stands for the whole text, as in the package."""
    for piece in text.split(":"):
        ends = piece.split("-")
        if len(ends) != 2:
            yield text
            continue
        zeros = ends[0][0] == "0"
        try:
            first, last = int(ends[0]), int(ends[1])
        except ValueError:
            yield text
            continue
        step = 1 if last >= first else -1
        for number in range(first, last + step, step):
            yield f"{number:0{len(ends[0])}d}" if zeros else str(number)
