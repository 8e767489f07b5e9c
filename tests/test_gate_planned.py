"""A session against its own plan: a step that vanished with all its traces is still missed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ahc_server.gate.books import Books
from ahc_server.gate.planned import absent
from ahc_server.session import Session
from ahc_server.store import Store
from tests.conductor_helpers import SimulatedFleet, bare
from tests.gate_helpers import ask, passed, said, whole
from tests.judge_helpers import Fleet

PLAN = "jobs: {cpu: {component: cpu, required-hosts: 1-3}, net: {component: network, rounds: 1}}"


def without(session: Session, step: int) -> Session:
    return replace(
        session,
        steps=[each for each in session.steps if each.step != step],
        outcomes=[each for each in session.outcomes if each.step != step],
    )


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_whichever_step_vanishes_the_gate_does_not_open(step: int) -> None:
    session = whole(Fleet(6).benchmarks())
    assert ask(passed(session)).state == "open"
    gate = ask(passed(without(session, step)))
    assert said(gate) == {("session", "cannot tell", "fleet")}
    job = session.steps[step].job
    assert gate.reasons[0].summary == f"the plan has 1 step of {job}, none of them there"


def test_a_session_that_ran_to_its_end_has_what_its_plan_says(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, PLAN, bare(3))
    fleet.finish()
    session = fleet.store.load_session()
    jobs = [step.job for step in session.steps]
    assert jobs == ["inventory", "cpu", "cpu", "cpu", "net"]
    assert list(absent(session.plan, jobs)) == []
    assert list(absent(session.plan, jobs[:-2])) == [
        "the plan has 3 steps of cpu, 2 of them there",
        "the plan has 1 step of net, none of them there",
    ]


def test_what_was_measured_again_is_not_asked_for() -> None:
    session = whole(Fleet(6).benchmarks())
    last = session.steps[-1]
    repeated = replace(last, step=last.step + 1, repeat=1, of_step=last.step)
    assert ask(passed(replace(session, steps=[*session.steps, repeated]))).state == "open"
    stray = replace(repeated, repeat=0, of_step=None, hosts=0)
    gate = ask(passed(replace(session, steps=[*session.steps, stray])))
    assert gate.reasons[0].summary == "the plan has 1 step of disk, 2 of them there"


def test_a_plan_that_cannot_be_read_leaves_open_what_is_missing() -> None:
    (told,) = absent("jobs: {cpu: {component: cpuu}}", ["inventory", "cpu"])
    assert told.startswith("its plan cannot be read, so nobody knows what is missing: ")
    assert "cpuu" in told
    assert [*absent("", [])]


def test_imports_say_themselves_how_many_steps_they_have() -> None:
    assert not [*absent("# imported results\n", ["import"])]
    assert [*absent("# imported results\n", [])]
    assert not [*absent("# imported pairwise network results\n", ["inventory", "pairwise"])]
    assert [*absent("# imported pairwise network results\n", ["inventory"])]
    folder = "# no plan stood beside the results of 3 steps\n"
    assert not [*absent(folder, ["inventory", "cpu", "cpu"])]
    assert [*absent(folder, ["inventory", "cpu"])] == ["3 steps were imported, 2 are there"]


def test_deleted_from_every_table_of_a_real_store(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, PLAN, bare(3))
    fleet.finish()
    fleet.store.close()
    path = tmp_path / "sim.db"
    with Store(path, write=True) as store:
        store._db.executescript(
            "DELETE FROM results WHERE task_id IN (SELECT task_id FROM tasks WHERE step = 3);"
            "DELETE FROM tasks WHERE step = 3; DELETE FROM steps WHERE step = 3;"
        )
    with Store(path) as store:
        gate = ask(passed(store.load_session()), now_s=2000.0)
    assert ("session", "cannot tell", "fleet") in said(gate)
    assert "the plan has 3 steps of cpu, 2 of them there" in {reason.summary for reason in gate.reasons}


def test_tests_of_pairs_that_vanished_at_both_ends_are_missed() -> None:
    session = whole(Fleet(8).benchmarks().network())
    assert ask(passed(session)).state == "open"
    ends = ("pair-n3-n4-connect", "pair-n3-n4-listen")
    left = [each for each in session.outcomes if each.task_id not in ends]
    (reason,) = ask(passed(replace(session, outcomes=left))).reasons
    assert (
        reason.summary == "step 4 (network): by the plan at least 28 pairs of nodes meet, results are of 27"
    )


def test_a_real_step_of_pairs_has_as_many_as_its_plan_says_also_where_nodes_were_lost(tmp_path: Path) -> None:
    for plan in ("{net: {component: network}}", "{net: {component: network, rounds: 2}}"):
        folder = tmp_path / str(len(plan))
        folder.mkdir()
        fleet = SimulatedFleet(folder, f"jobs: {plan}", bare(6))
        for name in fleet.agents:
            fleet.work(name)
        fleet.lose("n6", killed=True)
        for _ in range(40):
            for name in list(fleet.agents)[:5]:
                fleet.work(name)
            fleet.tick(5.0)
        session = fleet.store.load_session()
        assert session.state == "done"
        said_of_pairs = [
            text for _, text in Books(session).gaps(passed(session).report) if "pairs of nodes meet" in text
        ]
        assert said_of_pairs == [], "what could not be tested says so itself"
