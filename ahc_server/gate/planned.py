"""What a session was to measure, by its own plan: how many steps of which job.

A step that vanished with all its traces (its row, its tasks, its results) is missed by nothing else than the plan.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from ahc_agent.errors import AhcError
from ahc_server.conductor.expand import Step, steps_of, units
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


def unmet(plan: str, steps: Iterable[StepRecord], there: Mapping[int, int]) -> Iterator[str]:
    """Steps of which less is there than their turn came for, by the server's own books, or than the plan has of pairs at least.

    ``steps``: those of the plan itself; ``there``: step → machines or pairs of which a result is there. The plan alone says
    nothing of rounds that were chosen as the step went. What cannot be told of a plan is not said here: ``absent`` has said it.
    """
    planned = _planned(plan)
    for step in sorted(steps, key=lambda step: step.step):
        wanted, found = planned.get(step.step), there.get(step.step, 0)
        least = _least_pairs(wanted, step) if wanted is not None else 0
        what = "pairs of nodes" if step.component == "network" else "nodes"
        if found < least:
            yield (
                f"step {step.step} ({step.job}): by the plan at least {least:,} pairs of nodes meet, results are of {found:,}"
            )
        elif step.units is not None and found < step.units:
            yield (
                f"step {step.step} ({step.job}): it was the turn of {step.units:,} {what}, results are of {found:,}"
            )


def _planned(plan: str) -> dict[int, Step]:
    if _WITHOUT_PLAN.fullmatch(plan.strip()) or plan.strip() in _IMPORTS:
        return {}
    try:
        return dict(enumerate(steps_of(parse_plan(plan, "the session's plan"))))
    except AhcError:
        return {}


def _least_pairs(wanted: Step, step: StepRecord) -> int:
    job = wanted.job
    if job.component != "network" or job.name != step.job or job.arity is not None:
        return 0
    return units(wanted, [str(number) for number in range(step.hosts)])


def _steps(count: int) -> str:
    return f"{count:,} step{'' if count == 1 else 's'}" if count else "no step"
