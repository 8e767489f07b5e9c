"""Fleets that are measured again and again: each node keeps its own level, each run has its own noise."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import Identity, TaskOutcome
from ahc_server.history.reading import Reading, read
from ahc_server.session import NodeRecord, OutcomeRecord, Session
from tests.judge_helpers import STANDARD, disturbed, inventory, measurement

Draw = Callable[[np.random.Generator], float]
DAY_S = 86_400.0


def normal(random: np.random.Generator) -> float:
    return float(random.standard_normal())


@dataclass
class Run:
    """One session under construction. ``factors``: (node, component, part or quantity or "") → what is left of a rate;
    node "" is all nodes. ``steal``: node → the part of its time that others took."""

    name: str
    names: list[str]
    inventories: dict[str, Inventory | None]
    factors: dict[tuple[str, str, str], float] = field(default_factory=dict)
    missing: set[tuple[str, str]] = field(default_factory=set)
    ci95: float = 0.0
    steal: dict[str, float] = field(default_factory=dict)
    plan: str = "standard"
    hosts: int | None = None

    def slow(self, node: str, component: str, factor: float, what: str = "") -> Run:
        self.factors[node, component, what] = factor
        return self

    def inventory(self, node: str, change: Callable[[Inventory], None]) -> Run:
        for name in [node] if node else self.names:
            known = self.inventories[name]
            assert known is not None
            own = copy.deepcopy(known)
            change(own)
            self.inventories[name] = own
        return self

    def factor(self, node: str, taken: Sequence[object]) -> float:
        left = 1.0
        for (who, component, what), factor in self.factors.items():
            if who in ("", node) and component == taken[0] and what in ("", taken[1], taken[2]):
                left *= factor
        return left


class Machines:
    """The same machines, run after run: ``Machines(20).run("before")``."""

    def __init__(
        self,
        size: int,
        *,
        noise: float = 0.003,
        seed: int = 1,
        draw: Draw = normal,
        metrics: Sequence[tuple[str, str, str, str, bool, float, float]] = STANDARD,
    ) -> None:
        self.names = [f"n{number + 1}" for number in range(size)]
        self.metrics = metrics
        self._noise, self._draw = noise, draw
        self._random = np.random.default_rng(seed)
        self._level = self._random.normal(1.0, 0.02, (size, len(metrics)))
        self._runs = 0

    def run(self, name: str = "", names: Sequence[str] | None = None) -> Run:
        taken = list(self.names if names is None else names)
        return Run(name or f"run{self._runs}", taken, {each: inventory() for each in taken})

    def session(self, run: Run) -> Session:
        """Measure: noise is drawn anew for all machines, so that one run's does not depend on who takes part."""
        self._runs += 1
        noise = np.array([[self._draw(self._random) for _ in self.metrics] for _ in self.names])
        nodes, outcomes = [], []
        for name in run.names:
            row = self.names.index(name)
            nodes.append(NodeRecord(name, name, Identity(name=name), run.inventories[name]))
            for component in dict.fromkeys(metric[0] for metric in self.metrics):
                taken: list[Measurement] = []
                for column, metric in enumerate(self.metrics):
                    if metric[0] != component or (name, component) in run.missing:
                        continue
                    left = run.factor(name, metric)
                    value = (
                        metric[5]
                        * self._level[row, column]
                        * float(np.exp(self._noise * metric[6] * noise[row, column]))
                    )
                    value = value * left if metric[4] else value / left
                    more = {"ci95": run.ci95 * value} if run.ci95 else {}
                    one = measurement(*metric[:5], value, **more)
                    steal = run.steal.get(name, run.steal.get("", 0.0))
                    taken.append(disturbed(one, steal) if steal else one)
                outcome = TaskOutcome(status="ok", started_at_unix_s=1_714_557_600.0, measurements=taken)
                hosts = run.hosts or len(run.names)
                outcomes.append(
                    OutcomeRecord(f"{component}-{name}", name, component, component, 1, hosts, outcome)
                )
        at_s = 1_714_557_600.0 + DAY_S * self._runs
        return Session(run.name, run.plan, "done", at_s, nodes, outcomes)

    def read(self, run: Run) -> Reading:
        return read(self.session(run))
