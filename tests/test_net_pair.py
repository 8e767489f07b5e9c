"""Both ends of a pair on loopback: what they see, and what strangers and failures do to it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from ahc_agent.errors import AhcError, UsageError
from ahc_agent.net import listening, run_pair
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import BenchLimits, Flow, PairOutcome
from tests.pair_helpers import Remote, meet, meeting, tasks

pytestmark = pytest.mark.alone


def flow(outcome: PairOutcome, source: str) -> Flow:
    (found,) = [each for each in outcome.flows if each.source == source]
    return found


def test_both_ends_see_both_directions_and_the_connecting_end_the_round_trips() -> None:
    listened, connected = meet(tasks())
    for outcome in (listened, connected):
        assert outcome.connected
        assert outcome.error is None
        assert {(each.source, each.destination) for each in outcome.flows} == {("n1", "n2"), ("n2", "n1")}
        for each in outcome.flows:
            assert each.bytes_per_s is not None
            assert each.bytes_per_s > 1e6
            assert len(each.samples) >= 3
    assert (listened.role, listened.peer, connected.role, connected.peer) == ("listen", "n2", "connect", "n1")
    assert [each.protocol for each in connected.round_trips] == ["tcp", "udp"]
    for trips in connected.round_trips:
        assert (trips.count, trips.lost) == (100, 0)
        figures = [trips.min_us, trips.p50_us, trips.p90_us, trips.p99_us, trips.max_us]
        assert all(each is not None and each > 0 for each in figures)
        assert figures == sorted(each or 0.0 for each in figures)


@pytest.mark.parametrize("streams", [1, 5])
def test_the_receiver_has_what_the_sender_sent(streams: int) -> None:
    listened, connected = meet(tasks(streams=streams, latency=False))
    for source in ("n1", "n2"):
        ends = [flow(outcome, source).bytes_per_s or 0.0 for outcome in (listened, connected)]
        assert ends[0] == pytest.approx(ends[1], rel=0.3)


def test_a_part_that_was_not_asked_is_not_measured() -> None:
    _, only_tx = meet(tasks(directions=("tx",), latency=False))
    assert [each.source for each in only_tx.flows] == ["n2"]
    assert only_tx.round_trips == []
    _, only_latency = meet(tasks(bandwidth=False))
    assert only_latency.flows == []
    assert len(only_latency.round_trips) == 2
    for protocol in ("tcp", "udp"):
        _, one = meet(tasks(bandwidth=False, round_trip_protocols=(protocol,)))
        assert [each.protocol for each in one.round_trips] == [protocol]


def test_ipv6() -> None:
    listened, connected = meet(tasks("::1", connect_from="::1"))
    assert listened.error is None and connected.error is None
    assert flow(listened, "n2").bytes_per_s
    assert [each.count for each in connected.round_trips] == [100, 100]


def test_the_connecting_end_comes_from_its_own_address_and_prefix_lengths_do_not_matter() -> None:
    pair = tasks("127.0.0.2/8", connect_from="127.0.0.3/8")
    listened, connected = meet(pair)
    assert listened.error is None and connected.error is None
    assert flow(connected, "n1").bytes_per_s


def test_the_listening_end_may_bind_any_address() -> None:
    listen, connect = tasks("")
    with meeting((listen, tasks("127.0.0.1")[1])) as both:
        both.go()
        listened, connected = both.outcomes()
    assert connect.peer_address == ""
    assert listened.connected and connected.error is None


def test_agreeing_samples_end_a_transfer_early() -> None:
    sure = BenchLimits(runtime_s=20.0, ci_target=1.0, min_samples=2)
    started = time.monotonic()
    listened, connected = meet(tasks(limits=sure, latency=False))
    assert time.monotonic() - started < 15
    assert listened.error is None and connected.error is None
    assert len(flow(listened, "n2").samples) < 20


def test_several_pairs_run_in_one_process_at_once() -> None:
    with meeting(tasks(pair_id="a")) as first, meeting(tasks(pair_id="b", token="f" * 32)) as second:
        first.go()
        second.go()
        outcomes = [*first.outcomes(), *second.outcomes()]
    assert [each.pair_id for each in outcomes] == ["a", "a", "b", "b"]
    assert all(each.error is None and each.connected for each in outcomes)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_nothing_stays_behind() -> None:
    meet(tasks())
    threads, files = set(threading.enumerate()), open_files()
    meet(tasks())
    assert set(threading.enumerate()) == threads
    assert open_files() == files


# ── strangers ──────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def nuisance(work: Callable[[], None]) -> Iterator[None]:
    """Do something again and again beside the test."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(0.005):
            try:
                work()
            except OSError:
                pass

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def healthy(listened: PairOutcome, connected: PairOutcome) -> bool:
    flows = [*listened.flows, *connected.flows]
    trips = [each.count for each in connected.round_trips]
    no_error = listened.error is None and connected.error is None
    return no_error and len(flows) == 4 and all(each.bytes_per_s for each in flows) and trips == [100, 100]


