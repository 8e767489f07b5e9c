"""What no element accounts for is said in a note: silence is no proof of health."""

from __future__ import annotations

import numpy as np
import pytest

from ahc_server.judge.localise import Network, localise
from ahc_server.judge.network import PairRun
from ahc_server.judge.unexplained import unexplained
from tests.network_helpers import Part, matchings, network

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


@pytest.mark.parametrize("racks", [2, 4])
def test_what_uplinks_leave_is_said_and_with_two_racks_that_it_may_be_a_fault(racks: int) -> None:
    where = [row // (32 // racks) for row in range(32)]
    held = network(32, matchings(32, 10), lambda a, b: 1.0 if where[a] == where[b] else 0.5, racks=where)
    assert localise(held).culprits == []
    (said,) = notes(held)
    assert "inside them" in said and "(−50 %)" in said
    assert ("of two racks nobody can tell that from a bad uplink" in said) == (racks == 2)
