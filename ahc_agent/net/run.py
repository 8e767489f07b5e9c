"""What both ends of a pair share while they run."""

from __future__ import annotations

from contextlib import closing

import zmq

from ahc_agent.net import bulk, iperf, path_mtu
from ahc_agent.net.control import Control
from ahc_agent.net.guard import Strangers, Token
from ahc_agent.net.path import Way
from ahc_agent.net.record import Direction, Record
from ahc_agent.net.watch import Watch
from ahc_agent.task import TaskContext
from ahc_agent.wire.messages import Go, PairTask

#: How long an end waits for Go after Ready: the other pairs of the round have to get ready too.
GO_LIMIT_S = 120.0
#: Making all connections.
CONNECT_LIMIT_S = 5.0
#: The ends start at slightly different moments, and end steps so.
SKEW_S = 2.0
#: Round trips of one protocol take this long at most, or the runtime where that is longer.
_LATENCY_LIMIT_S = 2.0


class Run:
    """One run of one end. ``watch`` is the deadline of all after Go."""

    def __init__(self, task: PairTask, context: TaskContext) -> None:
        self.task = task
        self.context = context
        self.token = Token.of(task.pair_id, task.token)
        self.transfer = bulk.Transfer.of(task)
        self.record = Record(task, context.machine)
        self.strangers = Strangers()
        self.path = Way(task.address, task.peer_address)
        self.watch = Watch(context.cancelled, GO_LIMIT_S)

    @property
    def by_iperf(self) -> bool:
        """ZeroMQ has no datagrams to fill a line with: UDP is iperf3's in any case."""
        return self.task.engine == "iperf3" or self.task.connection == "udp"

    @property
    def by_zmq(self) -> bool:
        return self.task.bandwidth and not self.by_iperf

    @property
    def latency_limit_s(self) -> float:
        return max(_LATENCY_LIMIT_S, self.task.limits.runtime_s)

    @property
    def step_limit_s(self) -> float:
        """The longest that one end waits for the other within or between steps."""
        bandwidth_s = iperf.limit_s(self.task) if self.by_iperf else self.transfer.sender_limit_s
        return max(bandwidth_s, self.latency_limit_s) + SKEW_S

    def wait_go(self, ports: dict[str, int]) -> Go:
        """Say Ready, and wait for the moment that Go names. Raises AhcError."""
        self.path.begin()  # before Ready: reading counters takes a while, and all start at one moment
        self.context.ready(ports)
        go = self.context.wait_go(GO_LIMIT_S)
        steps = 2 + (len(self.task.directions) if self.task.bandwidth else 0)
        self.watch = Watch(
            self.context.cancelled, CONNECT_LIMIT_S + SKEW_S + path_mtu.LIMIT_S + steps * self.step_limit_s
        )
        return go

    def carry(self, sock: bulk.Socket, control: Control, direction: Direction) -> None:
        """One bandwidth transfer over ZeroMQ, this end's side of it. Closes the socket."""
        pace = bulk.Pace(self.transfer)
        sends = self.record.sends(direction)
        work = bulk.send if sends else bulk.receive
        try:
            with closing(sock):
                work(sock, control, self.transfer, pace, self.watch)
        except BaseException:
            if pace.meter is not None and pace.meter.samples:
                self.record.flow(direction, pace.meter.bytes_per_s, pace.meter.samples)
            raise
        if pace.meter is not None and pace.meter.total_bytes:
            self.record.flow(direction, pace.meter.bytes_per_s, pace.meter.samples)
        else:
            self.record.flow(direction, 0.0)
            self.record.error(
                f"{direction}: the control connection stands, but no data came through the bulk port"
            )


def reason(error: OSError | zmq.ZMQError) -> str:
    """The system's words for an error."""
    return error.strerror or str(error)
