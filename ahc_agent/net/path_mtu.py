"""The largest packets that pass between two ends unbroken, both ways.

The connecting end sends datagrams with DF set and whatever size it likes (``IP_PMTUDISC_PROBE``, ip(7): the kernel's own idea of
the path's MTU is ignored), the listening end answers each. For the way to the listening end the question is large and the answer
small; for the way back the other way round. So a switch port that drops large frames and says nothing (a black hole, RFC 2923)
is found, in the direction that it has. Method of RFC 8899 (packetization layer path MTU discovery), with a search that ends.

A datagram: magic, kind, the pair's claim, a number, the length of the answer, the MTU of the sender's card; zeros then.
"""

from __future__ import annotations

import itertools
import socket
import struct
import time
from typing import Any

from ahc_agent.net.control import Control, Halt
from ahc_agent.net.guard import Strangers, Token
from ahc_agent.net.watch import Watch, receive_slice
from ahc_agent.wire.messages import PathMtu

#: linux/in.h, linux/in6.h; Python's socket module has no names for them.
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3
_HEADER_BYTES = {socket.AF_INET: 20 + 8, socket.AF_INET6: 40 + 8}

_MAGIC = b"AHCm"
_KIND_ASK, _KIND_ANSWER, _KIND_END = 1, 2, 3
_DATAGRAM = struct.Struct("!4sB3x32sQII")
#: Every host takes so much (RFC 1122, 3.3.2); it is the least that is tried.
LEAST_BYTES = 576
#: The length field of IPv4.
MOST_BYTES = 65535
#: What most cards and switches have: tried first when the whole MTU does not pass.
_USUAL_BYTES = 1500

#: An answer comes within this, or the datagram counts as lost. Lines may be full of other pairs' data.
_ANSWER_S = 0.08
#: A size that does not pass is tried so often; the first one, on which all hangs, more often.
_TRIES, _FIRST_TRIES = 2, 6
#: Both ways together take no longer.
LIMIT_S = 5.0


