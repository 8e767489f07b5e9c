"""Racks that nobody told of: found whole by what their flows have in common, and not node by node."""

from __future__ import annotations

import numpy as np
import pytest

from ahc_server.judge.elements import element_findings, named, node_findings
from ahc_server.judge.localise import Answer, Culprit, Network, localise
from ahc_server.judge.localise.members import whole_racks
from ahc_server.judge.localise.noise import FlowNoise
from ahc_server.judge.network import PairRun
from ahc_server.judge.thresholds import OWN
from tests.network_helpers import LINE, Part, all_pairs, matchings, names, network

NOISE = FlowNoise(0.02, 4.0, 0.005)


def behind(uplink: range, left: float, *, out: bool = True, scatter: float = 0.15) -> Part:
    """Flows over the uplink of these nodes reach a part of the line that differs from pair to pair, as a hash makes it."""

    def part(a: int, b: int) -> float:
        crosses = (b in uplink and a not in uplink) or (out and a in uplink and b not in uplink)
        return left * (1 + scatter * float(np.sin(7 * a + 3 * b))) if crosses else 1.0

    return part


@pytest.mark.parametrize("out", [True, False])
@pytest.mark.parametrize("left", [0.3, 0.5, 0.7])
def test_a_rack_is_found_whole_from_all_pairs_though_its_nodes_differ(left: float, out: bool) -> None:
    of = network(64, all_pairs(64), behind(range(16), left, out=out), noise=0.02)
    assert names(of) == [("leaf", tuple(range(16)), None if out else "rx")]


def test_a_rack_that_is_a_quarter_of_all_hides_in_no_noise() -> None:
    """Nearly half of all flows are slow, and few suspects are named one by one."""
    of = network(40, matchings(40, 12, 1), behind(range(10), 0.3), noise=0.02)
    assert names(of) == [("leaf", tuple(range(10)), None)]


def test_a_bad_card_outside_is_no_part_of_the_rack() -> None:
    rack = behind(range(10), 0.5)
    of = network(40, all_pairs(40), lambda a, b: min(rack(a, b), 0.5 if b == 20 else 1.0))
    assert names(of) == [("leaf", tuple(range(10)), None), ("node", (20,), "rx")]


def grown(of: Network, *start: int) -> list[list[int]]:
    value = np.log(of.flows.rate / LINE)
    return [rows.tolist() for rows in whole_racks(of.flows, value, [start], of.nodes, NOISE)]


def test_three_nodes_of_a_rack_bring_the_others_and_strangers_are_put_out() -> None:
    of = network(40, all_pairs(40), behind(range(10), 0.5))
    assert grown(of, 1, 2, 3) == [list(range(10))]
    assert grown(of, 1, 2, 3, 4, 30) == [list(range(10))]


def test_cards_that_are_as_slow_among_themselves_are_no_rack() -> None:
    bad = range(4)
    of = network(40, all_pairs(40), lambda a, b: 0.5 if a in bad or b in bad else 1.0)
    assert grown(of, *bad) == []
    assert [each.nodes for each in localise(of).culprits if each.kind == "leaf"] == []


def test_cards_that_never_met_each_other_prove_no_rack() -> None:
    bad = range(4)
    rounds = [[pair for pair in one if not set(pair) <= set(bad)] for one in matchings(40, 8)]
    of = network(40, rounds, lambda a, b: 0.5 if a in bad or b in bad else 1.0)
    assert grown(of, *bad) == []


def apart(size: int, left: dict[int, float]) -> Network:
    """Sixty-four nodes in ten rounds, in which the first ``size`` never meet each other."""
    kept = [[(a, b) for a, b in one if max(a, b) >= size] for one in matchings(64, 10)]
    return network(64, kept, lambda a, b: min(left.get(a, 1.0), left.get(b, 1.0)))


def test_nodes_that_are_slow_alike_and_never_met_are_one_rack_and_no_bad_cards() -> None:
    answer = localise(apart(6, dict.fromkeys(range(6), 0.5)))
    [found] = answer.culprits
    assert (found.kind, found.nodes, found.leaves) == ("leaf", tuple(range(6)), ())
    assert [each.nodes for each in answer.unmet] == [(row,) for row in range(6)]


def test_of_a_rack_whose_nodes_never_met_it_is_said_that_their_cards_may_be_the_reason() -> None:
    of = apart(6, dict.fromkeys(range(6), 0.5))
    runs = [(run_of(of), localise(of))]
    names_of = [f"n{row}" for row in range(64)]
    [leaf] = element_findings(runs, names_of, OWN)
    assert leaf.element == "leaf:of-n0" and "no two of these nodes met" in leaf.summary
    nodes = node_findings(named(runs), [leaf], names_of, OWN)
    assert [(each.element, each.kind, each.severity) for each in nodes] == [
        (f"node:n{row}", "not-measured", "info") for row in range(6)
    ]
    assert "it met none of them: they may share an uplink, or have bad cards" in nodes[0].summary


def test_nodes_that_are_slow_by_different_parts_and_never_met_are_bad_cards() -> None:
    left = dict(enumerate((0.3, 0.4, 0.5, 0.6, 0.7, 0.8)))
    answer = localise(apart(6, left))
    assert sorted((each.kind, each.nodes) for each in answer.culprits) == [("node", (row,)) for row in left]
    assert answer.unmet == []


def test_a_few_cards_that_are_slow_alike_in_a_large_fleet_are_no_rack() -> None:
    """One in fifty of 512, at the same lower speed, of which no two met."""
    bad = set(range(0, 512, 51))
    kept = [[pair for pair in one if not bad.issuperset(pair)] for one in matchings(512, 6)]
    of = network(512, kept, lambda a, b: 0.8 if b in bad else 1.0, noise=0.03)
    answer = localise(of)
    assert sorted((each.kind, each.nodes, each.way) for each in answer.culprits) == [
        ("node", (row,), "rx") for row in sorted(bad)
    ]
    assert answer.unmet == []


def test_healthy_nodes_grow_to_nothing() -> None:
    assert grown(network(40, all_pairs(40)), 1, 2, 3) == []


# ── what a node's own flows show ───────────────────────────────────────────────────────────────────


def run_of(of: Network) -> PairRun:
    nothing = np.zeros(0, dtype=np.int64)
    return PairRun("pairs", of.nodes, nothing, nothing, np.zeros(0), {}, of.flows, {"tcp": of.flows.rtt_us})


def test_nobody_does_better_than_the_fastest_flow_however_bad_its_uplink() -> None:
    of = network(32, all_pairs(32), behind(range(8), 0.5), noise=0.02)
    answer = localise(of)
    for own in (answer.sending, answer.receiving):
        assert own is not None
        assert np.all(own.value <= of.flows.rate.max())
        assert np.all(own.effect <= 0.1)


def test_a_node_whose_own_flows_prove_its_card_good_is_unclear_and_not_accused() -> None:
    of = network(12, all_pairs(12))
    nothing = np.zeros(0, dtype=np.int64)
    each = Culprit("node", "rate", (3,), "tx", -0.4, -20.0, 0.6 * LINE, LINE, nothing, 11)
    run = run_of(of)
    told = named([(run, Answer(unclear=[each]))])
    (found,) = node_findings(told, [], [f"n{row}" for row in range(12)], OWN)
    assert (found.element, found.kind, found.severity) == ("node:n3", "not-measured", "info")
    assert "others prove its card good" in found.summary
    accused = named([(run, Answer(culprits=[each]))])
    (found,) = node_findings(accused, [], [f"n{row}" for row in range(12)], OWN)
    assert (found.element, found.kind, found.severity) == ("node:n3", "slow", "fail")
