"""The answer of ``ahc match`` as text: who serves where, what could not be filled, and why not otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ahc_server.judge import wording
from ahc_server.profiles.model import Answer, Matches, NodeMatch
from ahc_server.report.layout import table, wrapped
from ahc_server.report.words import clean

#: Lines of nodes on one screen.
_MOST_LINES = 40
#: Nodes with the same profile for the same reason stand together where they would take more lines than this.
_FOLD = 3
_MOST_NOTES = 6
_MOST_DRIFTS = 12


def draw_json(matches: Matches) -> str:
    """``ahc.match/1``, indented, with a final newline."""
    return msgspec.json.format(msgspec.json.encode(matches), indent=2).decode() + "\n"


def draw_text(
    matches: Matches,
    *,
    width: int = 120,
    full: bool = False,
    node: str | None = None,
    drifts: Sequence[str] = (),
) -> str:
    """``full``: every profile's answer for every node; ``node``: for this one alone. ``drifts``: what the machines are not yet as
    their profiles want them, a sentence each."""
    after = _drifts(drifts, width, full)
    if node is not None:
        chosen = [each for each in matches.nodes if each.id == node]
        return "\n".join(line for each in chosen for line in [*_one(each, width), *after]) + "\n"
    lines = [_head(matches), ""]
    lines += table(
        [(each.profile, f"{each.nodes:,}", f"{each.fitting:,} fit") for each in matches.profiles], width
    )
    lines += _unfilled(matches, width)
    if full:
        for each in matches.nodes:
            lines += ["", *_one(each, width)]
    else:
        lines += _nodes(matches, width)
    lines += after
    notes = [line for note in matches.notes[:_MOST_NOTES] for line in wrapped(clean(note), width, "  ")]
    lines += ["", "Notes", *notes] if notes else []
    return "\n".join(lines) + "\n"


def _head(matches: Matches) -> str:
    placed = sum(node.profile is not None for node in matches.nodes)
    return f"Session {clean(matches.session)}: {placed:,} of {len(matches.nodes):,} nodes have a profile"


def _unfilled(matches: Matches, width: int) -> list[str]:
    if not matches.unfilled:
        return []
    rows = [(each.profile, f"{each.got:,} of {each.wanted:,}", each.why) for each in matches.unfilled]
    return ["", "Quotas that could not be filled", *table(rows, width)]


def _drifts(drifts: Sequence[str], width: int, full: bool) -> list[str]:
    if not drifts:
        return []
    shown = drifts if full else drifts[:_MOST_DRIFTS]
    lines = [line for each in shown for line in wrapped(clean(each), width, "      ", first="  ")]
    more = len(drifts) - len(shown)
    tail = [f"  and {more:,} more: --full shows all"] if more > 0 else []
    return ["", "Not yet as the profile wants it", *lines, *tail]


def _nodes(matches: Matches, width: int) -> list[str]:
    """Those without a profile first: they are what somebody has to look at."""
    alike: dict[tuple[str, str], list[str]] = {}
    for node in sorted(matches.nodes, key=lambda node: node.profile is not None):
        why = node.why
        if node.profile is None:
            why += "".join(f"\n{_short(answer)}" for answer in node.answers if answer.reason is not None)
        alike.setdefault((node.profile or "no profile", why), []).append(node.id)
    rows: list[tuple[str, str, str]] = []
    lines = shown = 0
    for (profile, why), ids in alike.items():
        together = len(ids) > 1 and len(ids) * _height(why) > _FOLD
        mine = [(name, profile, why) for name in ids]
        if together:
            mine = [
                (f"{len(ids):,} nodes", profile, f"{why}\n{wording.listed([clean(name) for name in ids])}")
            ]
        for row in mine:
            if lines < _MOST_LINES:
                rows.append(row)
                lines += _height(row[2])
                shown += len(ids) if together else 1
    more = len(matches.nodes) - shown
    tail = [f"  and {more:,} more nodes: --full shows all, --node ID one"] if more > 0 else []
    return ["", "Nodes", *table(rows, width), *tail]


def _height(text: str) -> int:
    return 1 + text.count("\n")


def _short(answer: Answer) -> str:
    assert answer.reason is not None
    reason = answer.reason
    subject = reason.requirement.partition(":")[0]
    return f"{answer.profile}: {subject}: expected {reason.expected}, found {reason.found}"


def _one(node: NodeMatch, width: int) -> list[str]:
    lines = [f"{clean(node.id)}: {node.profile or 'no profile'}: {clean(node.why)}"]
    for answer in node.answers:
        if answer.reason is None:
            text = "fits"
            if answer.bound:
                text += ": " + ", ".join(f"{name} = {value}" for name, value in answer.bound.items())
        else:
            reason = answer.reason
            place = "" if reason.file is None else f" [{reason.file}:{reason.line}]"
            verb = "cannot be told" if answer.fit == "unknown" else "fails"
            text = f"{verb}: {reason.requirement}: expected {reason.expected}, found {reason.found}{place}"
        lines += wrapped(clean(text), width, "      ", first=f"  {answer.profile}  ")
    return lines
