"""The conductor when nodes fail: the plan goes on, and says what is missing."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from ahc_agent.wire.messages import Cancel, Go, PairTask, Ready, Result, TaskOutcome
from ahc_server.conductor.limits import (
    CANCEL_S,
    DESERTED_S,
    GRACE_S,
    PARTNER_S,
    READY_S,
)
from ahc_server.gate.checks import Data
from ahc_server.gate.decide import decide
from ahc_server.gate.policy import Policy
from ahc_server.hub.events import Said
from ahc_server.judge import judge_session
from ahc_server.rounds.untried import untried
from tests.conductor_helpers import (
    BOTH,
    CPU,
    NETWORK,
    SimulatedFleet,
    assigned,
    bare,
    outcome_of,
    states,
)


def test_a_lost_node_is_said_and_the_plan_goes_on(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    fleet.lose("n2")
    fleet.work("n1")
    fleet.work("n3")
    session = fleet.store.load_session()
    assert session.state == "done"
    assert {node.machine: node.lost for node in session.nodes} == {"n1": None, "n2": "silent", "n3": None}
    lost = next(record for record in session.outcomes if record.job == "cpu" and record.machine == "n2")
    assert (lost.outcome.status, lost.outcome.error) == ("failed", "silent")


def test_a_node_that_comes_back_gets_its_task_once_more(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    fleet.lose("n2", killed=True)
    fleet.work("n1")
    fleet.join("n2")
    fleet.work("n3")
    assert len(assigned(fleet, "n2")) == 3, "inventory, cpu, cpu again"
    fleet.lose("n2", killed=True)
    fleet.join("n2")
    assert len(assigned(fleet, "n2")) == 3, "not a third time"
    assert fleet.over()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "failed", ("n3",): "ok"}


def test_an_agent_started_anew_in_the_middle_loses_its_task_and_gets_it_again(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.join("n1", killed=True)
    fleet.work("n2")
    fleet.work("n1")
    assert fleet.over()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok"}


def test_an_agent_that_ends_politely_is_not_blamed_for_its_task(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    task = assigned(fleet, "n1")[-1]
    fleet.turn(
        [Said("n1", Result(task_id=task.task_id, outcome=TaskOutcome(status="cancelled")), fleet.now_s)]
    )
    fleet.lose("n1", killed=True)
    fleet.join("n1")
    fleet.finish()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok"}


def test_the_partner_of_a_lost_node_is_told_and_its_result_stands(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    assert len(fleet.messages(Go)) == 2
    fleet.lose("n2")
    assert len(fleet.messages(Cancel, "n1")) == 1
    assert fleet.over()
    outcomes = {r.machine: r.outcome.status for r in fleet.store.load_session().outcomes if r.job == "net"}
    assert outcomes == {"n1": "cancelled", "n2": "failed"}


def test_a_lost_pair_is_measured_again_when_the_node_is_back(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(3))
    for name in ("n1", "n2", "n3"):
        fleet.work(name)
    first = assigned(fleet)[-1].task
    assert isinstance(first, PairTask)
    fleet.lose(first.peer, killed=True)
    fleet.join(first.peer)
    fleet.finish()
    again = [
        one for one in assigned(fleet) if isinstance(one.task, PairTask) and one.task.pair_id.endswith("-2")
    ]
    assert len(again) == 4, "both ends, once more, and those of the pair whose turn came meanwhile"
    assert states(fleet, "net") == dict.fromkeys(combinations(["n1", "n2", "n3"], 2), "ok,ok")


def finished_losing(fleet: SimulatedFleet, times: int) -> list[str]:
    """n2's agent dies in its test with n1 and is back at once, so often. Answers which tries of this pair there were."""
    met: set[str] = set()
    for _ in range(200):
        if fleet.over():
            break
        for name in fleet.agents:
            task = next((one.task for one in fleet.agents["n2"].tasks), None)
            if isinstance(task, PairTask) and task.peer == "n1":
                met.add(task.pair_id)
                if len(met) <= times:
                    fleet.join("n2", killed=True)
            fleet.work(name)
        fleet.tick(5.0)
    assert fleet.over()
    return [pair_id[-1] for pair_id in sorted(met)]


