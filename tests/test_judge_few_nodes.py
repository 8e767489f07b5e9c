"""Networks of two and six nodes: who is slow is named where it can be told, and nobody passes where it cannot."""

from __future__ import annotations

import pytest

from tests.judge_helpers import Fleet, judge, serious, verdicts
from tests.network_helpers import Part, all_pairs, matchings, names, network

SIDES = pytest.mark.parametrize(("tx", "rx", "way"), [(0.5, 1.0, "tx"), (1.0, 0.5, "rx"), (0.5, 0.5, None)])


def card(node: int, tx: float, rx: float) -> Part:
    return lambda a, b: min(tx if a == node else 1.0, rx if b == node else 1.0)


@SIDES
def test_of_two_nodes_nobody_is_accused_and_nobody_passes(tx: float, rx: float, way: str | None) -> None:
    report = judge(Fleet(2).network(tx={"n2": tx}, rx={"n2": rx}))
    assert serious(report) == []
    assert verdicts(report) == {"n1": "unknown", "n2": "unknown"}


@SIDES
def test_of_six_nodes_the_slow_card_alone_is_accused(tx: float, rx: float, way: str | None) -> None:
    report = judge(Fleet(6).network(tx={"n2": tx}, rx={"n2": rx}))
    assert [(each.element, each.direction) for each in serious(report)] == [("node:n2", way)]
    assert [node for node, verdict in verdicts(report).items() if verdict != "pass"] == ["n2"]


@SIDES
@pytest.mark.parametrize("seed", range(1, 6))
def test_three_rounds_of_six_nodes_accuse_no_healthy_one(
    tx: float, rx: float, way: str | None, seed: int
) -> None:
    told = names(network(6, matchings(6, 3, seed), card(1, tx, rx), seed=seed))
    assert {kind for kind, _, _ in told} <= {"node", "pair"}
    assert all(1 in nodes for _, nodes, _ in told)


@pytest.mark.parametrize("nodes", [3, 4, 6, 12])
@pytest.mark.parametrize("times", [1, 3, 5])
def test_one_slow_way_of_one_pair_accuses_neither_end(nodes: int, times: int) -> None:
    told = names(network(nodes, all_pairs(nodes) * times, lambda a, b: 0.4 if (a, b) == (0, 1) else 1.0))
    assert [each for each in told if each[0] != "pair"] == []
