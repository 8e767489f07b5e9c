"""Steps of a session that is over, run again: on whom, as what, and through kills of the server."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_agent.wire.messages import PairTask
from ahc_server.conductor import Conductor
from ahc_server.conductor.repeat import Asked, plan_repeat
from ahc_server.hub.events import Event, Joined
from ahc_server.plan import parse_plan
from ahc_server.store.records import SessionChanged
from tests.conductor_helpers import BOTH, CPU, NETWORK, SimulatedFleet, assigned, bare


def repeat(fleet: SimulatedFleet, *asked: Asked) -> None:
    """As the server does it when it is asked to."""
    saved = fleet.store.saved("s")
    planned = plan_repeat(saved, fleet.plan, asked, destructive_allowed=False)
    with fleet.store.transaction():
        fleet.store.plan_repeat(saved.session, planned)
        fleet.store.apply(saved.session, [SessionChanged("running", fleet.now_s)])
    fleet.conductor = Conductor.restored(fleet.store.saved("s"), fleet.plan, token=lambda: "ab" * 8)
    machines = {machine for each in planned for machine in each.machines}
    joined: list[Event] = [
        Joined(name, agent.hello(), "key", fleet.now_s)
        for name, agent in fleet.agents.items()
        if name in machines and agent.there
    ]
    fleet.turn(joined)


def over(folder: Path, plan: str = CPU, nodes: int = 5) -> SimulatedFleet:
    fleet = SimulatedFleet(folder, plan, bare(nodes))
    fleet.finish()
    return fleet


def results(fleet: SimulatedFleet, step: int) -> Counter[str]:
    session = fleet.store.load_session("s")
    return Counter(
        each.machine for each in session.outcomes if each.step == step and each.outcome.status == "ok"
    )


def test_a_job_runs_again_on_some_nodes_as_a_further_step_of_the_session(tmp_path: Path) -> None:
    fleet = over(tmp_path)
    repeat(fleet, (1, ["n4", "n2"], ["n4"]))
    assert fleet.store.standing("s").state == "running"
    fleet.finish()
    session = fleet.store.load_session("s")
    assert session.state == "done"
    assert [(step.job, step.repeat, step.of_step) for step in session.steps] == [
        ("inventory", 0, None),
        ("cpu", 0, None),
        ("cpu", 1, 1),
    ]
    assert results(fleet, 1) == Counter(bare(5).keys()), "the first run is as it was"
    assert results(fleet, 2) == Counter(["n2", "n4"])
    assert len(assigned(fleet, "n1")) == 2, "who was not asked did nothing"


def test_suspects_do_not_meet_each_other(tmp_path: Path) -> None:
    fleet = over(tmp_path, NETWORK)
    before = len(fleet.sent)
    repeat(fleet, (1, ["n1", "n2", "n3", "n4"], ["n3", "n4"]))
    assert fleet.conductor.standing().units == 5
    fleet.finish()
    met = {
        frozenset((name, one.task.peer))
        for name in fleet.agents
        for one in assigned(fleet, name)
        if isinstance(one.task, PairTask) and (name, one) in fleet.sent[before:]
    }
    assert met == {
        frozenset(pair) for pair in (("n1", "n2"), ("n1", "n3"), ("n1", "n4"), ("n2", "n3"), ("n2", "n4"))
    }


def test_nodes_that_are_not_asked_are_of_no_matter(tmp_path: Path) -> None:
    fleet = over(tmp_path)
    fleet.agents["n5"].there = False
    repeat(fleet, (1, ["n1", "n2"], []))
    fleet.work("n1")
    fleet.work("n2")
    assert fleet.over()
    assert fleet.store.standing("s").lost == {}


def test_a_suspect_that_vanishes_in_the_repeat_is_lost_and_the_others_go_on(tmp_path: Path) -> None:
    fleet = over(tmp_path)
    repeat(fleet, (1, ["n1", "n2", "n3"], ["n3"]))
    fleet.lose("n3")
    fleet.work("n1")
    fleet.work("n2")
    assert fleet.over()
    session = fleet.store.load_session("s")
    assert [each.lost for each in session.nodes] == [None, None, "silent", None, None]
    assert results(fleet, 1)["n3"] == 1, "what it measured first stays"
    assert results(fleet, 2) == Counter(["n1", "n2"])


def test_a_killed_server_goes_on_with_a_repeat_that_it_had_not_begun(tmp_path: Path) -> None:
    fleet = over(tmp_path, BOTH)
    repeat(fleet, (1, ["n1", "n2"], []), (2, ["n1", "n2", "n3"], []))
    fleet.restart_server()
    fleet.finish()
    assert results(fleet, 3) == Counter(["n1", "n2"])
    assert results(fleet, 4) == Counter({"n1": 2, "n2": 2, "n3": 2})


def test_a_repeat_that_was_stopped_is_given_up_and_can_be_asked_for_again(tmp_path: Path) -> None:
    fleet = over(tmp_path, BOTH)
    repeat(fleet, (1, ["n1", "n2"], []), (2, ["n1", "n2"], []))
    fleet.turn([], stop=True)
    for _ in range(3):
        for name in fleet.agents:
            fleet.work(name)
        fleet.tick(30.0)
    assert fleet.store.standing("s").state == "stopped"
    repeat(fleet, (2, ["n1", "n3"], []))
    fleet.finish()
    steps = fleet.store.load_session("s").steps
    assert [(step.step, step.of_step, step.repeat) for step in steps[3:]] == [(3, 1, 1), (4, 2, 2)]
    assert results(fleet, 4) == Counter(["n1", "n3"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((7, ["n1"], []), "no step 7"),
        ((1, ["n1", "n9"], []), "no machine 'n9'"),
        ((1, ["n1"], ["x"]), "no machine 'x'"),
    ],
)
def test_what_the_session_does_not_have_is_refused(tmp_path: Path, asked: Asked, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        repeat(over(tmp_path), asked)


def test_a_session_that_is_under_way_or_was_cut_short_is_not_repeated(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    with pytest.raises(CannotAnswer, match="is running"):
        repeat(fleet, (1, ["n1"], []))
    fleet.turn([], stop=True)
    for name in fleet.agents:
        fleet.work(name)
    fleet.tick(30.0)
    with pytest.raises(CannotAnswer, match="stopped before its plan was over"):
        repeat(fleet, (1, ["n1"], []))


def test_a_plan_that_destroys_is_repeated_only_where_the_server_allows_it(tmp_path: Path) -> None:
    fleet = over(tmp_path)
    plan = parse_plan(f"destructive: true\n{CPU}")
    asked: Sequence[Asked] = [(1, ["n1"], [])]
    with pytest.raises(UsageError, match="--allow-destructive"):
        plan_repeat(fleet.store.saved("s"), plan, asked, destructive_allowed=False)
    assert plan_repeat(fleet.store.saved("s"), plan, asked, destructive_allowed=True)


@settings(max_examples=40)
@given(st.data())
def test_whatever_dies_in_a_repeat_every_result_counts_once(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fleet = over(Path(folder), BOTH, 4)
        names = ["n1", "n2", "n3"]
        repeat(fleet, (1, names, ["n1"]), (2, names, ["n1"]))
        for _ in range(data.draw(st.integers(0, 25))):
            name = data.draw(st.sampled_from(names))
            what = data.draw(
                st.sampled_from(["work", "work", "work", "lose", "kill", "join", "server", "tick"])
            )
            if what == "work":
                fleet.work(name)
            elif what in ("lose", "kill"):
                fleet.lose(name, killed=what == "kill")
            elif what == "join":
                fleet.join(name)
            elif what == "server":
                fleet.restart_server()
            else:
                fleet.tick(5.0)
        fleet.finish()
        session = fleet.store.load_session("s")
        assert session.state == "done"
        assert [step.repeat for step in session.steps] == [0, 0, 0, 1, 1]
        by_task = Counter(each.task_id for each in session.outcomes)
        assert set(by_task.values()) == {1}
        assert results(fleet, 1) == Counter(["n1", "n2", "n3", "n4"])
        units = Counter((each.machine, each.task_id[:-1]) for each in session.outcomes if each.step == 4)
        assert set(units.values()) <= {1}
        assert set(results(fleet, 3)) <= set(names)
