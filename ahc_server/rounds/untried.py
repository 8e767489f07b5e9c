"""Pairs that were to meet and of which no end ever told how it went: lost on the way, silent, or without addresses."""

from __future__ import annotations

from dataclasses import dataclass

from ahc_server.session import OutcomeRecord, Session


@dataclass(frozen=True, slots=True)
class Untried:
    """``ends``: the machines of which anything is known, one or two; ``why``: what was said of it last."""

    job: str
    step: int
    ends: tuple[str, ...]
    why: str


def untried(session: Session) -> list[Untried]:
    """In a fixed order. Left out are pairs that met later in the same step, what a repeat of a step lacks, and machines that
    vanished or met nobody in the step: that is said of them, and not of each of their pairs."""
    again = {step.step for step in session.steps if step.repeat}
    met: set[tuple[int, tuple[str, ...]]] = set()
    units: dict[tuple[int, str], list[OutcomeRecord]] = {}
    for each in session.outcomes:
        if each.outcome.pair is not None:
            met.add((each.step, tuple(sorted((each.machine, each.outcome.pair.peer)))))
        if each.unit and each.component == "network" and each.step not in again:
            units.setdefault((each.step, each.unit), []).append(each)
    found: dict[tuple[int, tuple[str, ...]], Untried] = {}
    lost = {node.machine for node in session.nodes if node.lost is not None}
    sound = {(step, name) for step, names in met for name in names if name not in lost}
    for (step, _), ends in sorted(units.items()):
        names = tuple(sorted({each.machine for each in ends}))
        whole = all((step, name) in sound for name in names)
        if whole and (step, names) not in met and all(each.outcome.pair is None for each in ends):
            why = min(each.outcome.error or f"the task ended as {each.outcome.status}" for each in ends)
            found[step, names] = Untried(ends[0].job, step, names, why)
    return list(found.values())
