"""The page of a large network: 1,024 nodes after twelve rounds, and after all pairs, beside the same page without its network.

CPU seconds of drawing, the judgement done. Peer in the same run: the page of the same judgement whose flows were taken away.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ahc_server.judge import Judgement
from ahc_server.judge.localise import Flows
from ahc_server.report.html import draw_html
from tests.network_helpers import all_pairs, matchings
from tests.network_report_helpers import USUAL, USUAL_US, finding, judged

NODES, RACK = 1_024, 32
LIMIT_S, LIMIT_BYTES = 8.0, 2_000_000


def network(rounds: list[list[tuple[int, int]]]) -> Judgement:
    """Noise of 3 %, a card that sends half and an uplink that takes in six tenths."""
    names = [f"node{number:04d}" for number in range(NODES)]
    ways = [
        (number, *way) for number, pairs in enumerate(rounds) for a, b in pairs for way in ((a, b), (b, a))
    ]
    number, source, destination = np.array(ways, dtype=np.int64).T
    random = np.random.default_rng(7)
    rate = USUAL * np.exp(0.03 * random.standard_normal(len(ways)))
    rate[source == 77] *= 0.5
    rate[(destination // RACK == 5) & (source // RACK != 5)] *= 0.6
    times = USUAL_US * np.exp(0.1 * random.standard_normal(len(ways)))
    racks = {name: f"leaf{place // RACK + 1}" for place, name in enumerate(names)}
    bad = [
        finding("node:node0077", ["node0077"], -0.5, direction="tx"),
        finding("leaf:leaf6", names[5 * RACK : 6 * RACK], -0.4, direction="rx"),
    ]
    return judged(names, racks, Flows(number, source, destination, rate, times), bad)


@pytest.mark.parametrize("rounds", [12, NODES - 1])
def test_the_page_of_a_large_network(benchmark: BenchmarkFixture, rounds: int) -> None:
    made = network(matchings(NODES, 12) if rounds == 12 else all_pairs(NODES))
    bare = replace(made, runs=[])
    start = time.process_time()
    draw_html(bare)
    without = time.process_time() - start
    start = time.process_time()
    size = len(benchmark.pedantic(draw_html, args=(made,), rounds=1).encode())  # type: ignore[no-untyped-call]
    took = time.process_time() - start
    benchmark.extra_info.update(bytes=size, cpu_s=round(took, 2), without_network_s=round(without, 3))
    print(f"\n{rounds} rounds: {took:.2f} s CPU, {size / 1e6:.2f} MB; without its network {without:.3f} s")
    assert took < LIMIT_S and size < LIMIT_BYTES
