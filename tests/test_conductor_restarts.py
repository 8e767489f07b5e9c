"""The conductor when its server is killed: nothing is lost or counted twice, in any order of events."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.wire.messages import Cancel, Go
from ahc_server.conductor.limits import (
    REJOIN_S,
)
from ahc_server.hub.events import Joined
from tests.conductor_helpers import (
    BOTH,
    CPU,
    NETWORK,
    SimulatedFleet,
    assigned,
    bare,
    states,
)


def test_a_restarted_server_waits_for_tasks_under_way_and_repeats_none(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    fleet.restart_server()
    fleet.work("n1")  # ends its task while nobody listens
    for name in fleet.agents:
        fleet.join(name)
    fleet.finish()
    assert all(len(agent.started) == 2 for agent in fleet.agents.values())
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok", ("n3",): "ok"}


def test_a_task_that_never_arrived_is_sent_again(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    for agent in fleet.agents.values():
        agent.tasks.clear()
        agent.started.clear()
    fleet.restart_server()
    fleet.finish()
    assert all(len(agent.started) == 2 for agent in fleet.agents.values())


def test_a_pair_that_was_not_started_yet_begins_anew(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
    for name in ("n1", "n2", "n1"):
        fleet.work(name)
    fleet.restart_server()
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


def test_a_pair_under_way_goes_on_without_its_server(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.restart_server()
    fleet.work("n1")
    fleet.work("n2")
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}
    assert len(assigned(fleet, "n1")) == 2


def test_who_does_not_come_back_to_a_restarted_server_is_lost(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.restart_server()
    fleet.join("n1")
    assert fleet.conductor.standing().waiting
    fleet.work("n1")
    fleet.tick(REJOIN_S + 1)
    assert fleet.over()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "failed"}


def test_after_a_restart_nothing_begins_before_everybody_was_heard_of(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, {"n1": "h", "n2": "h"})
    fleet.work("n1")
    fleet.work("n2")
    fleet.restart_server()
    fleet.join("n1")
    fleet.work("n1")
    assert len(assigned(fleet, "n2")) == 1, "its turn, but nobody knows whether it is there"
    fleet.join("n2")
    assert len(assigned(fleet, "n2")) == 2


def test_a_pair_that_an_end_has_forgotten_is_lost_at_once_and_done_again(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.agents["n1"].tasks.clear()
    fleet.join("n1")
    first, again = assigned(fleet, "n1")[1:]
    assert first.task_id != again.task_id
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


def test_a_node_that_comes_back_with_its_result_is_not_measured_again(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.lose("n2")
    fleet.work("n2")  # ends while nobody hears it
    fleet.join("n2")
    fleet.work("n1")
    assert fleet.over()
    assert len(assigned(fleet, "n2")) == 2
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok"}


def test_who_claims_to_hold_a_result_of_others_takes_their_second_chance_from_nobody(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    theirs = assigned(fleet, "n2")[-1].task_id
    fleet.lose("n2", killed=True)
    liar = fleet.agents["n3"].hello()
    claims = msgspec.structs.replace(liar, unacknowledged=[theirs])
    fleet.turn([Joined("n3", claims, "key", fleet.now_s)])
    fleet.finish()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok", ("n3",): "ok"}


def test_a_node_that_comes_back_with_an_old_task_is_told_to_leave_it(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, "jobs: {a: {component: cpu}, b: {component: cpu}}", bare(2))
    fleet.work("n1")
    fleet.work("n2")
    old = assigned(fleet, "n2")[-1].task_id
    fleet.lose("n2")
    fleet.work("n1")
    assert fleet.conductor.standing().job == "b"
    fleet.join("n2")
    assert Cancel(task_id=old) in fleet.messages(Cancel, "n2")


def test_go_is_said_again_to_an_end_that_reconnects(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.agents["n1"].gone.clear()
    fleet.join("n1")
    assert fleet.messages(Go, "n1")[0] == fleet.messages(Go, "n1")[1]
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


names = st.sampled_from(["n1", "n2", "n3", "n4"])
moves = st.one_of(
    st.tuples(st.just("work"), names),
    st.tuples(st.just("lose"), names),
    st.tuples(st.just("kill"), names),
    st.tuples(st.just("join"), names),
    st.tuples(st.just("rejoin"), names),
    st.tuples(st.just("tick"), st.sampled_from([0.1, 1.0, 11.0, 31.0, 200.0])),
    st.tuples(st.just("server"), st.none()),
    st.tuples(st.just("stop"), st.none()),
)
hosts = st.sampled_from(
    [
        {"n1": None, "n2": None, "n3": None, "n4": None},
        {"n1": "h", "n2": "h", "n3": "h", "n4": "h"},
        {"n1": "h", "n2": "h", "n3": "g", "n4": None},
    ]
)


@settings(max_examples=150)
@given(hosts, st.sampled_from([CPU, NETWORK, BOTH]), st.lists(moves, max_size=40))
def test_any_order_of_events_ends_the_session_with_nothing_lost_or_twice(
    on: dict[str, str | None], plan: str, story: list[tuple[str, object]]
) -> None:
    with tempfile.TemporaryDirectory() as path:
        fleet = SimulatedFleet(Path(path), plan, on)
        for move, what in story:
            match move:
                case "work":
                    fleet.work(str(what))
                case "lose":
                    fleet.lose(str(what))
                case "kill":
                    fleet.lose(str(what), killed=True)
                case "join":
                    fleet.join(str(what))
                case "rejoin":
                    fleet.join(str(what), killed=True)
                case "tick":
                    assert isinstance(what, float)
                    fleet.tick(what)
                case "server":
                    fleet.restart_server()
                case "stop" if not fleet.over() and len(story) % 3 == 0:
                    fleet.turn([], stop=True)
        fleet.finish()
        session = fleet.store.load_session()
        assert session.state in ("done", "stopped")
        stored = {row[0] for row in fleet.store._db.execute("SELECT task_id FROM results")}
        assert set(fleet.acknowledged) <= stored, "acknowledged and not on the disk"
        for job in ("inventory", "cpu", "net"):
            units = Counter(
                (record.step, record.machine, record.outcome.pair.peer if record.outcome.pair else None)
                for record in session.outcomes
                if record.job == job and record.outcome.status == "ok"
            )
            assert not units or max(units.values()) == 1, "measured twice, and both count"
        fleet.store.close()
