"""The conductor where rounds are chosen: enough of them, the same after a kill, and nobody idle beside a lost partner."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.wire.messages import Flow, PairOutcome, PairTask, TaskOutcome
from ahc_server.rounds import LEAST_ROUNDS, unseen
from tests import conductor_helpers
from tests.conductor_helpers import NETWORK, SimulatedFleet, bare, outcome_of, states
from tests.test_conductor_restarts import moves

LINE = 1e9
Wave = list[frozenset[str]]

#: Node → the part of the line that its card does.
slow: dict[str, float] = {}


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Agents that tell of flows."""
    slow.clear()
    monkeypatch.setattr(conductor_helpers, "outcome_of", with_flows)
    yield
    slow.clear()


def with_flows(task: object, status: str = "ok") -> TaskOutcome:
    if not isinstance(task, PairTask):
        return outcome_of(task, status)
    own = f"n{int(task.address.rpartition('.')[2]) - 1}"  # as the helpers give out addresses
    rate = LINE * min(slow.get(own, 1.0), slow.get(task.peer, 1.0))
    flows = [Flow(source=a, destination=b, bytes_per_s=rate) for a, b in ((own, task.peer), (task.peer, own))]
    pair = PairOutcome(pair_id=task.pair_id, role=task.role, peer=task.peer, connected=True, flows=flows)
    return TaskOutcome(status="ok", pair=pair)


def waves(fleet: SimulatedFleet) -> list[Wave]:
    """Who was to meet in each wave, as the store has it."""
    rows = fleet.store._db.execute(
        "SELECT wave, unit, machine FROM tasks WHERE session = ? AND role != 'solo'", (fleet.session,)
    )
    found: dict[int, dict[str, set[str]]] = {}
    for wave, unit, machine in rows:
        found.setdefault(wave, {}).setdefault(unit, set()).add(machine)
    return [sorted(map(frozenset, units.values()), key=sorted) for _, units in sorted(found.items())]


def ends_ok(fleet: SimulatedFleet) -> Counter[frozenset[str]]:
    """Pair → how often one of its ends has a result that counts: twice for each meeting."""
    found: Counter[frozenset[str]] = Counter()
    for record in fleet.store.load_session().outcomes:
        if record.job == "net" and record.outcome.status == "ok" and record.outcome.pair is not None:
            found[frozenset((record.machine, record.outcome.pair.peer))] += 1
    return found


def work(fleet: SimulatedFleet, until: int) -> None:
    """Everybody works until so many pairs are through."""
    for _ in range(500):
        if fleet.over() or (
            fleet.conductor.standing().job == "net" and fleet.conductor.standing().done >= until
        ):
            return
        for name in fleet.agents:
            fleet.work(name)
    raise AssertionError("nothing moves")


def finished(folder: Path, plan: str = NETWORK, nodes: int = 20, hosts: str | None = None) -> SimulatedFleet:
    fleet = SimulatedFleet(folder, plan, dict.fromkeys(bare(nodes), hosts))
    fleet.finish(2000)
    return fleet


def test_a_small_fleet_meets_in_all_pairs(tmp_path: Path) -> None:
    fleet = finished(tmp_path, nodes=8)
    assert set(map(frozenset, states(fleet, "net"))) == set(map(frozenset, combinations(fleet.agents, 2)))
    assert unseen(fleet.store.load_session()) is None


def test_a_healthy_fleet_is_through_after_the_fewest_rounds_and_the_report_is_told(tmp_path: Path) -> None:
    fleet = finished(tmp_path)
    assert [len(wave) for wave in waves(fleet)] == [10] * LEAST_ROUNDS
    assert "60 of 190 pairs" in (unseen(fleet.store.load_session()) or "")


def test_all_and_a_number_are_what_they_say(tmp_path: Path) -> None:
    for rounds, count in (("all", 19), ("3", 3)):
        (tmp_path / rounds).mkdir()
        fleet = finished(tmp_path / rounds, f"jobs: {{net: {{component: network, rounds: {rounds}}}}}")
        assert [len(wave) for wave in waves(fleet)] == [10] * count


def test_no_round_begins_when_the_time_is_spent_also_after_a_restart(tmp_path: Path) -> None:
    slow["n7"] = 0.943
    plan = "jobs: {net: {component: network, budget: 1s}}"
    fleet = SimulatedFleet(tmp_path, plan, bare(20))
    work(fleet, 3)
    fleet.tick(5.0)
    fleet.restart_server()
    fleet.finish(2000)
    meetings = Counter(chain.from_iterable(ends_ok(fleet)))
    assert set(meetings.values()) == {2}, "with one partner nobody can tell which end is slow"