def open_socket(family: socket.AddressFamily, address: str) -> socket.socket:
    """A datagram socket that never breaks packets up, bound to ``address`` ("" is any). Raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
        sock.bind((address, 0))
    except OSError:
        sock.close()
        raise
    return sock


def answer(
    sock: socket.socket, mtu: int, control: Control, token: Token, strangers: Strangers, watch: Watch
) -> None:
    """Answer questions until the peer says Halt, or the time is over. ``mtu``: of the own card. Raises PeerGone, Cancelled."""
    receive_slice(sock)
    header = _HEADER_BYTES[sock.family]
    while watch.running():
        try:
            data, source = sock.recvfrom(MOST_BYTES)
        except BlockingIOError:
            if isinstance(control.poll(), Halt):
                return
            continue
        except OSError:  # an ICMP error came back; whether the peer lives is told by the control connection
            control.poll()
            continue
        asked = _read(data, _KIND_ASK, token)
        if asked is None:
            if _read(data, _KIND_END, token) is not None:
                break
            strangers.udp += 1
            continue
        number, length, _ = asked
        length = min(max(length, LEAST_BYTES), mtu, MOST_BYTES) - header
        _send(sock, _make(_KIND_ANSWER, token, number, 0, mtu).ljust(length, b"\0"), source)
    control.await_halt(watch)


def probe(sock: socket.socket, mtu: int, token: Token, watch: Watch) -> PathMtu:
    """Find both ways on a connected socket; ``mtu``: of the own card. Raises Cancelled."""
    asker = _Asker(sock, mtu, token, watch.within(LIMIT_S))
    try:
        return _both_ways(asker, mtu)
    finally:
        _send(sock, _make(_KIND_END, token, 0, 0, mtu))  # only hurries the peer on; Halt follows by TCP


def _both_ways(asker: _Asker, mtu: int) -> PathMtu:
    if not asker.passes(LEAST_BYTES, LEAST_BYTES, _FIRST_TRIES):
        return PathMtu(wanted=min(mtu, MOST_BYTES))
    wanted = min(mtu, asker.peer_mtu, MOST_BYTES)
    return PathMtu(
        wanted=wanted, sent=asker.largest(wanted, ask=True), received=asker.largest(wanted, ask=False)
    )


class _Asker:
    def __init__(self, sock: socket.socket, mtu: int, token: Token, watch: Watch) -> None:
        receive_slice(sock, _ANSWER_S)
        self._socket = sock
        self._mtu = mtu
        self._token = token
        self._watch = watch
        self._numbers = itertools.count(1)
        self._buffer = bytearray(MOST_BYTES)
        self.peer_mtu = MOST_BYTES

    def largest(self, wanted: int, *, ask: bool) -> int | None:
        """The largest size that passes one way, ``ask`` of the questions, else of the answers; None where the time ended before.

        What only seems to stop large packets is a line that loses all of them for a while: before a size below ``wanted`` is
        told, a small one has to pass and ``wanted`` to fail once more.
        """

        def passes(size: int, tries: int = _TRIES) -> bool:
            return self.passes(size, LEAST_BYTES, tries) if ask else self.passes(LEAST_BYTES, size, tries)

        if wanted <= LEAST_BYTES or passes(wanted, _FIRST_TRIES):
            return wanted
        good, bad = LEAST_BYTES, wanted
        while bad - good > 1 and self._watch.running():
            size = _next(good, bad)
            if passes(size):
                good = size
            else:
                bad = size
        is_sure = bad - good == 1 and passes(LEAST_BYTES) and not passes(wanted)
        return good if is_sure and self._watch.running() else None

    def passes(self, ask_bytes: int, answer_bytes: int, tries: int) -> bool:
        """Whether one of some questions of a size was answered in a size (IP packet lengths). Raises Cancelled."""
        return any(self._watch.running() and self._once(ask_bytes, answer_bytes) for _ in range(tries))

    def _once(self, ask_bytes: int, answer_bytes: int) -> bool:
        header = _HEADER_BYTES[self._socket.family]
        number = next(self._numbers)
        question = _make(_KIND_ASK, self._token, number, answer_bytes, self._mtu)
        if not _send(self._socket, question.ljust(ask_bytes - header, b"\0")):
            return False
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            try:
                seen = self._socket.recv_into(self._buffer)
            except OSError:  # none in time, or an ICMP error
                return False
            told = _read(self._buffer[:seen], _KIND_ANSWER, self._token)
            if told is not None and told[0] == number:
                self.peer_mtu = max(told[2], LEAST_BYTES)
                return seen + header >= min(answer_bytes, self.peer_mtu)
        return False


def _next(good: int, bad: int) -> int:
    """The size to try between one that passes and one that does not: the usual one and the next above it, then halves."""
    for size in (_USUAL_BYTES, _USUAL_BYTES + 1):
        if good < size < bad:
            return size
    return (good + bad) // 2


def _make(kind: int, token: Token, number: int, length: int, mtu: int) -> bytes:
    return _DATAGRAM.pack(_MAGIC, kind, token.claim, number, length, mtu)


def _read(data: bytes | bytearray, kind: int, token: Token) -> tuple[int, int, int] | None:
    """Number, length and MTU of a datagram of this kind and this pair; None for anything else."""
    if len(data) < _DATAGRAM.size:
        return None
    magic, seen_kind, claim, number, length, mtu = _DATAGRAM.unpack_from(data)
    if magic != _MAGIC or seen_kind != kind or claim != token.claim:
        return None
    return number, length, mtu


def _send(sock: socket.socket, datagram: bytes, to: tuple[Any, ...] | None = None) -> bool:
    """False where the kernel does not take it: larger than the card's MTU, or an ICMP error of an earlier one is told."""
    try:
        if to is None:
            sock.send(datagram)
        else:
            sock.sendto(datagram, to)
    except OSError:
        return False
    return True
