"""The server: one loop over the agents' hub and the control socket.

Each turn takes what has come, lets the conductor decide, brings its records to the disk in one transaction, and only then
sends. A crash between any two of these steps loses nothing that was acknowledged: the conductor is rebuilt from the store,
and agents send results until they are acknowledged. Where the store fails, the server ends.
"""

from __future__ import annotations

import gc
import logging
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
import zmq

from ahc_agent.errors import AhcError, CannotAnswer
from ahc_agent.wire.keys import load_or_create
from ahc_agent.wire.messages import Hello, Result, Stop
from ahc_server import __version__
from ahc_server.admission import TooFewNodes, admit
from ahc_server.conductor import Conductor, Now, Output, Send, late_result
from ahc_server.conductor.repeat import plan_repeat
from ahc_server.control import (
    Agents,
    AnyReply,
    AnyRequest,
    ControlServer,
    Declined,
    ListAgents,
    Release,
    Released,
    Repeat,
    StatusOf,
    Submit,
    Submitted,
    only_server,
)
from ahc_server.hub import Hub
from ahc_server.hub.events import Event, Joined, Lost, Said
from ahc_server.naming import named_machines
from ahc_server.paths import Where
from ahc_server.plan import parse_plan
from ahc_server.session import session_name
from ahc_server.store import Store
from ahc_server.store.records import SessionChanged

log = logging.getLogger(__name__)

#: The loop looks at its time limits at least so often.
_TURN_MS = 200


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve. ``authorized_keys`` None admits every agent that knows the server's key."""

    bind: str = "tcp://*:5570"
    authorized_keys: frozenset[str] | None = None
    allow_destructive: bool = False
    heartbeat_s: float = 5.0


def serve(
    where: Where, options: Options, *, started: Callable[[str, str], None], stopping: Callable[[], bool]
) -> None:
    """Serve until ``stopping`` says so. ``started`` gets endpoint and public key once agents can join.

    Raises UsageError (bind, keys) or CannotAnswer (store, a second server).
    """
    with only_server(where.store.with_suffix(".lock")), Store(where.store, write=True) as store:
        keys = load_or_create(where.secret_key, public_path=where.public_key, easy=True)
        control = ControlServer(where.control)
        try:
            hub = Hub(
                options.bind,
                secret_key=keys.secret,
                public_key=keys.public,
                authorized_keys=options.authorized_keys,
                server_version=__version__,
                epoch=secrets.token_hex(8),
                heartbeat_s=options.heartbeat_s,
                lost_after_s=max(3 * options.heartbeat_s, options.heartbeat_s + 5),
            )
            try:
                server = Server(store, hub, control, allow_destructive=options.allow_destructive)
                _relieve_collector()
                started(hub.endpoint, keys.public)
                while not stopping():
                    server.turn()
            finally:
                hub.close()
        finally:
            control.close()


