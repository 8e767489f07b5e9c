"""The agent: joins a server and obeys it. The main thread keeps the link, tasks run beside it (``worker``)."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ahc_agent import __version__
from ahc_agent.errors import ServerAway
from ahc_agent.inventory.lldp import Ear
from ahc_agent.task import Device
from ahc_agent.wire.keys import KeyPair
from ahc_agent.wire.link import Link, State
from ahc_agent.wire.messages import (
    Ack,
    Assign,
    Bye,
    Cancel,
    FromServer,
    Go,
    Hello,
    Identity,
    Message,
    PairTask,
    Ready,
    Result,
    Stop,
    Welcome,
)
from ahc_agent.wire.outbox import Outbox
from ahc_agent.worker import Worker

_log = logging.getLogger(__name__)

#: The loop looks after time limits and unacknowledged results at least this often.
_TICK_S = 0.5
#: Looks at the server's clock before a pair starts: while it is prepared, and when it is ready.
_LOOKS = 4
#: A pair is not called ready before the clock is known well, or so long after it was prepared.
_CLOCK_WAIT_S = 1.0
#: How long an agent that ends waits for the programs of its task, and for its last words to leave.
_LAST_WORK_S, _LAST_WORDS_S = 3.0, 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What ``ahc-agent join`` was told. ``once``: do not come back when the server is away."""

    endpoint: str
    server_key: str
    keys: KeyPair
    identity: Identity
    addresses: list[str] = field(default_factory=list)
    programs: dict[str, str] = field(default_factory=dict)
    only_disks: tuple[Device, ...] | None = None
    spool: Path | None = None
    once: bool = False
    session: str | None = None


class Companion:
    """What shares the agent's main thread where the agent is all that runs on a machine (``ahc_agent.boot``). This one does
    nothing."""

    def turn(self, agent: Agent) -> None:
        """Called in each turn of the agent's loop, every half second at least."""

    def heard(self, message: FromServer) -> None:
        """What the server said, before the agent obeys it."""

    def said(self, message: Message) -> None:
        """What the task under way has said: Progress, Ready, Result."""

    def troubles(self) -> list[str]:
        """What the next Hello tells of the machine's boot."""
        return []

    def addresses(self, server: str | None) -> list[str] | None:
        """The machine's addresses for the next Hello, where they may be others than the settings say. ``server``: the IP address
        of the server that is asked."""
        return None


