"""What no element accounts for is said in a note: silence is no proof of health."""

from __future__ import annotations

import numpy as np
import pytest

from ahc_server.judge.localise import Network, localise
from ahc_server.judge.network import PairRun
from ahc_server.judge.unexplained import unexplained
from tests.network_helpers import Part, all_pairs, matchings, network

RACKS = [row // 8 for row in range(32)]


def notes(of: Network) -> list[str]:
    nothing = np.zeros(0, dtype=np.int64)
    run = PairRun("pairs", of.nodes, nothing, nothing, np.zeros(0), {}, of.flows, {"tcp": of.flows.rtt_us})
    return unexplained([(run, localise(of))], [f"n{row}" for row in range(of.nodes)])


def between(one: int, other: int, left: float) -> Part:
    return lambda a, b: left if {RACKS[a], RACKS[b]} == {one, other} else 1.0


def test_of_a_healthy_network_nothing_is_said() -> None:
    for racks in (None, RACKS):
        assert notes(network(32, matchings(32, 10), racks=racks)) == []


def test_what_a_named_element_slows_is_accounted_for() -> None:
    slow = network(32, matchings(32, 10), lambda a, b: 0.5 if b == 3 else 1.0)
    assert [each.nodes for each in localise(slow).culprits] == [(3,)]
    assert notes(slow) == []
    uplink = network(
        32, matchings(32, 10), lambda a, b: 0.5 if RACKS[a] == 1 != RACKS[b] else 1.0, racks=RACKS
    )
    assert [each.leaves for each in localise(uplink).culprits] == [("leaf2",)]
    assert notes(uplink) == []


def test_a_slow_way_between_racks_that_nobody_told_of_is_not_passed_over() -> None:
    slow = between(0, 2, 0.5)
    assert [each.kind for each in localise(network(32, matchings(32, 10), slow, racks=RACKS)).culprits] == [
        "link"
    ]
    assert notes(network(32, matchings(32, 10), slow, racks=RACKS)) == []
    (said,) = notes(network(32, matchings(32, 10), slow))
    assert "of 320 flows reach less than 80 % of what is usual for them" in said
    assert "no element accounts for them; racks are not known" in said


def test_a_way_that_was_slow_in_its_only_test_is_said_until_it_was_tried_again() -> None:
    slow = lambda a, b: 0.4 if (a, b) == (3, 9) else 1.0  # noqa: E731
    (said,) = notes(network(16, all_pairs(16), slow))
    assert said.startswith("network, job pairs: n3 → n9 was slow in the only test of this way (−60 %), and")
    assert said.endswith(
        "whether that is a bad moment or a path that nobody else takes; measure again, in more rounds"
    )
    again = network(16, [*all_pairs(16), [(3, 9)]], slow)
    assert [each.kind for each in localise(again).culprits] == ["pair"]
    assert notes(again) == []


def test_of_many_such_ways_the_worst_are_named() -> None:
    slow = {(1, 2): 0.5, (3, 9): 0.4, (5, 0): 0.6, (7, 11): 0.3, (8, 12): 0.7}
    (said,) = notes(network(16, all_pairs(16), lambda a, b: slow.get((a, b), 1.0)))
    assert "n7 → n11, n3 → n9, n1 → n2 and 2 more were slow in the only test of these ways" in said
    assert "(at worst −70 %)" in said


@pytest.mark.parametrize("racks", [2, 4])
def test_what_uplinks_leave_is_said_and_with_two_racks_that_it_may_be_a_fault(racks: int) -> None:
    where = [row // (32 // racks) for row in range(32)]
    held = network(32, matchings(32, 10), lambda a, b: 1.0 if where[a] == where[b] else 0.5, racks=where)
    assert localise(held).culprits == []
    (said,) = notes(held)
    assert "inside them" in said and "(−50 %)" in said
    assert ("of two racks nobody can tell that from a bad uplink" in said) == (racks == 2)