class Server:
    """What one turn of the loop does. Goes on with a session that an earlier server left unfinished."""

    def __init__(self, store: Store, hub: Hub, control: ControlServer, *, allow_destructive: bool) -> None:
        self._store = store
        self._hub = hub
        self._control = control
        self._allow_destructive = allow_destructive
        self._session: int | None = None
        self._conductor: Conductor | None = None
        self._more = False
        self._poller = zmq.Poller()
        self._poller.register(hub.socket, zmq.POLLIN)
        self._poller.register(control.socket, zmq.POLLIN)
        self._go_on()

    def turn(self) -> None:
        """Wait for something to happen (not long), and do what it asks for."""
        self._poller.poll(0 if self._more else _TURN_MS)
        events: list[Event] = [*self._hub.receive(), *self._hub.expire(time.monotonic())]
        requests = self._control.receive()
        now = Now(time.monotonic(), time.time())
        sends: list[Send] = []
        replies: list[tuple[bytes, AnyReply]] = []
        if not self._is_idle(events, requests):
            with self._store.transaction():
                sends += self._conduct(events, now)
                for peer, request in requests:
                    replies.append((peer, self._answer(request, now, sends)))
        for send in sends:
            if not self._hub.send(send.machine, send.message):
                log.info("%s is not there for %s", send.machine, type(send.message).__name__)
        for peer, reply in replies:
            self._control.answer(peer, reply)

    def _is_idle(self, events: list[Event], requests: list[tuple[bytes, AnyRequest]]) -> bool:
        return not (events or requests or self._conductor is not None)

    def _conduct(self, events: list[Event], now: Now) -> list[Send]:
        self._log(events)
        if self._conductor is None:
            return [send for event in events for send in self._keep(_stray(event, now))]
        return self._keep(self._conductor.step(events, now))

    def _keep(self, output: Output) -> list[Send]:
        self._store.apply(self._session, output.records)
        self._more = output.more
        if self._conductor is not None and self._conductor.over:
            log.info("session %s is %s", self._conductor.name, self._conductor.state)
            self._conductor = self._session = None
        return output.sends

    def _go_on(self) -> None:
        """Take up the session that a killed server left."""
        saved = self._store.unfinished()
        if saved is None:
            return
        try:
            plan = parse_plan(saved.plan, f"the plan of session {saved.name}")
        except AhcError as error:
            log.error("session %s cannot go on: %s", saved.name, error)
            with self._store.transaction():
                self._store.apply(saved.session, [SessionChanged("stopped", time.time(), str(error))])
            return
        log.warning("going on with session %s", saved.name)
        self._session = saved.session
        self._conductor = Conductor.restored(saved, plan, token=_token)

    # ── requests ───────────────────────────────────────────────────────────────────────────────────

    def _answer(self, request: AnyRequest, now: Now, sends: list[Send]) -> AnyReply:
        try:
            if isinstance(request, Submit):
                return self._submit(request, now, sends)
            if isinstance(request, Repeat):
                return self._repeat(request, now, sends)
            if isinstance(request, ListAgents):
                here = self._hub.machines()
                return Agents(
                    machines={name: list(hello.addresses) for name, hello in here.items()},
                    identities={name: hello.identity for name, hello in here.items()},
                    instances={name: hello.instance for name, hello in here.items()},
                )
            if isinstance(request, Release):
                return self._release(request)
            if isinstance(request, StatusOf):
                return self._status(request.session)
            conductor = self._conductor
            if conductor is None or conductor.name != request.session:
                return Declined(reason=f"session {request.session!r} is not running")
            sends += self._keep(conductor.stop(now))
            return conductor.standing()
        except TooFewNodes as error:
            return Declined(reason=str(error), later=True)
        except AhcError as error:
            return Declined(reason=str(error), exit_code=error.exit_code)

    def _submit(self, request: Submit, now: Now, sends: list[Send]) -> AnyReply:
        plan = parse_plan(request.plan, request.file)
        name = self._free_name(plan.name, now) if request.session is None else session_name(request.session)
        if self._store.has_session(name):
            return Declined(
                reason=f"there is a session {name!r} already: choose another --session", exit_code=2
            )
        if self._conductor is not None:
            running = self._conductor.name
            return Declined(
                reason=f"session {running} is running: wait for its end, or stop it (`ahc sessions --stop {running}`)"
            )
        participants = admit(
            plan,
            self._hub.machines(),
            request.nodes,
            destructive_allowed=self._allow_destructive,
            session=name,
        )
        uid = secrets.token_hex(6)
        self._session = self._store.create_session(name, uid, plan.name, plan.text, participants, now.unix_s)
        self._conductor = Conductor(name, uid, plan, participants, token=_token)
        log.info("session %s begins on %d nodes", name, len(participants))
        sends += self._keep(self._conductor.step([], now))
        return Submitted(session=name, machines=[machine for machine, _ in participants])

    def _repeat(self, request: Repeat, now: Now, sends: list[Send]) -> AnyReply:
        """Open a session that is over again, and go on with it as with one that a killed server left."""
        if self._conductor is not None:
            return Declined(reason=f"session {self._conductor.name} is running: wait for its end")
        saved = self._store.saved(request.session)
        plan = parse_plan(saved.plan, f"the plan of session {saved.name}")
        asked = [(each.step, each.machines, each.apart) for each in request.steps]
        planned = plan_repeat(saved, plan, asked, destructive_allowed=self._allow_destructive)
        self._store.plan_repeat(saved.session, planned)
        self._store.apply(saved.session, [SessionChanged("running", now.unix_s)])
        self._session = saved.session
        self._conductor = Conductor.restored(self._store.saved(saved.name), plan, token=_token)
        machines = list(dict.fromkeys(machine for each in planned for machine in each.machines))
        log.info("session %s measures %d nodes again", saved.name, len(machines))
        here = self._hub.machines()
        events = [_present(machine, here.get(machine), now) for machine in machines]
        sends += self._keep(self._conductor.step(events, now))
        return Submitted(session=saved.name, machines=machines)

    def _release(self, request: Release) -> AnyReply:
        """Tell machines to stop. Nothing of it is kept: one that does not hear it is still here, and can be told again."""
        found = named_machines(request.machines, self._hub.machines())
        conductor = self._conductor
        if conductor is not None and (busy := conductor.machines.intersection(found)):
            raise CannotAnswer(
                f"session {conductor.name} is running with {len(busy)} of them: wait for its end, or stop it"
                f" (`ahc sessions --stop {conductor.name}`)"
            )
        stop = Stop(reason="released", then=request.then)
        told = [machine for machine in found if self._hub.send(machine, stop)]
        log.info("%d machines are released (%s)", len(told), request.then or "as they were booted to do")
        return Released(machines=told, unreached=[machine for machine in found if machine not in told])

    def _free_name(self, plan: str, now: Now) -> str:
        """From the plan and the time."""
        start = re.sub(r"[^A-Za-z0-9._-]+", "-", plan).strip("-")[:64] or "plan"
        name = f"{start}-{datetime.fromtimestamp(now.unix_s):%Y%m%d-%H%M%S}"
        return name if not self._store.has_session(name) else f"{name}-{secrets.token_hex(2)}"

    def _status(self, session: str) -> AnyReply:
        if self._conductor is not None and self._conductor.name == session:
            return self._conductor.standing()
        return self._store.standing(session)

    def _log(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Joined):
                log.info("%s joined (key %s)", event.machine, event.public_key)
                for trouble in event.hello.troubles:
                    log.warning("%s: on its way here: %s", event.machine, ascii(trouble)[1:-1])
            elif isinstance(event, Lost):
                log.warning("%s is lost: %s", event.machine, event.reason)


def _stray(event: Event, now: Now) -> Output:
    """What is said while no session runs: only results matter."""
    if isinstance(event, Said) and isinstance(event.message, Result):
        return late_result(event.machine, event.message.task_id, event.message.outcome, now.unix_s)
    return Output()


def _present(machine: str, hello: Hello | None, now: Now) -> Event:
    """Whether a machine is there when it is to be measured again. What it was busy with when it joined is long over."""
    if hello is None:
        return Lost(machine, "not there when it was to be measured again", now.monotonic_s)
    settled = msgspec.structs.replace(hello, busy=None, unacknowledged=[])
    return Joined(machine, settled, "", now.monotonic_s)


def _relieve_collector() -> None:
    """Results are hundreds of thousands of small objects without cycles that live for one turn: look through them rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def _token() -> str:
    return secrets.token_hex(16)


def announced_host(bind: str) -> str:
    """The address that agents should be told for what the server binds: its own, or the one of the default route."""
    host = bind.removeprefix("tcp://").rpartition(":")[0]
    if host not in ("*", "0.0.0.0", "[::]", "::"):
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737: nothing is sent, only a route is chosen
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
