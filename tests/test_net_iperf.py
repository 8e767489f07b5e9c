"""The iperf3 engine: what is read from its output (recorded from iperf 3.12), and live."""

from __future__ import annotations

import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ahc_agent.errors import ProgramFailed
from ahc_agent.net import iperf
from ahc_agent.net.watch import Watch
from ahc_agent.wire.messages import BenchLimits, PairTask
from tests.pair_helpers import meet, tasks

RECORDED = Path(__file__).parent / "iperf3"

needs_iperf3 = pytest.mark.skipif(shutil.which("iperf3") is None, reason="needs iperf3")


def recorded(name: str) -> bytes:
    return (RECORDED / f"iperf3-3.12-{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "sender", "gbit_per_s", "samples", "retransmits"),
    [
        ("client-tcp", True, 10.181, 2, 8),
        ("server-tcp", False, 10.181, 2, None),
        ("client-udp-reverse", False, 14.012, 2, None),
        ("server-udp-reverse", True, 41.773, 2, None),
    ],
)
def test_each_end_reads_its_own_side(
    name: str, sender: bool, gbit_per_s: float, samples: int, retransmits: int | None
) -> None:
    """Warm-up intervals and the splinter at the end are no samples."""
    seen = iperf.parse(recorded(name), sender=sender, interval_s=0.5)
    assert seen.bytes_per_s * 8e-9 == pytest.approx(gbit_per_s, abs=0.001)
    assert len(seen.samples) == samples
    assert sum(seen.samples) / len(seen.samples) == pytest.approx(seen.bytes_per_s, rel=0.01)
    assert seen.retransmits == retransmits


def test_iperf3_says_itself_why_it_failed() -> None:
    with pytest.raises(ProgramFailed, match="unable to connect to server: Connection refused"):
        iperf.parse(recorded("client-refused"), sender=True, interval_s=0.1)


@pytest.mark.parametrize(
    "output",
    [b"", b"{", b"[]", b'{"end": 3}', b'{"end": {}}', b'{"end": {"sum_sent": {"bits_per_second": "x"}}}'],
)
def test_nonsense_is_an_error(output: bytes) -> None:
    with pytest.raises(ProgramFailed):
        iperf.parse(output, sender=True, interval_s=0.1)


def option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_times_are_whole_seconds_rounded_up() -> None:
    def argv(runtime_s: float, warmup_s: float) -> list[str]:
        return iperf.client_arguments(
            task(limits=BenchLimits(runtime_s=runtime_s), warmup_s=warmup_s), "tx", 5201
        )

    def task(**fields: Any) -> PairTask:
        return tasks(**fields)[1]

    assert (option(argv(0.2, 0.0), "--time"), option(argv(0.2, 0.0), "--omit")) == ("1", "0")
    assert (option(argv(2.5, 0.2), "--time"), option(argv(2.5, 0.2), "--omit")) == ("3", "1")
    assert "--reverse" not in argv(1, 1)


@needs_iperf3
@pytest.mark.parametrize(("engine", "connection"), [("iperf3", "tcp"), ("zmq", "udp")])
def test_both_ends_see_both_directions(engine: str, connection: str) -> None:
    """UDP is iperf3's whatever the engine: ZeroMQ has no datagrams to fill a line with."""
    listened, connected = meet(tasks(engine=engine, connection=connection, streams=1, warmup_s=0.0))
    assert listened.error is None and connected.error is None
    for outcome in (listened, connected):
        assert {each.source for each in outcome.flows} == {"n1", "n2"}
        assert all((each.bytes_per_s or 0) > 1e6 and len(each.samples) >= 5 for each in outcome.flows)
    assert [each.count for each in connected.round_trips] == [100, 100]


def test_without_iperf3_the_outcome_says_so_and_round_trips_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(iperf, "PROGRAM", "iperf3-that-is-not-there")
    listened, connected = meet(tasks(engine="iperf3"))
    for outcome in (listened, connected):
        assert outcome.connected
        assert outcome.error and "not installed" in outcome.error
        assert [each.bytes_per_s for each in outcome.flows] == [None, None]
    assert [each.count for each in connected.round_trips] == [100, 100]


@needs_iperf3
@pytest.mark.parametrize("address", ["", "::1"])
def test_any_address_and_ipv6(address: str) -> None:
    listen = tasks(address, engine="iperf3", directions=("tx",), latency=False, warmup_s=0.0)[0]
    connect = tasks(address or "127.0.0.1", engine="iperf3", directions=("tx",), latency=False, warmup_s=0.0)[
        1
    ]
    listened, connected = meet((listen, connect))
    assert listened.error is None and connected.error is None
    assert listened.flows[0].bytes_per_s


@needs_iperf3
def test_a_port_that_another_program_took_is_an_error_and_no_hang() -> None:
    with iperf.reserve("127.0.0.1") as taken:
        taken.listen()
        port = taken.getsockname()[1]
        # It looks as if iperf3 listened; the client finds somebody else there and says so.
        with pytest.raises(ProgramFailed), ThreadPoolExecutor(1) as threads:
            threads.submit(_hang_up, taken)
            iperf.run_client(tasks(engine="iperf3")[1], "tx", port, Watch(threading.Event(), 10))


def _hang_up(listener: socket.socket) -> None:
    listener.settimeout(5)
    listener.accept()[0].close()


@needs_iperf3
def test_a_server_that_cannot_listen_is_an_error() -> None:
    listen = tasks("192.0.2.7", engine="iperf3")[0]
    with pytest.raises(ProgramFailed), iperf.server(listen, 5299, Watch(threading.Event(), 10)):
        pass
