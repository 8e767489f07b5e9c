"""The matrix on the page: cells coloured by how far they are from usual, those that are not usual with a title each.

Up to 96 nodes each pair is a cell. With more, a tile stands for all flows between two leaves, and upon the tiles lie the single
pairs that differ, the clearest of them: a thousand nodes with all their pairs stay a small page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.model import Direction, Finding
from ahc_server.report.html.markup import Markup, join, tag
from ahc_server.report.html.strips import SHAPES
from ahc_server.report.network.levels import BLANK, DEAD, FASTER, LEVELS, USUAL, Witness
from ahc_server.report.network.matrix import Bin, Matrix, bins_of, matrix
from ahc_server.report.network.picture import Picture, Sight, rows_of
from ahc_server.report.network.proof import relative, value_told

#: More nodes are folded into tiles, at most so many a side.
_EACH_NODE, _MOST_TILES = 96, 48
#: Cells with a title of their own; single pairs upon the tiles.
_MOST_TITLED, _MOST_PAIRS = 1_100, 12_000
#: Pixels: the inside, the room for names, gaps between leaves, and the least that a pair upon tiles takes.
_SIZE, _LEFT, _TOP, _GAP, _LEAST = 640.0, 126.0, 24.0, 4.0, 2.0
_RIGHT, _STRIP = 56.0, 15.0
_LARGEST_CELL, _READABLE = 22.0, 9.0
#: Named nodes that have lines of their own under the tiles.
_MOST_STRIPS = 16
_LONGEST = 17


@dataclass(frozen=True, slots=True)
class _Layout:
    """``edge`` (b,): where each bin begins, ``width`` (b,): how wide it is; the same across and down. ``at`` (n,), ``cell``: of
    the nodes. ``end``: of all."""

    bins: Sequence[Bin]
    edge: Floats
    width: Floats
    at: Floats
    cell: float
    end: float


def draw_matrix(
    picture: Picture, sight: Sight, found: Mapping[str, Finding], anchors: Mapping[str, str]
) -> Markup:
    """``found``: element → finding of what is to be marked; ``anchors``: element → its section on the page."""
    bins = bins_of(picture, _EACH_NODE)
    if len(bins) < len(picture.order):
        bins = bins_of(picture, _MOST_TILES)
    layout = _layout(picture, bins)
    whole = matrix(picture, sight, bins, bins)
    folded = len(bins) < len(picture.order)
    strips = _strips(picture, sight, found, layout) if folded else []
    return join(
        tag(
            "svg",
            _cells(whole, layout, sight.witness),
            _pairs(picture, sight, whole, layout) if folded else None,
            strips,
            _names(layout),
            [_mark(element, each, picture, layout, anchors) for element, each in found.items()],
            viewBox=f"0 0 {_LEFT + layout.end + _RIGHT:.0f} {_TOP + layout.end + 6 + _STRIP * len(strips):.0f}",
            width=f"{_LEFT + layout.end + _RIGHT:.0f}",
            role="img",
            aria_label=_told(whole, sight.witness, folded=folded),
            class_="matrix",
        ),
        _legend(whole, sight.witness),
    )


def _layout(picture: Picture, bins: Sequence[Bin]) -> _Layout:
    nodes = np.array([len(each.rows) for each in bins])
    cell = min(_SIZE / int(nodes.sum()), _LARGEST_CELL)
    folded = len(bins) < int(nodes.sum())
    breaks = np.array([folded or one.leaf != other.leaf for one, other in zip(bins[1:], bins, strict=False)])
    gaps = np.concatenate([[0.0], np.cumsum(breaks)]) * (_GAP / 4 if folded else _GAP)
    width = nodes * cell
    edge = np.concatenate([[0.0], np.cumsum(width)[:-1]]) + gaps
    at = np.full(len(picture.names), np.nan)
    for begin, each in zip(edge.tolist(), bins, strict=True):
        at[each.rows] = begin + cell * np.arange(len(each.rows))
    return _Layout(bins, edge, width, at, cell, float(edge[-1] + width[-1]))


def _cells(whole: Matrix, layout: _Layout, witness: Witness) -> list[Markup]:
    """The cells that are not as usual with titles, the others as one path for each level."""
    level = whole.level
    titled = _clearest(whole, _MOST_TITLED, every=level.size <= _MOST_TITLED)
    plain = np.where(titled, BLANK, level)
    paths = [
        tag("path", d=_runs(plain == each, layout), class_=f"m{each}")
        for each in np.unique(plain[plain != BLANK]).tolist()
    ]
    return paths + [
        tag(
            "rect",
            tag("title", _title(whole, line, column, witness)),
            x=_px(_LEFT + layout.edge[column]),
            y=_px(_TOP + layout.edge[line]),
            width=_px(layout.width[column]),
            height=_px(layout.width[line]),
            class_=f"m{level[line, column]}",
        )
        for line, column in np.argwhere(titled).tolist()
    ]


def _clearest(whole: Matrix, most: int, *, every: bool = False) -> Bools:
    """The cells (b, b) that are farthest from usual; with ``every`` all that were measured."""
    there: Bools = whole.level != BLANK
    if every:
        return there
    odd: Bools = there & (whole.level != USUAL)
    if int(odd.sum()) <= most:
        return odd
    far = np.where(whole.level == DEAD, np.inf, np.abs(np.nan_to_num(whole.away)))
    far = np.where(odd, far, -1.0).ravel()
    chosen = np.zeros(far.size, dtype=bool)
    chosen[np.argsort(-far, kind="stable")[:most]] = True
    return chosen.reshape(odd.shape)


def _runs(mask: Bools, layout: _Layout) -> str:
    """Cells beside each other in a line as one rectangle each."""
    drawn = []
    for line in np.flatnonzero(mask.any(axis=1)).tolist():
        row = np.concatenate([[False], mask[line], [False]])
        turns = np.flatnonzero(row[1:] != row[:-1]).tolist()
        y, height = _TOP + layout.edge[line], layout.width[line]
        for begin, end in zip(turns[::2], turns[1::2], strict=True):
            for first, last in _unbroken(begin, end, layout):
                x = _LEFT + layout.edge[first]
                width = layout.edge[last] + layout.width[last] - layout.edge[first]
                drawn.append(f"M{_px(x)} {_px(y)}h{_px(width)}v{_px(height)}h-{_px(width)}z")
    return "".join(drawn)


def _unbroken(begin: int, end: int, layout: _Layout) -> list[tuple[int, int]]:
    """A run of columns, split where a gap is between two of them."""
    parts, first = [], begin
    for column in range(begin, end):
        next_begins = layout.edge[column + 1] if column + 1 < end else np.inf
        if next_begins - layout.edge[column] - layout.width[column] > _GAP / 8:
            parts.append((first, column))
            first = column + 1
    return parts


def _pairs(picture: Picture, sight: Sight, tiles: Matrix, layout: _Layout) -> list[Markup]:
    """Single pairs that are worse than their tile, as one path for each level."""
    each_node = [
        Bin(picture.names[row], np.array([row]), int(picture.leaf[row])) for row in picture.order.tolist()
    ]
    of = matrix(picture, sight, each_node, each_node)
    tile = np.zeros(len(picture.names), dtype=np.int64)
    for number, one in enumerate(layout.bins):
        tile[one.rows] = number
    mine = tile[picture.order]
    worse = of.level > np.maximum(tiles.level[np.ix_(mine, mine)], USUAL)
    shown = _clearest(
        Matrix(of.lines, of.columns, of.away, of.value, np.where(worse, of.level, BLANK), of.flows),
        _MOST_PAIRS,
    )
    at = layout.at[picture.order]
    size = max(layout.cell, _LEAST)
    drawn = []
    for level in range(FASTER, DEAD + 1):
        lines, columns = np.nonzero(shown & (of.level == level))
        if len(lines):
            places = zip((_LEFT + at[columns]).tolist(), (_TOP + at[lines] + size / 2).tolist(), strict=True)
            path = "".join(f"M{_px(x)} {_px(y)}h{_px(size)}" for x, y in places)
            drawn.append(tag("path", d=path, stroke_width=_px(size), class_=f"p{level}"))
    return drawn


def _strips(picture: Picture, sight: Sight, found: Mapping[str, Finding], layout: _Layout) -> list[Markup]:
    """Under the tiles two lines for each of the most serious nodes: what it sends to each tile, and what it receives."""
    row_of = {f"node:{picture.names[row]}": row for row in picture.order.tolist()}
    drawn: list[Markup] = []
    for row in [row_of[element] for element in found if element in row_of][:_MOST_STRIPS]:
        own = [Bin(picture.names[row], np.array([row]), int(picture.leaf[row]))]
        sends, receives = matrix(picture, sight, own, layout.bins), matrix(picture, sight, layout.bins, own)
        for way, levels in (("sends", sends.level[0]), ("receives", receives.level[:, 0])):
            y = _TOP + layout.end + 6 + _STRIP * len(drawn) + (3 if way == "sends" else 1)
            name = _short(picture.names[row]) if way == "sends" else None
            cells = [
                tag(
                    "rect",
                    x=_px(_LEFT + begin),
                    y=_px(y),
                    width=_px(width),
                    height=_px(_STRIP - 4),
                    class_=f"m{level}",
                )
                for begin, width, level in zip(
                    layout.edge.tolist(), layout.width.tolist(), levels.tolist(), strict=True
                )
                if level != BLANK
            ]
            drawn.append(
                tag(
                    "g",
                    tag("text", name, x=_px(_LEFT - 20), y=_px(y + 9), text_anchor="end") if name else None,
                    cells,
                    tag("text", way, x=_px(_LEFT + layout.end + 6), y=_px(y + 9)),
                )
            )
    return drawn


def _names(layout: _Layout) -> list[Markup]:
    """Of the lines, and of leaves over their columns, where there is room for them."""
    drawn: list[Markup] = []
    for each, begin, width in zip(layout.bins, layout.edge.tolist(), layout.width.tolist(), strict=True):
        if width >= _READABLE:
            y = _TOP + begin + width / 2 + 3.5
            drawn.append(tag("text", _short(each.label), x=_px(_LEFT - 20), y=_px(y), text_anchor="end"))
    return drawn


def _mark(
    element: str, finding: Finding, picture: Picture, layout: _Layout, anchors: Mapping[str, str]
) -> Markup | None:
    """Beside the line of what is named, above its column, and around the cells of pairs and links."""
    rows = [row for row in rows_of(finding, picture) if not np.isnan(layout.at[row])]
    if not rows:
        return None
    title = tag("title", finding.summary)
    begin, end = float(np.min(layout.at[rows])), float(np.max(layout.at[rows])) + layout.cell
    kind = element.partition(":")[0]
    shape: Sequence[Markup | None]
    if kind == "node":
        middle = (begin + end) / 2
        diamond = SHAPES["fail" if finding.severity == "fail" else "warn"]
        shape = [
            tag("path", d=diamond, transform=f"translate({_px(_LEFT - 12)} {_px(_TOP + middle)})"),
            tag("path", d=diamond, transform=f"translate({_px(_LEFT + middle)} {_px(_TOP - 12)})"),
        ]
    elif kind == "leaf":
        shape = [
            tag("rect", x=_px(_LEFT - 5), y=_px(_TOP + begin), width=3, height=_px(end - begin)),
            tag("rect", x=_px(_LEFT + begin), y=_px(_TOP - 5), width=_px(end - begin), height=3),
        ]
    else:
        shape = [
            _box(layout, one, other) for one, other in _ends(kind, rows, finding.direction, picture.leaf)
        ]
    content = join(title, shape)
    anchor = anchors.get(element)
    return tag(
        "g", tag("a", content, href=f"#{anchor}") if anchor else content, class_=f"mark {finding.severity}"
    )


def _ends(
    kind: str, rows: Sequence[int], way: Direction | None, leaf: Ints
) -> list[tuple[list[int], list[int]]]:
    """The ways between the two nodes of a pair, both or the one that is bad, or between the two leaves of a link."""
    if kind == "pair":
        one, other = rows[:1], rows[1:2]
    else:
        one = [row for row in rows if leaf[row] == leaf[rows[0]]]
        other = [row for row in rows if leaf[row] != leaf[rows[0]]]
    if not (one and other):
        return []
    there, back = (list(one), list(other)), (list(other), list(one))
    return {None: [there, back], "tx": [there], "rx": [back]}[way]


def _box(layout: _Layout, lines: Sequence[int], columns: Sequence[int]) -> Markup:
    y, x = float(np.min(layout.at[lines])), float(np.min(layout.at[columns]))
    height = float(np.max(layout.at[lines])) + layout.cell - y
    width = float(np.max(layout.at[columns])) + layout.cell - x
    return tag(
        "rect",
        x=_px(_LEFT + x - 1.5),
        y=_px(_TOP + y - 1.5),
        width=_px(width + 3),
        height=_px(height + 3),
        class_="box",
    )


def _title(whole: Matrix, line: int, column: int, witness: Witness) -> str:
    away = float(whole.away[line, column])
    dead = whole.level[line, column] == DEAD
    told = value_told(float(whole.value[line, column]), None if dead else relative(away, witness), witness)
    flows = int(whole.flows[line, column])
    of = f", {flows:,} flows" if flows > 1 else ""
    return f"{whole.lines[line].label} → {whole.columns[column].label}: {told}{of}"


def _legend(whole: Matrix, witness: Witness) -> Markup:
    there = sorted({USUAL, *np.unique(whole.level).tolist()} - {BLANK}) if whole.level.size else []
    key = [each for each in range(len(LEVELS)) if each in there or each in range(USUAL, DEAD + 1)]
    return tag(
        "div",
        [
            tag(
                "span",
                tag(
                    "svg",
                    tag("rect", width=12, height=12, class_=f"m{each}"),
                    width=12,
                    height=12,
                    aria_hidden="true",
                ),
                LEVELS[each].told(witness),
            )
            for each in key
        ],
        tag("span", "blank: not measured"),
        class_="legend",
    )


def _told(whole: Matrix, witness: Witness, *, folded: bool) -> str:
    """The matrix in words."""
    levels, counts = np.unique(whole.level[whole.level != BLANK], return_counts=True)
    told = [
        f"{count:,} {LEVELS[level].told(witness)}"
        for level, count in zip(levels.tolist(), counts.tolist(), strict=True)
    ]
    what = "cells, each the median of many nodes" if folded else "pairs of nodes"
    return f"{'bandwidth' if witness == 'rate' else 'round trips'}, source by destination, {what}: {', '.join(told)}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
