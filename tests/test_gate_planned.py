"""A session against its own plan: a step that vanished with all its traces is still missed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


CHOSEN = {
    "budget": "jobs: {net: {component: network, budget: 1s}}",
    "auto": "jobs: {net: {component: network}}",
    "few": "jobs: {net: {component: network, most-rounds: 3}}",
    "three": "jobs: {net: {component: network, rounds: 3}}",
    "bisection": "jobs: {net: {component: network, rounds: bisection}}",
}


@cache
def chosen(plan: str) -> Session:
    """A session of twelve nodes whose rounds were chosen as it went."""
    with TemporaryDirectory() as folder:
        fleet = SimulatedFleet(Path(folder), CHOSEN[plan], bare(12))
        fleet.finish(2000)
        session = fleet.store.load_session()
        fleet.store.close()
    return session


@pytest.mark.parametrize("plan", [*CHOSEN])
@given(chance=st.randoms(use_true_random=False), ends=st.sampled_from(["both", "one"]))
def test_whichever_tests_of_chosen_rounds_vanish_the_gate_does_not_open(
    plan: str, ends: str, chance: Random
) -> None:
    session = chosen(plan)
    assert ask(passed(session), now_s=2000.0).state == "open"
    tests = [each for each in session.outcomes if each.component == "network"]
    if ends == "one":
        gone = {each.task_id for each in chance.sample(tests, chance.randint(1, len(tests)))}
    else:
        units = sorted({each.unit for each in tests})
        lost = set(chance.sample(units, chance.randint(1, len(units))))
        gone = {each.task_id for each in tests if each.unit in lost}
    left = [each for each in session.outcomes if each.task_id not in gone]
    assert ask(passed(replace(session, outcomes=left)), now_s=2000.0).state == "cannot tell"


@pytest.mark.parametrize("plan", [*CHOSEN])
def test_the_last_round_that_vanished_from_every_table_of_a_real_store_is_missed(
    plan: str, tmp_path: Path
) -> None:
    fleet = SimulatedFleet(tmp_path, CHOSEN[plan], bare(12))
    fleet.finish(2000)
    fleet.store.close()
    with Store(tmp_path / "sim.db", write=True) as store:
        last = "(SELECT task_id FROM tasks WHERE wave = (SELECT max(wave) FROM tasks WHERE step = 1) AND step = 1)"
        store._db.executescript(
            f"DELETE FROM results WHERE task_id IN {last}; DELETE FROM tasks WHERE task_id IN {last};"
        )
    with Store(tmp_path / "sim.db") as store:
        session = store.load_session()
    (reason,) = ask(passed(session), now_s=2000.0).reasons
    there = len({each.unit for each in session.outcomes if each.component == "network"})
    assert f"{there + 6:,} pairs of nodes" in reason.summary or "at least" in reason.summary
    assert f"results are of {there:,}" in reason.summary


def test_books_that_were_not_kept_leave_what_the_plan_has_at_least() -> None:
    """A session of before: two rounds are measured within the shortest budget."""
    session = chosen("budget")
    old = replace(session, steps=[replace(step, units=None) for step in session.steps])
    assert ask(passed(old), now_s=2000.0).state == "open"
    first = min(each.wave for each in old.outcomes if each.component == "network")
    left = [each for each in old.outcomes if each.component != "network" or each.wave == first]
    (reason,) = ask(passed(replace(old, outcomes=left)), now_s=2000.0).reasons
    assert reason.summary == "step 1 (net): by the plan at least 12 pairs of nodes meet, results are of 6"
