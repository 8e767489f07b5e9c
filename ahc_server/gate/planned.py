"""What a session was to measure, by its own plan: how many steps of which job.

A step that vanished with all its traces (its row, its tasks, its results) is missed by nothing else than the plan.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ahc_agent.errors import AhcError
from ahc_server.conductor.expand import chooses, steps_of, units
from ahc_server.plan import parse_plan
from ahc_server.session import StepRecord

#: What an import writes in the place of a plan → its steps.
_IMPORTS: dict[str, Counter[str]] = {
    "# imported results": Counter({"import": 1}),
    "# imported pairwise network results": Counter({"inventory": 1, "pairwise": 1}),
}
_WITHOUT_PLAN = re.compile(r"# no plan stood beside the results of (\d+) steps")


def absent(plan: str, jobs: list[str]) -> Iterator[str]:
    """What is not as the plan has it. ``plan``: the session's text of it; ``jobs``: of each step that is there, repeats left out.

    Sentences, in a fixed order. A plan that cannot be read is one: nobody knows then what is missing.
    """
    there = Counter(jobs)
    if counted := _WITHOUT_PLAN.fullmatch(plan.strip()):
        if len(jobs) != int(counted[1]):
            yield f"{int(counted[1]):,} steps were imported, {len(jobs):,} are there"
        return
    wanted = _IMPORTS.get(plan.strip())
    if wanted is None:
        try:
            wanted = Counter(step.job.name for step in steps_of(parse_plan(plan, "the session's plan")))
        except AhcError as error:
            yield f"its plan cannot be read, so nobody knows what is missing: {error}"
            return
    for job in sorted(wanted.keys() | there.keys()):
        if wanted[job] != there[job]:
            yield f"the plan has {_steps(wanted[job])} of {job}, {there[job] or 'none'} of them there"


def unmet(plan: str, steps: Iterable[StepRecord], met: Mapping[int, int]) -> Iterator[str]:
    """Steps of which fewer pairs of nodes were tested than the plan has at least. ``met``: step → pairs that are there, of those
    that tested pairs. What cannot be told of a plan is not said here: ``absent`` has said it."""
    if _WITHOUT_PLAN.fullmatch(plan.strip()) or plan.strip() in _IMPORTS:
        return
    try:
        planned = dict(enumerate(steps_of(parse_plan(plan, "the session's plan"))))
    except AhcError:
        return
    for step in sorted(steps, key=lambda step: step.step):
        wanted = planned.get(step.step)
        if (
            step.step not in met
            or wanted is None
            or wanted.job.name != step.job
            or wanted.job.arity is not None
        ):
            continue
        machines = [str(number) for number in range(step.hosts)]
        if wanted.job.budget_s is not None and chooses(wanted, machines):
            continue  # so many as the time was enough for
        least = units(wanted, machines)
        if met[step.step] < least:
            yield (
                f"step {step.step} ({step.job}): by the plan at least {least:,} pairs of nodes meet,"
                f" results are of {met[step.step]:,}"
            )


def _steps(count: int) -> str:
    return f"{count:,} step{'' if count == 1 else 's'}" if count else "no step"
