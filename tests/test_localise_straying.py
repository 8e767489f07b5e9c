"""Where a hash spreads flows over links, some are as they should be and some are not: a few nodes get more of the latter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ahc_server.judge.localise import Network, localise
from tests.network_helpers import Part, all_pairs, matchings, network

Pairs = list[list[tuple[int, int]]]


def hashed(nodes: int, pairs: Pairs, part: Part, seed: int, *, share: float = 0.4) -> Network:
    """A ``share`` of the flows meets others on its link, and reaches five to eight tenths."""
    of = network(nodes, pairs, part, noise=0.008, seed=seed)
    random = np.random.default_rng([7, seed])
    crowded = random.random(len(of.flows)) < share
    of.flows.rate[crowded] *= random.uniform(0.5, 0.8, int(np.sum(crowded)))
    return of


def queued(nodes: int, pairs: Pairs, seed: int) -> Network:
    """One pair in six waits in a full queue: its round trips are twice as long."""
    random = np.random.default_rng([8, seed])
    return network(
        nodes, pairs, rtt=lambda a, b: 20.0 * random.choice([1.0, 2.0], p=[5 / 6, 1 / 6]), seed=seed
    )


MANY: dict[str, tuple[int, Callable[[int], Pairs]]] = {
    "all pairs of sixteen": (16, lambda seed: all_pairs(16)),
    "eight rounds of sixteen": (16, lambda seed: matchings(16, 8, seed)),
    "six rounds of forty": (40, lambda seed: matchings(40, 6, seed)),
}


def accused(of: Network) -> set[tuple[str, tuple[int, ...]]]:
    return {(each.kind, each.nodes) for each in localise(of).culprits}


@pytest.mark.parametrize("which", MANY)
def test_luck_accuses_nearly_nobody(which: str) -> None:
    """Of 20 healthy networks."""
    nodes, pairs = MANY[which]
    named = [accused(hashed(nodes, pairs(seed), lambda a, b: 1.0, seed)) for seed in range(20)]
    assert sum(map(len, named)) <= 1


@pytest.mark.parametrize("which", MANY)
def test_long_queues_accuse_nearly_nobody(which: str) -> None:
    nodes, pairs = MANY[which]
    named = [accused(queued(nodes, pairs(seed), seed)) for seed in range(20)]
    assert sum(map(len, named)) <= 1


@pytest.mark.parametrize("which", MANY)
def test_a_card_at_a_third_of_its_speed_shows_all_the_same(which: str) -> None:
    nodes, pairs = MANY[which]
    card: Part = lambda a, b: 0.33 if 3 in (a, b) else 1.0  # noqa: E731
    named = [accused(hashed(nodes, pairs(seed), card, seed, share=0.25)) for seed in range(20)]
    assert sum(("node", (3,)) in each for each in named) >= 19
    assert sum(len(each - {("node", (3,))}) for each in named) <= 1
