"""The conductor: whatever happens to nodes and server, the plan comes to its end, and nothing is lost or counted twice."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.facts import Cpu, Disk, Inventory, NumaNode
from ahc_agent.order import natural_order
from ahc_agent.wire.messages import Assign, Cancel, DiskTask, Go, PairTask, Ready, Result, TaskOutcome
from ahc_server.conductor.expand import choose, data_addresses, steps_of
from ahc_server.conductor.limits import (
    CANCEL_S,
    DESERTED_S,
    GRACE_S,
    READY_S,
    REJOIN_S,
    parts_of,
    time_limit_s,
)
from ahc_server.conductor.model import Node, Parts
from ahc_server.hub.events import Joined, Said
from ahc_server.plan import parse_plan, read_plan, shipped_plans
from tests.conductor_helpers import SimulatedFleet, hello, outcome_of

CPU = "jobs: {cpu: {component: cpu, runtime: 1}}"
NETWORK = "jobs: {net: {component: network, runtime: 1}}"
BOTH = "jobs: {cpu: {component: cpu, runtime: 1}, net: {component: network, runtime: 1}}"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


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


# ── the good way ───────────────────────────────────────────────────────────────────────────────────


def test_the_inventory_comes_first_and_then_the_jobs(folder: Path) -> None:
    fleet = SimulatedFleet(folder, BOTH, bare(3))
    fleet.finish()
    session = fleet.store.load_session()
    assert [(step.job, step.hosts, step.state) for step in session.steps] == [
        ("inventory", 3, "done"),
        ("cpu", 3, "done"),
        ("net", 3, "done"),
    ]
    assert session.state == "done"
    assert all(node.inventory is not None and node.lost is None for node in session.nodes)
    assert len(session.outcomes) == 3 + 3 + 6
    assert len({record.task_id for record in session.outcomes}) == 12


def test_nodes_on_different_hosts_are_measured_at_once(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)  # inventory
    assert all(len(agent.tasks) == 1 for agent in fleet.agents.values())


@pytest.mark.parametrize(("affinity", "at_once"), [("fair", 1), ("any", 3)])
def test_nodes_of_one_physical_host_are_not_unless_asked(folder: Path, affinity: str, at_once: int) -> None:
    plan = f"jobs: {{cpu: {{component: cpu, affinity: {affinity}}}}}"
    fleet = SimulatedFleet(folder, plan, dict.fromkeys(["n1", "n2", "n3"], "h"))
    for name in fleet.agents:
        fleet.work(name)
    assert sum(len(agent.tasks) for agent in fleet.agents.values()) == at_once
    fleet.finish()
    assert len(states(fleet, "cpu")) == 3


def test_a_ramp_up_runs_its_hosts_at_once_spread_over_physical_hosts(folder: Path) -> None:
    plan = "jobs: {cpu: {component: cpu, required-hosts: 1-5, step-hosts: 3}}"
    hosts: dict[str, str | None] = {"n1": "a", "n2": "a", "n3": "a", "n4": "b", "n5": "b", "n6": "c"}
    fleet = SimulatedFleet(folder, plan, hosts)
    fleet.finish()
    session = fleet.store.load_session()
    assert [step.hosts for step in session.steps[1:]] == [1, 3, 5]
    machines = {step: sorted(r.machine for r in session.outcomes if r.step == step) for step in (1, 2, 3)}
    assert machines == {1: ["n1"], 2: ["n1", "n4", "n6"], 3: ["n1", "n2", "n4", "n5", "n6"]}
    assert all(record.hosts == 5 for record in session.outcomes if record.step == 3)


def test_both_ends_of_a_pair_start_when_both_are_ready(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    ends = [one.task for one in assigned(fleet)[-2:]]
    assert all(isinstance(end, PairTask) for end in ends)
    listen, connect = ends
    assert isinstance(listen, PairTask) and isinstance(connect, PairTask)
    assert (listen.role, connect.role) == ("listen", "connect")
    assert listen.token == connect.token and listen.pair_id == connect.pair_id
    assert connect.peer_address == listen.address != ""
    fleet.work(connect.peer)
    assert not fleet.messages(Go), "the other end is not ready yet"
    fleet.work(listen.peer)
    goes = [one for one in fleet.messages(Go) if isinstance(one, Go)]
    assert [go.ports for go in goes] == [{"bulk": 4000}] * 2


def test_pairs_of_a_round_start_together(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(4))
    for name in fleet.agents:
        fleet.work(name)
    for name in ("n1", "n2", "n3"):
        fleet.work(name)
        assert not fleet.messages(Go)
    fleet.work("n4")
    assert len(fleet.messages(Go)) == 4


def test_every_pair_is_measured_once(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(5))
    fleet.finish()
    pairs = Counter(frozenset(unit) for unit in states(fleet, "net"))
    assert pairs == Counter(frozenset(pair) for pair in combinations(fleet.agents, 2))


def test_tokens_are_used_once(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(4))
    fleet.finish()
    tokens = Counter(one.task.token for one in assigned(fleet) if isinstance(one.task, PairTask))
    assert set(tokens.values()) == {2}


def test_the_spread_of_starts_is_the_steps_jitter(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    for name, delay in zip(fleet.agents, (0.25, 0.125, 0.5), strict=True):
        task = assigned(fleet, name)[-1]
        fleet.agents[name].tasks.clear()
        outcome = TaskOutcome(status="ok", start_delay_s=delay)
        fleet.turn([Said(name, Result(task_id=task.task_id, outcome=outcome), fleet.now_s)])
    assert fleet.store.load_session().steps[-1].start_jitter_s == 0.375


def test_edeploys_sample_runs_as_it_is_on_81_machines_of_3_hypervisors(folder: Path, shared: Path) -> None:
    path = shared / "edeploy" / "dahc-sample.yaml"
    if not path.is_file():
        pytest.skip("no sample among the recordings")
    fleet = SimulatedFleet(folder, path.read_text(), {f"n{n}": f"hypervisor{n % 3}" for n in range(81)})
    fleet.finish(turns=2000)
    session = fleet.store.load_session()
    assert session.state == "done"
    ramp = [1, *range(6, 81, 6), 81]
    for job in ("memory", "cpu", "read_seq", "read_rand"):
        assert [step.hosts for step in session.steps if step.job == job] == ramp
    assert [step.hosts for step in session.steps if step.job == "tcp_bandwidth"] == [3, *ramp[1:]]
    assert {record.outcome.status for record in session.outcomes} == {"ok"}
    pairs = [one.task for one in assigned(fleet) if isinstance(one.task, PairTask) and one.task.bandwidth]
    assert len(pairs) == 2 * sum([3, *ramp[1:]]), "a group of three has three pairs"
    host = {name: agent.host for name, agent in fleet.agents.items()}
    assert all(host[end.peer] != host[other.peer] for end, other in zip(pairs[::2], pairs[1::2], strict=True))


# ── nodes that fail ────────────────────────────────────────────────────────────────────────────────


def test_a_lost_node_is_said_and_the_plan_goes_on(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(3))
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


def test_a_node_that_comes_back_gets_its_task_once_more(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(3))
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


def test_an_agent_started_anew_in_the_middle_loses_its_task_and_gets_it_again(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.join("n1", killed=True)
    fleet.work("n2")
    fleet.work("n1")
    assert fleet.over()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok"}


def test_an_agent_that_ends_politely_is_not_blamed_for_its_task(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
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


def test_the_partner_of_a_lost_node_is_told_and_its_result_stands(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    assert len(fleet.messages(Go)) == 2
    fleet.lose("n2")
    assert len(fleet.messages(Cancel, "n1")) == 1
    assert fleet.over()
    outcomes = {r.machine: r.outcome.status for r in fleet.store.load_session().outcomes if r.job == "net"}
    assert outcomes == {"n1": "cancelled", "n2": "failed"}


def test_a_lost_pair_is_measured_again_when_the_node_is_back(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(3))
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


def test_pairs_with_a_node_that_is_gone_are_not_started(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(4))
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
def test_pairs_that_a_node_missed_are_measured_when_it_is_back(folder: Path, restart: bool) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(4))
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


def test_a_silent_task_ends_at_its_time_limit(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
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


def test_a_node_that_lets_task_after_task_pass_counts_as_lost(folder: Path) -> None:
    plan = "jobs: {a: {component: cpu}, b: {component: cpu}, c: {component: cpu}, d: {component: cpu}}"
    fleet = SimulatedFleet(folder, plan, bare(2))
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


def test_a_pair_that_does_not_get_ready_holds_nobody_beyond_the_limit(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(4))
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


def test_an_end_that_cannot_get_ready_ends_its_pair(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
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


def test_a_partner_that_does_not_even_cancel_is_given_up(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.agents["n1"].tasks.clear()
    fleet.lose("n2")
    fleet.tick(CANCEL_S + 1)
    assert fleet.over()


def test_where_nobody_is_left_the_session_waits_a_little_and_ends(folder: Path) -> None:
    fleet = SimulatedFleet(folder, BOTH, bare(2))
    fleet.lose("n1")
    fleet.lose("n2")
    assert not fleet.over()
    fleet.tick(DESERTED_S / 2)
    assert not fleet.over()
    fleet.tick(DESERTED_S)
    assert fleet.over()


def test_nodes_without_a_common_network_are_a_result(folder: Path) -> None:
    plan = "jobs: {net: {component: network, network-hosts: 172.16.0.0/12}}"
    fleet = SimulatedFleet(folder, plan, bare(2))
    fleet.finish()
    outcome = next(record.outcome for record in fleet.store.load_session().outcomes if record.job == "net")
    assert outcome.status == "failed"
    assert "172.16.0.0/12" in str(outcome.error)


def test_results_of_others_tasks_are_not_taken(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
    theirs = assigned(fleet, "n1")[0]
    fleet.turn([Said("n2", Result(task_id=theirs.task_id, outcome=outcome_of(theirs.task)), fleet.now_s)])
    assert fleet.store.load_session().outcomes == []
    assert fleet.acknowledged[theirs.task_id] == 1, "else it would come again for ever"


def test_a_result_that_comes_too_late_is_kept(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    late = assigned(fleet, "n2")[-1]
    fleet.lose("n2")
    fleet.work("n1")
    assert fleet.over()
    fleet.turn([Said("n2", Result(task_id=late.task_id, outcome=outcome_of(late.task)), fleet.now_s)])
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok"}


def test_stopping_ends_what_is_under_way(folder: Path) -> None:
    fleet = SimulatedFleet(folder, BOTH, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.work("n1")
    fleet.turn([], stop=True)
    assert fleet.conductor.state == "stopped"
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "cancelled"}
    assert fleet.store.load_session().state == "stopped"


# ── a server that is killed ────────────────────────────────────────────────────────────────────────


def test_a_restarted_server_waits_for_tasks_under_way_and_repeats_none(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    fleet.restart_server()
    fleet.work("n1")  # ends its task while nobody listens
    for name in fleet.agents:
        fleet.join(name)
    fleet.finish()
    assert all(len(agent.started) == 2 for agent in fleet.agents.values())
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok", ("n3",): "ok"}


def test_a_task_that_never_arrived_is_sent_again(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
    for agent in fleet.agents.values():
        agent.tasks.clear()
        agent.started.clear()
    fleet.restart_server()
    fleet.finish()
    assert all(len(agent.started) == 2 for agent in fleet.agents.values())


def test_a_pair_that_was_not_started_yet_begins_anew(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    for name in ("n1", "n2", "n1"):
        fleet.work(name)
    fleet.restart_server()
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


def test_a_pair_under_way_goes_on_without_its_server(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.restart_server()
    fleet.work("n1")
    fleet.work("n2")
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}
    assert len(assigned(fleet, "n1")) == 2


def test_who_does_not_come_back_to_a_restarted_server_is_lost(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.restart_server()
    fleet.join("n1")
    assert fleet.conductor.standing().waiting
    fleet.work("n1")
    fleet.tick(REJOIN_S + 1)
    assert fleet.over()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "failed"}


def test_after_a_restart_nothing_begins_before_everybody_was_heard_of(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, {"n1": "h", "n2": "h"})
    fleet.work("n1")
    fleet.work("n2")
    fleet.restart_server()
    fleet.join("n1")
    fleet.work("n1")
    assert len(assigned(fleet, "n2")) == 1, "its turn, but nobody knows whether it is there"
    fleet.join("n2")
    assert len(assigned(fleet, "n2")) == 2


def test_a_pair_that_an_end_has_forgotten_is_lost_at_once_and_done_again(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.agents["n1"].tasks.clear()
    fleet.join("n1")
    first, again = assigned(fleet, "n1")[1:]
    assert first.task_id != again.task_id
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


def test_a_node_that_comes_back_with_its_result_is_not_measured_again(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(2))
    fleet.work("n1")
    fleet.work("n2")
    fleet.lose("n2")
    fleet.work("n2")  # ends while nobody hears it
    fleet.join("n2")
    fleet.work("n1")
    assert fleet.over()
    assert len(assigned(fleet, "n2")) == 2
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok"}


def test_who_claims_to_hold_a_result_of_others_takes_their_second_chance_from_nobody(folder: Path) -> None:
    fleet = SimulatedFleet(folder, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    theirs = assigned(fleet, "n2")[-1].task_id
    fleet.lose("n2", killed=True)
    liar = fleet.agents["n3"].hello()
    claims = msgspec.structs.replace(liar, unacknowledged=[theirs])
    fleet.turn([Joined("n3", claims, "key", fleet.now_s)])
    fleet.finish()
    assert states(fleet, "cpu") == {("n1",): "ok", ("n2",): "ok", ("n3",): "ok"}


def test_a_node_that_comes_back_with_an_old_task_is_told_to_leave_it(folder: Path) -> None:
    fleet = SimulatedFleet(folder, "jobs: {a: {component: cpu}, b: {component: cpu}}", bare(2))
    fleet.work("n1")
    fleet.work("n2")
    old = assigned(fleet, "n2")[-1].task_id
    fleet.lose("n2")
    fleet.work("n1")
    assert fleet.conductor.standing().job == "b"
    fleet.join("n2")
    assert Cancel(task_id=old) in fleet.messages(Cancel, "n2")


def test_go_is_said_again_to_an_end_that_reconnects(folder: Path) -> None:
    fleet = SimulatedFleet(folder, NETWORK, bare(2))
    for name in ("n1", "n2", "n1", "n2"):
        fleet.work(name)
    fleet.agents["n1"].gone.clear()
    fleet.join("n1")
    assert fleet.messages(Go, "n1")[0] == fleet.messages(Go, "n1")[1]
    fleet.finish()
    assert states(fleet, "net") == {("n1", "n2"): "ok,ok"}


# ── anything in any order ──────────────────────────────────────────────────────────────────────────

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


# ── small parts ────────────────────────────────────────────────────────────────────────────────────


def test_names_are_sorted_as_people_count() -> None:
    assert sorted(["n10", "n9", "n1", "m", "10", "9"], key=natural_order) == [
        "9",
        "10",
        "m",
        "n1",
        "n9",
        "n10",
    ]


@pytest.mark.parametrize("name", ["²", "n1²", "٣", "１", "n①"])
def test_no_name_that_a_machine_may_give_itself_upsets_the_order(name: str) -> None:
    assert sorted([name, "n2", "n1", "7"], key=natural_order)[:1] == ["7"]


def test_addresses_of_one_subnet_are_preferred() -> None:
    a = hello("n1", addresses=["192.168.1.5/24", "10.1.0.5/16"])
    b = hello("n2", addresses=["10.1.3.6/16", "172.16.0.6/24"])
    assert data_addresses(a, b, ()) == ("10.1.0.5", "10.1.3.6")
    assert data_addresses(a, b, ("172.16.0.0/24",)) is None
    assert data_addresses(a, b, ("172.16.0.0/24", "10.0.0.0/8")) == ("10.1.0.5", "10.1.3.6")


def test_without_a_common_subnet_the_best_of_each_and_nonsense_is_left_out() -> None:
    a = hello("n1", addresses=["nonsense", "fd00::1/64", "192.168.1.5/24"])
    b = hello("n2", addresses=["10.1.3.6/16"])
    assert data_addresses(a, b, ()) == ("192.168.1.5", "10.1.3.6")
    assert data_addresses(a, hello("n3", addresses=[]), ()) is None


def test_affinity_hosts_choose_and_bound() -> None:
    nodes = [Node(f"n{n}", n, hello(f"n{n}", "abc"[n % 3])) for n in range(9)]
    plan = parse_plan(
        "jobs: {x: {component: cpu, affinity-hosts: a}, y: {component: cpu, affinity-hosts: 2},"
        " z: {component: cpu, required-hosts: 3, affinity-hosts: 'a, b'}}"
    )
    _, x, y, z = steps_of(plan)
    assert choose(x, nodes) == ("n0", "n3", "n6")
    assert choose(y, nodes) == ("n0", "n1", "n2", "n3", "n4", "n5")
    assert choose(z, nodes) == ("n0", "n1", "n3")


def test_an_explicit_inventory_is_not_taken_twice() -> None:
    assert len(steps_of(parse_plan("jobs: {a: {component: inventory}, b: {component: cpu}}"))) == 2


def test_time_limits_grow_with_the_machine() -> None:
    small, large = Parts(1, 2, 1, 1), Parts(4, 128, 8, 24)
    for name in ("cpu", "memory", "storage"):
        task = parse_plan(f"jobs: {{a: {{component: {name}, runtime: 10}}}}").jobs[0].task
        assert 60 < time_limit_s(task, small) < time_limit_s(task, large)
    disk = (
        parse_plan("jobs: {a: {component: storage, device: vda, runtime: 60, rampup-time: 5}}").jobs[0].task
    )
    assert isinstance(disk, DiskTask)
    assert time_limit_s(disk, small) == time_limit_s(disk, large) > 2 * 65
    inventory = outcome_of(steps_of(parse_plan(CPU))[0].job.task).inventory
    assert inventory is not None and parts_of(inventory) == Parts(), "unknown parts are many"
    for nonsense in (-5, 0, 10_000, 10**15):
        told = Inventory(collected_at="x", cpu=Cpu(sockets=nonsense, cores=nonsense))
        assert parts_of(told) == Parts(), "a node may tell anything"


def test_no_boast_of_a_node_holds_a_standard_plan_for_more_than_some_hours() -> None:
    boast = Inventory(
        collected_at="x",
        cpu=Cpu(sockets=64, cores=8192),
        numa=[NumaNode(node=n, cpus="") for n in range(256)],
        disks=[Disk(name=f"d{n}") for n in range(1024)],
    )
    standard = read_plan(shipped_plans()["standard"])
    assert sum(time_limit_s(job.task, parts_of(boast)) for job in standard.jobs) < 12 * 3600
    boast.disks *= 60
    assert parts_of(boast).disks == Parts().disks
