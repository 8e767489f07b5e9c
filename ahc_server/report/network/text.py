"""The network in characters: the matrix, the racks, and what proves each finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ahc_agent.facts import Inventory
from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Finding
from ahc_server.report.layout import table, wrapped
from ahc_server.report.network.levels import BLANK, LEVELS, USUAL
from ahc_server.report.network.matrix import UNKNOWN, Bin, Matrix, bins_of, leaf_bins, matrix
from ahc_server.report.network.picture import Picture, Sight, about, leaf_sizes, named, pictures, rows_of
from ahc_server.report.network.proof import Proof, proofs
from ahc_server.report.network.racks import Rack, racks
from ahc_server.report.words import clean

#: Characters of a line's name; lines of the short map.
_LABEL, _SHORT = 14, 24
#: Columns where each stands for many nodes; named nodes that have lines of their own.
_FOLDED, _MOST_NODES = 48, 12
_TITLES = {"rate": "bandwidth", "rtt": "round trips"}
_RACK_WIDTH = 16


def network_lines(
    judgement: Judgement, inventories: Mapping[str, Inventory], width: int, *, full: bool
) -> list[str]:
    """The section: without ``full`` only a map by leaves, where leaves are known and something is wrong with the network."""
    drawn = pictures(judgement)
    found = named(judgement.report)
    if not drawn:
        return []
    if not full:
        return _short(drawn, found, width)
    lines: list[str] = []
    for picture in drawn:
        for sight in picture.sights:
            lines += _map(picture, sight, found, width)
    lines += _racks(racks(judgement, drawn), width)
    lines += _proofs(proofs(judgement, drawn, inventories), width)
    return lines


def _short(drawn: Sequence[Picture], found: Mapping[str, Finding], width: int) -> list[str]:
    """The first job's bandwidth, a cell for two leaves."""
    picture = drawn[0]
    if not found or len(leaf_sizes(picture)) < 2:
        return []
    bins = leaf_bins(picture, _SHORT)
    return _drawing(picture, picture.sights[0], bins, found, width, nodes=False)


def _map(picture: Picture, sight: Sight, found: Mapping[str, Finding], width: int) -> list[str]:
    # Between two leaves there is a space.
    most = max(width - _LABEL - 5 - len(leaf_sizes(picture)), 8)
    bins = bins_of(picture, most)
    if any(len(each.rows) > 1 for each in bins):
        bins = bins_of(picture, min(most, _FOLDED))
    return _drawing(picture, sight, bins, found, width, nodes=True)


def _drawing(
    picture: Picture,
    sight: Sight,
    bins: Sequence[Bin],
    found: Mapping[str, Finding],
    width: int,
    *,
    nodes: bool,
) -> list[str]:
    whole = matrix(picture, sight, bins, bins)
    folded = any(len(each.rows) > 1 for each in bins)
    by_leaf = folded and len(leaf_sizes(picture)) > 1
    together = by_leaf and len(bins) < len(leaf_sizes(picture))
    what = (
        "medians of several leaves"
        if together
        else "leaf × leaf, medians"
        if by_leaf
        else "medians of many nodes"
        if folded
        else "node × node"
    )
    title = (
        f"Network, job {picture.job}: {_TITLES[sight.witness]} against what is usual for such flows, {what}"
    )
    lines = ["", *wrapped(clean(title), width, "    ", first="")]
    told = about(found, sight.witness)
    if (not told or not nodes) and bool(np.all(np.isin(whole.level, (BLANK, USUAL)))):
        return [*lines, f"  all as usual, over {int(whole.flows.sum()):,} flows"]
    lines.append(
        "  lines send, columns receive, in the same order" + ("; ! is named in a finding" if told else "")
    )
    by_node = not folded and picture.has_leaves
    breaks = _breaks(bins) if by_node else set()
    marked = {row for each in told.values() for row in rows_of(each, picture) if not _is_of_leaves(each)}
    for place, each in enumerate(bins):
        if by_node and (place in breaks or not place):
            lines.append(f"  {_mark(each, picture, told)} {clean(_leaf_name(each, picture))}")
        mark = _mark(each, picture, told) if folded else "!" if int(each.rows[0]) in marked else " "
        lines.append(_line(f"  {mark} {_fitted(each.label)} ", whole.level[place].tolist(), breaks))
    if folded and nodes:
        lines += _named_nodes(picture, sight, bins, told)
    return [*lines, *wrapped(_legend(whole, sight), width, "    ", first="  ")]


def _is_of_leaves(finding: Finding) -> bool:
    return finding.element.startswith(("leaf:", "link:"))


def _mark(each: Bin, picture: Picture, told: Mapping[str, Finding]) -> str:
    """Of the leaf of a bin: whether it, or a link of it, is named."""
    named_here = {
        int(picture.leaf[row]) for one in told.values() if _is_of_leaves(one) for row in rows_of(one, picture)
    }
    return "!" if each.leaf >= 0 and each.leaf in named_here else " "


