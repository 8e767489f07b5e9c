"""Server, agents and commands as real processes; and a server that is killed again and again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec
import pytest
import zmq

from ahc_agent.errors import ServerAway
from ahc_server.control import Declined, ListAgents, StatusOf, Submit, ask
from ahc_server.store import Store
from tests.import_helpers import Ahc
from tests.quick_agent import told
from tests.server_helpers import Stage, wait_for

SHORT = """
name: short
jobs:
  cpu: {component: cpu, runtime: 1}
  net: {component: network, runtime: 1}
"""
LONG = "jobs: {cpu: {component: cpu, required-hosts: 1-2, runtime: 1}}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as stage:
        yield stage


def test_a_plan_from_submission_to_the_store(stage: Stage) -> None:
    server = stage.serve()
    agents = [stage.agent(name) for name in ("n1", "n2", "n3")]
    code, out, err = stage.ahc("run", stage.plan(SHORT), "--nodes", "3", "--session", "first")
    assert (code, out) == (0, "first\n"), err
    assert "session first: 3 nodes" in err
    assert "ahc report --session first" in err
    with Store(stage.store) as store:
        session = store.load_session("first")
    assert session.state == "done"
    assert Counter(record.job for record in session.outcomes) == {"inventory": 3, "cpu": 3, "net": 6}
    assert {record.outcome.status for record in session.outcomes} == {"ok"}
    code, out, _ = stage.ahc("sessions")
    assert code == 0
    assert out.splitlines()[1].split()[:3] == ["first", "short", "done"]
    server.terminate()
    assert server.wait(20) == 0
    assert not stage.store.with_suffix(".ctl").exists()
    for agent in agents:
        agent.terminate()
        assert agent.wait(20) == 0


def test_a_session_name_is_taken_once(stage: Stage) -> None:
    stage.serve()
    stage.agent("n1")
    plan = stage.plan("jobs: {cpu: {component: cpu}}")
    assert stage.ahc("run", plan, "--session", "x", "--nodes", "1")[0] == 0
    code, _, err = stage.ahc("run", plan, "--session", "x")
    assert code == 2
    assert "'x' already" in err
    first = stage.ahc("run", plan)[1]
    second = stage.ahc("run", plan)[1]
    assert first != second, "names from plan and time differ"


def test_what_cannot_run_is_said_with_the_right_exit_code(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = stage.plan("jobs:\n  cpu:\n    component: cpu\n    required-hosts: 1-3\n")
    code, _, err = stage.ahc("run", plan)
    assert code == 3 and "ahc serve" in err, "no server"
    stage.serve()
    stage.agent("n1")
    here = Ahc(stage.store, monkeypatch, capsys)
    code, _, err = here("run", plan, "--wait-nodes", "0.5")
    assert code == 3 and "3 nodes are needed" in err
    code, _, err = here("run", plan, "--nodes", "2")
    assert code == 2 and "needs 3 nodes" in err
    code, _, err = here("run", stage.plan("jobs:\n  cpu:\n    componnt: cpu\n"))
    assert code == 2 and "plan.yaml:2" in err and "component" in err
    code, _, err = here(
        "run", stage.plan("destructive: true\njobs: {d: {component: storage, access: write}}")
    )
    assert code == 2 and "--allow-destructive" in err
    for name in ("", "a/b", "x\n", "\x1b[2J", "x" * 129):
        code, _, err = here("run", plan, "--session", name, "--wait-nodes", "0")
        assert code == 2 and "--session" in err and "\x1b" not in err
    code, _, err = here("run", "no-such-plan")
    assert code == 2 and "shipped: network, quick, standard" in err


@pytest.mark.parametrize("bind", ["nonsense", "tcp://127.0.0.1:99999", "tcp://127.0.0.1", "ipc:///tmp/x"])
def test_where_nobody_can_listen_is_wrong_use(stage: Stage, bind: str) -> None:
    code, out, err = stage.ahc("serve", "--bind", bind)
    assert (code, out) == (2, "")
    assert "tcp://HOST:PORT is meant" in err


def test_a_store_has_one_server(stage: Stage) -> None:
    server = stage.serve()
    code, _, err = stage.ahc("serve", "--bind", "tcp://127.0.0.1:*")
    assert code == 3
    assert f"process {server.pid}" in err
    stage.kill_server()
    stage.serve()


def test_the_control_socket_is_the_owners_alone_and_takes_no_nonsense(stage: Stage) -> None:
    stage.serve()
    control = stage.store.with_suffix(".ctl")
    assert control.stat().st_mode & 0o777 == 0o600
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.connect(f"ipc://{control}")
        for frames in ([b"junk"], [b""], [b"a", b"b"], [msgspec.msgpack.encode({"type": "submit"})]):
            socket.send_multipart(frames)
            assert socket.poll(10_000)
            assert msgspec.msgpack.decode(socket.recv(), type=Declined).exit_code == 3
        socket.send(b"\x00" * (9 * 1024 * 1024))
    context.term()
    reply = ask(control, Submit(plan="jobs: [", file="bad.yaml"))
    assert isinstance(reply, Declined) and "bad.yaml:1" in reply.reason and reply.exit_code == 2
    reply = ask(control, StatusOf(session="nothing"))
    assert isinstance(reply, Declined) and "no session" in reply.reason
    assert not isinstance(ask(control, ListAgents()), Declined)


def test_a_socket_that_a_starting_server_takes_away_while_we_look_is_a_server_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = tmp_path / "ahc.ctl"
    control.touch()
    monkeypatch.setattr(Path, "exists", lambda path: path.is_file() and not path.unlink())
    with pytest.raises(ServerAway, match="nobody listens"):
        ask(control, ListAgents())


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_the_server_of_another_user_is_not_ours_to_ask(stage: Stage) -> None:
    stage.serve()
    asks = (
        "import sys; from pathlib import Path; from ahc_server.control import ListAgents, ask;"
        "ask(Path(sys.argv[1]), ListAgents())"
    )
    # Of root's powers only that to walk through all folders is left.
    walks = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", *walks]
    child = subprocess.run(
        [*nobody, sys.executable, "-c", asks, stage.store.with_suffix(".ctl")], capture_output=True, text=True
    )
    assert "you may not talk to this server (it belongs to another user)" in child.stderr


def test_a_path_that_is_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with Stage(deep) as stage:
        stage.serve()
        stage.agent("n1")
        assert stage.ahc("run", stage.plan("jobs: {cpu: {component: cpu}}"), "--nodes", "1")[0] == 0


def test_interrupting_the_watcher_leaves_the_plan_running_and_stopping_ends_it(stage: Stage) -> None:
    stage.serve()
    for name in ("n1", "n2"):
        stage.agent(name, 60.0)
    watcher = stage.background("run", stage.plan(LONG), "--session", "s", "--nodes", "2")
    assert watcher.stderr is not None
    while "cpu on" not in watcher.stderr.readline():
        pass
    watcher.send_signal(signal.SIGINT)
    out, err = watcher.communicate(timeout=20)
    assert (watcher.returncode, out) == (130, "")
    assert "the plan goes on" in err
    code, _, err = stage.ahc("run", stage.plan(LONG))
    assert code == 3 and "session s is running" in err
    assert stage.ahc("sessions", "--stop", "s")[0] == 0
    wait_for(lambda: "stopped" in stage.ahc("sessions")[1])
    assert stage.ahc("sessions", "--stop", "s")[0] == 3


def test_a_watcher_gives_up_on_a_server_that_stays_away(stage: Stage) -> None:
    stage.serve()
    stage.agent("n1", 60.0)
    watcher = stage.background(
        "run", stage.plan("jobs: {c: {component: cpu}}"), "--nodes", "1", "--give-up", "1"
    )
    assert watcher.stderr is not None
    while "c on" not in watcher.stderr.readline():
        pass
    stage.kill_server()
    _, err = watcher.communicate(timeout=30)
    assert watcher.returncode == 3
    assert "the server is away" in err


def test_a_server_killed_at_random_points_loses_and_repeats_nothing(stage: Stage) -> None:
    """Compares what agents were told is on the disk with what is there, and what they did with what counts."""
    jobs = "".join(f"  cpu{n}: {{component: cpu, required-hosts: 2-4, step-hosts: 2}}\n" for n in range(4))
    jobs += "".join(f"  net{n}: {{component: network, parallel: 1}}\n" for n in range(3))
    names = ["n1", "n2", "n3", "n4"]
    stage.serve("--heartbeat", "1")
    for name in names:
        stage.agent(name, 0.06)
    watcher = stage.background("run", stage.plan("jobs:\n" + jobs), "--nodes", "4", "--session", "s")
    wait_for(lambda: stage.store.exists() and "running" in stage.ahc("sessions")[1])
    chance = random.Random(7)
    kills = 0
    while watcher.poll() is None and kills < 8:
        time.sleep(chance.uniform(0.02, 0.8))
        stage.kill_server()
        kills += 1
        stage.serve("--heartbeat", "1")
    err = watcher.communicate(timeout=120)[1]
    assert watcher.returncode == 0, err
    assert kills >= 3
    with Store(stage.store) as store:
        session = store.load_session("s", whole=True)
    assert session.state == "done"
    assert {node.lost for node in session.nodes} == {None}
    with sqlite3.connect(stage.store) as database:
        stored = [row[0] for row in database.execute("SELECT task_id FROM results")]
    acked = Counter(
        line for name in names for line in (stage.folder / name / "acked").read_text().split("\n")[:-1]
    )
    did = {
        tuple(line.split())
        for name in names
        for line in (stage.folder / name / "did").read_text().splitlines()
    }
    assert set(acked) <= set(stored), "acknowledged, and lost"
    assert len(stored) == len(set(stored))
    for record in session.outcomes:
        assert record.outcome.status == "ok", f"{record.task_id}: {record.outcome.error}"
        assert (record.task_id, told(record.outcome)) in did, "stored is not what was measured"
    counts = Counter((record.job, record.hosts) for record in session.outcomes)
    expected = {("inventory", 4): 4} | {(f"cpu{n}", hosts): hosts for n in range(4) for hosts in (2, 4)}
    assert counts == expected | {(f"net{n}", 4): 12 for n in range(3)}
    pairs = Counter(
        (record.job, frozenset((record.machine, record.outcome.pair.peer)))
        for record in session.outcomes
        if record.outcome.pair is not None
    )
    assert pairs == {(f"net{n}", frozenset(pair)): 2 for n in range(3) for pair in combinations(names, 2)}
