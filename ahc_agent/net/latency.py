"""Round-trip times over plain TCP and UDP sockets, one small message in flight.

The connecting end sends 64 bytes and waits for them to come back, the listening end answers. TCP_NODELAY is set, reads
block in the kernel (no poll before, no sleep between), buffers are made before the loop. Both loops see a cancelled task or the
end of their time at the latest a slice (0.1 s) later. A datagram carries the pair's claim and a number; whatever else arrives
is dropped and counted.
"""

from __future__ import annotations

import itertools
import socket
import struct
import time
from array import array
from enum import IntEnum

from ahc_agent.errors import PeerGone
from ahc_agent.net.control import Control, Halt
from ahc_agent.net.guard import Strangers, Token
from ahc_agent.net.stats import round_trips
from ahc_agent.net.watch import Watch, receive_slice
from ahc_agent.wire.messages import RoundTrips

MESSAGE_BYTES = 64
#: Round trips before those that count.
WARM_UP_ROUND_TRIPS = 50
#: So many datagrams lost in a row mean that there is no way through.
_LOST_IN_A_ROW = 10
_LOST_AFTER_S = 0.2
#: The answering end looks at the clock once in so many messages, and whenever none comes: it is part of the round trip.
_LOOK_EVERY = 64

_MAGIC = b"AHCu"
#: Magic, kind, claim, number; zeros up to MESSAGE_BYTES.
_DATAGRAM = struct.Struct("!4sB3x32sQ16x")
_NUMBER = struct.Struct("!Q")
_KIND_AT, _NUMBER_AT = 4, 40


class Kind(IntEnum):
    PING = 1
    PONG = 2
    END = 3


def make_datagram(kind: Kind, token: Token, number: int) -> bytearray:
    """A datagram of MESSAGE_BYTES."""
    return bytearray(_DATAGRAM.pack(_MAGIC, kind, token.claim, number))


def read_datagram(data: bytes | bytearray | memoryview, kind: Kind, token: Token) -> int | None:
    """The number of a datagram of this kind and this pair; None for anything else."""
    if len(data) != MESSAGE_BYTES:
        return None
    magic, seen_kind, claim, number = _DATAGRAM.unpack(data)
    # The claim is worth guessing for nobody: it dies with the run; so a plain comparison serves.
    if magic != _MAGIC or seen_kind != kind or claim != token.claim:
        return None
    assert isinstance(number, int)
    return number


def ping_tcp(sock: socket.socket, count: int, watch: Watch) -> RoundTrips:
    """``count`` round trips, fewer where the time ends before. Raises PeerGone, Cancelled."""
    receive_slice(sock)
    message, buffer = bytes(MESSAGE_BYTES), bytearray(MESSAGE_BYTES)
    times_ns = array("Q")
    clock, send, receive_into = time.perf_counter_ns, sock.send, sock.recv_into
    for number in range(WARM_UP_ROUND_TRIPS + count):
        started = clock()
        try:
            send(message)
            seen = receive_into(buffer)
            if not seen:
                raise PeerGone("the peer closed the echo connection")
        except BlockingIOError:  # nothing within a slice
            seen = 0
        except OSError as error:
            raise PeerGone(f"the echo connection broke: {error.strerror}") from error
        if seen != MESSAGE_BYTES and not _read_rest(sock, memoryview(buffer)[seen:], watch):
            break
        ended = clock()
        if number >= WARM_UP_ROUND_TRIPS:
            times_ns.append(ended - started)
        if not watch.running():
            break
    _half_close(sock)
    return round_trips("tcp", times_ns)


def echo_tcp(sock: socket.socket, control: Control, watch: Watch) -> None:
    """Answer until the peer closes its side and says Halt, or the time is over. Raises PeerGone, Cancelled."""
    receive_slice(sock)
    buffer = bytearray(MESSAGE_BYTES)
    whole = memoryview(buffer)
    send, receive_into = sock.send, sock.recv_into
    for number in itertools.count():
        if not number % _LOOK_EVERY and not watch.running():
            break
        try:
            seen = receive_into(buffer)
            if not seen:
                break
            send(buffer if seen == MESSAGE_BYTES else whole[:seen])
        except BlockingIOError:
            if isinstance(control.poll(), Halt):
                return
            if not watch.running():
                break
        except OSError as error:
            raise PeerGone(f"the echo connection broke: {error.strerror}") from error
    control.await_halt(watch)


