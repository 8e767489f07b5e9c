"""Who may take part in a pair, and who is dropped and counted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.errors import Cancelled, PeerGone, PeerSilent
from ahc_agent.net.control import Control, Halt, Resize, Step
from ahc_agent.net.guard import WAITING_LIMIT, Door, Purpose, Strangers, Token, knock
from ahc_agent.net.latency import MESSAGE_BYTES, Kind, make_datagram, read_datagram
from ahc_agent.net.watch import Watch

OURS = Token.of("p1", "0123456789abcdef")
CONTROL = frozenset({Purpose.CONTROL})


def watch(limit_s: float = 5.0) -> Watch:
    return Watch(threading.Event(), limit_s)


@pytest.fixture
def port() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener


def test_claims_of_other_pairs_tokens_and_purposes_differ() -> None:
    seen = [OURS, Token.of("p2", "0123456789abcdef"), Token.of("p1", "fedcba9876543210")]
    proofs = {proof for token in seen for proof in (token.claim, token.answer)}
    assert len(proofs) == 6
    assert OURS.claim.hex() not in repr(OURS)


def test_who_shows_the_claim_gets_in_and_the_door_proves_itself(port: socket.socket) -> None:
    door = Door(port, OURS, Strangers())
    with ThreadPoolExecutor(1) as threads:
        admitted = threads.submit(door.admit, frozenset(Purpose), watch())
        with (
            knock(port.getsockname(), "127.0.0.1", Purpose.CONTROL, OURS, watch()) as control,
            knock(port.getsockname(), "", Purpose.ECHO, OURS, watch()) as echo,
        ):
            inside = admitted.result()
            assert inside[Purpose.CONTROL].getpeername() == control.getsockname()
            assert inside[Purpose.ECHO].getpeername() == echo.getsockname()
    for sock in inside.values():
        sock.close()


def test_strangers_are_dropped_and_do_not_keep_the_peer_out(port: socket.socket) -> None:
    strangers = Strangers()
    door = Door(port, OURS, strangers)
    address = port.getsockname()
    silent = [socket.create_connection(address) for _ in range(WAITING_LIMIT + 8)]
    noisy = [socket.create_connection(address) for _ in range(3)]
    for sock, noise in zip(
        noisy, (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 40, b"AHC1" + b"\xff" * 36), strict=True
    ):
        sock.sendall(noise)
    with ThreadPoolExecutor(1) as threads:
        admitted = threads.submit(door.admit, CONTROL, watch())
        with pytest.raises(PeerGone), knock(address, "", Purpose.CONTROL, Token.of("p1", "wrong"), watch()):
            pass
        with knock(address, "", Purpose.CONTROL, OURS, watch()):
            for sock in admitted.result().values():
                sock.close()
    for sock in (*silent, *noisy):
        sock.close()
    assert strangers.tcp == len(silent) + len(noisy) + 1


def test_a_claim_serves_once_for_each_purpose(port: socket.socket) -> None:
    strangers = Strangers()
    door = Door(port, OURS, strangers)
    with ThreadPoolExecutor(1) as threads:
        admitted = threads.submit(door.admit, frozenset(Purpose), watch())
        with knock(port.getsockname(), "", Purpose.CONTROL, OURS, watch()):
            with pytest.raises(PeerGone):
                knock(port.getsockname(), "", Purpose.CONTROL, OURS, watch())
            with knock(port.getsockname(), "", Purpose.ECHO, OURS, watch()):
                for sock in admitted.result().values():
                    sock.close()
    assert strangers.tcp == 1


def test_a_door_that_nobody_comes_to_closes_in_time(port: socket.socket) -> None:
    with pytest.raises(PeerSilent):
        Door(port, OURS, Strangers()).admit(CONTROL, watch(0.2))


def test_a_cancelled_task_waits_no_longer(port: socket.socket) -> None:
    off = threading.Event()
    off.set()
    with pytest.raises(Cancelled):
        Door(port, OURS, Strangers()).admit(CONTROL, Watch(off, 60))


def test_an_open_port_that_is_silent_or_not_our_peer_is_an_error(port: socket.socket) -> None:
    with pytest.raises(PeerSilent):
        knock(port.getsockname(), "", Purpose.CONTROL, OURS, watch(0.3))

    def impostor() -> None:
        for _ in range(2):
            with port.accept()[0] as sock:
                if sock.recv(100):
                    sock.sendall(b"220 mail.example.org ESMTP, welcome, stranger")

    with ThreadPoolExecutor(1) as threads:
        threads.submit(impostor)
        with pytest.raises(PeerGone, match="not this pair"):
            knock(port.getsockname(), "", Purpose.CONTROL, OURS, watch())


def test_a_closed_port_is_refused_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            knock(unused.getsockname(), "", Purpose.CONTROL, OURS, watch())


@given(st.binary(max_size=200))
def test_no_foreign_datagram_is_taken(data: bytes) -> None:
    assert read_datagram(data, Kind.PING, OURS) is None


@given(
    st.sampled_from(Kind), st.integers(0, 2**64 - 1), st.integers(0, MESSAGE_BYTES - 1), st.integers(1, 255)
)
def test_a_datagram_is_read_as_it_was_made_and_by_no_other_pair(
    kind: Kind, number: int, place: int, change: int
) -> None:
    datagram = make_datagram(kind, OURS, number)
    assert len(datagram) == MESSAGE_BYTES
    assert read_datagram(datagram, kind, OURS) == number
    assert read_datagram(datagram, kind, Token.of("p2", "0123456789abcdef")) is None
    assert read_datagram(datagram[:-1], kind, OURS) is None
    datagram[place] ^= change
    if place < 5 or 8 <= place < 40:  # magic, kind, claim
        assert read_datagram(datagram, kind, OURS) is None


@pytest.fixture
def controls() -> Iterator[tuple[Control, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield Control(left), right


def test_orders_arrive_whole_however_they_are_cut(controls: tuple[Control, socket.socket]) -> None:
    control, far = controls
    orders = [Step(kind="bulk", direction="rx"), Resize(message_bytes=65536), Halt()]
    sender, wire = socket.socketpair()
    with sender, wire:
        speaking = Control(sender)
        for order in orders:
            speaking.send(order)
        frames = wire.recv(1000)
    seen = []
    for byte in frames:
        far.send(bytes([byte]))
        seen.append(control.poll())
    assert [order for order in seen if order is not None] == orders


@pytest.mark.parametrize("noise", [b"\xff\xff", b"\0\1\xc1", b"\0\3abc", b"\0\7\x81\xa4type\xc0"])
def test_nonsense_ends_the_run(controls: tuple[Control, socket.socket], noise: bytes) -> None:
    control, far = controls
    far.send(noise)
    with pytest.raises(PeerGone, match="nonsense"):
        control.receive(watch())


def test_a_silent_and_a_closed_control_connection_are_told_apart(
    controls: tuple[Control, socket.socket],
) -> None:
    control, far = controls
    with pytest.raises(PeerSilent):
        control.receive(watch(0.1))
    far.close()
    with pytest.raises(PeerGone):
        control.receive(watch())


def test_a_peer_that_reads_nothing_blocks_nobody(controls: tuple[Control, socket.socket]) -> None:
    control, _ = controls
    with pytest.raises(PeerSilent):
        for _ in range(1_000_000):
            control.send(Halt())
