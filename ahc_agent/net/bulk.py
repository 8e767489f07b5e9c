"""Bandwidth over ZeroMQ: large messages through PUSH/PULL sockets, no copies, several streams.

Only the listening end binds; each stream is one TCP connection of the connecting end to it. The receiving end times: its
clock starts when the warm-up after the first arrival is over, it takes a sample per interval, and says Halt when the
runtime is over or the confidence interval is narrow enough. It also chooses the size of the messages: they start small and
grow with the rate up to the size that the task names, so that a slow link is measured as finely as a fast one.

Memory is bounded by BUFFER_BYTES: one message is sent again and again (libzmq counts references), and the queues
are two messages deep.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import zmq

from ahc_agent.bench.sampling import converged
from ahc_agent.errors import PeerSilent
from ahc_agent.net.control import Control, Halt, Resize
from ahc_agent.net.guard import USER, Token
from ahc_agent.net.stats import RateMeter
from ahc_agent.net.watch import Watch
from ahc_agent.wire.messages import PairTask

Socket = zmq.Socket[bytes]
Context = zmq.Context[Socket]

#: Messages wait in queues of this depth at each end of each stream.
_QUEUE_MESSAGES = 2
#: What the queues of one end may hold together.
BUFFER_BYTES = 8 * 1024 * 1024
#: Size of the first messages, and the smallest that is asked for: what 0.5 Mbit/s carries in an interval.
_FIRST_MESSAGE_BYTES = 8 * 1024
#: At most 4096 samples go into a Flow.
_MOST_SAMPLES = 2000
_INTERVAL_S = 0.1
#: A message of the right size passes each stream so often per interval.
_MESSAGES_PER_INTERVAL = 4
#: How often the control connection is looked at during a transfer.
_LOOK_S = 0.005
#: Data has to come within this time after the step was called.
FIRST_LIMIT_S = 3.0
#: What a sender waits for its Halt beyond the longest possible transfer.
GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Transfer:
    """How one transfer is done; both ends derive the same from the task."""

    streams: int
    message_bytes: int
    warmup_s: float
    runtime_s: float
    interval_s: float
    ci_target: float
    min_samples: int

    @classmethod
    def of(cls, task: PairTask) -> Transfer:
        runtime_s = max(task.limits.runtime_s, 0.05)
        return cls(
            streams=task.streams,
            message_bytes=min(task.message_bytes, BUFFER_BYTES // (task.streams * (_QUEUE_MESSAGES + 1))),
            warmup_s=task.warmup_s + task.limits.rampup_s,
            runtime_s=runtime_s,
            interval_s=max(min(_INTERVAL_S, runtime_s / 10), runtime_s / _MOST_SAMPLES),
            ci_target=task.limits.ci_target,
            min_samples=task.limits.min_samples,
        )

    @property
    def receiver_limit_s(self) -> float:
        """The receiver ends by then in any case."""
        return FIRST_LIMIT_S + self.warmup_s + self.runtime_s

    @property
    def sender_limit_s(self) -> float:
        """A sender that has not heard Halt by then has lost its peer."""
        return self.receiver_limit_s + GRACE_S

    def fitting_bytes(self, bytes_per_s: float) -> int:
        """Message size, a power of two, for a rate: several messages per stream and interval."""
        wish = int(bytes_per_s * self.interval_s / (self.streams * _MESSAGES_PER_INTERVAL))
        return min(max(1 << (wish.bit_length() - 1) if wish else 0, _FIRST_MESSAGE_BYTES), self.message_bytes)


def open_context(streams: int) -> Context:
    """A context for one pair run alone, with an I/O thread per stream as far as there are CPUs for them."""
    cpus = len(os.sched_getaffinity(0))
    return zmq.Context(io_threads=max(1, min(streams, cpus // 2, 8)))


def bind(context: Context, kind: int, address: str, transfer: Transfer) -> tuple[Socket, int]:
    """A guarded socket of the listening end, and its port. ``address`` "" is any. Raises zmq.ZMQError."""
    sock = _socket(context, kind, transfer)
    sock.plain_server = True
    sock.zap_domain = b"ahc"
    try:
        sock.bind(f"tcp://{_bracketed(address) or '*'}:0")
    except zmq.ZMQError:
        sock.close()
        raise
    endpoint = sock.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(endpoint, bytes)
    return sock, int(endpoint.rstrip(b"\0").rpartition(b":")[2])


def connect(
    context: Context, kind: int, address: tuple[str, int], source: str, token: Token, transfer: Transfer
) -> Socket:
    """A socket of the connecting end with one connection per stream."""
    sock = _socket(context, kind, transfer)
    sock.plain_username = USER
    sock.plain_password = token.password
    sock.immediate = True
    from_ = f"{_bracketed(source)}:0;" if source else ""
    try:
        for _ in range(transfer.streams):
            sock.connect(f"tcp://{from_}{_bracketed(address[0])}:{address[1]}")
    except zmq.ZMQError:
        sock.close()
        raise
    return sock


def _socket(context: Context, kind: int, transfer: Transfer) -> Socket:
    sock = context.socket(kind)
    sock.linger = 0
    sock.ipv6 = True
    sock.sndhwm = sock.rcvhwm = _QUEUE_MESSAGES
    sock.sndtimeo = sock.rcvtimeo = 50
    sock.maxmsgsize = transfer.message_bytes
    sock.handshake_ivl = 2000
    return sock


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


class Pace:
    """Where a transfer stands: nothing yet, warming up, or measured by ``meter`` (None before that)."""

    def __init__(self, transfer: Transfer) -> None:
        self.meter: RateMeter | None = None
        self._transfer = transfer
        self._warmup: RateMeter | None = None
        self._measure_from = 0.0
        self._end = 0.0

    @property
    def begun(self) -> bool:
        return self._warmup is not None

    def count(self, now: float, size: int) -> float | None:
        """Count a message (size 0: nothing came until now). When this ended an interval: its rate in bytes per second."""
        meter = self.meter or self._warmup
        if meter is None:
            if size:
                self._begin(now)
            return None
        ended = meter.arrive(now, size) if size else meter.tick(now)
        rate = meter.samples[-1] if ended else None
        if self.meter is None and now >= self._measure_from and (size or ended):
            self.meter = RateMeter(self._transfer.interval_s, now)
            self._end = now + self._transfer.runtime_s
        return rate

    def _begin(self, now: float) -> None:
        warmup_s = self._transfer.warmup_s
        self._warmup = RateMeter(min(self._transfer.interval_s, max(warmup_s / 4, 0.01)), now)
        self._measure_from = now + warmup_s
        if not warmup_s:
            self.meter = RateMeter(self._transfer.interval_s, now)
            self._end = now + self._transfer.runtime_s

    def over(self, now: float) -> bool:
        """Whether the runtime has passed, or the samples agree well enough."""
        if self.meter is None:
            return False
        if now >= self._end:
            return True
        samples, limits = self.meter.samples, self._transfer
        if limits.ci_target <= 0 or len(samples) < limits.min_samples or not self.meter.total_bytes:
            return False
        return converged(samples, limits.ci_target)


def send(sock: Socket, control: Control, transfer: Transfer, pace: Pace, watch: Watch) -> None:
    """Send until the receiver says Halt; ``pace`` holds what was handed over to the sockets.

    Raises PeerSilent, PeerGone, Cancelled.
    """
    watch = watch.within(transfer.sender_limit_s)
    block = memoryview(os.urandom(transfer.message_bytes))
    size = min(_FIRST_MESSAGE_BYTES, transfer.message_bytes)
    frame = zmq.Frame(block[:size], copy=True)
    next_look = 0.0
    while True:
        now = time.monotonic()
        if now >= next_look:
            next_look = now + _LOOK_S
            order = control.poll()
            if isinstance(order, Halt):
                return
            if isinstance(order, Resize):
                size = min(order.message_bytes, transfer.message_bytes)
                frame = zmq.Frame(block[:size], copy=True)
            if not watch.running():
                raise PeerSilent("the receiver said nothing any more within the time limit")
        try:
            sock.send(frame, copy=False)
        except zmq.Again:
            pace.count(now, 0)
        else:
            pace.count(now, size)


def receive(sock: Socket, control: Control, transfer: Transfer, pace: Pace, watch: Watch) -> None:
    """Receive and steer until enough was seen (or the time is over), then say Halt. Raises PeerGone, Cancelled."""
    first = watch.within(FIRST_LIMIT_S)
    watch = watch.within(transfer.receiver_limit_s)
    message_bytes = min(_FIRST_MESSAGE_BYTES, transfer.message_bytes)
    next_look = 0.0
    while watch.running() and (pace.begun or first.running()):
        try:
            size = len(sock.recv(copy=False))
        except zmq.Again:
            size = 0
        now = time.monotonic()
        rate = pace.count(now, size)
        if rate is not None:
            wish = transfer.fitting_bytes(rate)
            if wish >= 2 * message_bytes or 4 * wish <= message_bytes:
                message_bytes = wish
                control.send(Resize(message_bytes=wish))
        if now >= next_look:
            next_look = now + _LOOK_S
            control.poll()  # a peer that is gone is noticed here
        if pace.over(now):
            break
    control.send(Halt())
