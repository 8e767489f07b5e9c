"""What a plan is: typed, and independent of the file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ahc_agent.wire.messages import AnyTask, PairTask
from ahc_server.rounds import MOST_ROUNDS, Rounds

Component = Literal["inventory", "cpu", "memory", "storage", "network"]
Affinity = Literal["fair", "any"]


@dataclass(frozen=True, slots=True)
class HostRange:
    """How many hosts, in which steps: ``required-hosts: 1-81`` with ``step-hosts: 6``."""

    low: int
    high: int
    step: int = 1

    def counts(self) -> tuple[int, ...]:
        """The host counts one after the other: the least, the multiples of the step between, the most.

        1-81 by 6 is 1, 6, 12, ..., 78, 81: what eDeploy's DAHC ran.
        """
        first = (self.low // self.step + 1) * self.step
        return tuple(sorted({self.low, *range(first, self.high, self.step), self.high}))


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a plan.

    ``hosts`` None: every node once, never two of one physical host at a time unless ``affinity`` is "any". With a range: so
    many nodes *at once*, one step for each count. ``task`` is what each node gets; of a network job it is
    the pattern of both ends (``pair_id``, ``role``, ``peer``, addresses and token are filled in per pair).
    ``networks``: the data addresses of a network job lie in the first of these that both ends have.
    ``affinity_hosts``: only nodes on these physical hosts; ``affinity_count``: at most so many of one. ``rounds``: all pairs, a
    number of random rounds, halves against each other, or as many as it takes (see ``rounds.policy``), ``most_rounds`` at most;
    ``budget_s``: the time that the latter may take, None where the plan does not say.
    """

    name: str
    component: Component
    task: AnyTask
    hosts: HostRange | None = None
    affinity: Affinity = "fair"
    affinity_hosts: tuple[str, ...] = ()
    affinity_count: int | None = None
    arity: int | None = None
    parallel: int | None = None
    rounds: Rounds = "auto"
    most_rounds: int = MOST_ROUNDS
    budget_s: float | None = None
    networks: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """``hosts``: how many nodes the session needs (low) and takes at most (high); None takes all that are there. ``cabling``:
    node → the switch that it is meant to hang on; the report compares it with what LLDP tells."""

    name: str
    jobs: tuple[Job, ...]
    hosts: HostRange | None = None
    hypervisors: int | None = None
    destructive: bool = False
    description: str = ""
    cabling: Mapping[str, str] = field(default_factory=dict)
    text: str = field(default="", repr=False, compare=False)


#: Stands in a network job's task pattern where a pair's own values come.
PATTERN = "pattern"


def pair_pattern(**fields: object) -> PairTask:
    """A PairTask whose identity is still open."""
    return PairTask(pair_id=PATTERN, role="connect", peer=PATTERN, token="0" * 16, **fields)  # type: ignore[arg-type]
