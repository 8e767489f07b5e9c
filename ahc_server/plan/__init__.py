"""Plans: what to measure, on how many nodes, in which order."""

from __future__ import annotations

from pathlib import Path

from ahc_agent.errors import UsageError
from ahc_server.plan.model import HostRange, Job, Plan
from ahc_server.plan.parser import parse_plan, read_plan

__all__ = ["HostRange", "Job", "Plan", "find_plan", "parse_plan", "read_plan", "shipped_plans"]

_SHIPPED = Path(__file__).parent / "shipped"


def shipped_plans() -> dict[str, Path]:
    """The plans that come with AHC, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.yaml"))}


def find_plan(given: str) -> Path:
    """A plan's file: a path, or the name of a shipped plan. A file of that name wins."""
    path = Path(given)
    if path.is_file():
        return path
    shipped = shipped_plans()
    if given in shipped:
        return shipped[given]
    raise UsageError(f"{given}: neither a file nor a shipped plan (shipped: {', '.join(shipped)})")