def test_a_pair_that_is_lost_twice_gets_a_third_try(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    assert finished_losing(fleet, 2) == ["1", "2", "3"]
    assert states(fleet, "net") == dict.fromkeys(combinations(fleet.agents, 2), "ok,ok")
    assert untried(fleet.store.load_session()) == []


def test_a_pair_that_is_lost_in_every_try_is_named_and_the_session_ends(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    assert finished_losing(fleet, 99) == ["1", "2", "3"]
    session = fleet.store.load_session()
    (lost,) = untried(session)
    assert (lost.job, lost.ends) == ("net", ("n1", "n2"))
    report = judge_session(session, generated_at="2026-01-01T00:00:00Z")
    assert [note for note in report.notes if note.startswith("net: not tested, so nobody knows: n1 – n2 (")]
    gate = decide(Policy(file="policy"), Data(session, report), fleet.now_s)
    named = [each for each in gate.reasons if each.element == "pair:n1-n2" and each.check == "session"]
    assert [(each.state, each.nodes) for each in named] == [("cannot tell", ["n1", "n2"])]


def test_pairs_with_a_node_that_is_gone_are_not_started(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    for name in fleet.agents:
        fleet.work(name)
    fleet.lose("n4")
    for _ in range(30):
        for name in ("n1", "n2", "n3"):
            fleet.work(name)
    assert fleet.over()
    found = states(fleet, "net")
    assert {unit for unit, state in found.items() if state == "ok,ok"} == set(
        combinations(["n1", "n2", "n3"], 2)
    )
    assert all("ok" not in state for unit, state in found.items() if "n4" in unit)


@pytest.mark.parametrize("restart", [False, True])
def test_pairs_that_a_node_missed_are_measured_when_it_is_back(tmp_path: Path, restart: bool) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    for name in fleet.agents:
        fleet.work(name)
    fleet.lose("n4", killed=True)
    while not fleet.conductor.standing().done >= 4:  # its second pair could not be started
        for name in ("n1", "n2", "n3"):
            fleet.work(name)
    assert not fleet.over()
    if restart:
        fleet.restart_server()
    fleet.finish()
    assert states(fleet, "net") == dict.fromkeys(combinations(["n1", "n2", "n3", "n4"], 2), "ok,ok")


def test_a_silent_task_ends_at_its_time_limit(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.work("n1")
    limit = assigned(fleet, "n2")[-1].time_limit_s
    fleet.agents["n2"].tasks.clear()  # it hangs and answers nothing
    fleet.tick(limit + GRACE_S - 1)
    assert not fleet.over()
    fleet.tick(2)
    assert fleet.over()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "timeout"}
    assert len(fleet.messages(Cancel, "n2")) == 1


def test_a_node_that_lets_task_after_task_pass_counts_as_lost(tmp_path: Path) -> None:
    plan = "jobs: {a: {component: cpu}, b: {component: cpu}, c: {component: cpu}, d: {component: cpu}}"
    fleet = SimulatedFleet(tmp_path, plan, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    for _ in range(2):
        fleet.agents["n2"].tasks.clear()
        fleet.work("n1")
        fleet.tick(assigned(fleet, "n2")[-1].time_limit_s + GRACE_S + 1)
    assert "two" not in fleet.conductor.standing().lost.get("n2", "")
    assert "tasks in a row" in fleet.conductor.standing().lost["n2"]
    fleet.work("n1")
    assert [step.hosts for step in fleet.store.load_session().steps] == [2, 2, 2, 1, 1]


def test_a_pair_that_does_not_get_ready_holds_nobody_beyond_the_limit(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    for name in fleet.agents:
        fleet.work(name)
    slow = assigned(fleet)[-1]
    partner = slow.task.peer if isinstance(slow.task, PairTask) else ""
    stuck = next(name for name, agent in fleet.agents.items() if agent.tasks and agent.tasks[0] is slow)
    for name in fleet.agents:
        if name != stuck:
            fleet.work(name)
    assert not fleet.messages(Go)
    fleet.agents[stuck].tasks.clear()
    fleet.tick(READY_S + 1)
    assert len(fleet.messages(Go)) == 2, "the other pair starts"
    assert len(fleet.messages(Cancel, partner)) == 1


def test_an_end_that_cannot_get_ready_ends_its_pair(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    task = assigned(fleet)[-1]
    name = next(name for name, agent in fleet.agents.items() if agent.tasks[0] is task)
    fleet.turn([Said(name, Ready(task_id=task.task_id, error="no port"), fleet.now_s)])
    fleet.agents[name].tasks.clear()
    failed = TaskOutcome(status="failed", error="no port")
    fleet.turn([Said(name, Result(task_id=task.task_id, outcome=failed), fleet.now_s)])
    assert fleet.over()
    assert sorted(states(fleet, "net").values()) in (["cancelled,failed"], ["failed,cancelled"])


def test_a_partner_that_does_not_even_cancel_is_given_up(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.agents["n1"].tasks.clear()
    fleet.lose("n2")
    fleet.tick(CANCEL_S + 1)
    assert fleet.over()


def test_an_end_that_says_nothing_after_the_other_is_through_holds_the_round_no_longer(
    tmp_path: Path,
) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    for _ in range(2):  # the inventory; then all are ready and go
        for name in fleet.agents:
            fleet.work(name)
    straggler = assigned(fleet, "n4")[-1]
    assert isinstance(straggler.task, PairTask)
    for name in ("n1", "n2", "n3"):
        fleet.work(name)
    fleet.tick(PARTNER_S - 1)
    assert fleet.conductor.standing().done == 1
    fleet.tick(2)
    assert any(
        isinstance(each, Cancel) and each.task_id == straggler.task_id
        for each in fleet.messages(Cancel, "n4")
    )
    assert assigned(fleet, "n1")[-1].task_id.split("-")[2] > straggler.task_id.split("-")[2], "the next round"
    late = next(
        record for record in fleet.store.load_session().outcomes if record.task_id == straggler.task_id
    )
    assert late.outcome.status == "cancelled", "what it says itself in the end is kept"


def test_where_nobody_is_left_the_session_waits_a_little_and_ends(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, BOTH, bare(2))
    fleet.lose("n1")
    fleet.lose("n2")
    assert not fleet.over()
    fleet.tick(DESERTED_S / 2)
    assert not fleet.over()
    fleet.tick(DESERTED_S)
    assert fleet.over()


def test_nodes_without_a_common_network_are_a_result(tmp_path: Path) -> None:
    plan = "jobs: {net: {component: network, network-hosts: 172.16.0.0/12}}"
    fleet = SimulatedFleet(tmp_path, plan, bare(2))
    fleet.finish()
    outcome = next(record.outcome for record in fleet.store.load_session().outcomes if record.job == "net")
    assert outcome.status == "failed"
    assert "172.16.0.0/12" in str(outcome.error)


def test_results_of_others_tasks_are_not_taken(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    theirs = assigned(fleet, "n1")[0]
    fleet.turn([Said("n2", Result(task_id=theirs.task_id, outcome=outcome_of(theirs.task)), fleet.now_s)])
    assert fleet.store.load_session().outcomes == []
    assert fleet.acknowledged[theirs.task_id] == 1, "else it would come again for ever"


def test_a_result_that_comes_too_late_is_kept(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    late = assigned(fleet, "n2")[-1]
    fleet.lose("n2")
    fleet.work("n1")
    assert fleet.over()
    fleet.turn([Said("n2", Result(task_id=late.task_id, outcome=outcome_of(late.task)), fleet.now_s)])
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok"}


def test_stopping_ends_what_is_under_way(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, BOTH, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.work("n1")
    fleet.turn([], stop=True)
    assert fleet.conductor.state == "stopped"
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "cancelled"}
    assert fleet.store.load_session().state == "stopped"
