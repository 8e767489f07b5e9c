"""The labelled networks: a fabric that shares fairly, kept seeds, and a score that counts what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.judge_networks import run
from benchmarks.networks.fabric import Fabric
from benchmarks.networks.faults import Label
from benchmarks.networks.generate import KeptSeedError, Network, generate
from benchmarks.networks.score import Answer, figures, score


def fabric(racks: list[int], card: float, uplink: float) -> Fabric:
    leaf = np.array(racks)
    nodes, leaves = len(leaf), int(leaf.max()) + 1
    return Fabric(
        leaf=leaf,
        tx=np.full(nodes, card),
        rx=np.full(nodes, card),
        up=np.full(leaves, uplink),
        down=np.full(leaves, uplink),
        rtt_us=np.full(nodes, 5.0),
        hop_us=4.0,
        leaf_us=np.zeros(leaves),
        loss=np.ones(nodes),
        dead=np.zeros(nodes, dtype=bool),
        pair={},
    )


@settings(deadline=None, max_examples=40)
@given(st.permutations(range(12)), st.floats(1.0, 30.0))
def test_links_are_shared_fairly_and_none_is_overfull(order: list[int], uplink: float) -> None:
    made = fabric([row // 4 for row in range(12)], 10.0, uplink)
    source, destination = np.array(order[:6]), np.array(order[6:])
    rate = made.rates(source, destination)
    one, other = made.leaf[source], made.leaf[destination]
    far = one != other
    up, down = np.bincount(one[far], rate[far], 3), np.bincount(other[far], rate[far], 3)
    assert np.all(up <= uplink * (1 + 1e-6)) and np.all(down <= uplink * (1 + 1e-6))
    for flow in range(6):
        # Each flow has a full link, on which no other gets more.
        if rate[flow] < 10.0 * (1 - 1e-6):
            full = [
                (links == links[flow]) & far
                for links, used in ((one, up), (other, down))
                if used[links[flow]] >= uplink * (1 - 1e-6)
            ]
            assert any(rate[flow] >= rate[sharers].max() * (1 - 1e-6) for sharers in full)


def test_flows_inside_a_rack_do_not_see_its_uplink() -> None:
    made = fabric([0, 0, 1, 1], 10.0, 1.0)
    assert made.rates(np.array([0, 1]), np.array([1, 2])).tolist() == [10.0, 1.0]
    assert made.times(np.array([0, 1]), np.array([1, 2])).tolist() == [10.0, 14.0]


def test_the_same_seed_gives_the_same_network_and_kept_ones_are_kept() -> None:
    assert generate(5).document == generate(5).document
    with pytest.raises(KeptSeedError):
        generate(950)


def labelled(told: bool) -> Network:
    names = [f"n{number}" for number in range(8)]
    labels = [
        Label("card", "node:n1", [1], "tx", 0.5),
        Label("card", "node:n2", [2], "rx", 0.1, visible=False),
        Label("uplink", "leaf:leaf2", [4, 5, 6, 7], None, 0.5),
    ]
    return Network(
        0,
        {"nodes": names, "topology": dict.fromkeys(names, "leaf1") if told else None, "rounds": []},
        labels,
        "x",
    )


def test_the_score_counts_elements_directions_and_false_nodes() -> None:
    answers = [
        Answer("node:n1", ("n1",), "rx"),
        Answer("node:n2", ("n2",), "rx"),
        Answer("node:n3", ("n3",), None),
        Answer("leaf:leaf2", ("n4", "n5", "n6", "n7"), None),
    ]
    result = score(labelled(told=True), answers)
    assert (result.found, result.wanted, result.right, result.said) == (2, 2, 3, 4)
    assert (result.ways, result.ways_right, result.false_nodes, result.healthy) == (2, 1, 1, 6)
    [precision, *_] = figures([result])
    assert precision.value == 0.75


@pytest.mark.parametrize(("nodes", "right"), [(("n4", "n5", "n6"), 1), (("n3", "n4"), 0)])
def test_a_rack_that_nobody_named_is_known_by_its_nodes(nodes: tuple[str, ...], right: int) -> None:
    answer = [Answer("leaf:of-n4", nodes, None)]
    assert score(labelled(told=False), answer).right == right
    assert score(labelled(told=True), answer).right == 0


def test_the_localiser_reaches_its_goals_on_a_few_networks() -> None:
    results = run(range(20), ["current"])["current"]
    for figure in figures(results):
        assert figure.value is None or figure.reached, figure
