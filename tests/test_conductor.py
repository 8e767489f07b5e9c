"""The conductor on a fleet where all goes well, and its small parts."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from ahc_agent.facts import Cpu, Disk, Inventory, NumaNode
from ahc_agent.order import natural_order
from ahc_agent.wire.messages import DiskTask, Go, PairTask, Result, TaskOutcome
from ahc_server.conductor.expand import choose, data_addresses, steps_of
from ahc_server.conductor.limits import (
    parts_of,
    time_limit_s,
)
from ahc_server.conductor.model import Node, Parts
from ahc_server.hub.events import Said
from ahc_server.plan import parse_plan, read_plan, shipped_plans
from tests.conductor_helpers import (
    BOTH,
    CPU,
    NETWORK,
    SimulatedFleet,
    assigned,
    bare,
    hello,
    outcome_of,
    states,
)


def test_the_inventory_comes_first_and_then_the_jobs(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, BOTH, bare(3))
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


def test_nodes_on_different_hosts_are_measured_at_once(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)  # inventory
    assert all(len(agent.tasks) == 1 for agent in fleet.agents.values())


@pytest.mark.parametrize(("affinity", "at_once"), [("fair", 1), ("any", 3)])
def test_nodes_of_one_physical_host_are_not_unless_asked(tmp_path: Path, affinity: str, at_once: int) -> None:
    plan = f"jobs: {{cpu: {{component: cpu, affinity: {affinity}}}}}"
    fleet = SimulatedFleet(tmp_path, plan, dict.fromkeys(["n1", "n2", "n3"], "h"))
    for name in fleet.agents:
        fleet.work(name)
    assert sum(len(agent.tasks) for agent in fleet.agents.values()) == at_once
    fleet.finish()
    assert len(states(fleet, "cpu")) == 3


def test_a_ramp_up_runs_its_hosts_at_once_spread_over_physical_hosts(tmp_path: Path) -> None:
    plan = "jobs: {cpu: {component: cpu, required-hosts: 1-5, step-hosts: 3}}"
    hosts: dict[str, str | None] = {"n1": "a", "n2": "a", "n3": "a", "n4": "b", "n5": "b", "n6": "c"}
    fleet = SimulatedFleet(tmp_path, plan, hosts)
    fleet.finish()
    session = fleet.store.load_session()
    assert [step.hosts for step in session.steps[1:]] == [1, 3, 5]
    machines = {step: sorted(r.machine for r in session.outcomes if r.step == step) for step in (1, 2, 3)}
    assert machines == {1: ["n1"], 2: ["n1", "n4", "n6"], 3: ["n1", "n2", "n4", "n5", "n6"]}
    assert all(record.hosts == 5 for record in session.outcomes if record.step == 3)


def test_both_ends_of_a_pair_start_when_both_are_ready(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(2))
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


def test_pairs_of_a_round_start_together(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    for name in fleet.agents:
        fleet.work(name)
    for name in ("n1", "n2", "n3"):
        fleet.work(name)
        assert not fleet.messages(Go)
    fleet.work("n4")
    assert len(fleet.messages(Go)) == 4


def test_every_pair_is_measured_once(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(5))
    fleet.finish()
    pairs = Counter(frozenset(unit) for unit in states(fleet, "net"))
    assert pairs == Counter(frozenset(pair) for pair in combinations(fleet.agents, 2))


def test_tokens_are_used_once(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(4))
    fleet.finish()
    tokens = Counter(one.task.token for one in assigned(fleet) if isinstance(one.task, PairTask))
    assert set(tokens.values()) == {2}


def test_the_spread_of_starts_is_the_steps_jitter(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, CPU, bare(3))
    for name in fleet.agents:
        fleet.work(name)
    for name, delay in zip(fleet.agents, (0.25, 0.125, 0.5), strict=True):
        task = assigned(fleet, name)[-1]
        fleet.agents[name].tasks.clear()
        outcome = TaskOutcome(status="ok", start_delay_s=delay)
        fleet.turn([Said(name, Result(task_id=task.task_id, outcome=outcome), fleet.now_s)])
    assert fleet.store.load_session().steps[-1].start_jitter_s == 0.375


def test_edeploys_sample_runs_as_it_is_on_81_machines_of_3_hypervisors(tmp_path: Path, shared: Path) -> None:
    path = shared / "edeploy" / "dahc-sample.yaml"
    if not path.is_file():
        pytest.skip("no sample among the recordings")
    fleet = SimulatedFleet(tmp_path, path.read_text(), {f"n{n}": f"hypervisor{n % 3}" for n in range(81)})
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
