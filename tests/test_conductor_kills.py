"""The conductor when its server is killed between the disk and the wire: what was written down as sent was never heard.

Agents here are asynchronous: what is sent to them, and what they say, waits in queues until its turn, and a kill empties the
queues.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from random import Random

import pytest

from ahc_agent.wire.messages import Cancel, Go, Hello, PairOutcome, PairTask, Ready, Result, TaskOutcome
from ahc_server.admission import admit
from ahc_server.conductor import Conductor, Now
from ahc_server.conductor.limits import READY_S
from ahc_server.hub.events import Event, Joined, Said
from ahc_server.plan import parse_plan
from ahc_server.store import Store
from tests.conductor_helpers import NETWORK, SimulatedAgent, SimulatedFleet, assigned, bare, states

ROUNDS = "jobs: {net: {component: network, runtime: 1, rounds: 3}}"


def a_pair_under_way(folder: Path) -> SimulatedFleet:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):  # inventories, then Ready
        fleet.work(name)
    assert len(fleet.messages(Go)) == 2
    return fleet


def test_a_go_that_was_written_down_but_reached_nobody_is_said_again(tmp_path: Path) -> None:
    fleet = a_pair_under_way(tmp_path)
    for agent in fleet.agents.values():
        agent.gone.clear()
    fleet.restart_server()
    fleet.join("n1")
    assert len(fleet.messages(Go)) == 2, "the other end may have heard it"
    fleet.join("n2")
    assert len(fleet.messages(Go)) == 4
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}
    assert len(assigned(fleet, "n1")) == 2, "the same task went on"


@pytest.mark.parametrize("first", ["n1", "n2"])
def test_a_pair_of_which_one_end_heard_its_go_meets_anew_without_waiting(tmp_path: Path, first: str) -> None:
    fleet = a_pair_under_way(tmp_path)
    fleet.agents["n1"].gone.clear()
    fleet.restart_server()
    fleet.work("n2")  # it says that all is well, whatever it has seen
    for name in (first, *fleet.agents.keys() - {first}):
        fleet.join(name)
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    assert fleet.over()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}
    assert [one.task_id[-2] for one in assigned(fleet, "n1")[1:]] == ["1", "2"], "the second attempt"


def test_a_pair_that_two_killed_servers_took_with_them_meets_all_the_same(tmp_path: Path) -> None:
    fleet = a_pair_under_way(tmp_path)
    for _ in range(2):
        fleet.agents["n1"].gone.clear()  # it never heard its Go
        fleet.restart_server()
        fleet.work("n2")
        for name in ("n1", "n2", "n1", "n2"):
            fleet.join(name) if not fleet.agents[name].there else fleet.work(name)
    fleet.finish()
    assert [one.task_id[-2] for one in assigned(fleet, "n1")[1:]] == ["1", "2", "3"]
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


def test_an_end_whose_partner_is_done_already_goes_on(tmp_path: Path) -> None:
    fleet = a_pair_under_way(tmp_path)
    fleet.work("n1")
    fleet.restart_server()
    fleet.join("n1")
    fleet.join("n2")
    assert not fleet.messages(Cancel)
    fleet.work("n2")
    assert fleet.over()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}
    assert len(assigned(fleet, "n2")) == 2


def test_a_result_that_one_end_holds_does_not_stand_for_the_end_that_was_lost(tmp_path: Path) -> None:
    """The acknowledgement was lost with the server: who comes back with the result later has long been counted."""
    fleet = a_pair_under_way(tmp_path)
    fleet.work("n1")
    done = assigned(fleet, "n1")[-1]
    fleet.restart_server()
    fleet.join("n2", killed=True)
    fleet.agents["n1"].unacknowledged[done.task_id] = (
        fleet.store.load_session(whole=True).outcomes[-1].outcome
    )
    fleet.join("n1")
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


def test_who_was_called_off_says_why(tmp_path: Path) -> None:
    fleet = a_pair_under_way(tmp_path)
    fleet.lose("n2")
    (called_off,) = [
        record.outcome
        for record in fleet.store.load_session().outcomes
        if record.job == "net" and record.machine == "n1"
    ]
    assert called_off.status == "cancelled"
    assert called_off.error == "called off: n2, the other end, is out: silent"


class Wire:
    """A server and agents with queues between them. ``random`` says whose turn it is, and what a kill finds in the queues."""

    def __init__(self, folder: Path, nodes: int, random: Random) -> None:
        self.random = random
        self.plan = parse_plan(ROUNDS)
        self.agents = {name: SimulatedAgent(name, None) for name in bare(nodes)}
        self.down: dict[str, deque[object]] = {name: deque() for name in self.agents}
        self.up: dict[str, deque[Hello | Ready | Result]] = {name: deque() for name in self.agents}
        self.joined = set(self.agents)
        self.now_s = 1000.0
        self.tokens = 0
        self.store = Store(folder / "wire.db", write=True)
        hellos = {name: agent.hello() for name, agent in self.agents.items()}
        participants = admit(self.plan, hellos, None, destructive_allowed=True)
        with self.store.transaction():
            self.session = self.store.create_session("s", "u", "net", ROUNDS, participants, self.now_s)
        self.conductor = Conductor("s", "u", self.plan, participants, token=self._token)
        self.serve()

    def _token(self) -> str:
        self.tokens += 1
        return f"{self.tokens:016x}"

    def serve(self, sends: int | None = None) -> None:
        """A turn of the server, which is killed after so many sends; None: it goes on."""
        events: list[Event] = []
        for name, said in self.up.items():
            for _ in range(self.random.randint(0, len(said))):
                one = said.popleft()
                events.append(
                    Joined(name, one, "key", self.now_s)
                    if isinstance(one, Hello)
                    else Said(name, one, self.now_s)
                )
        self.now_s += 0.05
        output = self.conductor.step(events, Now(self.now_s, self.now_s))
        with self.store.transaction():
            self.store.apply(self.session, output.records)
        for send in output.sends[:sends]:
            if send.machine in self.joined:
                self.down[send.machine].append(send.message)
        if sends is not None:
            self._restart()

    def _restart(self) -> None:
        for said in self.up.values():
            said.clear()
        for told in self.down.values():
            for _ in range(self.random.randint(0, len(told))):
                told.pop()
        self.joined.clear()
        saved = self.store.unfinished()
        if saved is None:
            return  # it was over
        self.conductor = Conductor.restored(saved, self.plan, token=self._token)

    def move(self, name: str) -> None:
        """An agent reads a message, or joins again, or works on."""
        agent = self.agents[name]
        if self.down[name] and self.random.random() < 0.8:
            self.up[name] += agent.take(self.down[name].popleft())
        elif name in self.joined:
            self.up[name] += self._work(agent)
        elif self.random.random() < 0.5:
            while self.down[name]:  # what the old connection brought comes before the new one
                agent.take(self.down[name].popleft())
            self.joined.add(name)
            self.up[name] += [agent.hello(), *agent.words_again()]
        else:
            self._work(agent)  # on without a server: results are kept

    def _work(self, agent: SimulatedAgent) -> list[Ready | Result]:
        """A pair ends well when both ends have heard their Go; otherwise the one that has gives up after a while."""
        assign = agent.tasks[0] if agent.tasks else None
        if assign is None or not isinstance(assign.task, PairTask) or assign.task_id not in agent.gone:
            return agent.work()
        pair_id = assign.task.pair_id
        if any(task_id.startswith(pair_id) for task_id in self.agents[assign.task.peer].gone):
            return agent.work()
        on_its_way = any(isinstance(told, Go) for told in self.down[assign.task.peer])
        if on_its_way or self.random.random() < 0.9:
            return []
        pair = PairOutcome(pair_id=pair_id, role=assign.task.role, peer=assign.task.peer, connected=False)
        return agent.end(assign, TaskOutcome(status="ok", pair=pair))


@pytest.mark.parametrize("seed", range(100))
def test_wherever_the_kill_falls_every_pair_has_met_in_the_end_and_nobody_waits_long(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    wire = Wire(tmp_path, random.choice([2, 3, 4, 6]), random)
    kill_at = random.randint(5, 60)
    for turn in range(2000):
        if turn == kill_at and not wire.conductor.over:
            wire.serve(sends=random.randint(0, 6))
        for name in random.sample(list(wire.agents), len(wire.agents)):
            wire.move(name)
        if wire.conductor.over:
            break
        wire.serve()
    assert wire.conductor.over
    session = wire.store.load_session()
    wire.store.close()
    ends: dict[str, list[str]] = {}
    for record in session.outcomes:
        if record.job == "net":
            ends.setdefault(record.task_id[:-1], []).append(record.outcome.status)
    assert set(map(tuple, ends.values())) == {("ok", "ok")}
    assert wire.now_s - 1000.0 < READY_S, "by what was said, not by a time limit that passed"
