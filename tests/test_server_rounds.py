"""A real server and real agents in rounds that are chosen, the server killed in the middle."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from ahc_agent.wire.messages import TaskOutcome
from ahc_server.judge import judge, judge_session
from ahc_server.rounds import LEAST_ROUNDS
from ahc_server.store import Store
from tests.server_helpers import Stage, wait_for

NODES = 10


def test_chosen_rounds_are_the_same_and_as_many_when_the_server_is_killed_in_the_middle(
    tmp_path: Path,
) -> None:
    with Stage(tmp_path) as stage:
        stage.serve("--heartbeat", "1")
        names = [f"n{number}" for number in range(NODES)]
        for name in names:
            stage.agent(name, 0.1)
        plan = stage.plan("jobs: {net: {component: network}}")
        watcher = stage.background("run", plan, "--nodes", str(NODES), "--session", "s")
        wait_for(lambda: _pairs_done(stage) >= NODES, 60)
        stage.kill_server()
        time.sleep(0.3)
        stage.serve("--heartbeat", "1")
        err = watcher.communicate(timeout=120)[1]
        assert watcher.returncode == 0, err
        with Store(stage.store) as store:
            session = store.load_session("s", whole=True)
    ends = [record for record in session.outcomes if record.component == "network"]
    assert session.state == "done"
    # An end that the kill caught before its start is called off, and its pair meets anew: no half of it is left.
    assert {record.outcome.status for record in ends} == {"ok"}
    measured = [record for record in ends if record.outcome.status == "ok"]
    met: dict[int, set[str]] = defaultdict(set)
    for record in measured:
        assert record.outcome.pair is not None
        met[record.wave] |= {record.machine, record.outcome.pair.peer}
    assert len(met) >= LEAST_ROUNDS
    assert all(each == set(names) for each in met.values())
    assert session.steps[-1].start_jitter_s is not None
    notes = judge_session(session, generated_at="now").notes
    # On a busy machine a flow is odd now and then, and its pair meets again.
    pairs = len({frozenset((each.machine, each.outcome.pair.peer)) for each in measured if each.outcome.pair})
    assert any(f"{pairs} of 45 pairs of nodes met" in note and "rounds: all" in note for note in notes), notes


@pytest.mark.parametrize("go", [1, 2, 4])
def test_a_go_that_was_written_down_and_never_heard_loses_no_pair_and_no_time(
    tmp_path: Path, go: int
) -> None:
    """The server dies instead of saying its first Go, its second or its fourth: nobody, one end, or one pair and one end have
    heard it. An end would wait for its Go longer than this test has patience."""
    with Stage(tmp_path) as stage:
        dies = [sys.executable, str(Path(__file__).with_name("mortal_server.py")), str(go)]
        server = stage.serve("--heartbeat", "1", program=dies)
        for number in range(4):
            stage.agent(f"n{number}", 0.1)
        plan = stage.plan("jobs: {net: {component: network, rounds: all}}")
        watcher = stage.background("run", plan, "--nodes", "4", "--session", "s")
        assert server.wait(60) == -signal.SIGKILL
        server.communicate()
        stage.serve("--heartbeat", "1")
        err = watcher.communicate(timeout=25)[1]
        assert watcher.returncode == 0, err
        with Store(stage.store) as store:
            session = store.load_session("s")
    ends = [record for record in session.outcomes if record.component == "network"]
    assert {record.outcome.status for record in ends} == {"ok"}
    met = Counter(
        frozenset((record.machine, record.outcome.pair.peer)) for record in ends if record.outcome.pair
    )
    assert len(met) == 6 and set(met.values()) == {2}, "each pair once, and both of its ends"


def test_starts_are_told_round_by_round_with_how_well_the_clock_was_known(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        stage.serve()
        for number in range(4):
            stage.agent(f"n{number}")
        plan = stage.plan("jobs: {net: {component: network, rounds: bisection}}")
        code, _, err = stage.ahc("run", plan, "--nodes", "4", "--session", "s", time_limit_s=200)
        assert code == 0, err
        with Store(stage.store) as store:
            session = store.load_session("s", whole=True)
    rounds = judge(session, generated_at="now").rounds
    assert [(each.round, each.pairs) for each in rounds] == [(1, 2), (2, 2), (3, 2)]
    assert all(each.start_jitter_s is not None and each.clock_error_s is not None for each in rounds)


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("end", [_kill, _stop])
def test_a_node_that_dies_or_hangs_in_a_round_holds_nobody_and_the_others_meet_on(
    tmp_path: Path, end: Callable[[int], None]
) -> None:
    """One that hangs is no less away: its connection stands, but it says nothing."""
    names = [f"n{number}" for number in range(NODES)]
    gone = "n3"
    with Stage(tmp_path) as stage:
        stage.serve("--heartbeat", "1")
        agents = {name: stage.agent(name, 0.3) for name in names}
        plan = stage.plan("jobs: {net: {component: network, rounds: 6}}")
        watcher = stage.background("run", plan, "--nodes", str(NODES), "--session", "s")
        wait_for(lambda: _pairs_done(stage) >= NODES + 2, 60)  # in the midst of the second round
        end(agents[gone].pid)
        err = watcher.communicate(timeout=200)[1]
        assert watcher.returncode in (0, 1), err
        with Store(stage.store) as store:
            session = store.load_session("s", whole=True)
    assert session.state == "done"
    assert {node.machine for node in session.nodes if node.lost} == {gone}
    met: dict[int, dict[str, TaskOutcome]] = {}
    for record in session.outcomes:
        if record.component == "network" and record.outcome.status == "ok":
            met.setdefault(record.wave, {})[record.machine] = record.outcome
    assert sorted(met)[:6] == list(range(6))
    rest = [wave for wave, of in met.items() if gone not in of and 2 <= wave < 6]
    assert rest, "it was gone before the last round"
    for wave in rest[1:]:  # where it went in the midst of one, its partner there had to wait
        there = set(met[wave])
        assert len(there) == NODES - 2, "of nine, one rests"
        assert gone not in there
    resting = Counter(name for wave in rest[1:] for name in set(names) - set(met[wave]) - {gone})
    assert all(times < len(rest) for times in resting.values())


def _pairs_done(stage: Stage) -> int:
    if not stage.store.exists():
        return 0
    with Store(stage.store) as store:
        if not store.has_session("s"):
            return 0
        return sum(record.component == "network" for record in store.load_session("s").outcomes)