def ping_udp(sock: socket.socket, token: Token, count: int, watch: Watch) -> RoundTrips:
    """``count`` round trips on a connected socket; an answer after 0.2 s counts as lost. Raises Cancelled."""
    receive_slice(sock, _LOST_AFTER_S)
    message, buffer = make_datagram(Kind.PING, token, 0), bytearray(MESSAGE_BYTES + 1)
    whole = memoryview(buffer)
    times_ns = array("Q")
    lost = lost_in_a_row = 0
    clock, send, receive_into = time.perf_counter_ns, sock.send, sock.recv_into
    for number in range(WARM_UP_ROUND_TRIPS + count):
        _NUMBER.pack_into(message, _NUMBER_AT, number)
        started = clock()
        ended = 0
        try:
            send(message)
            while True:
                seen = receive_into(buffer)
                now = clock()
                if read_datagram(whole[:seen], Kind.PONG, token) == number:
                    ended = now
                    break
                if now - started > _LOST_AFTER_S * 1e9:  # late answers to earlier ones keep coming
                    break
        except OSError:  # time is over, or an ICMP error came back: lost either way
            pass
        if ended and number >= WARM_UP_ROUND_TRIPS:
            times_ns.append(ended - started)
        lost_in_a_row = 0 if ended else lost_in_a_row + 1
        lost += not ended
        if not watch.running() or lost_in_a_row >= _LOST_IN_A_ROW:
            break
    _send_quietly(sock, make_datagram(Kind.END, token, 0))
    return round_trips("udp", times_ns, lost)


def echo_udp(sock: socket.socket, control: Control, token: Token, strangers: Strangers, watch: Watch) -> None:
    """Answer pings until the peer says Halt, or the time is over. Raises PeerGone, Cancelled."""
    receive_slice(sock)
    buffer = bytearray(MESSAGE_BYTES + 1)
    whole, pong = memoryview(buffer), memoryview(buffer)[:MESSAGE_BYTES]
    connected = False
    send, receive_into = sock.send, sock.recv_into
    for number in itertools.count():
        if not number % _LOOK_EVERY and not watch.running():
            break
        try:
            if connected:
                seen = receive_into(buffer)
            else:
                seen, source = sock.recvfrom_into(buffer)
            if read_datagram(whole[:seen], Kind.PING, token) is None:
                if read_datagram(whole[:seen], Kind.END, token) is not None:
                    break
                strangers.udp += 1
                continue
            if not connected:
                sock.connect(source)  # from now on the kernel drops the datagrams of others
                connected = True
            buffer[_KIND_AT] = Kind.PONG
            send(pong)
        except BlockingIOError:
            if isinstance(control.poll(), Halt):
                return
            if not watch.running():
                break
        except OSError:  # an ICMP error came back: the connection for control tells whether the peer lives
            control.poll()
    control.await_halt(watch)


def _wait_readable(sock: socket.socket, watch: Watch) -> bool:
    while watch.running():
        if watch.readable(sock):
            return True
    return False


def _read_rest(sock: socket.socket, rest: memoryview, watch: Watch) -> bool:
    """Fill ``rest``; False where the time ended before. Raises PeerGone."""
    while rest:
        if not _wait_readable(sock, watch):
            return False
        try:
            seen = sock.recv_into(rest)
        except BlockingIOError:
            continue
        except OSError as error:
            raise PeerGone(f"the echo connection broke: {error.strerror}") from error
        if not seen:
            raise PeerGone("the peer closed the echo connection")
        rest = rest[seen:]
    return True


def _half_close(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the peer closed it before; nothing is left to say


def _send_quietly(sock: socket.socket, datagram: bytearray) -> None:
    try:
        sock.send(datagram)
    except OSError:
        pass  # only hurries the peer on; Halt follows by TCP
