"""How many healthy nodes of very small groups are accused, all pairs measured, by kind and size of noise.

.venv/bin/python -m benchmarks.small_networks

Every flow strays by itself; one standard deviation of the rates is the noise (of "only losses" that of a normal of which only
the worse half is left), and round trips scatter by twice as much. Counted are nodes that the report warns of after an
``ahc import``, of 1,000.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.networks.generate import Network
from benchmarks.networks.rules import imported

SIZES = (3, 4, 5)
NOISES = (0.05, 0.10)
_LINE_GBPS, _RTT_US = 10.0, 30.0

#: How much better than usual a flow is, in units of the noise.
KINDS: dict[str, Callable[[np.random.Generator], float]] = {
    "normal": lambda random: random.standard_normal(),
    "heavy tails (t, 3 degrees)": lambda random: random.standard_t(3) / 3**0.5,
    "only losses": lambda random: -abs(random.standard_normal()),
}


def healthy(size: int, kind: str, noise: float, seed: int) -> dict[str, Any]:
    """All pairs of ``size`` equal nodes behind one switch, as ``ahc.pairwise/1``; one direction after the other."""
    random = np.random.default_rng([17, size, list(KINDS).index(kind), round(noise * 1000), seed])
    names = [f"n{number}" for number in range(size)]

    def flow(a: str, b: str) -> list[str | float]:
        rate, trip = (KINDS[kind](random) for _ in range(2))
        return [a, b, _LINE_GBPS * max(1 + noise * rate, 0.01), _RTT_US * max(1 - 2 * noise * trip, 0.01)]

    pairs = [(a, b) for a in names for b in names if a != b]
    return {"schema": "ahc.pairwise/1", "nodes": names, "rounds": [[flow(a, b)] for a, b in pairs]}


def accused(size: int, kind: str, noise: float, groups: int) -> float:
    """Nodes of 1,000."""
    found = 0
    for seed in range(groups):
        network = Network(seed, healthy(size, kind, noise, seed), [], kind)
        found += len({node for each in imported(network) for node in each.nodes})
    return 1000 * found / (groups * size)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--groups", type=int, default=150, help="groups for each cell")
    groups = options.parse_args().groups
    print("| noise | " + " | ".join(f"{size} nodes" for size in SIZES) + " |")
    print("| --- |" + " --- |" * len(SIZES))
    for kind in KINDS:
        for noise in NOISES:
            cells = [f"{accused(size, kind, noise, groups):.0f}" for size in SIZES]
            print(f"| {kind}, {noise:.0%} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
