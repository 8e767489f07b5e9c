"""The gate's answer for people: one screen, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ahc_agent.order import natural_order
from ahc_server.gate.model import Gate, Reason
from ahc_server.judge import wording
from ahc_server.report.layout import table, wrapped
from ahc_server.report.words import clean

#: Reasons beyond it are counted: JSON and JUnit tell all of them.
_MOST = 12
#: So many nodes with the same trouble stand in one line.
_FOLD = 3
_WORDS = {"open": "OPEN", "closed": "CLOSED", "cannot tell": "CANNOT TELL"}


def draw_text(gate: Gate, width: int = 120) -> str:
    """Ends with a line feed."""
    return "\n".join(_lines(gate, width)) + "\n"


def _lines(gate: Gate, width: int) -> Iterator[str]:
    whom = clean(f"node {gate.node}" if gate.node is not None else wording.nodes_word(len(gate.nodes)))
    yield f"{_WORDS[gate.state]}  {whom}, session {clean(gate.session)}"
    step = f", step {gate.step}" if gate.step else ""
    yield f"policy {clean(gate.policy)}{step}, at {gate.at}, data up to {gate.data_up_to}"
    yield ""
    yield from table(
        [(_WORDS[each.state].lower(), each.check, each.asks + _many(each.reasons)) for each in gate.checks],
        width,
    )
    if gate.reasons:
        yield ""
        yield "Why, the worst first"
        folded = list(_folded(gate.reasons))
        yield from table(folded[:_MOST], width)
        if len(folded) > _MOST:
            yield f"  and {len(folded) - _MOST:,} more: --format json tells all"
    for title, lines in (
        (
            "Waived",
            [
                f"{each.reason.summary} (waived by {each.who} until {each.until}: {each.why})"
                for each in gate.waived
            ],
        ),
        ("Waivers that hold no more", gate.expired),
        ("Notes", gate.notes),
    ):
        if lines:
            yield ""
            yield title
            for line in lines[:_MOST]:
                yield from wrapped(clean(line), width, "    ", first="  ")
            if len(lines) > _MOST:
                yield f"  and {len(lines) - _MOST:,} more: --format json tells all"


def _many(reasons: int) -> str:
    return "" if not reasons else f" ({reasons:,} reason{'s' if reasons > 1 else ''})"


def _folded(reasons: Sequence[Reason]) -> Iterator[tuple[str, str, str]]:
    """(state, who, why). Nodes with the same trouble stand together; what the judge found of each stands alone."""
    alike: dict[tuple[object, ...], list[Reason]] = {}
    for reason in reasons:
        of_node = reason.element.startswith("node:") and reason.check != "findings"
        key = (reason.check, reason.state, reason.kind, reason.component, _said(reason)) if of_node else ()
        alike.setdefault((*key, "") if key else (id(reason),), []).append(reason)
    for mine in alike.values():
        word = (mine[0].severity or "") if mine[0].check == "findings" else mine[0].check
        state = f"{_WORDS[mine[0].state].lower()}, {word}" if word else _WORDS[mine[0].state].lower()
        if len(mine) <= _FOLD:
            for reason in mine:
                yield state, reason.element.removeprefix("node:"), _said(reason)
        else:
            names = sorted((reason.element.removeprefix("node:") for reason in mine), key=natural_order)
            yield state, wording.nodes_word(len(mine)), f"{_said(mine[0])}: {wording.listed(names)}"


def _said(reason: Reason) -> str:
    """The summary without the name that stands beside it."""
    _, _, name = reason.element.partition(":")
    return reason.summary.removeprefix(f"{name}: ").removeprefix(f"{name} ") if name else reason.summary