def test_garbage_at_the_tcp_port_is_dropped_counted_and_disturbs_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), meeting(tasks()) as both:
        port = both.listener.ready.result(10)["tcp"]
        early = [socket.create_connection(("127.0.0.1", port)) for _ in range(10)]
        for sock in early:
            sock.sendall(b"\x16\x03\x01 not our hello, but long enough to be one")

        def knock() -> None:
            with socket.create_connection(("127.0.0.1", port), timeout=0.5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")

        with nuisance(knock):
            both.go()
            assert healthy(*both.outcomes())
        for sock in early:
            sock.close()
    assert "strangers" in caplog.text
    assert ", 0 TCP connections" not in caplog.text


@pytest.mark.parametrize("password", [None, b"0" * 64], ids=["no-token", "wrong"])
def test_a_stranger_at_the_bulk_ports_neither_counts_nor_takes(
    password: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the token, what a stranger pushes is not counted, and what is pulled is not given."""
    with caplog.at_level(logging.WARNING), zmq.Context() as context, meeting(tasks()) as both:
        ports = both.listener.ready.result(10)
        push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        with push, pull:
            for sock, name in ((push, "bulk_tx"), (pull, "bulk_rx")):
                sock.linger = 0
                sock.sndtimeo = sock.rcvtimeo = 0
                sock.immediate = True
                if password is not None:
                    sock.plain_username = b"ahc"
                    sock.plain_password = password
                sock.connect(f"tcp://127.0.0.1:{ports[name]}")
            taken: list[str] = []

            def meddle() -> None:
                for name, work in (("sent", lambda: push.send(b"x" * 1000)), ("taken", pull.recv)):
                    try:
                        work()
                        taken.append(name)
                    except zmq.Again:
                        pass

            with nuisance(meddle):
                time.sleep(0.1)
                both.go()
                assert healthy(*both.outcomes())
        assert taken == []
    # Who does not even speak PLAIN fails in libzmq's own handshake; a wrong password comes to the token check.
    assert ("strangers" in caplog.text) == (password is not None)


def test_raw_garbage_at_the_bulk_port_disturbs_nothing() -> None:
    with meeting(tasks()) as both:
        ports = both.listener.ready.result(10)

        def knock() -> None:
            for name in ("bulk_tx", "bulk_rx"):
                with socket.create_connection(("127.0.0.1", ports[name]), timeout=0.5) as sock:
                    sock.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL" + os.urandom(200))

        with nuisance(knock):
            both.go()
            assert healthy(*both.outcomes())


def test_spoofed_datagrams_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.WARNING),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        meeting(tasks(bandwidth=False, round_trips=3000)) as both,
    ):
        port = both.listener.ready.result(10)["udp"]
        stranger.setblocking(False)

        def flood() -> None:
            for size in (0, 1, 64, 65, 1400):
                stranger.sendto(
                    b"AHCu\1\0\0\0" + b"\0" * size if size > 8 else b"\0" * size, ("127.0.0.1", port)
                )
            stranger.sendto(b"AHCu\1\0\0\0" + b"\0" * 56, ("127.0.0.1", port))

        with nuisance(flood):
            both.go()
            listened, connected = both.outcomes()
        with pytest.raises(BlockingIOError):
            stranger.recv(100)  # never answered
    assert connected.error is None and listened.error is None
    udp = connected.round_trips[1]
    assert (udp.protocol, udp.count) == ("udp", 3000)
    assert "strangers" in caplog.text


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listening end gives up sooner, for the test's sake."""
    monkeypatch.setattr(listening, "CONNECT_LIMIT_S", 1.0)
    monkeypatch.setattr(listening, "SKEW_S", 0.0)


@pytest.mark.usefixtures("impatient")
def test_an_end_with_another_token_is_no_peer() -> None:
    listen, _ = tasks()
    _, connect = tasks(token="f" * 32)
    with meeting((listen, connect)) as both:
        both.go()
        listened, connected = both.outcomes()
    for outcome in (listened, connected):
        assert not outcome.connected
        assert outcome.error
        assert [each.bytes_per_s for each in outcome.flows] == [0.0, 0.0]


# ── failures ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("impatient")
def test_a_peer_that_never_comes_is_a_result() -> None:
    with meeting(tasks()) as both:
        both.listener.ready.result(10)
        both.listener.go({})
        listened = both.listened.result(15)
        both.connector.cancelled.set()
    assert not listened.connected
    assert listened.error and "did not connect" in listened.error
    assert [each.bytes_per_s for each in listened.flows] == [0.0, 0.0]


def test_a_port_that_nobody_listens_on_is_a_result() -> None:
    with socket.socket() as unused, meeting(tasks()) as both:
        unused.bind(("127.0.0.1", 0))
        both.connector.ready.result(10)
        both.connector.go({"tcp": unused.getsockname()[1], "udp": 9, "bulk_tx": 9, "bulk_rx": 9})
        connected = both.connected.result(15)
    assert not connected.connected
    assert connected.error and "refused" in connected.error
    assert [each.bytes_per_s for each in connected.flows] == [0.0, 0.0]


def test_a_bulk_port_that_is_shut_is_a_flow_of_0_and_the_rest_is_measured() -> None:
    with socket.socket() as shut, meeting(tasks()) as both:
        shut.bind(("127.0.0.1", 0))
        both.go(bulk_tx=shut.getsockname()[1])
        listened, connected = both.outcomes()
    assert connected.connected and listened.connected
    assert flow(listened, "n2").bytes_per_s == 0.0
    assert listened.error and "no data came" in listened.error
    assert flow(connected, "n1").bytes_per_s
    assert [each.count for each in connected.round_trips] == [100, 100]


def test_an_address_that_is_not_ours_is_a_result_before_ready() -> None:
    with meeting(tasks("192.0.2.7")) as both:
        listened = both.listened.result(10)
        assert not both.listener.ready.done()
        both.connector.cancelled.set()
    assert not listened.connected
    assert listened.error and "cannot listen on 192.0.2.7" in listened.error
    assert [each.bytes_per_s for each in listened.flows] == [0.0, 0.0]


@pytest.mark.parametrize("address", ["evil.example.org", "127.0.0.1;1.2.3.4", "*", "127.0.0.1:80"])
def test_only_numeric_addresses_are_taken(address: str) -> None:
    for task in tasks(address):
        with pytest.raises(UsageError, match="not an IP address"):
            run_pair(task, TaskContext())


def test_no_go_in_time_is_an_error_of_the_task() -> None:
    def no_go(limit_s: float) -> object:
        raise AhcError("no Go in time")

    context = TaskContext(ready=lambda ports: None, wait_go=no_go)  # type: ignore[arg-type]
    with pytest.raises(AhcError, match="no Go"):
        run_pair(tasks()[0], context)


@pytest.mark.parametrize("engine", ["zmq", "iperf3"])
def test_a_cancelled_pair_ends_at_once_and_its_peer_soon(engine: str) -> None:
    long = BenchLimits(runtime_s=60.0, ci_target=0.0)
    with meeting(tasks(limits=long, engine=engine)) as both:
        both.go()
        time.sleep(1.0)
        both.connector.cancelled.set()
        cancelled = time.monotonic()
        connected = both.connected.result(10)
        assert time.monotonic() - cancelled < 2.0
        listened = both.listened.result(10)
    assert connected.error == "cancelled"
    assert listened.connected
    assert listened.error and "the peer" in listened.error
    assert flow(connected, "n1").bytes_per_s is None, "not measured is not the same as nothing came through"


def test_a_peer_killed_in_the_middle_is_told_from_a_dead_network() -> None:
    long = BenchLimits(runtime_s=60.0, ci_target=0.0)
    listen, connect = tasks(limits=long)
    killed, survivor = Remote(connect, "n2"), Remote(listen, "n1")
    try:
        ports = survivor.ready()
        killed.ready()
        survivor.go({})
        killed.go(ports)
        time.sleep(1.0)
        killed.process.kill()
        outcome = survivor.outcome()
    finally:
        killed.close()
        survivor.close()
    assert outcome.connected
    assert outcome.error and "peer" in outcome.error
    assert flow(outcome, "n1").bytes_per_s is None
    assert (flow(outcome, "n2").bytes_per_s or 0) > 0, "what was seen until then"