def test_a_bisection_runs_as_many_halvings_as_asked_and_knows_it_beforehand(tmp_path: Path) -> None:
    plan = "jobs: {net: {component: network, rounds: bisection, most-rounds: 2}}"
    fleet = SimulatedFleet(tmp_path, plan, bare(20))
    work(fleet, 1)
    assert fleet.conductor.standing().units == 20
    fleet.finish(2000)
    assert [len(wave) for wave in waves(fleet)] == [10, 10]


def test_a_suspect_gets_further_rounds(tmp_path: Path) -> None:
    slow["n7"] = 0.943  # nearly what matters: neither cleared nor proven
    assert LEAST_ROUNDS < len(waves(finished(tmp_path))) <= 16


def test_the_standing_counts_what_is_planned_so_far(tmp_path: Path) -> None:
    slow["n7"] = 0.943
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(20))
    work(fleet, 1)
    assert fleet.conductor.standing().units == 10 * LEAST_ROUNDS
    work(fleet, 10 * LEAST_ROUNDS + 1)
    standing = fleet.conductor.standing()
    assert standing.units == standing.done + 10 > 10 * LEAST_ROUNDS


@pytest.mark.parametrize(
    ("hosts", "after"), [(None, 0), (None, 5), (None, 31), ("one", 0), ("one", 3), ("one", 28), ("one", 33)]
)
def test_a_killed_server_goes_on_with_the_same_rounds(tmp_path: Path, hosts: str | None, after: int) -> None:
    slow["n7"] = 0.943
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = waves(finished(tmp_path / "whole", nodes=10, hosts=hosts))
    fleet = SimulatedFleet(tmp_path / "killed", NETWORK, dict.fromkeys(bare(10), hosts))
    work(fleet, after)
    assert not fleet.over()
    fleet.restart_server()
    fleet.finish(2000)
    again = waves(fleet)
    # Pairs that were not started when the server died begin anew, in waves of their own at the end.
    assert again[: len(whole)] == whole
    assert all(set(wave) <= set(chain.from_iterable(whole)) for wave in again[len(whole) :])
    wanted = Counter(chain.from_iterable(whole))
    assert ends_ok(fleet) == Counter({pair: 2 * times for pair, times in wanted.items()})


def test_the_partner_of_a_lost_node_meets_another_whose_partner_is_lost(tmp_path: Path) -> None:
    fleet = SimulatedFleet(tmp_path, NETWORK, bare(20))
    work(fleet, 1)
    fleet.lose("n3")
    fleet.lose("n4")
    for _ in range(60):
        for name in fleet.agents:
            fleet.work(name)
        fleet.tick(5.0)
    assert fleet.over()
    every = waves(fleet)
    there = [name for name in fleet.agents if name not in ("n3", "n4")]
    for wave in every[2:]:  # two of the second wave were under way
        met = [pair for pair in wave if not pair & {"n3", "n4"}]
        assert set(chain.from_iterable(met)) == set(there), "nobody is idle"
    meetings = Counter(chain.from_iterable(ends_ok(fleet).elements()))
    assert all(meetings[name] >= 2 * (len(every) - 2) for name in there)


def test_what_is_measured_again_is_each_of_its_pairs(tmp_path: Path) -> None:
    from tests.test_conductor_repeats import repeat

    fleet = finished(tmp_path)
    machines = [f"n{number}" for number in range(1, 13)]
    repeat(fleet, (1, machines, []))
    fleet.finish(2000)
    again = [record for record in fleet.store.load_session().outcomes if record.step == 2]
    assert len(again) == 12 * 11


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([None, "h"]), st.lists(moves, max_size=60), st.booleans())
def test_whatever_dies_the_session_ends_and_every_result_counts_once(
    host: str | None, story: list[tuple[str, object]], suspect: bool
) -> None:
    slow.update({"n2": 0.943} if suspect else {})
    with tempfile.TemporaryDirectory() as path:
        fleet = SimulatedFleet(Path(path), NETWORK, dict.fromkeys(bare(10), host))
        acts = {"work": fleet.work, "lose": fleet.lose, "join": fleet.join}
        for move, what in story:
            if move in acts:
                acts[move](str(what))
            elif move == "kill":
                fleet.lose(str(what), killed=True)
            elif move == "rejoin":
                fleet.join(str(what), killed=True)
            elif move == "tick":
                assert isinstance(what, float)
                fleet.tick(what)
            elif move == "server":
                fleet.restart_server()
            for name in fleet.agents:
                fleet.work(name)
        fleet.finish(2000)
        session = fleet.store.load_session()
        assert session.state == "done"
        stored = {row[0] for row in fleet.store._db.execute("SELECT task_id FROM results")}
        assert set(fleet.acknowledged) <= stored, "acknowledged and not on the disk"
        units = Counter((record.task_id, record.machine) for record in session.outcomes)
        assert max(units.values()) == 1
        fleet.store.close()
