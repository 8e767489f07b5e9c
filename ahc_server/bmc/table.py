"""Answers of BMCs as text: one table, and why some did not answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ahc_server.bmc.model import Answer, Event, Reading

Row = tuple[str, ...]

#: What failures are called in front of a person.
TROUBLE = {
    "silent": "silent",
    "locked": "not let in",
    "refused": "refused",
    "cannot": "cannot",
    "mistake": "makes no sense",
}


def draw(action: str, answers: Sequence[Answer]) -> str:
    """The table of an action, then a line for each BMC without an answer, then a count."""
    head, rows_of = TABLES[action]
    rows = [
        (answer.node, *cells) for answer in answers if answer.failure is None for cells in rows_of(answer)
    ]
    lines = columns([("node", *head), *rows]) if rows else []
    for answer in answers:
        lines += [f"{answer.node}: {remark}" for remark in answer.incomplete]
        if answer.failure is not None:
            at = f" ({answer.address})" if answer.address != answer.node else ""
            lines.append(f"{answer.node}{at}: {TROUBLE[answer.failure.trouble]}: {answer.failure.problem}")
    counted = Counter(answer.failure.trouble for answer in answers if answer.failure is not None)
    good = len(answers) - counted.total()
    parts = [f"{good} of {len(answers)} BMCs answered"]
    parts += [f"{number} {TROUBLE[trouble]}" for trouble, number in sorted(counted.items())]
    return "\n".join([*lines, ", ".join(parts), ""])


def columns(rows: Sequence[Row]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _status(answer: Answer) -> list[Row]:
    return [(answer.power or "", answer.boot or "", answer.firmware or "", answer.uuid or "", answer.address)]


def _sensor(reading: Reading) -> Row:
    value = "" if reading.value is None else f"{reading.value:.4g}"
    if not reading.available:
        value = "n/a"
    return (reading.name, reading.kind, value, reading.unit, reading.health, ", ".join(reading.states))


def _event(event: Event) -> Row:
    said = event.event if event.asserted else f"over: {event.event}"
    number = "" if event.record is None else str(event.record)
    return (number, event.at or "no time", event.sensor or "", event.kind, event.health, said)


#: Action → heads after "node", and an answer's rows.
TABLES: dict[str, tuple[Row, Callable[[Answer], list[Row]]]] = {
    "status": (("power", "next boot", "firmware", "uuid", "BMC"), _status),
    "power": (("power", ""), lambda answer: [(answer.power or "", answer.said or "")]),
    "boot-device": (("next boot",), lambda answer: [(answer.boot or "",)]),
    "sensors": (
        ("sensor", "kind", "value", "unit", "health", "states"),
        lambda answer: [_sensor(each) for each in answer.sensors or ()],
    ),
    "sel": (
        ("record", "time (UTC)", "sensor", "kind", "health", "event"),
        lambda answer: [_event(each) for each in answer.events or ()],
    ),
    "identify": (("",), lambda answer: [(answer.said or "",)]),
    "fru": (
        ("part", "field", "value"),
        lambda answer: [
            (fru.part, name, value) for fru in answer.frus or () for name, value in fru.fields.items()
        ],
    ),
    "collect": (
        ("power", "sensors", "events"),
        lambda answer: [(answer.power or "", str(len(answer.sensors or ())), str(len(answer.events or ())))],
    ),
}
