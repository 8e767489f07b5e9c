"""How a task ended, where its result alone does not tell."""

from __future__ import annotations

from ahc_agent.wire.messages import PairOutcome, TaskOutcome


def is_own(pair: PairOutcome, machine: str, unit: str, role: str, ends: list[str]) -> bool:
    """Whether a machine speaks of the pair that it was given: agents are not trusted with a word about others."""
    between = {machine, pair.peer}
    return (
        (pair.pair_id, pair.role) == (unit, role)
        and between == set(ends)
        and all({flow.source, flow.destination} == between for flow in pair.flows)
    )


def no_result(state: str, reason: str | None) -> TaskOutcome:
    if state == "timeout":
        return TaskOutcome(status="timeout", error=reason)
    return TaskOutcome(status="cancelled" if state == "cancelled" else "failed", error=reason)
