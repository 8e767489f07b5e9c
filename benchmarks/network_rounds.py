"""How many rounds it takes to find slow cards, and how many ``rounds: auto`` takes, on simulated fabrics.

.venv/bin/python -m benchmarks.network_rounds --nodes 64 --nodes 1024 --seeds 0:10

Every network has racks, known by LLDP, and uplinks that carry all at once; a hundredth of its nodes (two at least) is slow
on one or both sides of the card by at least the tenth or the fifth that the table names, by 45 % at most. Flows stray by 2 %
with heavy tails (Student's t, 4 degrees of freedom), cards differ by half a percent, one flow of a thousand is a glitch.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from ahc_server.judge.localise import Flows, Network, localise
from ahc_server.pairing import Pair
from ahc_server.rounds import Meeting, Policy
from benchmarks.networks.fabric import Fabric, Floats, Ints

_SPREAD, _FREEDOM, _CARDS, _GLITCHES = 0.02, 4.0, 0.005, 0.001
_WORST = 0.45
_LINE = 25e9 / 8
_FIXED = (2, 4, 6, 8, 10, 12)
_RACKS = {64: 8, 1024: 32, 4096: 64}


@dataclass(slots=True)
class Case:
    """One network: ``sick`` rows are slow by ``least`` or more."""

    fabric: Fabric
    names: list[str]
    racks: dict[str, str]
    sick: set[int]
    random: np.random.Generator


@dataclass(slots=True)
class Score:
    """Of one way of choosing rounds, over seeds: ``rounds`` used, ``found`` of ``sick``, ``false`` nodes of ``healthy``."""

    rounds: list[int] = field(default_factory=list)
    found: int = 0
    sick: int = 0
    false: int = 0
    healthy: int = 0
    clean: int = 0
    seconds: float = 0.0


def case(nodes: int, least: float, seed: int, *, spread: float = _SPREAD) -> Case:
    random = np.random.default_rng([11, nodes, round(1000 * least), seed])
    size = _RACKS.get(nodes, max(4, nodes // 16))
    leaf = random.permutation(np.arange(nodes) // size)
    card = np.exp(random.normal(0, _CARDS, (2, nodes)))
    sick = random.choice(nodes, max(2, nodes // 100), replace=False) if least else np.zeros(0, dtype=np.int64)
    for row in sick.tolist():
        way = int(random.integers(0, 3))
        left = 1 - random.uniform(least, _WORST)
        for side in (0, 1):
            if way in (side, 2):
                card[side, row] = left
    uplink: Floats = np.asarray(np.bincount(leaf) * 1.05, dtype=np.float64)
    fabric = Fabric(
        leaf=leaf, tx=card[0], rx=card[1], up=uplink, down=uplink.copy(), rtt_us=np.full(nodes, 8.0), hop_us=4.0,
        leaf_us=np.zeros(len(uplink)), loss=np.ones(nodes), dead=np.zeros(nodes, dtype=bool), pair={},
    )  # fmt: skip
    names = [f"n{number}" for number in range(nodes)]
    racks = {name: f"leaf{leaf[row]}" for row, name in enumerate(names)}
    return Case(fabric, names, racks, set(sick.tolist()), random)


def measure(one: Case, wave: int, pairs: Sequence[Pair]) -> list[Meeting]:
    """Both directions one after the other, all pairs at once."""
    row = {name: number for number, name in enumerate(one.names)}
    source = np.array([row[a] for a, _ in pairs], dtype=np.int64)
    destination = np.array([row[b] for _, b in pairs], dtype=np.int64)
    there, back = _rates(one, source, destination), _rates(one, destination, source)
    return [
        Meeting(wave, (a, b), {(a, b): there[place], (b, a): back[place]})
        for place, (a, b) in enumerate(pairs)
    ]


def _rates(one: Case, source: Ints, destination: Ints) -> list[float]:
    rate: Floats = one.fabric.rates(source, destination) * _LINE
    rate *= np.exp(_SPREAD * one.random.standard_t(_FREEDOM, len(rate)))
    glitch = one.random.random(len(rate)) < _GLITCHES
    rate[glitch] *= one.random.uniform(0.3, 0.9, int(np.sum(glitch)))
    return [float(each) for each in rate]


def named(one: Case, seen: Sequence[Meeting]) -> set[int]:
    """Rows of the nodes that the localiser names."""
    row = {name: number for number, name in enumerate(one.names)}
    flows = [(each.wave, row[a], row[b], value) for each in seen for (a, b), value in each.flows.items()]
    number, source, destination, rate = (np.array(column) for column in zip(*flows, strict=True))
    leaves = sorted(set(one.racks.values()))
    leaf = np.array([leaves.index(one.racks[name]) for name in one.names], dtype=np.int64)
    network = Network(
        len(row), Flows(number, source, destination, rate, np.full(len(rate), np.nan)), leaf, leaves
    )
    return {each.nodes[0] for each in localise(network).culprits if each.kind == "node"}


def look(one: Case, seen: Sequence[Meeting], rounds: int, score: Score) -> None:
    start = time.perf_counter()
    told = named(one, seen)
    score.seconds += time.perf_counter() - start
    score.rounds.append(rounds)
    score.found += len(told & one.sick)
    score.sick += len(one.sick)
    score.false += len(told - one.sick)
    score.healthy += len(one.names) - len(one.sick)
    score.clean += told == one.sick


def run(nodes: int, least: float, seeds: range, *, every: bool) -> dict[str, Score]:
    """The table's rows: fixed numbers of rounds, ``auto``, and (``every``) all pairs."""
    scores: dict[str, Score] = {}
    for seed in seeds:
        one = case(nodes, least, seed)
        seen: list[Meeting] = []
        policy = Policy(one.names, f"seed {seed}", racks=one.racks)
        fixed = Policy(one.names, f"seed {seed}", nodes, racks=one.racks)
        for number in range(max(_FIXED)):
            pairs = fixed.next_round(number, seen)
            if pairs is None:
                break
            seen += measure(one, number, pairs)
            if number + 1 in _FIXED:
                look(one, seen, number + 1, scores.setdefault(f"{number + 1} random", Score()))
        seen = []
        number = 0
        while (pairs := policy.next_round(number, seen)) is not None:
            seen += measure(one, number, pairs)
            number += 1
        look(one, seen, number, scores.setdefault("auto", Score()))
        if every:
            seen = []
            for number in range(nodes - 1):
                seen += measure(one, number, fixed.next_round(number, seen) or [])
            look(one, seen, nodes - 1, scores.setdefault("all", Score()))
    return scores


