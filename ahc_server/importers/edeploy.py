"""eDeploy's results of one machine: ``.hw`` files, and what ``hardware-detect`` prints as JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from ahc_agent.errors import FileFormatError
from ahc_agent.measure import Measurement, Sample
from ahc_server.importers import facts
from ahc_server.importers.literal import looks_like_rows, read_rows
from ahc_server.importers.metrics import Target, target
from ahc_server.importers.model import Imported, Row, Source, Unrecognised
from ahc_server.importers.tree import Tree, rows_of
from ahc_server.importers.values import lost_values, printable, utc
from ahc_server.measured import Measured, Name, Names, measured

_MOST_VALUE = 1e15
_MOST_SAMPLES = 4096
#: Values that only specifications have: variables, and the matcher's functions.
_SPECIFIED = re.compile(
    r"\$[\w-]+(?:=.*)?|(?:gt|ge|lt|le|in|range|rang|network|regexp|or|and|not)\(.*\)", re.DOTALL
)
_MARKS = re.compile(r"\$|\)['\"]")
_VARIABLE = re.compile(r"['\"]\$[\w-]+['\"]")


def knows_hw(source: Source) -> bool:
    return source.json in (None, []) and looks_like_rows(source.text)


def read_hw(source: Source) -> Imported:
    try:
        rows, remarks = read_rows(source.text, source.file)
    except FileFormatError:
        if _VARIABLE.search(source.text):
            raise _specification(source.file) from None
        raise
    # Sought in the whole text first: one look instead of one a row.
    if _MARKS.search(source.text) and any(_is_specified(row[3]) for row in rows):
        raise _specification(source.file)
    if remarks and not rows:
        raise Unrecognised(source.file, "a list, but none of its rows has three or four items")
    return read(rows, remarks, source)


def _is_specified(value: str | None) -> bool:
    if not value or (value[0] != "$" and value[-1] != ")"):
        return False
    return _SPECIFIED.fullmatch(value) is not None


def _specification(file: str) -> Unrecognised:
    return Unrecognised(
        file,
        "an eDeploy specification, which says what a machine should be, not what one is",
        remedy="import the .hw files that machines sent",
    )


def knows_json(source: Source) -> bool:
    return rows_of(source.json) is not None


def read_json(source: Source) -> Imported:
    return read(rows_of(source.json) or [], [], source)


def read(rows: list[Row], remarks: list[str], source: Source) -> Imported:
    """Facts and measurements of the rows. Raises FileFormatError where there are none."""
    if not rows:
        raise FileFormatError(
            source.file, "holds no results", remedy="was the health check run on the machine?"
        )
    others, taken, lost = split(rows)
    if lost:
        remarks = [*remarks, f"{source.file}: {lost_values(lost)}"]
    inventory = facts.inventory_of(Tree(others), utc(source.at_unix_s))
    return Imported(inventory=inventory, taken=taken, remarks=remarks)


def split(rows: Iterable[Row]) -> tuple[list[Row], Measured | list[Measurement], int]:
    """Facts, measurements, and how many values of measurements are lost.

    A metric that stands in the file several times is one measurement with a sample for each.
    """
    others: list[Row] = []
    values: dict[Target, float | None] = {}
    repeats: dict[Target, list[float]] = {}
    lost: dict[Target, str] = {}
    for row in rows:
        where = target(row[0], row[1], row[2])
        if where is None:
            others.append(row)
            continue
        rate = _rate(row[3])
        if rate is None:
            lost.setdefault(where, _why(row[3]))
            values.setdefault(where, None)
            continue
        value = rate * where.scale
        before = values.get(where)
        if before is None:
            values[where] = value
        else:
            repeats.setdefault(where, [before]).append(value)
    if repeats:
        return others, _with_samples(values, repeats, lost), len(lost)
    errors = {}
    if lost:
        errors = {place: lost[where] for place, where in enumerate(values) if values[where] is None}
    taken = measured(_names(tuple(values)), {"value": list(values.values())}, errors)
    return others, taken, len(lost)


@lru_cache(maxsize=256)
def _names(targets: tuple[Target, ...]) -> Names:
    return tuple(
        Name(each.component, each.part, each.quantity, each.unit, each.higher_is_better) for each in targets
    )


def _rate(text: str | None) -> float | None:
    """A rate or a duration: finite and not negative."""
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if 0 <= value <= _MOST_VALUE else None


def _why(text: str | None) -> str:
    word = printable((text or "").strip()[:40])
    if word.lower() in ("", "none"):
        return "the value is missing in the file"
    return f"the file has no number but {word!r}"


def _with_samples(
    values: Mapping[Target, float | None], repeats: Mapping[Target, list[float]], lost: Mapping[Target, str]
) -> list[Measurement]:
    return [
        _measurement(where, repeats.get(where, [] if value is None else [value]), lost.get(where))
        for where, value in values.items()
    ]


def _measurement(where: Target, taken: list[float], why: str | None) -> Measurement:
    value = None
    samples: list[Sample] = []
    if len(taken) == 1:
        value = taken[0]
    elif taken:
        value = math.fsum(taken) / len(taken)
        samples = [Sample(value=each) for each in taken[:_MOST_SAMPLES]]
    return Measurement(
        component=where.component,
        part=where.part,
        quantity=where.quantity,
        unit=where.unit,
        higher_is_better=where.higher_is_better,
        value=value,
        samples=samples,
        error=why if value is None else None,
    )
