"""Who may take part: every data socket of a pair shows the pair's one-time token, or is dropped and counted.

The token itself never crosses the network on the plain sockets: what is shown is a digest of the token, the pair and the
purpose. Data is not encrypted, so that the card is measured and not the cipher; an eavesdropper on the wire could
take part in this one pair's run, and nothing else.

=============  =====================================================================================
bulk sockets   ZMQ PLAIN (RFC 27/ZAP): user name ``ahc``, password the claim in hexadecimal
TCP sockets    the connecting end sends a 40-byte hello with the claim, the listening end answers with its own
datagrams      the claim stands in every datagram
=============  =====================================================================================
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from enum import IntEnum

import zmq

from ahc_agent.errors import PeerGone, PeerSilent
from ahc_agent.net.watch import Watch

log = logging.getLogger(__name__)

_MAGIC = b"AHC1"
_HELLO = struct.Struct("!4sB3x32s")
_ZAP_VERSION = b"1.0"
_ZAP_FRAMES = 8
USER = b"ahc"
#: A connection that has not shown its hello by then is dropped.
HELLO_LIMIT_S = 2.0
#: More strangers than this are not kept waiting at once; the oldest goes first.
WAITING_LIMIT = 64


class Purpose(IntEnum):
    """What a TCP connection is for."""

    CONTROL = 1
    ECHO = 2


@dataclass(slots=True)
class Strangers:
    """How often somebody without the token knocked, by kind of socket."""

    bulk: int = 0
    tcp: int = 0
    udp: int = 0

    def report(self, pair_id: str) -> None:
        if self.bulk or self.tcp or self.udp:
            log.warning(
                "pair %s: strangers without the token were dropped: %d at the bulk sockets, %d TCP connections, %d datagrams",
                pair_id,
                self.bulk,
                self.tcp,
                self.udp,
            )


@dataclass(frozen=True, slots=True)
class Token:
    """What the two ends show each other; 32 bytes each."""

    claim: bytes = field(repr=False)
    answer: bytes = field(repr=False)

    @classmethod
    def of(cls, pair_id: str, token: str) -> Token:
        def digest(purpose: bytes) -> bytes:
            return hmac.digest(token.encode(), purpose + b"\0" + pair_id.encode(), hashlib.sha256)

        return cls(digest(b"claim"), digest(b"answer"))

    @property
    def password(self) -> bytes:
        return self.claim.hex().encode()


class Door:
    """A listening TCP socket that lets in only who shows the claim."""

    def __init__(self, listener: socket.socket, token: Token, strangers: Strangers) -> None:
        self._listener = listener
        self._token = token
        self._strangers = strangers
        self._waiting: dict[socket.socket, tuple[bytes, float]] = {}
        self._admitted: dict[Purpose, socket.socket] = {}
        listener.setblocking(False)

    def admit(self, wanted: frozenset[Purpose], watch: Watch) -> dict[Purpose, socket.socket]:
        """Wait for one connection of each purpose; the caller owns (and closes) them.

        Raises PeerSilent at the deadline; then nothing stays open.
        """
        try:
            while self._admitted.keys() < wanted:
                if not watch.running():
                    raise PeerSilent("the peer did not connect within its time limit")
                for sock in watch.readable(self._listener, *self._waiting):
                    if sock is self._listener:
                        self._accept()
                    else:
                        self._read(sock, wanted)
                self._drop_late()
            admitted, self._admitted = self._admitted, {}
            return admitted
        finally:
            for sock in list(self._waiting):
                self._drop(sock)
            for sock in self._admitted.values():
                sock.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # went away between select and accept
        sock.setblocking(False)
        if len(self._waiting) >= WAITING_LIMIT:
            self._drop(next(iter(self._waiting)))
        self._waiting[sock] = (b"", time.monotonic() + HELLO_LIMIT_S)

    def _read(self, sock: socket.socket, wanted: frozenset[Purpose]) -> None:
        if sock not in self._waiting:
            return
        seen, deadline = self._waiting[sock]
        try:
            more = sock.recv(_HELLO.size - len(seen))
        except BlockingIOError:
            return
        except OSError:
            more = b""
        seen += more
        if not more or not _MAGIC.startswith(seen[: len(_MAGIC)]):
            self._drop(sock)
        elif len(seen) < _HELLO.size:
            self._waiting[sock] = (seen, deadline)
        else:
            self._judge(sock, seen, wanted)

    def _judge(self, sock: socket.socket, hello: bytes, wanted: frozenset[Purpose]) -> None:
        _, number, claim = _HELLO.unpack(hello)
        if not hmac.compare_digest(claim, self._token.claim) or number not in wanted - self._admitted.keys():
            self._drop(sock)
            return
        try:
            sock.send(_HELLO.pack(_MAGIC, number, self._token.answer))
        except OSError:
            self._drop(sock)
            return
        del self._waiting[sock]
        self._admitted[Purpose(number)] = sock

    def _drop(self, sock: socket.socket) -> None:
        del self._waiting[sock]
        sock.close()
        self._strangers.tcp += 1

    def _drop_late(self) -> None:
        now = time.monotonic()
        for sock in [sock for sock, (_, deadline) in self._waiting.items() if deadline < now]:
            self._drop(sock)


def knock(
    address: tuple[str, int], source: str, purpose: Purpose, token: Token, watch: Watch
) -> socket.socket:
    """Connect to a Door and show the claim.

    ``source`` is the own address to connect from, "" for any. Raises PeerSilent, PeerGone (refused, or not our peer)
    or OSError (no route, no such own address).
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            sock.bind((source, 0))
        try:
            sock.connect(address)
        except BlockingIOError:
            pass
        while not select.select((), (sock,), (), watch.slice_s())[1]:
            if not watch.running():
                raise PeerSilent(f"no connection to {address[0]} port {address[1]} within the time limit")
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"no connection to {address[0]} port {address[1]}: {os.strerror(error)}")
        sock.send(_HELLO.pack(_MAGIC, purpose, token.claim))
        _check_answer(sock, purpose, token, watch)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_answer(sock: socket.socket, purpose: Purpose, token: Token, watch: Watch) -> None:
    seen = b""
    while len(seen) < _HELLO.size:
        if not watch.running():
            raise PeerSilent("the peer's port is open but did not answer within the time limit")
        if watch.readable(sock):
            try:
                more = sock.recv(_HELLO.size - len(seen))
            except OSError as error:
                raise PeerGone(f"the peer refused the connection: {error.strerror}") from error
            if not more:
                raise PeerGone("the peer refused the connection (another token, or another run)")
            seen += more
    if seen != _HELLO.pack(_MAGIC, purpose, token.answer):
        raise PeerGone("something answers at the peer's port, but not this pair's other end")


class ZapKeeper(threading.Thread):
    """Answers libzmq's question "may this one in?" (RFC 27) for all sockets of one context.

    It blocks until the context is terminated, so it costs nothing during a measurement.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], token: Token, strangers: Strangers) -> None:
        super().__init__(name="pair-zap", daemon=True)
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind("inproc://zeromq.zap.01")
        self._password = token.password
        self._strangers = strangers

    def run(self) -> None:
        try:
            while True:
                frames = self._socket.recv_multipart()
                self._socket.send_multipart(self._answer(frames))
        except zmq.ContextTerminated:
            pass
        finally:
            self._socket.close()

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        request_id = frames[1] if len(frames) > 1 else b""
        known = len(frames) == _ZAP_FRAMES and frames[5] == b"PLAIN" and frames[6] == USER
        if known and hmac.compare_digest(frames[7], self._password):
            return [_ZAP_VERSION, request_id, b"200", b"OK", USER, b""]
        self._strangers.bulk += 1
        return [_ZAP_VERSION, request_id, b"400", b"not this pair's token", b"", b""]