def table(title: str, scores: dict[str, Score]) -> str:
    lines = [
        title,
        f"{'':12}{'rounds':>14}{'found':>14}{'recall':>9}{'false nodes':>14}{'all right':>12}{'s each':>9}",
    ]
    for name, each in scores.items():
        used = f"{min(each.rounds)}–{max(each.rounds)}" if len(set(each.rounds)) > 1 else f"{each.rounds[0]}"
        recall = f"{each.found / each.sick:.3f}" if each.sick else "–"
        count = len(each.rounds)
        lines.append(
            f"{name:12}{used:>14}{f'{each.found}/{each.sick}':>14}{recall:>9}{f'{each.false}/{each.healthy:,}':>14}"
            f"{f'{each.clean}/{count}':>12}{each.seconds / count:>9.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--nodes", type=int, action="append")
    options.add_argument("--seeds", default="0:10", help="FIRST:END, END not included")
    options.add_argument(
        "--all-up-to", type=int, default=64, help="all pairs as well, of so many nodes at most"
    )
    chosen = options.parse_args()
    first, _, end = chosen.seeds.partition(":")
    for nodes in chosen.nodes or (64, 1024):
        for least, what in ((0.2, "slow by 20 % or more"), (0.1, "slow by 10 % or more"), (0.0, "healthy")):
            scores = run(nodes, least, range(int(first), int(end)), every=nodes <= chosen.all_up_to)
            print(table(f"\n{nodes:,} nodes, {what}", scores), flush=True)


if __name__ == "__main__":
    main()
