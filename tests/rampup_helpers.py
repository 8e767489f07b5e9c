"""Sessions in which a job ran on ever more machines at once, as the store loads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import Flow, Identity, PairOutcome, TaskOutcome
from ahc_server.session import NodeRecord, OutcomeRecord, Session, StepRecord
from tests.judge_helpers import inventory, measurement

COUNTS = (1, 3, 6, 12, 18, 24, 30, 36, 42, 48)


def saturating(most: float) -> Callable[[int], float]:
    """What one machine gets where all of them share what serves ``most`` machines."""
    return lambda hosts: min(1.0, most / hosts)


_OF_TWENTY = saturating(20.0)


@dataclass
class Ramp:
    """``each``: hosts at once → what one machine gets, 1 alone; ``factor``: (machine, hypervisor, job) → its part of that;
    ``kept``: relative deviation that a machine keeps from step to step."""

    machines: int = 48
    hypervisors: int = 3
    counts: Sequence[int] = COUNTS
    jobs: Sequence[str] = ("cpu", "disk")
    noise: float = 0.04
    kept: float = 0.0
    seed: int = 1
    each: Callable[[int], float] = _OF_TWENTY
    factor: Callable[[int, int, str], float] = lambda machine, host, job: 1.0

    def session(self) -> Session:
        random = np.random.default_rng(self.seed)
        own = np.exp(self.kept * random.standard_normal(self.machines))
        nodes = [self._node(number) for number in range(self.machines)]
        steps: list[StepRecord] = []
        outcomes: list[OutcomeRecord] = []
        for job in self.jobs:
            for hosts in self.counts:
                step = len(steps)
                begun = 1000.0 + 20 * step
                steps.append(
                    StepRecord(step, job, _COMPONENTS[job], hosts, "done", begun, begun + 10, 0.001 * hosts)
                )
                for number in range(hosts):
                    value = self.each(hosts) * self.factor(number, number % self.hypervisors, job)
                    value *= own[number] * float(np.exp(self.noise * random.standard_normal()))
                    outcome = TaskOutcome(status="ok", duration_s=10.0, measurements=[_measured(job, value)])
                    outcomes.append(
                        OutcomeRecord(
                            f"{step}-{number}", f"m{number}", job, _COMPONENTS[job], step, hosts, outcome
                        )
                    )
        return Session("ramp", "", "done", 1000.0, nodes, outcomes, steps)

    def _node(self, number: int) -> NodeRecord:
        identity = Identity(
            uuid=f"m{number}", serial=f"s{number}", physical_host=f"hv{number % self.hypervisors}"
        )
        return NodeRecord(f"m{number}", f"n{number:02d}", identity, inventory())


_COMPONENTS = {"cpu": "cpu", "disk": "storage", "memory": "memory"}
_METRICS = {
    "cpu": ("cpu", "all", "events_per_s", "events/s", True, 1000.0),
    "disk": ("disk", "disk0", "randread_4k_iops", "IOPS", True, 10_000.0),
    "memory": ("memory", "all", "write_1M_bytes_per_s", "bytes/s", True, 10e9),
}


def _measured(job: str, value: float) -> Measurement:
    component, part, quantity, unit, higher, level = _METRICS[job]
    return measurement(component, part, quantity, unit, higher, level * value)


def pairs_session(counts: Sequence[int], rate: Callable[[int], float]) -> Session:
    """Our own network job: pairs of two nodes, all of a step in one wave, each way once."""
    steps, outcomes = [], []
    nodes = [
        NodeRecord(f"m{n}", f"n{n:02d}", Identity(uuid=f"m{n}"), inventory()) for n in range(max(counts))
    ]
    for step, hosts in enumerate(counts):
        steps.append(StepRecord(step, "net", "network", hosts, "done", 0.0, 5.0, 0.002))
        for first in range(0, hosts - 1, 2):
            ends = (f"m{first}", f"m{first + 1}")
            flows = [Flow(source=a, destination=b, bytes_per_s=rate(hosts)) for a, b in (ends, ends[::-1])]
            for machine, peer in (ends, ends[::-1]):
                pair = PairOutcome(
                    pair_id=f"{step}-{first}",
                    role="connect" if machine == ends[0] else "listen",
                    peer=peer,
                    connected=True,
                    flows=flows,
                )
                outcome = TaskOutcome(status="ok", duration_s=2.0, pair=pair)
                outcomes.append(
                    OutcomeRecord(f"{step}-{machine}", machine, "net", "network", step, hosts, outcome)
                )
    return Session("net", "", "done", 0.0, nodes, outcomes, steps)
