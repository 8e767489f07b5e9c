"""Lines of text: aligned columns, and paragraphs that keep within a width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from ahc_server.report.words import clean

#: A longer name stands on a line of its own and does not push all others to the right.
_WIDEST = 28


def table(rows: Iterable[Sequence[str]], width: int | None = None) -> list[str]:
    """Aligned columns, two spaces apart; with ``width`` the last column is wrapped to it."""
    return [line for row in table_rows(rows, width) for line in row]


def table_rows(rows: Iterable[Sequence[str]], width: int | None = None) -> list[list[str]]:
    """As ``table``, the lines of each row by themselves. A line feed in the last column starts a new paragraph."""
    split = [(row[:-1], row[-1].split("\n")) for row in rows]
    cleaned = [([clean(cell) for cell in cells], [clean(each) for each in last]) for cells, last in split]
    if not cleaned:
        return []
    widths = [_column(cleaned, column, width) for column in range(len(cleaned[0][0]))]
    indent = 2 + sum(widths) + 2 * len(widths)
    if width is not None and indent + 30 > width:
        indent = 6
    drawn = []
    for cells, paragraphs in cleaned:
        start = "  " + "".join(cell.ljust(size) + "  " for cell, size in zip(cells, widths, strict=True))
        if width is None:
            lines = [(start + paragraphs[0]).rstrip(), *(" " * indent + each for each in paragraphs[1:])]
        elif len(start) > indent:
            lines = [start.rstrip(), *wrapped(paragraphs[0], width, " " * indent)]
        else:
            lines = wrapped(paragraphs[0], width, " " * indent, first=start) or [start.rstrip()]
        if width is not None:
            lines += [line for each in paragraphs[1:] for line in wrapped(each, width, " " * indent)]
        drawn.append(lines)
    return drawn


def _column(rows: Sequence[tuple[Sequence[str], object]], column: int, width: int | None) -> int:
    """Width of a column: what fits all, but for what is overlong."""
    sizes = [len(cells[column]) for cells, _ in rows]
    return max([size for size in sizes if width is None or size <= _WIDEST] or [0])


def wrapped(text: str, width: int, indent: str, first: str | None = None) -> list[str]:
    """One paragraph in lines of at most ``width``; a number and its per cent sign stay together, names stay whole."""
    lines = textwrap.wrap(
        text.replace(" %", "\N{NO-BREAK SPACE}%"),
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
