"""A fleet that exists only in memory: a conductor, a real store, and agents that obey at the test's word."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import (
    Ack,
    Assign,
    Cancel,
    Go,
    Hello,
    Identity,
    InventoryTask,
    PairOutcome,
    PairTask,
    Ready,
    Result,
    TaskOutcome,
)
from ahc_server.admission import admit
from ahc_server.conductor import Conductor, Now, Output
from ahc_server.hub.events import Event, Joined, Lost, Said
from ahc_server.plan import Plan, parse_plan
from ahc_server.store import Store

CPU = "jobs: {cpu: {component: cpu, runtime: 1}}"
NETWORK = "jobs: {net: {component: network, runtime: 1}}"
BOTH = "jobs: {cpu: {component: cpu, runtime: 1}, net: {component: network, runtime: 1}}"


def hello(name: str, host: str | None = None, **more: object) -> Hello:
    fields: dict[str, object] = {
        "identity": Identity(name=name, physical_host=host),
        "instance": f"{name}-1",
        "agent_version": "test",
        "addresses": [f"192.168.254.{int(name[1:]) % 250 + 1}/24"],
    }
    return Hello(**(fields | more))  # type: ignore[arg-type]


def outcome_of(task: object, status: str = "ok") -> TaskOutcome:
    """What an agent would answer."""
    if isinstance(task, InventoryTask):
        return TaskOutcome(status="ok", inventory=Inventory(collected_at="2026-01-01T00:00:00Z"))
    if isinstance(task, PairTask):
        pair = PairOutcome(pair_id=task.pair_id, role=task.role, peer=task.peer, connected=True)
        return TaskOutcome(status=status, pair=pair)  # type: ignore[arg-type]
    measurement = Measurement(component="cpu", part="all", quantity="events_per_s", unit="1/s", value=1.0)
    return TaskOutcome(status=status, measurements=[measurement])  # type: ignore[arg-type]


@dataclass(slots=True)
class SimulatedAgent:
    """As ``ahc_agent.agent`` behaves: one task at a time, results kept until acknowledged, nothing done twice."""

    name: str
    host: str | None
    starts: int = 1
    there: bool = True
    tasks: list[Assign] = field(default_factory=list)
    readied: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    unacknowledged: dict[str, TaskOutcome] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)

    def hello(self) -> Hello:
        busy = self.tasks[0].task_id if self.tasks else None
        return hello(
            self.name,
            self.host,
            instance=f"{self.name}-{self.starts}",
            unacknowledged=list(self.unacknowledged),
            busy=busy,
        )

    def take(self, message: object) -> list[Ready | Result]:
        if isinstance(message, Ack):
            self.unacknowledged.pop(message.task_id, None)
        elif isinstance(message, Go):
            self.gone.add(message.task_id)
        elif isinstance(message, Cancel):
            for assign in [one for one in self.tasks if one.task_id == message.task_id]:
                return self.end(assign, TaskOutcome(status="cancelled"))
        elif isinstance(message, Assign):
            if message.task_id in self.unacknowledged:
                return self.results()
            if all(one.task_id != message.task_id for one in self.tasks):
                self.tasks.append(message)
                self.started.append(message.task_id)
        return []

    def work(self) -> list[Ready | Result]:
        """Do the next thing that the task under way asks for."""
        if not self.tasks:
            return []
        assign = self.tasks[0]
        if isinstance(assign.task, PairTask) and assign.task_id not in self.gone:
            if assign.task_id in self.readied:
                return []
            self.readied.add(assign.task_id)
            return [self._ready(assign, assign.task)]
        return self.end(assign, outcome_of(assign.task))

    def work_alone(self) -> None:
        """Measure on without a server; the result is kept."""
        if self.tasks and (
            not isinstance(self.tasks[0].task, PairTask) or self.tasks[0].task_id in self.gone
        ):
            self.end(self.tasks[0], outcome_of(self.tasks[0].task))

    def results(self) -> list[Ready | Result]:
        return [Result(task_id=task_id, outcome=outcome) for task_id, outcome in self.unacknowledged.items()]

    def words_again(self) -> list[Ready | Result]:
        """What is said again to a server that has just admitted it: results that nobody acknowledged, and Ready without a Go."""
        waiting = [
            self._ready(assign, assign.task)
            for assign in self.tasks[:1]
            if isinstance(assign.task, PairTask) and assign.task_id in self.readied - self.gone
        ]
        return [*self.results(), *waiting]

    def _ready(self, assign: Assign, task: PairTask) -> Ready:
        return Ready(task_id=assign.task_id, ports={"bulk": 4000} if task.role == "listen" else {})

    def restart(self) -> None:
        """Killed and started again, with its spool."""
        self.starts += 1
        self.tasks.clear()

    def end(self, assign: Assign, outcome: TaskOutcome) -> list[Ready | Result]:
        self.tasks.remove(assign)
        self.unacknowledged[assign.task_id] = outcome
        return [Result(task_id=assign.task_id, outcome=outcome)]


class SimulatedFleet:
    """Server and agents. Every turn goes through the store as the real server does it."""

    def __init__(self, folder: Path, plan: str, hosts: dict[str, str | None]) -> None:
        self.plan: Plan = parse_plan(plan)
        self.agents = {name: SimulatedAgent(name, host) for name, host in hosts.items()}
        self.store = Store(folder / "sim.db", write=True)
        self.now_s = 1000.0
        self.sent: list[tuple[str, object]] = []
        self.acknowledged: Counter[str] = Counter()
        self._tokens = (f"{number:016x}" for number in itertools.count())
        participants = admit(
            self.plan, {n: a.hello() for n, a in self.agents.items()}, None, destructive_allowed=True
        )
        with self.store.transaction():
            self.session = self.store.create_session("s", "u", self.plan.name, plan, participants, self.now_s)
        self.conductor = Conductor("s", "u", self.plan, participants, token=self._token)
        self.turn([])

    def _token(self) -> str:
        return next(self._tokens)

    def turn(self, events: list[Event], *, stop: bool = False) -> None:
        """One turn of the server; what agents answer at once is taken in the next."""
        while True:
            said: list[Event] = []
            if self.conductor.over and not events:
                return
            now = Now(self.now_s, self.now_s)
            output = self.conductor.stop(now) if stop else self.conductor.step(events, now)
            with self.store.transaction():
                self.store.apply(self.session, output.records)
            said = self._deliver(output)
            if not said and not output.more:
                return
            events, stop = said, False

    def _deliver(self, output: Output) -> list[Event]:
        events: list[Event] = []
        for send in output.sends:
            self.sent.append((send.machine, send.message))
            agent = self.agents[send.machine]
            if not agent.there:
                continue
            if isinstance(send.message, Ack):
                self.acknowledged[send.message.task_id] += 1
            events += [Said(agent.name, one, self.now_s) for one in agent.take(send.message)]
        return events

    def work(self, name: str) -> None:
        agent = self.agents[name]
        if agent.there:
            self.turn([Said(name, one, self.now_s) for one in agent.work()])
        else:
            agent.work_alone()

    def lose(self, name: str, *, killed: bool = False) -> None:
        agent = self.agents[name]
        if killed:
            agent.restart()
        if agent.there:
            agent.there = False
            self.turn([Lost(name, "silent", self.now_s)])

    def join(self, name: str, *, killed: bool = False) -> None:
        """Say Hello: after having been away, after a reconnect, or after having been killed."""
        agent = self.agents[name]
        if killed:
            agent.restart()
        agent.there = True
        joined: Event = Joined(name, agent.hello(), "key", self.now_s)
        self.turn([joined, *(Said(name, one, self.now_s) for one in agent.words_again())])

    def tick(self, seconds: float) -> None:
        self.now_s += seconds
        self.turn([])

    def restart_server(self) -> None:
        """``kill -9`` and a new start: only the store is left. Agents are not heard of until they join."""
        saved = self.store.unfinished()
        if saved is None:
            return
        for agent in self.agents.values():
            agent.there = False
        self.conductor = Conductor.restored(saved, parse_plan(saved.plan), token=self._token)
        self.turn([])

    def finish(self, turns: int = 500) -> None:
        """Everybody comes back and works until the session is over."""
        for agent in self.agents.values():
            if not agent.there:
                self.join(agent.name)
        for _ in range(turns):
            if self.conductor.over:
                return
            for name in self.agents:
                self.work(name)
            self.tick(5.0)
        raise AssertionError(f"the session does not end: {self.conductor.standing()}")

    def over(self) -> bool:
        return self.conductor.over

    def messages(self, kind: type, name: str | None = None) -> list[object]:
        return [m for machine, m in self.sent if isinstance(m, kind) and name in (None, machine)]


def bare(count: int) -> dict[str, str | None]:
    return {f"n{number}": None for number in range(1, count + 1)}


def assigned(fleet: SimulatedFleet, name: str | None = None) -> list[Assign]:
    return [one for one in fleet.messages(Assign, name) if isinstance(one, Assign)]


def states(fleet: SimulatedFleet, job: str) -> dict[tuple[str, ...], str]:
    """What the report will see of a job: machines of a unit → status, each unit once."""
    units: dict[tuple[str, ...], list[str]] = {}
    for record in fleet.store.load_session().outcomes:
        if record.job == job:
            unit = record.task_id.rstrip("cls")
            units.setdefault((unit,), []).append(f"{record.machine}:{record.outcome.status}")
    found: dict[tuple[str, ...], str] = {}
    for ends in units.values():
        told = [end.split(":") for end in sorted(ends)]
        machines = tuple(machine for machine, _ in told)
        assert machines not in found, f"{machines} counted twice"
        found[machines] = ",".join(status for _, status in told)
    return found
