"""Why a machine does not fit a specification: the first line that failed, what it asks, and what the machine has there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ahc_server.edeploy.matcher import Machine, Match
from ahc_server.edeploy.spec import Line, Spec
from ahc_server.profiles.model import Reason

_MOST_SHOWN = 6
_WIDEST = 60
#: Places by which lines of the machine are called near, the nearest first.
_NEAR = ((0, 1, 2), (0, 2), (0, 1), (0,))


def reason(specs: Sequence[Spec], machine: Machine, answer: Match, file: Path) -> Reason:
    """Of an answer that is a no, from the line ``answer.failed`` of the specification."""
    if answer.failed is None:
        return Reason(requirement="a specification", expected=f"the file {file}", found="no such file")
    spec = specs[answer.failed]
    found = _nearest(spec, machine) if answer.alone else _taken(spec, machine)
    return Reason(
        requirement=requirement(spec),
        expected=_expected(spec),
        found=found,
        file=str(file),
        line=spec.line_number,
    )


def requirement(spec: Spec) -> str:
    return f"line {spec.line_number}: {spec.text}"


def _expected(spec: Spec) -> str:
    """In words: variables stand for anything."""
    said = []
    for part in spec.parts:
        if part.kind == "variable":
            said.append("(any)")
        elif part.kind == "bound-call" and part.call is not None:
            said.append(f"{part.call.name}({', '.join(part.call.arguments)})")
        else:
            said.append(part.text)
    return " ".join(said)


def _nearest(spec: Spec, machine: Machine) -> str:
    for places in _NEAR:
        if any(spec.parts[place].kind not in ("text", "never") for place in places):
            continue
        numbers = machine.having(places, spec.words)
        if numbers:
            return _shown([machine.lines[number] for number in numbers])
    return f"no line with {spec.words[0]!r}"


def _taken(spec: Spec, machine: Machine) -> str:
    lines = [line for number, line in enumerate(machine.lines) if spec.candidate(number, line) is not None]
    which = "the line that fits is" if len(lines) == 1 else f"the {len(lines):,} lines that fit are"
    return f"{_shown(lines)}: {which} taken by the lines before, or their variables say otherwise"


def _shown(lines: Sequence[Line]) -> str:
    shown = [" ".join(str(word) for word in line)[:_WIDEST] for line in lines[:_MOST_SHOWN]]
    more = len(lines) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more else "")