def _leaf_name(each: Bin, picture: Picture) -> str:
    return picture.leaves[each.leaf] if each.leaf >= 0 else UNKNOWN


def _fitted(name: str) -> str:
    shown = clean(name)
    return (shown if len(shown) <= _LABEL else f"{shown[: _LABEL - 1]}…").ljust(_LABEL)


def _line(label: str, levels: Sequence[int], breaks: set[int]) -> str:
    cells = [(" " if place in breaks else "") + _glyph(level) for place, level in enumerate(levels)]
    return (label + "".join(cells)).rstrip()


def _glyph(level: int) -> str:
    return " " if level == BLANK else LEVELS[level].glyph


def _breaks(bins: Sequence[Bin]) -> set[int]:
    """Before which columns a leaf ends."""
    return {place for place in range(1, len(bins)) if bins[place].leaf != bins[place - 1].leaf}


def _named_nodes(
    picture: Picture, sight: Sight, bins: Sequence[Bin], found: Mapping[str, Finding]
) -> list[str]:
    """A line for each way of the most serious nodes, towards the columns above."""
    row_of = {f"node:{picture.names[row]}": row for row in picture.order.tolist()}
    rows = [row_of[element] for element in found if element in row_of]
    lines: list[str] = [""] if rows else []
    for row in rows[:_MOST_NODES]:
        own = [Bin(picture.names[row], np.array([row]), int(picture.leaf[row]))]
        for way, levels in (
            ("sends", matrix(picture, sight, own, bins).level[0]),
            ("receives", matrix(picture, sight, bins, own).level[:, 0]),
        ):
            label = f"  ! {_fitted(picture.names[row])} " if way == "sends" else f"    {'':{_LABEL}} "
            lines.append(label + "".join(map(_glyph, levels.tolist())) + f"  {way}")
    rest = len(rows) - _MOST_NODES
    return [*lines, f"    and {rest:,} more nodes, see what proves the findings"] if rest > 0 else lines


def _legend(whole: Matrix, sight: Sight) -> str:
    there = sorted({level for level in whole.level.ravel().tolist() if level != BLANK})
    told = [f"{LEVELS[level].glyph} {LEVELS[level].told(sight.witness)}" for level in there]
    blank = ["blank: not measured"] if bool(np.any(whole.level == BLANK)) else []
    return "; ".join([*told, *blank])


def _racks(found: Sequence[Rack], width: int) -> list[str]:
    """Leaves side by side: the uplink, how many nodes pass, and those that do not."""
    if not found:
        return []
    lines = ["", "Racks: the state of their uplinks, and their nodes by verdict"]
    at_once = max(1, (width - 2) // (_RACK_WIDTH + 2))
    for start in range(0, len(found), at_once):
        columns = [_rack(each) for each in found[start : start + at_once]]
        height = max(map(len, columns))
        if start:
            lines.append("")
        for level in range(height):
            cells = [column[level] if level < len(column) else "" for column in columns]
            lines.append("  " + "  ".join(cell.ljust(_RACK_WIDTH) for cell in cells).rstrip())
    return [line.rstrip() for line in lines]


def _rack(rack: Rack) -> list[str]:
    def fitted(text: str) -> str:
        shown = clean(text)
        return shown if len(shown) <= _RACK_WIDTH else f"{shown[: _RACK_WIDTH - 1]}…"

    passed = sum(verdict == "pass" for _, verdict in rack.nodes)
    return [
        fitted(rack.name),
        *(["║" if rack.uplink is None else "╳", fitted(rack.state)] if rack.is_known else ["", ""]),
        *([f"{passed:,} pass"] if passed else []),
        *[fitted(f"{verdict.upper()} {name}") for name, verdict in rack.nodes if verdict != "pass"],
    ]


def _way(finding: Finding) -> str:
    """What of an element is bad, of which it is one direction."""
    if finding.element.startswith("pair:"):
        source, destination = finding.nodes if finding.direction == "tx" else finding.nodes[::-1]
        return f"from {source} to {destination}"
    return "sends" if finding.direction == "tx" else "receives"


def _proofs(found: Sequence[Proof], width: int) -> list[str]:
    lines = ["", "What proves the findings about the network"] if found else []
    for proof in found:
        finding = proof.finding
        effect = "" if finding.effect is None else f" {wording.percent(finding.effect)}"
        way = f", {_way(finding)}" if finding.direction else ""
        lines += [
            "",
            *wrapped(
                clean(f"{finding.element}: {finding.kind}{effect}{way}, job {proof.job}"),
                width,
                "  ",
                first="  ",
            ),
        ]
        rows = [("", "flows", "not as usual", "median", "such as")] if proof.sides else []
        rows += [
            (each.what, f"{each.flows:,}", f"{each.bad:,}", each.told(), "\n".join(each.examples()))
            for each in proof.sides
        ]
        lines += ["  " + line for line in table(rows, width - 2)]
        for text in [*proof.ports, *proof.counters]:
            lines += wrapped(clean(text), width, "      ", first="    ")
    return lines
