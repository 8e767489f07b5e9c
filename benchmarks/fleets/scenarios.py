"""Which fleets there are: one scenario for each remainder of the seed, so that any forty seeds hold all of them twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """``nodes`` (from, to), drawn evenly on a logarithmic scale; ``platforms`` likewise, evenly. ``faulty`` (from, to): part
    of the nodes. ``common``: all faulty nodes have the same fault of the same size. ``batches``: legitimate ones.
    ``hidden_half``: half of the nodes is 3 % slower somewhere for no visible reason. ``weather`` (from, to): scale of the noise.
    """

    name: str
    nodes: tuple[int, int]
    platforms: tuple[int, int] = (1, 1)
    faulty: tuple[float, float] = (0.0, 0.0)
    common: bool = False
    batches: int = 0
    hidden_half: bool = False
    weather: tuple[float, float] = (0.7, 1.6)

    @property
    def is_healthy(self) -> bool:
        return self.faulty[1] == 0.0


_FEW = (0.04, 0.12)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("healthy", (12, 120)),
    Scenario("healthy, hidden half", (20, 200), hidden_half=True),
    Scenario("healthy, batches", (20, 200), batches=2),
    Scenario("healthy, noisy", (60, 400), platforms=(1, 3), weather=(1.6, 3.0)),
    Scenario("healthy, large", (400, 2000), platforms=(2, 4), batches=1),
    Scenario("faults", (20, 60), faulty=_FEW),
    Scenario("faults", (60, 200), faulty=_FEW),
    Scenario("faults, platforms", (80, 300), platforms=(2, 4), faulty=_FEW),
    Scenario("faults, batches", (40, 200), faulty=_FEW, batches=2),
    Scenario("faults, hidden half", (40, 200), faulty=_FEW, hidden_half=True),
    Scenario("faults, noisy", (60, 300), platforms=(1, 2), faulty=_FEW, weather=(1.4, 2.2)),
    Scenario("faults, large", (300, 1200), platforms=(1, 3), faulty=(0.03, 0.08), batches=1),
    Scenario("faults, quiet", (30, 150), faulty=_FEW, weather=(0.4, 0.7)),
    Scenario("small", (5, 11), faulty=(0.05, 0.20)),
    Scenario("small, healthy", (5, 11)),
    Scenario("tiny", (3, 4), faulty=(0.01, 0.25)),
    Scenario("tiny, healthy", (3, 4)),
    Scenario("one or two", (1, 2), faulty=(0.0, 0.5)),
    Scenario("contaminated", (20, 150), faulty=(0.15, 0.30)),
    Scenario("two populations", (20, 150), faulty=(0.31, 0.40), common=True, weather=(0.7, 1.2)),
)


def scenario_of(seed: int) -> Scenario:
    return SCENARIOS[seed % len(SCENARIOS)]
