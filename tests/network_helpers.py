"""Small networks for the localiser: what each flow should reach is set by hand, noise is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.localise import Answer, Flows, Network, localise

LINE = 3.0e9

#: (source, destination, round) → the part of the line that a flow reaches.
Part = Callable[[int, int], float]


def all_pairs(nodes: int) -> list[list[tuple[int, int]]]:
    """Rounds of disjoint pairs in which everybody meets everybody once."""
    circle = [*range(nodes), *([-1] if nodes % 2 else [])]
    rounds = []
    for _ in range(len(circle) - 1):
        half = len(circle) // 2
        rounds.append(
            [(a, b) for a, b in zip(circle[:half], circle[half:][::-1], strict=True) if min(a, b) >= 0]
        )
        circle.insert(1, circle.pop())
    return rounds


def matchings(nodes: int, rounds: int, seed: int = 1) -> list[list[tuple[int, int]]]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(rounds):
        order = random.permutation(nodes)[: nodes // 2 * 2].reshape(2, -1).tolist()
        found.append(list(zip(*order, strict=True)))
    return found


def network(
    nodes: int,
    pairs: Sequence[Sequence[tuple[int, int]]],
    part: Part = lambda a, b: 1.0,
    *,
    rtt: Part | None = None,
    racks: Sequence[int] | None = None,
    noise: float = 0.01,
    seed: int = 1,
    speed: Floats | None = None,
) -> Network:
    """Both ways of all pairs. ``racks``: of each node; ``rtt`` in µs."""
    random = np.random.default_rng(seed)
    rows = [(number, *way) for number, one in enumerate(pairs) for a, b in one for way in ((a, b), (b, a))]
    rates = [LINE * part(a, b) * np.exp(noise * random.standard_normal()) for _, a, b in rows]
    times = [
        np.nan if rtt is None else rtt(a, b) * np.exp(4 * noise * random.standard_normal())
        for _, a, b in rows
    ]
    number, source, destination = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    flows = Flows(number, source, destination, np.array(rates), np.array(times))
    leaf: Ints = np.full(nodes, -1, dtype=np.int64) if racks is None else np.array(racks, dtype=np.int64)
    return Network(nodes, flows, leaf, [f"leaf{each + 1}" for each in range(max(racks or [-1]) + 1)], speed)


def said(answer: Answer) -> list[tuple[str, tuple[int, ...], str | None]]:
    """Kind, rows (of a leaf its name), direction of each culprit, in the order of the rows."""
    return sorted((each.kind, each.nodes, each.way) for each in answer.culprits)


def names(of: Network) -> list[tuple[str, tuple[int, ...], str | None]]:
    return said(localise(of))
