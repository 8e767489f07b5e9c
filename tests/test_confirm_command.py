"""``ahc run --confirm`` and ``ahc confirm`` from end to end: real server, real agents, real commands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ahc_server.control import ListAgents, ask
from ahc_server.store import Store
from tests.conftest import REPOSITORY
from tests.server_helpers import Stage, wait_for

PLAN = """
name: disks
jobs:
  speed: {component: storage, runtime: 1}
  cpu: {component: cpu, runtime: 1}
"""


class Scripted(Stage):
    """A stage whose agents measure what they are told to."""

    def fleet(self, speeds: dict[str, str], *, size: int = 6, wait_s: float = 0.0) -> None:
        """Agents n1 to nN, healthy ones but for those in ``speeds``; returns when all have joined."""
        self.serve("--heartbeat", "0.5")
        for number in range(1, size + 1):
            self.scripted(f"n{number}", speeds.get(f"n{number}", "1"), wait_s)
        wait_for(lambda: self.joined() == size)

    def scripted(self, name: str, speed: str, wait_s: float = 0.0) -> subprocess.Popen[str]:
        script = Path(__file__).parent / "scripted_agent.py"
        arguments = [
            f"tcp://127.0.0.1:{self.port}",
            self.key,
            name,
            str(self.folder / name),
            speed,
            str(wait_s),
        ]
        return self._keep(subprocess.Popen([sys.executable, script, *arguments], cwd=REPOSITORY, text=True))

    def joined(self) -> int:
        return len(ask(self.store.with_suffix(".ctl"), ListAgents()).machines)  # type: ignore[union-attr]

    def report(self) -> dict[str, Any]:
        code, out, err = self.ahc("report", "--format", "json")
        assert code == 0, err
        return dict(json.loads(out))

    def verdicts(self) -> dict[str, str]:
        return {node["id"]: node["verdict"] for node in self.report()["nodes"]}

    def repeats(self) -> list[tuple[str, int]]:
        with Store(self.store) as store:
            return [(step.job, step.hosts) for step in store.load_session().steps if step.repeat]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Scripted]:
    stage = Scripted(tmp_path)
    with stage:
        yield stage


def test_a_slow_disk_is_measured_again_and_confirmed(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6,0.62"})
    code, out, err = stage.ahc("run", stage.plan(PLAN), "--session", "x", "--confirm")
    assert (code, out) == (0, "x\n"), err
    assert "in doubt: n3: disk sda:" in err
    assert "again: storage of n3, beside n1, n2, n4" in err
    assert "fail: n3: disk sda:" in err
    assert "confirmed by a second run (−40 %, −3" in err
    assert stage.repeats() == [("speed", 4)], "only what is in doubt, on four of six nodes"
    assert stage.verdicts() == {f"n{n}": "fail" if n == 3 else "pass" for n in range(1, 7)}


def test_a_glitch_of_the_first_run_is_taken_back(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6,1"})
    code, _, err = stage.ahc("run", stage.plan(PLAN), "--confirm")
    assert code == 0, err
    (about,) = [each for each in stage.report()["findings"] if each["element"] == "node:n3"]
    assert about["kind"] == "unstable"
    assert "in the first run, and not when measured again" in about["summary"]
    assert about["summary"] in err


def test_with_no_suspects_nothing_is_measured_again(stage: Scripted) -> None:
    stage.fleet({}, size=4)
    code, out, err = stage.ahc("run", stage.plan(PLAN), "--session", "x", "--confirm")
    assert (code, out) == (0, "x\n")
    assert "nothing to confirm in x" in err
    assert stage.repeats() == []
    assert stage.ahc("confirm", "x")[0] == 0


def test_a_repeat_that_fails_acquits_nobody_and_can_be_asked_for_again(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6,x,0.61"})
    code, _, err = stage.ahc("run", stage.plan(PLAN), "--session", "x", "--confirm")
    assert code == 0
    assert "measured again in vain" in err
    assert stage.verdicts()["n3"] == "fail"
    code, _, err = stage.ahc("confirm", "x")
    assert code == 0, err
    assert "confirmed by a second run" in err
    assert len(stage.repeats()) == 2
    assert stage.verdicts()["n3"] == "fail"


def test_a_suspect_that_is_gone_keeps_its_finding(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6"})
    assert stage.ahc("run", stage.plan(PLAN), "--session", "x")[0] == 0
    gone = stage.others[2]
    gone.kill()
    gone.wait()
    wait_for(lambda: stage.joined() == 5)
    code, _, err = stage.ahc("confirm", "x", "--wait-nodes", "0.5")
    assert code == 3
    assert "waiting up to 0.5 s for n3" in err
    assert "not again: n3: not there to be measured again (storage); what the first run says stands" in err
    assert stage.verdicts()["n3"] == "fail"


def test_a_server_killed_in_the_repeat_goes_on_with_it(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6"}, wait_s=3.0)
    running = stage.background("run", stage.plan(PLAN), "--session", "x", "--confirm")
    wait_for(lambda: stage.store.exists() and stage_has_repeat(stage))
    # The server answers one after the other: once it has answered this, whoever asked for the repeat has been answered too.
    ask(stage.store.with_suffix(".ctl"), ListAgents())
    stage.kill_server()
    stage.serve("--heartbeat", "0.5")
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "confirmed by a second run" in err
    assert stage.repeats() == [("speed", 4)]
    with Store(stage.store) as store:
        session = store.load_session()
    assert session.state == "done"
    again = [each.machine for each in session.outcomes if each.step == 3]
    assert sorted(again) == ["n1", "n2", "n3", "n4"]


def test_a_server_that_is_away_between_the_runs_loses_nothing(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6"})
    assert stage.ahc("run", stage.plan(PLAN), "--session", "x")[0] == 0
    stage.kill_server()
    code, _, err = stage.ahc("confirm", "x", "--give-up", "0.5")
    assert code == 3
    assert "the server is away; waiting up to 0.5 s" in err
    assert "what x has measured stands; `ahc confirm x` asks for this again" in err
    stage.serve("--heartbeat", "0.5")
    assert stage.ahc("confirm", "x")[0] == 0
    assert stage.verdicts()["n3"] == "fail"
    assert stage.repeats() == [("speed", 4)]


def test_interrupted_watching_leaves_the_repeat_under_way(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6"}, wait_s=4.0)
    running = stage.background("run", stage.plan(PLAN), "--session", "x", "--confirm")
    wait_for(lambda: stage.store.exists() and stage_has_repeat(stage))
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "`ahc confirm x` asks again" in err
    assert "is running: wait for its end" in stage.ahc("confirm", "x")[2]
    wait_for(lambda: state(stage) == "done")
    assert "confirmed by a second run" in next(
        each["summary"] for each in stage.report()["findings"] if each["element"] == "node:n3"
    )


def test_a_repeat_that_was_stopped_leaves_the_first_run_as_it_was(stage: Scripted) -> None:
    stage.fleet({"n3": "0.6"}, wait_s=30.0)
    running = stage.background("run", stage.plan(PLAN), "--session", "x", "--confirm")
    wait_for(lambda: stage.store.exists() and stage_has_repeat(stage))
    assert stage.ahc("sessions", "--stop", "x")[0] == 0
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (3, "x\n"), err
    assert "stopped before its end" in err
    assert stage.verdicts() == {f"n{n}": "fail" if n == 3 else "pass" for n in range(1, 7)}


def test_what_was_not_measured_by_a_plan_of_ours_cannot_be_repeated(stage: Scripted, tmp_path: Path) -> None:
    code, _, err = stage.ahc("confirm", "nothing")
    assert code == 3
    stage.serve()
    code, _, err = stage.ahc("confirm", "nothing")
    assert code == 3
    assert "no session 'nothing'" in err or "no session yet" in err


def stage_has_repeat(stage: Scripted) -> bool:
    with Store(stage.store) as store:
        return any(step.repeat for step in store.load_session().steps) if store.sessions() else False


def state(stage: Scripted) -> str:
    with Store(stage.store) as store:
        return store.standing("x").state
