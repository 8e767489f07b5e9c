"""What the exports start from, and what they give back; and the reading of other programs' JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import Inventory
from ahc_server.profiles.model import Matches

#: A registration of some ten thousand nodes is this large.
SIZE_LIMIT_BYTES = 64 * 1024 * 1024

Plain = Any  # what JSON's values become


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON file of a registration: its name for messages, and what it holds."""

    file: str
    plain: Plain = field(repr=False)


@dataclass(frozen=True, slots=True)
class Material:
    """``registered``: what is registered now, where the format wants it or can use it."""

    matches: Matches
    inventories: Mapping[str, Inventory]
    registered: Document | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """``secret``: the text holds what it was given of passwords, so a file of it is for its owner alone (mode 0600)."""

    text: str
    notes: list[str] = field(default_factory=list)
    secret: bool = False


def read_registered(path: Path) -> Document:
    """Read a registration's JSON. Raises FileFormatError; its text never quotes the file, which may hold passwords."""
    try:
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT_BYTES + 1)
    except OSError as error:
        raise FileFormatError(str(path), f"cannot be read: {error.strerror}") from error
    if len(data) > SIZE_LIMIT_BYTES:
        raise FileFormatError(str(path), f"larger than {SIZE_LIMIT_BYTES} bytes")
    try:
        return Document(str(path), msgspec.json.decode(data))
    except (msgspec.DecodeError, RecursionError) as error:
        problem = str(error) if isinstance(error, msgspec.DecodeError) else "nested too deeply"
        raise FileFormatError(str(path), f"not JSON: {problem}") from error


def nodes_in(document: Document, key: str, what: str) -> list[dict[str, Plain]]:
    """The machines of a document: a bare list, or a mapping that has the list under ``key``. Raises FileFormatError."""
    plain = document.plain
    listed = plain.get(key) if isinstance(plain, dict) else plain
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise FileFormatError(
            document.file, f"not {what}", remedy=f'a list of machines is expected, or {{"{key}": [...]}}'
        )
    return listed


def pretty(plain: Plain) -> str:
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"
