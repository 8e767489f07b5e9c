"""How many rounds ``rounds: auto`` takes, and what is found by it, by 12 random rounds and by all pairs, on simulated fabrics.

.venv/bin/python -m benchmarks.network_rounds --nodes 64 --nodes 1024 --nodes 4096 --seeds 0:10

Every network has racks and uplinks that carry all at once. It is healthy, or 1 to 5 of one kind are broken (of uplinks and ways a
quarter of the racks at most): cards (one or both sides slower by a tenth to 45 %), cables (loss: both directions collapse),
uplinks of a leaf (25 to 60 % gone), the way between two leaves (half gone), single pairs (a third to two thirds gone), links
that are down. Flows stray by 2 % with heavy tails (Student's t, 4 degrees of freedom), cards differ by half a percent, one flow
of a thousand is a glitch. ``--untold``: no agent heard its switch.

Found and false are elements that the localiser names after the last round. ``in vain``: a round that ``auto`` took after what it
had was enough, as 6 rounds would have named the same.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from ahc_server.judge.localise import Culprit, localise
from ahc_server.pairing import Pair
from ahc_server.rounds import LEAST_ROUNDS, Meeting, Policy
from ahc_server.rounds.doubts import network_of
from benchmarks.networks.fabric import Fabric, Floats, Ints

_SPREAD, _FREEDOM, _CARDS, _GLITCHES = 0.02, 4.0, 0.005, 0.001
_RTT_SPREAD = 0.03
_LEAST, _WORST = 0.10, 0.45
_LINE = 25e9 / 8
_FIXED = 12
_RACKS = {64: 8, 1024: 32, 4096: 64}
KINDS = ("healthy", "card", "cable", "uplink", "link", "pair", "down")

#: "node", row; "leaf", number; "link" or "pair", both ends in order.
Element = tuple[str, tuple[int, ...]]


@dataclass(slots=True)
class Case:
    """One network and what is broken in it. ``racks``: what is known of them."""

    fabric: Fabric
    names: list[str]
    racks: dict[str, str]
    broken: set[Element]
    random: np.random.Generator


@dataclass(slots=True)
class Score:
    """Of one way of choosing rounds, over seeds. ``right``: networks where all and nothing else was named."""

    rounds: list[int] = field(default_factory=list)
    found: int = 0
    broken: int = 0
    false: int = 0
    right: int = 0
    in_vain: int = 0
    seconds: float = 0.0


def case(nodes: int, kind: str, seed: int, *, told: bool = True) -> Case:
    random = np.random.default_rng([11, nodes, KINDS.index(kind), seed])
    size = _RACKS.get(nodes, max(4, nodes // 16))
    leaf = random.permutation(np.arange(nodes) // size)
    card = np.exp(random.normal(0, _CARDS, (2, nodes)))
    uplink: Floats = np.asarray(np.bincount(leaf) * 1.05, dtype=np.float64)
    fabric = Fabric(
        leaf=leaf, tx=card[0], rx=card[1], up=uplink, down=uplink.copy(), rtt_us=np.full(nodes, 8.0), hop_us=4.0,
        leaf_us=np.zeros(len(uplink)), loss=np.ones(nodes), dead=np.zeros(nodes, dtype=bool), pair={},
    )  # fmt: skip
    most = max(1, len(uplink) // 4) if kind in ("uplink", "link") else nodes
    many = 0 if kind == "healthy" else min(most, 1 + seed % 5)
    broken = {_break(fabric, kind, random) for _ in range(many)}
    names = [f"n{number}" for number in range(nodes)]
    racks = {name: f"leaf{leaf[row]:03d}" for row, name in enumerate(names)} if told else {}
    return Case(fabric, names, racks, broken, random)


def _break(fabric: Fabric, kind: str, random: np.random.Generator) -> Element:
    row, other = (int(each) for each in random.choice(len(fabric.tx), 2, replace=False))
    leaf, second = (int(each) for each in random.choice(len(fabric.up), 2, replace=False))
    way = int(random.integers(0, 3))
    if kind == "card":
        for place, side in enumerate((fabric.tx, fabric.rx)):
            if way in (place, 2):
                side[row] = 1 - random.uniform(_LEAST, _WORST)
    elif kind == "cable":
        fabric.loss[row] = random.uniform(0.1, 0.5)
    elif kind == "down":
        fabric.dead[row] = True
    elif kind == "uplink":
        for place, side in enumerate((fabric.up, fabric.down)):
            if way in (place, 2):
                side[leaf] = np.sum(fabric.leaf == leaf) * (1 - random.uniform(0.25, 0.6))
        return "leaf", (leaf,)
    elif kind == "link":
        ends = [np.flatnonzero(fabric.leaf == each).tolist() for each in (leaf, second)]
        for a in ends[0]:
            for b in ends[1]:
                fabric.pair[a, b] = fabric.pair[b, a] = 0.5
        return "link", (min(leaf, second), max(leaf, second))
    else:
        fabric.pair[row, other] = fabric.pair[other, row] = random.uniform(0.33, 0.67)
        return "pair", (min(row, other), max(row, other))
    return "node", (row,)


def measure(one: Case, wave: int, pairs: Sequence[Pair]) -> list[Meeting]:
    """Both directions one after the other, all pairs at once; then round trips."""
    row = {name: number for number, name in enumerate(one.names)}
    source = np.array([row[a] for a, _ in pairs], dtype=np.int64)
    destination = np.array([row[b] for _, b in pairs], dtype=np.int64)
    there, back = _rates(one, source, destination), _rates(one, destination, source)
    times = one.fabric.times(source, destination)
    times *= np.exp(np.abs(_RTT_SPREAD * one.random.standard_t(_FREEDOM, len(times))))
    return [
        Meeting(
            wave,
            (a, b),
            {(a, b): there[place], (b, a): back[place]},
            None if np.isnan(times[place]) else float(times[place]),
        )
        for place, (a, b) in enumerate(pairs)
    ]


def _rates(one: Case, source: Ints, destination: Ints) -> list[float]:
    rate: Floats = one.fabric.rates(source, destination) * _LINE
    lossy = np.minimum(one.fabric.loss[source], one.fabric.loss[destination])
    rate = np.where(lossy < 1, rate * lossy * one.random.uniform(0.5, 1.2, len(rate)), rate)
    rate *= np.exp(_SPREAD * one.random.standard_t(_FREEDOM, len(rate)))
    glitch = one.random.random(len(rate)) < _GLITCHES
    rate[glitch] *= one.random.uniform(0.3, 0.9, int(np.sum(glitch)))
    return [float(each) for each in rate]


def named(one: Case, seen: Sequence[Meeting]) -> set[Element]:
    """What the localiser names."""
    return {_element(one, each) for each in localise(network_of(one.names, one.racks, seen)).culprits}


def _element(one: Case, each: Culprit) -> Element:
    """A rack that nobody told is the one that most of its nodes are in."""
    if each.kind in ("node", "pair"):
        return each.kind, tuple(sorted(each.nodes))
    counted = np.bincount(one.fabric.leaf[list(each.nodes)], minlength=len(one.fabric.up))
    ends = np.argsort(-counted, kind="stable")[: 1 if each.kind == "leaf" else 2]
    return each.kind, tuple(sorted(ends.tolist()))


def look(one: Case, seen: Sequence[Meeting], rounds: int, score: Score) -> set[Element]:
    start = time.perf_counter()
    told = named(one, seen)
    score.seconds += time.perf_counter() - start
    score.rounds.append(rounds)
    score.found += len(told & one.broken)
    score.broken += len(one.broken)
    score.false += len(told - one.broken)
    score.right += told == one.broken
    return told


def run(nodes: int, kind: str, seeds: range, *, every: bool, told: bool = True) -> dict[str, Score]:
    """The table's rows: ``auto``, so many random rounds, and (``every``) all pairs."""
    scores = {name: Score() for name in ("auto", f"{_FIXED} random", *(("all",) if every else ()))}
    for seed in seeds:
        one = case(nodes, kind, seed, told=told)
        policy = Policy(one.names, f"seed {seed}", racks=one.racks)
        seen: list[Meeting] = []
        number = 0
        while (pairs := policy.next_round(number, seen)) is not None:
            seen += measure(one, number, pairs)
            number += 1
        answer = look(one, seen, number, scores["auto"])
        if number > LEAST_ROUNDS:
            first = named(one, [each for each in seen if each.wave < LEAST_ROUNDS])
            scores["auto"].in_vain += number - LEAST_ROUNDS if first == answer else 0
        for name, rounds in ((f"{_FIXED} random", _FIXED), *((("all", nodes - 1),) if every else ())):
            fixed = Policy(one.names, f"seed {seed}", nodes, racks=one.racks)
            seen = []
            for number in range(rounds):
                seen += measure(one, number, fixed.next_round(number, seen) or [])
            look(one, seen, rounds, scores[name])
    return scores


