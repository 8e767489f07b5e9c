"""Pairs over a veth pair between two namespaces: a slow direction, a link cut in the middle, loss of the whole path."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest

from ahc_agent.wire.messages import BenchLimits, PairOutcome
from tests.pair_helpers import VethPair, veth_pair
from tests.path_helpers import ends

pytestmark = pytest.mark.root

SECOND = BenchLimits(runtime_s=1.0, ci_target=0.0)


@pytest.fixture(scope="module")
def veth() -> Iterator[VethPair]:
    with veth_pair("test") as pair:
        yield pair


@pytest.fixture(autouse=True)
def mended(veth: VethPair) -> Iterator[None]:
    """Each test finds the link up and unbraked."""
    yield
    for namespace in (veth.left, veth.right):
        veth.inside(namespace, "ip", "link", "set", "v0", "up")
        if "tbf" in veth.inside(namespace, "tc", "qdisc", "show", "dev", "v0"):
            veth.inside(namespace, "tc", "qdisc", "delete", "dev", "v0", "root")


def mbit_per_s(outcome: PairOutcome, source: str) -> float:
    (found,) = [each.bytes_per_s for each in outcome.flows if each.source == source]
    assert found is not None
    return found * 8e-6


def brake(veth: VethPair, namespace: str, rate: str, queue: str = "50ms") -> None:
    """Slow what this side sends. A short queue drops: TCP then makes less of a slow line."""
    shape = ["root", "tbf", "rate", rate, "burst", "32kb", "latency", queue]
    veth.inside(namespace, "tc", "qdisc", "add", "dev", "v0", *shape)


@pytest.mark.alone
@pytest.mark.parametrize(("slow", "engine"), [("n1", "zmq"), ("n2", "zmq"), ("n2", "iperf3")])
def test_a_slow_direction_is_slow_and_the_other_is_not(veth: VethPair, slow: str, engine: str) -> None:
    brake(veth, veth.left if slow == "n1" else veth.right, "100mbit")
    with ends(veth, limits=SECOND, warmup_s=0.3, engine=engine) as (listener, connector):
        listened, connected = listener.outcome(), connector.outcome()
    assert listened.error is None and connected.error is None
    received = {"n2": mbit_per_s(listened, "n2"), "n1": mbit_per_s(connected, "n1")}
    assert 90 <= received.pop(slow) <= 100
    assert received.popitem()[1] > 300


@pytest.mark.alone
def test_a_link_of_10_mbit_is_measured_as_well_in_a_second(veth: VethPair) -> None:
    brake(veth, veth.right, "10mbit", queue="400ms")
    with ends(veth, limits=SECOND, warmup_s=0.3, directions=("tx",), latency=False) as (listener, _):
        listened = listener.outcome()
    assert 8.5 <= mbit_per_s(listened, "n2") <= 10.5
    (flow,) = listened.flows
    assert len(flow.samples) >= 5


def test_a_link_cut_in_the_middle_is_a_result_within_the_time_limit(veth: VethPair) -> None:
    with ends(veth, limits=BenchLimits(runtime_s=3.0, ci_target=0.0)) as (listener, connector):
        time.sleep(1.5)
        veth.inside(veth.left, "ip", "link", "set", "v0", "down")
        cut = time.monotonic()
        listened, connected = listener.outcome(), connector.outcome()
        assert time.monotonic() - cut < 30
    for outcome in (listened, connected):
        assert outcome.connected
        assert outcome.error
    assert mbit_per_s(connected, "n1") == 0.0, "the direction after the cut"
    (flow,) = [each for each in listened.flows if each.source == "n2"]
    assert flow.samples[0] > 0
    assert flow.samples[-1] == 0.0


def test_a_link_that_was_down_from_the_start_is_not_connected(veth: VethPair) -> None:
    veth.inside(veth.left, "ip", "link", "set", "v0", "down")
    with ends(veth) as (listener, connector):
        listened, connected = listener.outcome(), connector.outcome()
    for outcome in (listened, connected):
        assert not outcome.connected
        assert outcome.error
        assert [each.bytes_per_s for each in outcome.flows] == [0.0, 0.0]
        assert outcome.round_trips == []


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft")
def test_datagrams_are_counted_as_lost_where_only_they_are_dropped(veth: VethPair) -> None:
    veth.inside(veth.left, "nft", "add table inet ahcp; add chain inet ahcp in { type filter hook input priority 0 ; };"
                " add rule inet ahcp in meta l4proto udp drop")  # fmt: skip
    try:
        with ends(veth, bandwidth=False) as (listener, connector):
            listened, connected = listener.outcome(), connector.outcome()
    finally:
        veth.inside(veth.left, "nft", "delete table inet ahcp")
    assert listened.error is None and connected.error is None
    tcp, udp = connected.round_trips
    assert tcp.count == 100
    assert udp.count == 0
    assert udp.lost >= 5
