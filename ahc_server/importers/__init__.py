"""Results of others, read from files: each format in one file of this room, all in one table.

A format is recognised by its content, never by a name. Whatever a file holds is bounded and checked, and every refusal is a
FileFormatError that names file, place and remedy. To add a format: a module with ``knows`` and ``read``, and a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ahc_agent.errors import FileFormatError
from ahc_server.importers import edeploy, ironic, own
from ahc_server.importers.files import Candidate, read_candidate, shown
from ahc_server.importers.model import Format, Imported, Source, Unrecognised

__all__ = ["FORMATS", "Format", "Imported", "Source", "Unrecognised", "read", "read_file", "recognise"]

#: Asked in this order; the first that knows the content reads it.
FORMATS: tuple[Format, ...] = (
    Format("AHC inventory", own.knows_inventory, own.read_inventory),
    Format("AHC benchmark results", own.knows_bench, own.read_bench),
    Format("Ironic inspection data", ironic.knows, ironic.read),
    Format("hardware-detect JSON", edeploy.knows_json, edeploy.read_json),
    Format("eDeploy .hw", edeploy.knows_hw, edeploy.read_hw),
)

#: What comes as a whole, and not machine by machine (``dahc``, ``pairwise``).
_WHOLE = ("DAHC result folders", "pairwise network results")

#: Arrays, objects and values of a JSON file: what a small file can blow up to in memory.
_MAX_CONTAINERS = 500_000
_MAX_VALUES = 2_000_000


def recognise(source: Source) -> Format | None:
    """The format of a document, None where it is none of ours."""
    return next((each for each in FORMATS if each.knows(source)), None)


def read_file(path: Path) -> Iterator[tuple[Format, Source, Imported]]:
    """Every machine in a file. Raises Unrecognised where no format fits, FileFormatError where one does and is broken."""
    return read(Candidate(path, named=True))


def read(candidate: Candidate) -> Iterator[tuple[Format, Source, Imported]]:
    """As ``read_file``."""
    text, at_unix_s = read_candidate(candidate)
    name = shown(candidate.path)
    whole = Source(name, text, _json(name, text), at_unix_s, candidate.path.stem)
    for source in _documents(whole):
        form = recognise(source)
        if form is None:
            raise Unrecognised(
                source.file,
                "no results of a machine in any format that is known" if text.strip() else "is empty",
                remedy=f"known are: {', '.join([*(each.name for each in FORMATS), *_WHOLE])}",
            )
        yield form, source, form.read(source)


def _documents(whole: Source) -> Iterator[Source]:
    """The file itself; of a JSON list of objects each of them."""
    if (
        not isinstance(whole.json, list)
        or not whole.json
        or not all(isinstance(each, dict) for each in whole.json)
    ):
        yield whole
        return
    for number, each in enumerate(whole.json, 1):
        text = msgspec.json.encode(each).decode()
        yield Source(f"{whole.file}#{number}", text, each, whole.at_unix_s, f"{whole.stem}-{number}")


def _json(file: str, text: str) -> Any:
    """What the text is as JSON; None where it is none. Raises FileFormatError where it began as JSON and broke."""
    start = "".join(text[:200].split())[:3]
    if not start.startswith(("{", "[")):
        return None
    if text.count("[") + text.count("{") > _MAX_CONTAINERS or text.count(",") > _MAX_VALUES:
        raise FileFormatError(file, "holds too many values for the results of one machine")
    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise FileFormatError(file, "nested too deeply") from error
    except msgspec.DecodeError as error:
        if start.startswith(('{"', "{}", '[{"')):
            raise FileFormatError(
                file, f"broken JSON: {error}", remedy="it is incomplete or was edited: copy it again"
            ) from error
        return None