class Agent:
    """See the module. ``say`` gets one sentence for the operator whenever something changes. ``stopped``: the server's word,
    once it has told the agent to stop."""

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None] = lambda text: None,
        companion: Companion | None = None,
    ) -> None:
        self.stopped: Stop | None = None
        self._settings = settings
        self._programs = settings.programs
        self._companion = companion or Companion()
        self._say = say
        self._instance = os.urandom(8).hex()
        self._outbox = Outbox(settings.spool, say)
        self._ear = Ear()
        self._worker = Worker(settings.identity.machine, settings.only_disks, self._ear.tell)
        self._ending: str | None = None
        self._held: list[tuple[float, Ready]] = []
        self._link = Link(
            settings.endpoint,
            settings.server_key,
            settings.keys,
            hello=self._hello,
            busy=lambda: self._worker.busy,
            say=say,
        )

    def run(self) -> None:
        """Obey until told to stop, by the server or by SIGTERM or SIGINT. Main thread only.

        Raises ServerAway with ``once`` when the server cannot be reached, refuses, or is lost.
        """
        before = {
            number: signal.signal(number, self._end_by_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while self._ending is None:
                for order in self._link.poll(_TICK_S, self._worker.wake_fd):
                    self._obey(order)
                for news in self._worker.collect():
                    self._report(news)
                self._ear.listen()
                self._companion.turn(self)
                now = time.monotonic()
                self._worker.expire(now)
                self._send_ready(now)
                self._send_results(now)
                if self._settings.once and self._link.failure is not None:
                    raise ServerAway(self._link.failure)
        finally:
            self._worker.stop(_LAST_WORK_S)
            self._ear.close()
            for news in self._worker.collect():
                self._report(news)
            self._send_results(time.monotonic())
            self._link.send(Bye(reason=self._ending or ""))
            self._link.close(_LAST_WORDS_S)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._worker.close()

    @property
    def failure(self) -> str | None:
        """Why there is no connection, or admission, at the moment."""
        return self._link.failure

    @property
    def is_joined(self) -> bool:
        """Whether the server has admitted this agent, and the connection stands."""
        return self._link.state is State.JOINED

    @property
    def is_busy(self) -> bool:
        """Whether a task is under way."""
        return self._worker.busy is not None

    def end(self, why: str) -> None:
        """End at the end of this turn of the loop."""
        self._ending = why

    def tell(self, programs: dict[str, str] | None = None) -> None:
        """The machine's addresses, troubles or programs have changed: the server hears it now, or when it is there."""
        self._programs = self._programs if programs is None else programs
        if self.is_joined:
            self._link.send(self._hello())

    def _obey(self, message: FromServer) -> None:
        self._companion.heard(message)
        match message:
            case Assign():
                if message.task_id in self._outbox:
                    self._outbox.due_now(message.task_id)  # a restarted server asks again for what is done
                else:
                    self._worker.assign(message)
                    if isinstance(message.task, PairTask):
                        self._link.look_at_clock(_LOOKS)
            case Go():
                clock = self._link.clock
                self._worker.go(message, clock.start_s(message), clock.error_s)
            case Cancel():
                self._worker.cancel(message.task_id)
            case Ack():
                self._outbox.acknowledge(message.task_id)
                _log.info("acknowledged: %s", message.task_id)
            case Welcome():
                self._outbox.due_now()
                if self._worker.ready is not None:
                    # It was said to a server that is gone, or on a connection that broke.
                    self._hold(self._worker.ready)
            case Stop():
                self.stopped = message
                self._ending = f"told to stop: {message.reason}" if message.reason else "told to stop"
                self._say(f"the server says stop{': ' + message.reason if message.reason else ''}")

    def _report(self, message: Message) -> None:
        self._companion.said(message)
        if isinstance(message, Result):
            self._outbox.put(message)
        elif isinstance(message, Ready):
            self._hold(message)
        elif self._link.state is State.JOINED:
            self._link.send(message)

    def _hold(self, ready: Ready) -> None:
        """Go follows Ready, and names a moment of the server's clock: that is looked at first."""
        self._held.append((time.monotonic() + _CLOCK_WAIT_S, ready))
        self._link.look_at_clock(_LOOKS)

    def _send_ready(self, now: float) -> None:
        """Where the server's clock is not known well yet, as right after joining, its answers are waited for."""
        due = [each for until, each in self._held if self._link.clock.is_well_known or now >= until]
        self._held = [(until, each) for until, each in self._held if each not in due]
        for each in due if self._link.state is State.JOINED else ():
            self._link.send(each)

    def _send_results(self, now: float) -> None:
        if self._link.state is not State.JOINED:
            return
        for task_id, frame in list(self._outbox.due(now)):
            if not self._link.send(frame):
                break
            self._outbox.sent(task_id, now)

    def _hello(self) -> Hello:
        settings = self._settings
        addresses = self._companion.addresses(self._link.peer)
        return Hello(
            identity=settings.identity,
            instance=self._instance,
            agent_version=__version__,
            addresses=settings.addresses if addresses is None else addresses,
            programs=self._programs,
            unacknowledged=self._outbox.task_ids()[:10_000],
            busy=self._worker.busy,
            session=settings.session,
            troubles=self._companion.troubles(),
        )

    def _end_by_signal(self, number: int, frame: FrameType | None) -> None:
        self._ending = f"ended by {signal.Signals(number).name}"
        self._worker.wake()
