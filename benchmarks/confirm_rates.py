"""What ``ahc run --confirm`` is worth: false alarms and faults found after one run, and after the suspects ran twice.

Run: ``.venv/bin/python benchmarks/confirm_rates.py`` (two minutes; seeds fixed). The table in docs/operating.md is its output.

A node's metric is what its peers have, times its own lasting offset (1 %), times what a run strays by (1 %; "heavy tails":
Student's t with 3 degrees), times what the second run shifts for everybody (−10 to +10 %: fewer nodes run at once). A glitch
takes 10 to 60 % of one value, once. A faulty disk keeps its loss in both runs; a moody one has lost 30 % in the first only.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from ahc_agent.measure import Measurement
from ahc_server.judge.again.repeats import choose
from ahc_server.session import Session
from tests.confirm_helpers import STEPS, again, judged, planned
from tests.judge_helpers import Fleet, measurement, verdicts

SIZES = (5, 12, 40)
#: Nodes simulated for a healthy cell, fleets for a sick one.
NODES, FLEETS = 1200, 60
#: What a sick node's disk has left: in the first run, in the second.
SICK: dict[str, tuple[float, float]] = {
    "disk −10 %": (0.90, 0.90),
    "disk −15 %": (0.85, 0.85),
    "disk −20 %": (0.80, 0.80),
    "disk −40 %": (0.60, 0.60),
    "moody disk": (0.70, 1.00),
}


@dataclass(frozen=True, slots=True)
class World:
    """``glitches``: chance of one in each value. ``heavy``: whether a run strays with heavy tails."""

    name: str
    glitches: float = 0.0
    heavy: bool = False


WORLDS = (
    World("quiet"),
    World("0.2 % glitches", glitches=0.002),
    World("1 % glitches", glitches=0.01),
    World("heavy tails", heavy=True),
)


class Truth:
    """One fleet, which may be measured any number of times."""

    def __init__(self, world: World, size: int, seed: int, disk: tuple[float, float] = (1.0, 1.0)) -> None:
        self._world, self._size, self._disk = world, size, disk
        self._random = np.random.default_rng([seed, size, int(1e5 * world.glitches), world.heavy])
        self._offset: dict[tuple[str, str], float] = {}

    def run(self, number: int) -> Fleet:
        """Measure everything on every node."""
        fleet = Fleet(self._size, noise=0.0).benchmarks()
        shifts: dict[str, float] = {}
        for name in fleet.names:

            def how(old: Measurement, name: str = name) -> Measurement:
                assert old.value is not None
                shift = shifts.setdefault(old.name, self._random.uniform(-0.1, 0.1) if number else 0.0)
                offset = self._offset.setdefault((name, old.name), 0.01 * self._random.standard_normal())
                stray = (
                    self._random.standard_t(3) / 3**0.5
                    if self._world.heavy
                    else self._random.standard_normal()
                )
                left = float(np.exp(offset + 0.01 * stray + shift))
                if self._random.random() < self._world.glitches:
                    left *= self._random.uniform(0.4, 0.9)
                if name == "n2" and old.component == "disk":
                    left *= self._disk[number]
                value = old.value * (left if old.higher_is_better else 1 / left)
                return measurement(
                    old.component, old.part, old.quantity, old.unit, old.higher_is_better, value
                )

            fleet.change(name, how)
        return fleet


def measured_again(first: Session, second: Fleet) -> Session:
    """As ``ahc run --confirm`` does, with everybody there."""
    choice = choose(judged(first), first, {each.machine for each in first.nodes})
    job_of = {number: job for job, number in STEPS.items()}
    session = first
    for step in choice.steps:
        session = again(session, second, job_of[step.step], step.machines)
    return session


def both(truth: Truth) -> tuple[dict[str, str], dict[str, str], int]:
    """The verdicts after one run and after both; how many nodes were measured again."""
    first = planned(truth.run(0))
    session = measured_again(first, truth.run(1))
    repeated = {each.machine for each in session.outcomes if each.task_id.startswith("again")}
    return verdicts(judged(first)), verdicts(judged(session)), len(repeated)


def false_alarms() -> None:
    print(
        "Healthy fleets: of 1,000 nodes, how many are accused after one run → after the suspects' second; measured again"
    )
    print(f"{'':18}" + "".join(f"{f'{size} nodes':>24}" for size in SIZES))
    for world in WORLDS:
        cells = []
        for size in SIZES:
            counted: Counter[str] = Counter()
            for seed in range(NODES // size):
                once, twice, repeated = both(Truth(world, size, seed))
                counted["nodes"] += size
                counted["repeated"] += repeated
                counted["once"] += sum(each in ("warn", "fail") for each in once.values())
                counted["twice"] += sum(each in ("warn", "fail") for each in twice.values())
            rate = 1000 / counted["nodes"]
            cells.append(
                f"{rate * counted['once']:.1f} → {rate * counted['twice']:.1f}; {rate * counted['repeated']:.0f}"
            )
        print(f"{world.name:18}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


def recall() -> None:
    print("\nOne sick node: of 100 fleets, in how many it is accused after one run → after the second")
    print(f"{'':18}{'':18}" + "".join(f"{f'{size} nodes':>16}" for size in SIZES))
    for world in WORLDS:
        name = world.name
        for fault, left in SICK.items():
            cells = []
            for size in SIZES:
                found = [
                    both(Truth(world, size, seed, left))[:2]
                    for seed in range(FLEETS if size < 40 else FLEETS // 3)
                ]
                once, twice = (
                    100 * sum(run[which]["n2"] in ("warn", "fail") for run in found) / len(found)
                    for which in (0, 1)
                )
                cells.append(f"{once:.0f} → {twice:.0f}")
            print(f"{name:18}{fault:18}" + "".join(f"{cell:>16}" for cell in cells), flush=True)
            name = ""


if __name__ == "__main__":
    false_alarms()
    recall()
