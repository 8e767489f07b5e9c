"""A real server and real agents in rounds that are chosen, the server killed in the middle."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from ahc_server.judge import judge_session
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
    assert {record.outcome.status for record in ends} == {"ok"}
    assert Counter(record.machine for record in ends) == dict.fromkeys(names, LEAST_ROUNDS)
    assert session.steps[-1].start_jitter_s is not None
    notes = judge_session(session, generated_at="now").notes
    assert any("30 of 45 pairs of nodes met" in note and "rounds: all" in note for note in notes)


def _pairs_done(stage: Stage) -> int:
    if not stage.store.exists():
        return 0
    with Store(stage.store) as store:
        if not store.has_session("s"):
            return 0
        return sum(record.component == "network" for record in store.load_session("s").outcomes)
