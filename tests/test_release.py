"""Machines that boot for one session, that had trouble on their way, and that are let go: the server's side."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replaced

from ahc_agent.errors import UsageError
from ahc_agent.wire.messages import Cancel, Hello, Identity, Result, Stop, TaskOutcome, Welcome
from ahc_server.admission import TooFewNodes, admit
from ahc_server.judge import judge_session
from ahc_server.naming import named_machines
from ahc_server.plan import parse_plan
from ahc_server.store import Store
from tests.judge_helpers import Fleet, verdicts
from tests.server_helpers import Stage, wait_for
from tests.wire_helpers import Peer, hello

PLAN = parse_plan("name: p\njobs: {cpu: {component: cpu, required-hosts: 2}}")


def of(**identity: object) -> Hello:
    return Hello(identity=Identity(**identity), instance="i", agent_version="0")  # type: ignore[arg-type]


def test_a_session_takes_machines_that_name_none_or_it() -> None:
    agents = {
        "n1": hello("n1"),
        "n2": replaced(hello("n2"), session="rack7"),
        "n3": replaced(hello("n3"), session="rack8"),
    }
    taken = admit(PLAN, agents, None, destructive_allowed=False, session="rack7")
    assert [machine for machine, _ in taken] == ["n1", "n2"]


def test_machines_of_other_sessions_are_counted_where_some_are_wanting() -> None:
    agents = {"n1": hello("n1"), "n3": replaced(hello("n3"), session="rack8")}
    with pytest.raises(
        TooFewNodes, match=r"2 nodes are needed, 1 are here \(1 more were booted for another session"
    ):
        admit(PLAN, agents, None, destructive_allowed=False, session="rack7")


def test_a_machine_is_named_by_what_a_report_calls_it_or_by_what_stands_on_it() -> None:
    one = of(serial="SN1", uuid="u-1", macs=["52:54:00:00:00:01", "52:54:00:00:00:02"])
    two = of(serial="SN2", uuid="u-2")
    agents = {hello.identity.machine: hello for hello in (one, two)}
    for name in ("SN1", "sn1", "u-1", "52:54:00:00:00:02", one.identity.machine):
        assert named_machines([name], agents) == [one.identity.machine]
    assert named_machines(None, agents) == sorted(agents)
    assert named_machines(["SN2", "SN1", "u-1"], agents) == sorted(agents)


def test_a_name_of_nobody_or_of_several_is_refused() -> None:
    shared = {hello.identity.machine: hello for hello in (of(serial="S", uuid="a"), of(serial="S", uuid="b"))}
    with pytest.raises(UsageError, match="'S' is the name of several machines"):
        named_machines(["S"], shared)
    with pytest.raises(UsageError, match="'SN9' is not joined now"):
        named_machines(["SN9"], shared)


def test_trouble_on_the_way_is_told_and_held_against_nobody() -> None:
    session = Fleet(6).benchmarks().session()
    troubles = tuple(f"eth{number}: no link\x1b[2J" for number in range(5))
    nodes = [replace(each, troubles=troubles if each.node == "n2" else ()) for each in session.nodes]
    report = judge_session(replace(session, nodes=nodes), generated_at="t")
    [finding] = report.findings
    assert (finding.element, finding.component, finding.kind, finding.severity) == (
        "node:n2",
        "system",
        "health",
        "info",
    )
    assert finding.summary.startswith("n2: had trouble while it booted: eth0: no link")
    assert finding.summary.endswith("; and 2 more") and finding.summary.isprintable()
    assert set(verdicts(report).values()) == {"pass"}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_machine_is_let_go_and_told_what_then(stage: Stage) -> None:
    with stage:
        stage.serve()
        peer = Peer(f"tcp://127.0.0.1:{stage.port}", server_key=stage.key)
        peer.send(replaced(hello("n1"), troubles=["eth1: no DHCP answer\x1b"]))
        welcome = peer.receive()
        assert isinstance(welcome, Welcome) and welcome.server_at_unix_s is not None
        assert stage.ahc("release", "n2")[0] == 2
        assert stage.ahc("release")[0] == stage.ahc("release", "n1", "--all")[0] == 2
        code, out, err = stage.ahc("release", "n1", "--then", "poweroff")
        assert (code, out, err) == (0, "n1\n", "1 machines switch themselves off\n")
        assert peer.receive() == Stop(reason="released", then="poweroff")
        assert "n1: on its way here: eth1: no DHCP answer\\x1b" in (stage.folder / "serve.log").read_text()
        peer.close()


def test_nobody_to_let_go_is_no_success(stage: Stage) -> None:
    with stage:
        stage.serve()
        assert stage.ahc("release", "--all")[0] == 3


def test_what_a_machine_told_of_its_boot_is_in_the_session(stage: Stage) -> None:
    with stage:
        stage.serve()
        peer = Peer(f"tcp://127.0.0.1:{stage.port}", server_key=stage.key)
        peer.send(replaced(hello("n1"), troubles=["eth1: no DHCP answer"], session="mine"))
        assert isinstance(peer.receive(), Welcome)
        plan = stage.plan("name: p\njobs: {cpu: {component: cpu, required-hosts: 1}}")
        assert stage.ahc("run", plan, "--wait-nodes", "0.2", "--session", "other")[0] == 3
        running = stage.background("run", plan, "--session", "mine")
        assert running.stderr is not None and "1 nodes" in running.stderr.readline()
        code, _, err = stage.ahc("release", "--all", "--then", "poweroff")
        assert code == 3 and "session mine is running with 1 of them" in err, "a measurement would be lost"
        stage.ahc("sessions", "--stop", "mine")
        while not isinstance(said := peer.receive(), Cancel):
            assert said is not None, "nobody called the task off"
        peer.send(Result(task_id=said.task_id, outcome=TaskOutcome(status="cancelled")))
        running.communicate(timeout=30)
        peer.close()
    with Store(stage.store) as store:
        [node] = store.load_session("mine").nodes
    assert node.troubles == ("eth1: no DHCP answer",)


def test_an_agent_that_was_started_by_hand_ends_and_nothing_else(stage: Stage) -> None:
    with stage:
        stage.serve()
        agent = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ahc_agent",
                "join",
                f"tcp://127.0.0.1:{stage.port}",
                "--server-key",
                stage.key,
                "--id",
                "n1",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: stage.ahc("release", "--all", "--then", "reboot")[0] == 0)
        _, said = agent.communicate(timeout=30)
        assert agent.returncode == 0 and "the server says stop: released" in said
