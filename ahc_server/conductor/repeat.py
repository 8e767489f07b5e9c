"""Steps of a session that is over, run again on a few of its machines: may they be, and as which further steps?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_server.conductor.expand import steps_of
from ahc_server.plan.model import Plan
from ahc_server.store.repeats import RepeatPlanned
from ahc_server.store.saved import SavedSession

#: One step on some machines: (number of the step, machines, those of them that do not meet each other).
Asked = tuple[int, Sequence[str], Sequence[str]]


def plan_repeat(
    saved: SavedSession, plan: Plan, asked: Iterable[Asked], *, destructive_allowed: bool
) -> list[RepeatPlanned]:
    """The further steps, numbered on from those that have begun; what an earlier repeat did not come to is given up.

    Raises CannotAnswer where the session cannot be repeated, UsageError where it has no such step or machine.
    """
    if saved.state not in ("done", "stopped"):
        raise CannotAnswer(f"session {saved.name} is {saved.state}: wait for its end")
    steps = steps_of(plan)
    if len(saved.steps) < len(steps):
        raise CannotAnswer(
            f"session {saved.name} was stopped before its plan was over: nothing can be repeated"
            " (run the plan again)"
        )
    if plan.destructive and not destructive_allowed:
        raise UsageError(
            f"{plan.name} may destroy what is on the disks (`destructive: true`), and this server does not allow that"
            " (start it with --allow-destructive)"
        )
    known = {machine for machine, _, _ in saved.participants}
    begun = len(saved.steps)
    repeat = 1 + max((each.repeat for each in saved.repeats if each.step < begun), default=0)
    planned: list[RepeatPlanned] = []
    for of_step, machines, apart in asked:
        if of_step >= len(steps):
            raise UsageError(f"session {saved.name} has no step {of_step} in its plan")
        strange = sorted((set(machines) | set(apart)) - known)
        if strange:
            raise UsageError(f"session {saved.name} has no machine {strange[0]!r}")
        planned.append(RepeatPlanned(begun + len(planned), repeat, of_step, tuple(machines), tuple(apart)))
    return planned


def repeated_machines(repeats: Sequence[RepeatPlanned]) -> set[str] | None:
    """The machines that the last repeat asks for; None where nothing is to be repeated."""
    if not repeats:
        return None
    last = max(each.repeat for each in repeats)
    return {machine for each in repeats if each.repeat == last for machine in each.machines}
