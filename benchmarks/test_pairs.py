"""The pairwise engine against iperf3 (throughput) and sockperf (round trips) over one veth pair between two namespaces.

Both ends are processes of their own, as on two machines. Peer and own run take turns (A B A B ...), so that a
disturbance meets both; medians are compared. Sockets have the system's default buffers everywhere. Where a round trip's ends
run decides more than who measures it: an idle CPU of a virtual machine takes tens of microseconds to wake. So both tools are
pinned alike, once with both ends on one CPU (the strict case: nothing hides the tool's own work), once on a CPU each.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ahc_agent.wire.messages import BenchLimits, PairOutcome
from tests.pair_helpers import LEFT, Remote, VethPair, tasks, veth_pair

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin") is None, reason="needs iproute2"),
]

ROUNDS = 7
#: A port for each run: what is left of the last connection keeps a server from binding its port again.
PORTS = itertools.count(6000)
THROUGHPUT_FLOOR = 0.90
ROUND_TRIP_CEILING = 1.2
CPUS = sorted(os.sched_getaffinity(0))
#: Where the listening and the connecting end run.
PLACES = {"one-cpu": (CPUS[0], CPUS[0]), "a-cpu-each": (CPUS[0], CPUS[-1])}


@pytest.fixture(scope="module")
def veth() -> Iterator[VethPair]:
    with veth_pair("bench") as pair:
        yield pair


def run_agents(left: list[str], right: list[str], **fields: Any) -> tuple[PairOutcome, PairOutcome]:
    """One pair: what the listening end (started by ``left``) and what the connecting end saw."""
    listen, connect = tasks(LEFT, **fields)
    listener, connector = Remote(listen, "n1", left), Remote(connect, "n2", right)
    try:
        ports = listener.ready()
        connector.ready()
        listener.go({})
        connector.go(ports)
        outcomes = listener.outcome(), connector.outcome()
    finally:
        listener.close()
        connector.close()
    assert outcomes[0].error is None and outcomes[1].error is None
    return outcomes


def run_peers(server: list[str], client: list[str]) -> str:
    """A peer's server and client: what the client prints."""
    with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(0.4)
            return subprocess.run(client, capture_output=True, text=True, check=True, timeout=60).stdout
        finally:
            process.kill()


def tell(
    benchmark: BenchmarkFixture, what: str, peer: str, ours: list[float], theirs: list[float], unit: str
) -> float:
    """Print the table, keep the figures, and give the ratio of the medians. The first round of each is a warm-up."""
    rows = [(f"this engine, {what}", ours[1:] or ours), (peer, theirs[1:] or theirs)]
    mine, other = (statistics.median(values) for _, values in rows)
    print(f"\n{'':42}{'median':>10}{'lowest':>10}{'highest':>10}  {unit}")
    for name, values in rows:
        print(f"{name:42}{statistics.median(values):10.2f}{min(values):10.2f}{max(values):10.2f}")
    print(f"{'ratio':42}{mine / other:10.2f}")
    benchmark.extra_info.update(
        {"ours": round(mine, 3), peer: round(other, 3), "unit": unit, "ratio": round(mine / other, 3)}
    )
    return mine / other


@pytest.mark.skipif(shutil.which("iperf3") is None, reason="needs iperf3")
@pytest.mark.parametrize("streams", [1, 2])
def test_zmq_fills_the_line_as_iperf3_does(benchmark: BenchmarkFixture, veth: VethPair, streams: int) -> None:
    """Against one stream of iperf3: with one stream, and with the plan's default of two. What the receivers counted."""
    left, right = veth.prefix(veth.left), veth.prefix(veth.right)
    ours: list[float] = []
    theirs: list[float] = []

    def iperf3() -> None:
        way = ["--port", str(next(PORTS))]
        server = [*left, "iperf3", "--server", "--one-off", "--bind", LEFT, *way]
        client = [*right, "iperf3", "--client", LEFT, *way, "--json", "--time", "2", "--omit", "1"]
        end = json.loads(run_peers(server, client))["end"]
        theirs.append(end["sum_received"]["bits_per_second"] / 1e9)

    def engine() -> None:
        limits = BenchLimits(runtime_s=2.0, ci_target=0.0)
        fields = {
            "limits": limits,
            "warmup_s": 1.0,
            "latency": False,
            "directions": ("tx",),
            "streams": streams,
        }
        listened, _ = run_agents(left, right, **fields)
        ours.append((listened.flows[0].bytes_per_s or 0.0) * 8e-9)

    benchmark.pedantic(engine, setup=iperf3, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[no-untyped-call]
    ratio = tell(benchmark, f"{streams} stream(s)", "iperf3, one stream", ours, theirs, "Gbit/s")
    assert ratio >= THROUGHPUT_FLOOR


@pytest.mark.skipif(shutil.which("sockperf") is None, reason="needs sockperf")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_round_trips_are_those_of_sockperf(
    benchmark: BenchmarkFixture, veth: VethPair, protocol: Literal["tcp", "udp"], place: str
) -> None:
    """Medians of whole round trips of 64 bytes."""
    left, right = (
        [*veth.prefix(space), "taskset", "--cpu-list", str(cpu)]
        for space, cpu in zip((veth.left, veth.right), PLACES[place], strict=True)
    )
    ours: list[float] = []
    theirs: list[float] = []

    def sockperf() -> None:
        way = ["-i", LEFT, "-p", str(next(PORTS)), *(["--tcp"] if protocol == "tcp" else [])]
        client = ["sockperf", "ping-pong", *way, "-m", "64", "-t", "1", "--full-rtt"]
        said = run_peers([*left, "sockperf", "server", *way], [*right, *client])
        found = re.search(r"percentile 50\.000 =\s*([\d.]+)", said)
        assert found is not None, said
        theirs.append(float(found[1]))

    def engine() -> None:
        _, connected = run_agents(left, right, bandwidth=False, round_trips=15_000)
        (trips,) = [each for each in connected.round_trips if each.protocol == protocol]
        assert trips.p50_us is not None
        ours.append(trips.p50_us)

    benchmark.pedantic(engine, setup=sockperf, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[no-untyped-call]
    ratio = tell(benchmark, f"{protocol}, {place}", f"sockperf {protocol}", ours, theirs, "µs, p50")
    assert ratio <= ROUND_TRIP_CEILING