def rows(nodes: int, kind: str, scores: dict[str, Score]) -> str:
    lines = []
    for name, each in scores.items():
        least, most = min(each.rounds), max(each.rounds)
        used = f"{least} – {most}" if least < most else f"{least}"
        mean = float(np.mean(each.rounds))
        lines.append(
            f"{nodes:>6,}  {kind:<8}{name:<10}{used:>9}{mean:>7.1f}{f'{each.found}/{each.broken}':>9}{each.false:>7}"
            f"{f'{each.right}/{len(each.rounds)}':>9}{each.in_vain:>9}{each.seconds / len(each.rounds):>8.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--nodes", type=int, action="append")
    options.add_argument("--seeds", default="0:10", help="FIRST:END, END not included")
    options.add_argument("--kind", action="append", choices=KINDS)
    options.add_argument("--untold", action="store_true", help="nobody knows the racks")
    options.add_argument(
        "--all-up-to", type=int, default=64, help="all pairs as well, of so many nodes at most"
    )
    chosen = options.parse_args()
    first, _, end = chosen.seeds.partition(":")
    print(" nodes  broken  rounds:       used   mean    found  false  right  in vain  s each")
    for nodes in chosen.nodes or (64, 1024):
        for kind in chosen.kind or KINDS:
            scores = run(
                nodes,
                kind,
                range(int(first), int(end)),
                every=nodes <= chosen.all_up_to,
                told=not chosen.untold,
            )
            print(rows(nodes, kind, scores), flush=True)


if __name__ == "__main__":
    main()
