"""The hub: one ROUTER socket, CURVE on it, and the table of who is at its other ends.

Every frame is bound to the public key of the connection that brought it. A machine belongs to the key that joined it
until it says Bye or is lost; until then no other key can speak for it. Frames that cannot be taken are counted by kind,
logged once per peer and dropped. Nothing that a peer does or omits makes the hub wait: sends that do not fit a peer's
queue are refused, libzmq takes turns between connections, and one ``receive`` ends after ``_TURN_S``.

Routes are the ids that libzmq gives to connections. A peer may wish for another id but not for one that exists, nor for
one of the kind that libzmq gives, so nobody can stand in another's way.

One thing libzmq leaves open: it gathers all parts of a message before the hub sees the first, so a peer that has finished
the handshake can make it take memory by a message that does not end. Who must fear that lists the agents' keys.
"""

from __future__ import annotations

import logging
import resource
import time
from collections import Counter
from dataclasses import dataclass

import msgspec
import zmq

from ahc_agent.errors import UsageError, WireError
from ahc_agent.wire import codec
from ahc_agent.wire.messages import (
    Bye,
    FromServer,
    Heartbeat,
    Hello,
    Identity,
    Pulse,
    Refused,
    Welcome,
    WhoAreYou,
)
from ahc_server.hub.auth import Gate
from ahc_server.hub.events import Event, Joined, Lost, Said

_log = logging.getLogger("ahc.hub")

#: Machines that can be joined at once.
MACHINE_LIMIT = 20_000
#: A peer that has not joined can send no larger frame: a Hello fits.
STRANGER_LIMIT_BYTES = 1024 * 1024
#: Complete messages that libzmq holds per connection, in and out. When full, TCP makes the agent wait; a full outward
#: queue makes ``send`` say False.
_RECEIVE_QUEUE, _SEND_QUEUE = 16, 1000
#: One ``receive`` takes no longer than this, and no more bytes (but for the last message): decoded, a result takes
#: three times its size, and when a plan's step ends a whole fleet delivers at once.
_TURN_S = 0.25
_TURN_BYTES = 8 * 1024 * 1024
#: Agents take it for a sign of life and nothing else.
_ANYBODY_THERE = Pulse(sequence=0, sent_at_ns=0, server_at_ns=0)
#: So much of a goodbye's reason is kept: it is told to whoever watches, for every machine.
_REASON_LIMIT = 200
#: Peers whose bad frames have been logged.
_LOGGED_LIMIT = 1000


@dataclass(slots=True)
class _Peer:
    """A machine that has joined, and the connection it speaks on. ``hello`` without its unacknowledged tasks."""

    route: bytes
    public_key: str
    hello: Hello
    heard_at_s: float


