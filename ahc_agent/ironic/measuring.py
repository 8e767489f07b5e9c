"""Inventory and local benchmarks of this machine, for whoever asks inside ironic-python-agent. Disks are only read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ahc_agent.bench import standalone
from ahc_agent.commands.bench import parse_parts
from ahc_agent.errors import UsageError
from ahc_agent.task import TaskContext

#: Seconds for everything together. Inspection of a whole rack waits for it.
USUAL_BUDGET_S = 60.0
_LONGEST_BUDGET_S = 86_400.0
_PARTS = "cpu,memory,disk"


@dataclass(frozen=True, slots=True)
class Wanted:
    """``parts``: what is measured; none for the inventory alone."""

    parts: tuple[str, ...] = ("cpu", "memory", "disk")
    budget_s: float = USUAL_BUDGET_S


def wanted(parameters: Mapping[str, Any]) -> Wanted:
    """From ``benchmarks`` (``cpu,memory,disk``, or ``none``) and ``budget`` (seconds); raises UsageError."""
    named = parameters.get("benchmarks") or _PARTS
    budget = parameters.get("budget")
    return Wanted(
        parts=() if named == "none" else parse_parts(str(named)),
        budget_s=USUAL_BUDGET_S if budget in (None, "") else _seconds(budget),
    )


def _seconds(told: Any) -> float:
    try:
        found = float(told)
    except (TypeError, ValueError):
        found = 0.0
    if not 1.0 <= found <= _LONGEST_BUDGET_S:
        raise UsageError(f"budget {told!r}: 1 to {_LONGEST_BUDGET_S:g} seconds are meant")
    return found


def measure(what: Wanted) -> standalone.Answer:
    """What ``ahc-agent bench`` does. Raises AhcError where not even the inventory can be had."""
    return standalone.run(what.parts, what.budget_s, TaskContext(), time.monotonic())


def as_json(answer: standalone.Answer) -> dict[str, Any]:
    """``ahc.bench/1`` in dictionaries, lists, numbers and texts."""
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found
