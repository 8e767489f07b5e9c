"""What a session was to measure, by its own plan: how many steps of which job.

A step that vanished with all its traces (its row, its tasks, its results) is missed by nothing else than the plan.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from ahc_agent.errors import AhcError
from ahc_server.conductor.expand import steps_of
from ahc_server.plan import parse_plan

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


def _steps(count: int) -> str:
    return f"{count:,} step{'' if count == 1 else 's'}" if count else "no step"