class Hub:
    """See the module. ``stats`` counts dropped frames by kind, refusals and sends that found nobody.

    ``bind``: ``tcp://HOST:PORT``, ``*`` for any of them; ``endpoint`` is what came out of it. ``authorized_keys`` None is
    open enrolment. ``epoch`` is new at each start of the server. Times are CLOCK_MONOTONIC seconds.
    Raises UsageError when it cannot bind.
    """

    def __init__(
        self,
        bind: str,
        *,
        secret_key: str,
        public_key: str,
        authorized_keys: frozenset[str] | None = None,
        server_version: str,
        epoch: str,
        heartbeat_s: float = 5.0,
        lost_after_s: float = 15.0,
    ) -> None:
        self.stats: Counter[str] = Counter()
        self.lost_after_s = lost_after_s
        self._welcome = Welcome(epoch=epoch, server_version=server_version, heartbeat_s=heartbeat_s)
        self._peers: dict[str, _Peer] = {}
        self._machine_of: dict[bytes, str] = {}
        self._logged: set[str] = set()
        self._behind = False
        _raise_file_limit()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._gate = Gate(self._context, authorized_keys, self.stats)
        self.socket: zmq.Socket[bytes] = self._context.socket(zmq.ROUTER)
        self.socket.set(zmq.CURVE_SERVER, 1)
        self.socket.set(zmq.CURVE_SECRETKEY, secret_key.encode())
        self.socket.set(zmq.CURVE_PUBLICKEY, public_key.encode())
        self.socket.set(zmq.ROUTER_MANDATORY, 1)
        self.socket.set(zmq.MAXMSGSIZE, codec.FRAME_LIMIT_BYTES)
        self.socket.set(zmq.RCVHWM, _RECEIVE_QUEUE)
        self.socket.set(zmq.SNDHWM, _SEND_QUEUE)
        self.socket.set(zmq.BACKLOG, 4096)
        self.socket.set(zmq.HANDSHAKE_IVL, 10_000)
        # With IPv6 on, libzmq shows an IPv4 address as [::ffff:...]: only where any address or an IPv6 one is meant.
        self.socket.set(zmq.IPV6, int("*" in bind or "[" in bind))
        # A machine that lost its power says nothing: let the kernel find out, so that its connection is closed.
        for option, value in (
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.TCP_KEEPALIVE_IDLE, 30),
            (zmq.TCP_KEEPALIVE_INTVL, 10),
            (zmq.TCP_KEEPALIVE_CNT, 3),
        ):
            self.socket.set(option, value)
        try:
            self.socket.bind(bind)
        except zmq.ZMQError as error:
            self.close()
            raise UsageError(f"cannot listen at {bind}: {error.strerror}") from error
        self.endpoint = self.socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def receive(self, max_frames: int = 2000) -> list[Event]:
        """Take what has come, without waiting: answer greetings, drop what cannot be taken, hand on the rest."""
        events: list[Event] = []
        now = time.monotonic()
        end, bytes_left = now + _TURN_S, _TURN_BYTES
        self._behind = True
        for _ in range(max_frames):
            parts = self._next_message()
            if parts is None:
                self._behind = False
                break
            now = time.monotonic()
            self._take(parts, now, events)
            bytes_left -= len(parts[-1])
            if now > end or bytes_left < 0:
                break
        return events

    def expire(self, now: float) -> list[Lost]:
        """Forget machines that have been silent for ``lost_after_s``. ``now``: CLOCK_MONOTONIC seconds.

        Nobody is silent while ``receive`` has not read everything that has come.
        """
        if self._behind:
            return []
        silent = [
            machine for machine, peer in self._peers.items() if now - peer.heard_at_s > self.lost_after_s
        ]
        for machine in silent:
            self._forget(machine)
        return [Lost(machine, f"silent for {self.lost_after_s:g} s", now) for machine in silent]

    def send(self, machine: str, message: FromServer) -> bool:
        """Send to a machine that has joined. False: it is not there, or its queue is full; nothing was sent."""
        peer = self._peers.get(machine)
        return peer is not None and self._send(peer.route, message)

    def machines(self) -> dict[str, Hello]:
        """Who is joined, and what they said in their last Hello."""
        return {machine: peer.hello for machine, peer in self._peers.items()}

    def close(self) -> None:
        """Give what was sent a second to leave, and end."""
        self.socket.close(linger=1000)
        self._gate.close()
        self._context.term()

    def _next_message(self) -> list[zmq.Frame] | None:
        """The parts of the next message, never more than three of them; None when there is none."""
        try:
            parts = [self.socket.recv(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return None
        while self.socket.get(zmq.RCVMORE):
            part = self.socket.recv(copy=False)
            if len(parts) < 3:
                parts.append(part)
        return parts

    def _take(self, parts: list[zmq.Frame], now: float, events: list[Event]) -> None:
        route = parts[0].bytes
        key = str(parts[-1].get("User-Id"))
        machine = self._machine_of.get(route)
        try:
            if len(parts) != 2:
                raise WireError("parts", "a message is one frame")
            limit = codec.FRAME_LIMIT_BYTES if machine is not None else STRANGER_LIMIT_BYTES
            message = codec.read_from_agent(parts[1].buffer, limit)
        except WireError as error:
            self._drop(error.kind, key, machine, error)
            return
        if isinstance(message, Hello):
            self._greet(route, key, message, now, events)
        elif machine is None:
            self.stats["stranger"] += 1
            self._send(route, WhoAreYou())
        else:
            self._peers[machine].heard_at_s = now
            if isinstance(message, Heartbeat):
                self._send(route, _pulse(message))
            elif isinstance(message, Bye):
                self._forget(machine)
                why = f": {ascii(message.reason)[1:-1][:_REASON_LIMIT]}" if message.reason else ""
                events.append(Lost(machine, f"said goodbye{why}", now))
            else:
                events.append(Said(machine, message, now))

    def _greet(self, route: bytes, key: str, hello: Hello, now: float, events: list[Event]) -> None:
        machine = hello.identity.machine
        why_not = self._why_not(route, key, machine, hello)
        if why_not is not None:
            self.stats["refused"] += 1
            self._log_once(f"{key} {machine}", "%s (key %s) refused: %s", ascii(machine), key, why_not)
            self._send(route, Refused(reason=why_not))
            return
        if machine in self._peers:
            del self._machine_of[self._peers[machine].route]
        before = self._machine_of.get(route)
        if before is not None:  # one connection, one machine
            self._forget(before)
            events.append(Lost(before, f"calls itself {machine} now", now))
        kept = msgspec.structs.replace(hello, unacknowledged=[])  # the largest part, and for the event only
        self._peers[machine] = _Peer(route, key, kept, now)
        self._machine_of[route] = machine
        self._send(route, msgspec.structs.replace(self._welcome, server_at_unix_s=time.time()))
        events.append(Joined(machine, hello, key, now))

    def _why_not(self, route: bytes, key: str, machine: str, hello: Hello) -> str | None:
        """Why a machine cannot be admitted now; None when it can."""
        if not machine.strip() or not all(text.isprintable() for text in _texts(hello.identity)):
            return "the machine's identity is empty, or has characters that cannot be printed"
        peer = self._peers.get(machine)
        if peer is None:
            return "the server is full" if len(self._peers) >= MACHINE_LIMIT else None
        taken = (
            f"another agent with this identity is connected (or was, within the last {self.lost_after_s:g} s)"
        )
        if peer.public_key != key:
            return taken
        if peer.hello.instance == hello.instance or peer.route == route:
            return None  # it has reconnected, or was asked WhoAreYou
        # Started anew with the same key file. Two at once would take the machine from each other for ever: the second
        # waits while the first one's connection stands (a message to a closed connection is refused by libzmq).
        return taken if self._send(peer.route, _ANYBODY_THERE) else None

    def _forget(self, machine: str) -> None:
        del self._machine_of[self._peers.pop(machine).route]

    def _send(self, route: bytes, message: FromServer) -> bool:
        try:
            self.socket.send_multipart([route, codec.encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self.stats["unsent"] += 1
            return False
        return True

    def _drop(self, kind: str, key: str, machine: str | None, error: WireError) -> None:
        self.stats[kind] += 1
        self._log_once(
            key,
            "dropped a frame from %s (key %s): %s",
            ascii(machine) if machine else "a stranger",
            key,
            error,
        )

    def _log_once(self, who: str, text: str, *values: object) -> None:
        if who in self._logged:
            return
        if len(self._logged) == _LOGGED_LIMIT:
            _log.warning("too many peers with bad frames: no more of them are logged, see the counts")
        if len(self._logged) <= _LOGGED_LIMIT:
            self._logged.add(who)
            if len(self._logged) <= _LOGGED_LIMIT:
                _log.warning(text + "; said once", *values)


def _texts(identity: Identity) -> list[str]:
    """Everything in an identity that may come to be a node's id, or is printed beside it."""
    one = (identity.name, identity.serial, identity.uuid, identity.hostname, identity.physical_host)
    return [text for text in (*one, *identity.macs) if text is not None]


def _pulse(beat: Heartbeat) -> Pulse:
    return Pulse(sequence=beat.sequence, sent_at_ns=beat.sent_at_ns, server_at_ns=time.monotonic_ns())


def _raise_file_limit() -> None:
    """Each agent takes a file descriptor, and shells hand out 1,024 of them: take all that the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
