"""How often the judge accuses a healthy node, and how large a fault must be to be found: by simulation, seeds fixed.

Run: ``.venv/bin/python benchmarks/judge_rates.py`` (about a minute). The tables in docs/statistics.md are its output.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from ahc_agent.measure import Measurement
from ahc_server.judge import judge_session
from tests.judge_helpers import Fleet, measurement

Draw = Callable[[np.random.Generator, float], float]
SIZES = (3, 4, 5, 8, 40)
NOISES = (0.005, 0.02, 0.05, 0.10)
#: Nodes simulated for each cell of a table: sizes do not divide it, the rate is over what was simulated.
NODES = 200
FAULT_FLEETS = 20

#: One standard deviation of every metric is the noise; ``common`` is the node's own, the same for all its metrics.
KINDS: dict[str, Draw] = {
    "normal": lambda random, common: random.standard_normal(),
    "heavy tails (t, 3 degrees)": lambda random, common: random.standard_t(3) / 3**0.5,
    "correlated within a node": lambda random, common: 0.3 * random.standard_normal() + 0.95 * common,
    "skewed (only losses)": lambda random, common: 1 - random.exponential(),
    "0.1 % glitches to a half": lambda random, common: (
        random.standard_normal() if random.random() > 0.001 else -np.inf
    ),
}


def healthy(size: int, noise: float, draw: Draw, seed: int, digits: int | None = None) -> Fleet:
    """A fleet of equal nodes whose 10 metrics scatter as ``draw`` says; ``digits``: how many of each value are kept."""
    random = np.random.default_rng(seed)
    fleet = Fleet(size, noise=0.0).benchmarks()
    for name in fleet.names:
        common = random.standard_normal()

        def scattered(old: Measurement, common: float = common) -> Measurement:
            assert old.value is not None
            z = draw(random, common)
            factor = 0.5 if z == -np.inf else float(np.exp(noise * z))
            value = old.value * (factor if old.higher_is_better else 1 / factor)
            if digits is not None:
                value = float(f"{value:.{digits - 1}e}")
            return measurement(old.component, old.part, old.quantity, old.unit, old.higher_is_better, value)

        fleet.change(name, scattered)
    # Pairwise throughput scatters by the noise, round trips by twice as much.
    return fleet.with_noise(noise, seed).network()


def verdicts(fleets: Sequence[Fleet]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for fleet in fleets:
        counted.update(node.verdict for node in judge_session(fleet.session(), generated_at="").nodes)
    return counted


def false_alarms() -> None:
    print("Healthy fleets: of 1,000 nodes, how many are warned of / failed / unknown")
    print(f"{'':28}{'noise':>7}" + "".join(f"{f'{size} nodes':>15}" for size in SIZES))
    rows: list[tuple[str, Draw, int | None]] = [(kind, draw, None) for kind, draw in KINDS.items()]
    rows.append(("normal, 3 digits kept", KINDS["normal"], 3))
    for kind, draw, digits in rows:
        for noise in NOISES:
            cells = []
            for size in SIZES:
                fleets = [healthy(size, noise, draw, seed, digits) for seed in range(NODES // size)]
                counted = verdicts(fleets)
                rate = 1000 / counted.total()
                cells.append("/".join(f"{rate * counted[each]:.0f}" for each in ("warn", "fail", "unknown")))
            print(f"{kind:28}{100 * noise:5.1f} %" + "".join(f"{cell:>15}" for cell in cells), flush=True)
            kind = ""


Fault = Callable[[Fleet, float], Fleet]
FAULTS: dict[str, Fault] = {
    "CPU": lambda fleet, left: fleet.slow("n2", "cpu", left).network(),
    "memory": lambda fleet, left: fleet.slow("n2", "memory", left).network(),
    "disk": lambda fleet, left: fleet.slow("n2", "disk", left).network(),
    "card, one way": lambda fleet, left: fleet.network(tx={"n2": left}),
    "card, both ways": lambda fleet, left: fleet.network(tx={"n2": left}, rx={"n2": left}),
    "round trip": lambda fleet, left: fleet.network(rtt={"n2": 40 / left - 40}),
}
LOSSES = (0.10, 0.15, 0.20, 0.30, 0.40, 0.50, 0.67)


def detection() -> None:
    print(
        "\nOne sick node in a fleet with 2 % noise: of 100 fleets, in how many it is found (and nobody else is accused)"
    )
    print(f"{'':18}{'nodes':>6}" + "".join(f"{f'−{100 * loss:.0f} %':>10}" for loss in LOSSES))
    for name, fault in FAULTS.items():
        for size in (3, 5, 40):
            cells = []
            for loss in LOSSES:
                found = clean = 0
                for seed in range(FAULT_FLEETS if size < 40 else FAULT_FLEETS // 4):
                    fleet = Fleet(size, noise=0.02, seed=seed).benchmarks()
                    report = judge_session(fault(fleet, 1 - loss).session(), generated_at="")
                    accused = {node.id for node in report.nodes if node.verdict in ("warn", "fail")}
                    found += "n2" in accused
                    clean += accused <= {"n2"}
                tries = FAULT_FLEETS if size < 40 else FAULT_FLEETS // 4
                cells.append(
                    f"{100 * found / tries:.0f}" + ("" if clean == tries else f" ({100 * clean / tries:.0f})")
                )
            print(f"{name:18}{size:6}" + "".join(f"{cell:>10}" for cell in cells), flush=True)
            name = ""


if __name__ == "__main__":
    warnings.simplefilter("error")
    false_alarms()
    detection()
