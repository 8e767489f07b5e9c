"""The second fabric of labelled networks, and the simple rules that the localiser is measured against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.networks import second
from benchmarks.networks.clos import Clos, Streams, fill, measure
from benchmarks.networks.generate import Network
from benchmarks.networks.rules import imported, threshold, threshold_by_leaf
from benchmarks.networks.score import Answer


def clos(racks: list[int], link: float, spines: int = 2) -> Clos:
    nodes, leaves = len(racks), max(racks) + 1
    return Clos(
        leaf=np.array(racks),
        tx=np.full(nodes, 10.0),
        rx=np.full(nodes, 10.0),
        up=np.full((leaves, spines), link),
        down=np.full((leaves, spines), link),
        delay_us=np.full(nodes, 10.0),
        hop_us=5.0,
        loss=np.zeros(nodes),
        dead=np.zeros(nodes, dtype=bool),
        policed={},
    )


def streams(ways: list[tuple[int, int]], each: int = 4) -> Streams:
    source, destination = np.array(ways).T
    hashed = np.arange(len(ways) * each).reshape(-1, each)
    return Streams(source, destination, hashed, np.ones((len(ways), each)))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.lists(st.integers(0, 5), min_size=12, max_size=12),
)
def test_no_link_is_overfull_and_each_stream_has_one_that_is_full(one: list[int], other: list[int]) -> None:
    path = np.array([one, other[: len(one)]])
    capacity = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0])
    rate = fill(capacity, path, np.ones(len(one)), np.full(len(one), np.inf), np.ones(len(one), dtype=bool))
    used = sum(np.bincount(links, rate, len(capacity)) for links in path)
    assert np.all(used <= capacity * 1.02)
    full = used >= capacity * 0.98
    assert np.all(np.any(full[path], axis=0))


def test_streams_are_hashed_over_spines_and_crowd_on_those_that_are_left() -> None:
    made = clos([0, 0, 1, 1], link=5.0)
    pairs = streams([(0, 2), (1, 3)])
    assert measure(made, pairs)[0] == pytest.approx([5.0, 5.0], rel=0.02)
    made.up[0, 1] = 0.0
    assert measure(made, pairs)[0] == pytest.approx([2.5, 2.5], rel=0.02)


def test_loss_dead_links_and_queues_show() -> None:
    made = clos([0, 0, 1, 1], link=50.0)
    rate, times = measure(made, streams([(0, 2), (1, 3)]))
    assert rate == pytest.approx([10.0, 10.0], rel=0.02) and np.all(times > 25.0)
    made.loss[0] = 0.3
    made.dead[3] = True
    rate, times = measure(made, streams([(0, 2), (1, 3)]))
    assert 0 < rate[0] < 9.0 and rate[1] == 0.0
    assert np.isnan(times[1])


def test_the_same_seed_gives_the_same_network_of_the_second_fabric() -> None:
    assert second.generate(5).document == second.generate(5).document
    drawn = {label.kind for seed in range(15) for label in second.generate(seed).labels}
    assert {"card", "cable", "round trips", "down", "uplink"} <= drawn


def small(slow: str, told: bool) -> Network:
    names = [f"n{number}" for number in range(1, 9)]
    rounds = [
        [[a, b, 4.0 if slow in (a, b) else 9.0, 20.0] for a in names for b in names if a != b],
    ]
    topology = {name: f"leaf{row // 4 + 1}" for row, name in enumerate(names)} if told else None
    return Network(0, {"nodes": names, "topology": topology, "rounds": rounds}, [], "x")


@pytest.mark.parametrize("rule", [threshold, threshold_by_leaf, imported])
@pytest.mark.parametrize("told", [True, False])
def test_rules_name_a_card_that_is_slow_with_all_others(
    rule: Callable[[Network], list[Answer]], told: bool
) -> None:
    assert [(each.element, each.direction) for each in rule(small("n3", told))] == [("node:n3", None)]
