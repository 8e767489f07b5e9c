"""The agent's end of the wire: a connection that comes back by itself, whatever happens to the server.

One DEALER socket with CURVE; a socket monitor tells why a connection failed. libzmq retries after some failures and
gives up after others (a refused key, a peer that does not speak ZMTP), so its own retries are off and the link makes a
new socket for each attempt, after a pause that doubles up to ``_PAUSE_MAX_S`` and is spread at random: a fleet
that lost its server must not come back as one.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from enum import Enum

import zmq

from ahc_agent.errors import UsageError, WireError
from ahc_agent.wire import codec
from ahc_agent.wire.clock import ServerClock
from ahc_agent.wire.keys import KeyPair
from ahc_agent.wire.lookup import Lookup
from ahc_agent.wire.messages import (
    FromServer,
    Heartbeat,
    Hello,
    Message,
    Pulse,
    Refused,
    Welcome,
    WhoAreYou,
)

_CONNECT_LIMIT_S = 10.0
#: How long a look-up of the server's name is waited for before that is said.
_LOOKUP_PATIENCE_S = 10.0
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.1, 10.0
#: A Hello without an answer is said again after this.
_HELLO_AGAIN_S = 5.0
_REFUSED_FIRST_S, _REFUSED_MAX_S = 1.0, 60.0
#: Heartbeats without an answer before the server counts as away.
_SILENT_BEATS = 3
_SEND_QUEUE = 100
#: Looks at the server's clock follow each other after so long, at random: a whole fleet looks at the same time.
_LOOK_APART_S = (0.005, 0.025)
#: Looks when the agent has just joined: its first pair may come soon.
_FIRST_LOOKS = 8
#: Where the clock is still not known so well, as on a busy machine, there are up to so many looks more.
_MORE_LOOKS = 16

_REFUSED_KEY = "the server at {} does not admit this agent's key (see ahc serve --authorized-keys)"
_WRONG_KEY = "the server at {} does not hold the key that was given (--server-key), or is no AHC server"
_NOT_ZMQ = "who listens at {} is no AHC server"
_NO_SERVER = "no server at {}"
_NO_NAME = "the name of the server at {} cannot be resolved"
_GONE = "the server at {} is gone"
_FAILURES: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: _REFUSED_KEY,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: _NOT_ZMQ,
    zmq.EVENT_CLOSED: _NO_SERVER,
}


class State(Enum):
    """``AWAY``: no connection. ``GREETING``: connected, not admitted yet. ``JOINED``: admitted."""

    AWAY = "away"
    GREETING = "greeting"
    JOINED = "joined"


class Link:
    """See the module. ``say`` gets one sentence for the operator whenever what it has to say changes.

    ``hello`` makes the Hello anew each time it is needed; ``busy`` tells the task under way for heartbeats.
    ``clock``: the server's, from its answers. ``peer``: the IP address of the latest attempt. ``failure`` is why there is no
    connection, or admission; None while there has been no attempt, and when joined.
    Raises UsageError for an endpoint that cannot be one.
    """

    def __init__(
        self,
        endpoint: str,
        server_key: str,
        keys: KeyPair,
        *,
        hello: Callable[[], Hello],
        busy: Callable[[], str | None] = lambda: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.endpoint = endpoint
        self.state = State.AWAY
        self.heartbeat_s = 5.0
        self._server_key, self._keys = server_key, keys
        self._hello, self._busy, self._tell = hello, busy, say
        self.failure: str | None = None
        self.peer: str | None = None
        self.clock = ServerClock()
        self._said = self._joined = self._epoch = ""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._lookup: Lookup | None = None
        self._pause_s = _PAUSE_FIRST_S
        self._refused_s = _REFUSED_FIRST_S
        self._unreadable = 0
        self._due_at = 0.0  # of the next attempt, Hello or Heartbeat, by state
        self._connected = False
        self._sequence = 0
        self._looks = -_MORE_LOOKS
        self._heard_at = 0.0
        self._attempts = 0
        self._host, _, self._port = endpoint.removeprefix("tcp://").rpartition(":")
        if not self._host or not self._port.isdecimal():
            raise UsageError(f"{endpoint} is no endpoint: tcp://HOST:PORT is meant")
        self._open(time.monotonic())

    def poll(self, timeout_s: float, wake: int | None = None) -> list[FromServer]:
        """Do what is due, wait for messages no longer than ``timeout_s``, and return those that are not the link's own.

        Welcome is returned too: the agent sends its results again after it. ``wake``: a file descriptor that ends the
        waiting.
        """
        now = time.monotonic()
        self._do_what_is_due(now)
        poller = zmq.Poller()
        for waiting in (self._socket, self._monitor, self._lookup, wake):
            if waiting is not None:
                poller.register(waiting, zmq.POLLIN)
        poller.poll(int(max(0.0, min(timeout_s, self._due_at - now)) * 1000) + 1)
        # The events first, and what was received before them: the last words of a server that ends are not lost.
        events = self._events()
        messages = self._read()
        for event in events:
            if self._socket is not None:
                self._note(event)
        return messages

    def send(self, message: Message | bytes) -> bool:
        """Send a message, or a frame made before. False: not now (no connection, or its queue is full)."""
        if self._socket is None or not self._connected:
            return False
        frame = message if isinstance(message, bytes) else codec.encode(message)
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self, linger_s: float = 0.0) -> None:
        """Close, after at most ``linger_s`` for what has been sent to leave."""
        self._shut(linger_s)
        self._context.term()

    def _open(self, now: float) -> None:
        self._lookup = Lookup(self._host)
        self._due_at = now + _LOOKUP_PATIENCE_S
        self._connect(now)

    def _connect(self, now: float) -> None:
        """As soon as the server's name is looked up: each of its addresses in turn. libzmq would take the first for ever, which
        may be an IPv6 address where the server listens on IPv4 only."""
        found = self._lookup.addresses if self._lookup is not None else None
        if found is None:
            return
        if not found:
            self._lose(_NO_NAME)
            return
        self._end_lookup()
        self.peer = found[self._attempts % len(found)]
        self._attempts += 1
        address = f"[{self.peer}]" if ":" in self.peer else self.peer
        self._socket = self._context.socket(zmq.DEALER)
        for option, value in (
            (zmq.CURVE_SERVERKEY, self._server_key.encode()),
            (zmq.CURVE_PUBLICKEY, self._keys.public.encode()),
            (zmq.CURVE_SECRETKEY, self._keys.secret.encode()),
            (zmq.IMMEDIATE, 1),  # nothing is queued for a connection that is not there
            (zmq.RECONNECT_IVL, -1),
            (zmq.CONNECT_TIMEOUT, int(_CONNECT_LIMIT_S * 1000)),
            (zmq.HANDSHAKE_IVL, int(_CONNECT_LIMIT_S * 1000)),
            (zmq.MAXMSGSIZE, codec.FRAME_LIMIT_BYTES),
            (zmq.SNDHWM, _SEND_QUEUE),
            (zmq.RCVHWM, _SEND_QUEUE),
            (zmq.LINGER, 0),
            (zmq.IPV6, int(":" in self.peer)),
            # Pings of the protocol find a dead connection at both ends, also while this process computes.
            (zmq.HEARTBEAT_IVL, 5_000),
            (zmq.HEARTBEAT_TIMEOUT, 15_000),
            (zmq.HEARTBEAT_TTL, 15_000),
        ):
            self._socket.set(option, value)
        self._monitor = self._socket.get_monitor_socket()
        self._socket.connect(f"tcp://{address}:{self._port}")
        self._due_at = now + _CONNECT_LIMIT_S

    def _end_lookup(self) -> None:
        if self._lookup is not None:
            self._lookup.close()
            self._lookup = None

    def _shut(self, linger_s: float = 0.0) -> None:
        self._end_lookup()
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(linger=int(linger_s * 1000))
        if self._monitor is not None:
            self._monitor.close(linger=0)
        self._socket = self._monitor = None
        self._connected = False

    def _lose(self, why: str) -> None:
        """The connection failed or ended: try anew after a pause."""
        self._shut()
        self.state = State.AWAY
        self._due_at = time.monotonic() + self._pause_s * random.uniform(0.5, 1.5)
        self._pause_s = min(self._pause_s * 2, _PAUSE_MAX_S)
        self._fail(why.format(self.endpoint))

    def _do_what_is_due(self, now: float) -> None:
        self._connect(now)
        if now < self._due_at:
            return
        if self.state is State.AWAY:
            if self._socket is not None:
                self._lose("no answer from the server at {}")
            elif self._lookup is not None:
                # Some name servers that are away, some domains to look in: a good answer may take half a minute.
                self._due_at = now + _LOOKUP_PATIENCE_S
                self._fail(_NO_NAME.format(self.endpoint))
            else:
                self._open(now)
        elif self.state is State.GREETING:
            # Right after the handshake the queue of a new connection may not stand yet: then ask again soon.
            self._due_at = now + (_HELLO_AGAIN_S if self.send(self._hello()) else 0.01)
        else:
            if now - self._heard_at > (_SILENT_BEATS + 1) * self.heartbeat_s:
                # The connection stands (ZMTP's own pings see to that): the server is busy. Coming anew would not help it.
                self._say(f"the server at {self.endpoint} does not answer")
            self._sequence += 1
            self.send(Heartbeat(sequence=self._sequence, sent_at_ns=time.monotonic_ns(), busy=self._busy()))
            self._due_at = now + (random.uniform(*_LOOK_APART_S) if self._looks_again() else self.heartbeat_s)

    def _looks_again(self) -> bool:
        """Whether another look at the clock follows soon. ``_looks`` falls below 0 while the clock is not known well."""
        self._looks -= 1
        return self._looks >= 0 or (self._looks > -_MORE_LOOKS and not self.clock.is_well_known)

    def _events(self) -> list[int]:
        """What the monitor saw since the last look."""
        events = []
        while self._monitor is not None and self._monitor.poll(0):
            # A 16-bit event and a 32-bit value, then the address (zmq_socket_monitor(3)). pyzmq's own reader of it would
            # load asyncio: 30 ms and 10 MiB.
            events.append(int.from_bytes(self._monitor.recv_multipart()[0][:2], sys.byteorder))
        return events

    def _note(self, event: int) -> None:
        """Take in how the connection does. Why it failed is in the event, as far as libzmq can tell."""
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._connected = True
            self._unreadable = 0
            self._greet()
        elif event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            # A server that cannot decrypt our greeting hangs up without a word; so does one that is just ending.
            self._unreadable += 1
            self._lose(_WRONG_KEY if self._unreadable > 1 else _NO_SERVER)
        elif event == zmq.EVENT_DISCONNECTED:
            self._lose(_GONE if self._connected else _NOT_ZMQ)
        elif event in _FAILURES:
            self._lose(_FAILURES[event])

    def _greet(self) -> None:
        self.state = State.GREETING
        self._due_at = time.monotonic()

    def _read(self) -> list[FromServer]:
        handed_on: list[FromServer] = []
        while self._socket is not None:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
                message = codec.read_from_server(parts[0])
            except zmq.Again:
                break
            except WireError as error:
                self._say(f"the server at {self.endpoint} sent what cannot be read: {error}")
                continue
            self._heard_at = time.monotonic()
            if isinstance(message, Refused):
                self.state = State.GREETING
                self._fail(f"the server at {self.endpoint} refuses this agent: {message.reason}")
                self._due_at = self._heard_at + self._refused_s * random.uniform(0.75, 1.25)
                self._refused_s = min(self._refused_s * 1.5, _REFUSED_MAX_S)
            elif isinstance(message, WhoAreYou):
                self._greet()
            elif isinstance(message, Pulse):
                self.clock.hear(message, time.monotonic_ns())
                if self.state is State.JOINED:
                    self._say(self._joined)
            else:
                if isinstance(message, Welcome):
                    self._welcome(message)
                handed_on.append(message)
        return handed_on

    def _welcome(self, message: Welcome) -> None:
        if message.epoch != self._epoch:
            self._epoch = message.epoch
            self.clock.forget()
        self.state = State.JOINED
        self.failure = None
        self.heartbeat_s = message.heartbeat_s
        self._pause_s, self._refused_s = _PAUSE_FIRST_S, _REFUSED_FIRST_S
        self._due_at = self._heard_at + random.uniform(0, min(1.0, self.heartbeat_s))
        self._looks = _FIRST_LOOKS
        self._joined = f"joined the server at {self.endpoint} (version {message.server_version})"
        self._say(self._joined)

    def look_at_clock(self, times: int) -> None:
        """So many heartbeats, the first at once: of several looks at the server's clock the quickest tells most."""
        if self.state is State.JOINED:
            self._due_at = 0.0
            self._looks = max(self._looks, times - 1)

    def _fail(self, why: str) -> None:
        self.failure = why
        self._say(f"{why}; trying again")

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._tell(text)
