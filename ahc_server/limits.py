"""Limits of practical importance from a file: what a difference must be to matter at one site.

::

    limits:                                   # by kind of evidence: the rows of judge/thresholds.py
      cpu: {floor: 2 %, fail: 20 %}
      latency: {floor: 0.5}                   # 0.5 is 50 %
    shared:                                   # the same, where most machines of a group share a host with others
      cpu: {floor: 8 %}
    alarms: 0.0001                            # chance that a healthy node is accused by one kind of evidence

What a file does not name stays as shipped. Nothing can be set to zero: without a floor every difference would matter.
``python -m ahc_server.limits`` prints the shipped limits as such a file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from ahc_server.judge.thresholds import KINDS, OWN, SHARED, SHARED_KINDS, SHIPPED, Limits, Tables, Thresholds
from ahc_server.yamlfile import Document, Section, parse_document, read_document

#: 0.03, 3 %, and 3e-2, which YAML takes for text.
_NUMBER = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,10})?(?:e-?[0-9]{1,2})?)\s*(%?)")


@dataclass(frozen=True, slots=True)
class Range:
    """What a value may be."""

    low: float
    high: float

    def take(self, section: Section, key: str) -> float | None:
        """The value, None where it is not given. Raises FileFormatError."""

        def take(value: Any) -> float | None:
            match = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
            if match is not None:
                number = round(float(match[1]) / 100, 12) if match[2] else float(match[1])
            elif type(value) in (int, float):
                number = float(value)
            else:
                return None
            return number if math.isfinite(number) and self.low <= number <= self.high else None

        return section.get(key, f"a number from {self.low:g} to {self.high:g} (3 % is 0.03)", take)


_EXTRA = Range(0.0, 10.0)
#: Rates can lose no more than everything; what grows when it gets worse can become many times what is expected.
RATES = {
    "floor": Range(0.001, 0.5),
    "fail": Range(0.01, 0.95),
    "noise": Range(0.0005, 0.25),
    "extra": _EXTRA,
}
TIMES = {
    "floor": Range(0.001, 10.0),
    "fail": Range(0.01, 100.0),
    "noise": Range(0.0005, 2.0),
    "extra": _EXTRA,
}
#: What grows when it gets worse.
GROWING = frozenset({"latency", "tail latency", "rtt", "unsteady"})

#: Key → field of ``Thresholds`` and its range. ``least_peers`` is none: with fewer than three one cannot tell who is different.
OVERALL = {
    "alarms": ("alarms", Range(1e-9, 0.01)),
    "alpha": ("alpha", Range(1e-6, 0.05)),
    "spread-limit": ("spread_limit", Range(0.02, 1.0)),
}

#: What each kind of evidence is about, for the file that people read.
MEANINGS: Mapping[str, str] = {
    "cpu": "all that a node's CPUs do",
    "socket": "one socket beside the others of its node",
    "core": "one core beside the others of its node",
    "throttling": "cores that slow down while all of them work",
    "memory": "memory bandwidth",
    "numa": "one NUMA node beside the others of its node",
    "cached": "memory in blocks that fit a cache",
    "sequential": "sequential reads of a disk",
    "sequential writes": "sequential writes of a disk",
    "random": "random reads of a disk",
    "random writes": "random writes of a disk",
    "disk": "all that a disk does, taken together",
    "unsteady": "how far a node strays from itself, beside how far its peers do",
    "latency": "usual latency of a disk",
    "tail latency": "the slowest of a disk's requests",
    "tx": "what a node can send",
    "rx": "what a node can receive",
    "rtt": "round trips in the network",
    "other": "metrics of imports that nothing more is known of",
}


def read_limits(path: str | Path) -> Tables:
    """Limits from a file. Raises FileFormatError."""
    return _tables(read_document(path))


def parse_limits(text: str | bytes, file: str = "limits") -> Tables:
    """Limits from text; ``file`` is its name in errors and in the report. Raises FileFormatError."""
    return _tables(parse_document(text, file))


def _tables(document: Document) -> Tables:
    top = document.section()
    top.only(("limits", "shared", *OVERALL), "a file of limits")
    overall = {
        name: value for key, (name, values) in OVERALL.items() if (value := values.take(top, key)) is not None
    }
    own = _kinds(top, "limits", KINDS)
    unasked = {kind: _unasked(kind, row) for kind, row in own.items()}
    shared = _kinds(top, "shared", unasked)
    changed = [
        key
        for key, (name, _) in OVERALL.items()
        if overall.get(name, getattr(OWN, name)) != getattr(OWN, name)
    ]
    changed += [kind for kind in KINDS if own[kind] != KINDS[kind]]
    changed += [f"{kind} on shared hosts" for kind in KINDS if shared[kind] != unasked[kind]]
    return Tables(
        own=_thresholds(OWN, own, overall),
        shared=_thresholds(SHARED, shared, overall),
        note=f"judged by the limits of {document.file} ({', '.join(changed) or 'as shipped'})",
    )


def _unasked(kind: str, row: Limits) -> Limits:
    """Limits on shared hosts where the file says nothing of them: as shipped, but no narrower than what the file asks of
    machines of their own."""
    if row == KINDS[kind]:
        return SHARED.kinds[kind]
    if kind not in SHARED_KINDS:
        return row
    return Limits(*(max(pair) for pair in zip(astuple(row), astuple(SHARED_KINDS[kind]), strict=True)))


def _kinds(top: Section, key: str, base: Mapping[str, Limits]) -> dict[str, Limits]:
    """The rows of ``base`` with what the file says of them."""
    rows = dict(base)
    if key not in top.plain:
        return rows
    sections = top.sections(key)
    Section(top.document, (key,)).only(KINDS, "limits")
    for kind, section in sections.items():
        rows[kind] = _row(kind, section, rows[kind])
    return rows


def _row(kind: str, section: Section, base: Limits) -> Limits:
    ranges = TIMES if kind in GROWING else RATES
    section.only(ranges, f"the limits of {kind}")
    given = {key: value for key, values in ranges.items() if (value := values.take(section, key)) is not None}
    row = replace(base, **given)
    for below in ("floor", "noise"):
        if getattr(row, below) >= row.fail:
            key = below if below in given else "fail"
            section.fail(
                key,
                f"{kind}: {below} ({percent(getattr(row, below))}) must be less than fail ({percent(row.fail)})",
                f"set both {below} and fail",
            )
    return row


def _thresholds(base: Thresholds, kinds: Mapping[str, Limits], overall: Mapping[str, float]) -> Thresholds:
    return replace(base, kinds=kinds, **overall)  # type: ignore[arg-type]


def percent(share: float) -> str:
    """0.012 as people write it: 1.2 %."""
    return f"{round(share * 100, 10):g} %"


def draw_limits(tables: Tables = SHIPPED) -> str:
    """Limits as a file that ``read_limits`` reads; of ``shared`` what differs."""
    return "\n".join(_drawn(tables)) + "\n"


def _drawn(tables: Tables) -> Iterator[str]:
    yield from _HEAD.splitlines()
    yield "limits:"
    for kind, row in tables.own.kinds.items():
        yield f"  # {MEANINGS[kind]}"
        yield f"  {kind}: {_drawn_row(kind, row)}"
    yield ""
    yield "# Where most machines of a group share a host with others (virtual machines, containers) they disturb each other."
    yield "# A kind that a file does not name here has what stands above, or what is shipped here where that is wider."
    yield "shared:"
    for kind, row in tables.shared.kinds.items():
        if kind in SHARED_KINDS or row != tables.own.kinds[kind]:
            yield f"  {kind}: {_drawn_row(kind, row)}"
    yield ""
    yield "# Chance that a healthy node is accused by one kind of evidence, at most, however many sheep there are."
    yield f"alarms: {tables.own.alarms:.10f}".rstrip("0")
    yield "# Rate of false findings among all findings that is tolerated."
    yield f"alpha: {tables.own.alpha:.10f}".rstrip("0")
    yield "# Where peers differ among themselves by more (one standard deviation), nobody is judged."
    yield f"spread-limit: {percent(tables.own.spread_limit)}"


def _drawn_row(kind: str, row: Limits) -> str:
    shares = ", ".join(f"{name}: {percent(getattr(row, name))}" for name in ("floor", "fail", "noise"))
    has_extra = row.extra or KINDS[kind].extra or SHARED.kinds[kind].extra
    return f"{{{shares}, extra: {row.extra:g}}}" if has_extra else f"{{{shares}}}"


_HEAD = """\
# What a difference must be to matter: the limits that hold where no other file is chosen.
#
# Copy this file, keep the lines that you want to change, and say `ahc report --limits FILE`. What a file does not name stays as
# it is here. Shares are parts of what the peers make one expect; 3 % may be written as 0.03.
#
#   floor   a difference up to this is of no practical importance (twice that in groups of fewer than 12 nodes)
#   fail    from here on the node is broken, and not merely worth a look
#   noise   spread (one standard deviation) that is taken for granted of healthy nodes, however alike they look
#   extra   so many spreads more before anybody is accused, where single runs stray
"""

if __name__ == "__main__":
    print(draw_limits(), end="")
