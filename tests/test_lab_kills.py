"""Kill the server and the agents again and again in the middle of a plan: what was acknowledged is stored, once."""

from __future__ import annotations

import random
import re
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from ahc_agent.errors import NoData
from ahc_server.lab.fleet import Fleet
from ahc_server.lab.model import LabSpec, node_names
from ahc_server.paths import Where
from ahc_server.session import OutcomeRecord, Session
from ahc_server.store import Store
from tests.lab_helpers import needs_lab, traces, wait_for

PLAN = """
name: many-small-tasks
jobs:
  inventory: {component: inventory}
  disk-1: {component: storage, mode: sequential, access: read, block-size: 1M, runtime: 0.5, simultaneous: false}
  disk-2: {component: storage, mode: random, access: read, block-size: 4K, runtime: 0.5, simultaneous: false}
  network: {component: network, rounds: all, runtime: 0.3}
  disk-3: {component: storage, mode: random, access: read, block-size: 4K, runtime: 0.5, simultaneous: false}
"""
ROUNDS = 8


def acknowledged(logs: Path) -> set[str]:
    """Task ids that the server told any agent it had stored, by the agents' logs."""
    text = "".join(path.read_text(errors="replace") for path in logs.glob("n*.log"))
    return set(re.findall(r"acknowledged: (\S+)", text))


def stored(store: Path) -> set[str]:
    """Task ids whose results are on the disk; also those that do not count, because the measurement was done again."""
    with closing(sqlite3.connect(store)) as database:
        return {task_id for (task_id,) in database.execute("SELECT task_id FROM results")}


def _measured(record: OutcomeRecord) -> bool:
    return record.component != "network" or record.outcome.pair is not None


def _measurement(record: OutcomeRecord) -> tuple[int, str, str]:
    """What an outcome is about: the step, the node and, of a pair, its other end."""
    pair = record.outcome.pair
    return (record.step, record.machine, pair.peer if pair is not None else "")


@pytest.mark.root
@needs_lab
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_nothing_acknowledged_is_lost_and_nothing_counts_twice(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    where = Where(tmp_path / "store" / "ahc.db")
    plan, logs = tmp_path / "plan.yaml", tmp_path / "logs"
    plan.write_text(PLAN)

    def session() -> Session | None:
        try:
            return Store(where.store).load_session("kills")
        except NoData:
            return None

    with Fleet(LabSpec(node_names(3)), where, logs) as fleet:
        fleet.start_server()
        for node in fleet.spec.nodes:
            fleet.start_agent(node)
        fleet.start_run(str(plan), "kills")
        wait_for(session)
        for _ in range(ROUNDS):
            time.sleep(chance.uniform(0.2, 2.0))
            victim = chance.choice(["server", *fleet.spec.nodes])
            if victim == "server":
                fleet.kill_server()
                time.sleep(chance.uniform(0.0, 0.5))
                fleet.start_server()
            else:
                fleet.kill_agent(victim)
                time.sleep(chance.uniform(0.0, 0.5))
                fleet.start_agent(victim)
        ended = wait_for(lambda: (found := session()) and found.state in ("done", "stopped") and found, 90)
        assert isinstance(ended, Session)
    promised = acknowledged(logs)
    assert len(promised) >= 10, "the kills came too early to prove anything"
    assert promised - stored(where.store) == set(), "acknowledged, but not in the store"
    counted = Counter(_measurement(record) for record in ended.outcomes if _measured(record))
    assert max(counted.values()) == 1, "one measurement counts twice"
    assert traces(fleet.lab_id) == []
