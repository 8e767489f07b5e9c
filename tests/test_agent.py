"""A real ``ahc-agent join`` and a hub: what a machine does when servers come, go, refuse and lie."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ahc_agent.wire.keys import load_or_create, new_pair
from ahc_agent.wire.messages import Ack, Assign, CpuTask, Go, InventoryTask, PairTask, Ready, Result, Stop
from ahc_server.hub import Event, Hub, Joined, Lost, Said
from tests.wire_helpers import SERVER_KEYS, Peer, hello, joined, serving, until

AGENT = Path(sys.executable).with_name("ahc-agent")


class Joining:
    """An ``ahc-agent join`` under way; ``stderr()`` is what it has said so far."""

    def __init__(self, folder: Path, endpoint: str, *options: str, key: str = SERVER_KEYS.public) -> None:
        self._log = folder / f"stderr-{os.urandom(4).hex()}"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [AGENT, "join", endpoint, f"--server-key={key}", "--id", "n1", *options], stderr=log
            )

    def stderr(self) -> str:
        return self._log.read_text()

    def says(self, text: str) -> None:
        """Wait until it has said this."""
        try:
            until(lambda: text in self.stderr(), 30)
        except AssertionError:
            raise AssertionError(f"{text!r} was not said, but:\n{self.stderr()}") from None

    def ends(self) -> int:
        return self.process.wait(20)


@pytest.fixture
def join(tmp_path: Path) -> Iterator[Callable[..., Joining]]:
    agents: list[Joining] = []

    def start(endpoint: str, *options: str, **more: str) -> Joining:
        agents.append(Joining(tmp_path, endpoint, *options, **more))
        return agents[-1]

    yield start
    for agent in agents:
        agent.process.kill()
        agent.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def results(events: list[Event]) -> list[Result]:
    return [
        event.message for event in events if isinstance(event, Said) and isinstance(event.message, Result)
    ]


def wait_for_joins(events: list[Event], count: int) -> None:
    until(lambda: len(joined(events)) == count)


def acknowledge(hub: Hub, event: Event) -> None:
    if isinstance(event, Said) and isinstance(event.message, Result):
        hub.send(event.machine, Ack(task_id=event.message.task_id))


INVENTORY = Assign(task_id="t1", task=InventoryTask(), time_limit_s=60)


def test_an_agent_joins_works_and_ends_when_told_to(join: Callable[..., Joining]) -> None:
    with serving(on_event=acknowledge) as (hub, events):
        agent = join(hub.endpoint, "--physical-host", "rack-7", "--address", "10.1.0.3/24")
        until(lambda: joined(events))
        greeting = hub.machines()["n1"]
        assert greeting.identity.physical_host == "rack-7"
        assert greeting.addresses == ["10.1.0.3/24"]
        assert greeting.busy is None
        assert hub.send("n1", INVENTORY)
        (done,) = until(lambda: results(events))
        assert done.task_id == "t1"
        assert done.outcome.status == "ok"
        assert hub.send("n1", Stop(reason="enough"))
        assert agent.ends() == 0
        until(lambda: any(isinstance(event, Lost) for event in events))
        assert "joined the server" in agent.stderr()
        assert "the server says stop: enough" in agent.stderr()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_politely(join: Callable[..., Joining], number: signal.Signals) -> None:
    with serving() as (hub, events):
        agent = join(hub.endpoint)
        until(lambda: joined(events))
        agent.process.send_signal(number)
        assert agent.ends() == 0
        lost = until(lambda: [event for event in events if isinstance(event, Lost)])
        assert lost[0].reason == f"said goodbye: ended by {number.name}"


def test_a_signal_ends_the_programs_of_its_task_too(join: Callable[..., Joining]) -> None:
    with serving() as (hub, events):
        agent = join(hub.endpoint)
        until(lambda: joined(events))
        hub.send("n1", Assign(task_id="t1", task=CpuTask(), time_limit_s=60))
        children = Path(f"/proc/{agent.process.pid}/task")
        program = until(lambda: program_of(children))
        agent.process.terminate()
        assert agent.ends() == 0
        until(lambda: not Path(f"/proc/{program}").exists())


def program_of(threads: Path) -> int | None:
    """The first child of any thread of a process that has become another program."""
    for thread in threads.iterdir():
        for pid in (thread / "children").read_text().split():
            if b"sysbench" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    return None


def test_a_result_is_sent_until_it_is_acknowledged(join: Callable[..., Joining]) -> None:
    with serving() as (hub, events):
        join(hub.endpoint)
        until(lambda: joined(events))
        hub.send("n1", INVENTORY)
        first, again = until(lambda: len(results(events)) >= 2 and results(events))
        assert first == again


def test_a_task_whose_result_waits_is_not_done_twice(join: Callable[..., Joining]) -> None:
    with serving() as (hub, events):
        join(hub.endpoint)
        until(lambda: joined(events))
        hub.send("n1", INVENTORY)
        until(lambda: results(events))
        hub.send("n1", INVENTORY)
        first, again = until(lambda: len(results(events)) >= 2 and results(events)[:2])
        assert first == again


def test_it_comes_back_to_a_server_that_was_started_anew(join: Callable[..., Joining]) -> None:
    bind = f"tcp://127.0.0.1:{free_port()}"
    with serving(bind, epoch="first") as (hub, events):
        agent = join(bind)
        until(lambda: joined(events))
        hub.send("n1", INVENTORY)
        (unacknowledged,) = until(lambda: results(events))
        instance = hub.machines()["n1"].instance
    agent.says("is gone; trying again")
    with serving(bind, epoch="second", on_event=acknowledge) as (hub, events):
        until(lambda: joined(events), 40)
        greeting = next(event.hello for event in events if isinstance(event, Joined))
        assert (greeting.instance, greeting.unacknowledged) == (instance, ["t1"])
        assert until(lambda: results(events))[0] == unacknowledged
    assert agent.process.poll() is None


def test_a_pair_that_waits_for_its_go_says_so_to_a_server_that_was_started_anew(
    join: Callable[..., Joining],
) -> None:
    def readies(events: list[Event]) -> list[Ready]:
        return [each.message for each in events if isinstance(each, Said) and isinstance(each.message, Ready)]

    bind = f"tcp://127.0.0.1:{free_port()}"
    pair = PairTask(pair_id="p", role="listen", peer="n2", token="00" * 8, address="127.0.0.1")
    with serving(bind, epoch="first") as (hub, events):
        join(bind)
        until(lambda: joined(events))
        hub.send("n1", Assign(task_id="t1", task=pair, time_limit_s=60))
        (first,) = until(lambda: readies(events))
    with serving(bind, epoch="second") as (hub, events):
        assert until(lambda: readies(events), 40)[0] == first, "the ports that it listens on"
        hub.send("n1", Go(task_id="t1"))
        before = len(joined(events))  # on a busy machine it may have asked twice already
        hub.expire(time.monotonic() + 60)  # forgotten: it joins again
        until(lambda: len(joined(events)) > before)
        until(lambda: results(events), 40)  # nobody came
        assert len(readies(events)) == 1, "after its Go it is ready no more"


def test_it_joins_a_server_that_forgot_it_without_a_break_of_the_connection(
    join: Callable[..., Joining],
) -> None:
    with serving(lost_after_s=30) as (hub, events):
        join(hub.endpoint)
        until(lambda: joined(events))
        before = len(joined(events))
        hub.expire(time.monotonic() + 60)
        until(lambda: len(joined(events)) > before)


def test_an_agent_that_is_started_before_the_server_waits_for_it(join: Callable[..., Joining]) -> None:
    bind = f"tcp://127.0.0.1:{free_port()}"
    agent = join(bind)
    agent.says(f"no server at {bind}; trying again")
    time.sleep(1)
    with serving(bind) as (_, events):
        until(lambda: joined(events), 40)
    assert agent.stderr().count("no server at") <= 2, "said once per change"


def test_a_wrong_server_key_is_told_plainly(join: Callable[..., Joining]) -> None:
    with serving() as (hub, events):
        agent = join(hub.endpoint, key=new_pair().public)
        agent.says(f"the server at {hub.endpoint} does not hold the key that was given")
        assert joined(events) == []


def test_a_key_that_the_server_does_not_admit_is_told_plainly(
    join: Callable[..., Joining], tmp_path: Path
) -> None:
    key_file = tmp_path / "agent.key"
    admitted = frozenset({load_or_create(key_file).public})
    with serving(authorized_keys=admitted) as (hub, events):
        stranger = join(hub.endpoint)
        stranger.says("does not admit this agent's key")
        assert joined(events) == []
        stranger.process.terminate()
        join(hub.endpoint, "--key-file", str(key_file))
        until(lambda: joined(events))


def test_a_server_is_found_by_any_address_of_its_name(join: Callable[..., Joining]) -> None:
    """ "localhost" is ::1 first on many machines, and this server listens on 127.0.0.1 only."""
    with serving() as (hub, events):
        join(hub.endpoint.replace("127.0.0.1", "localhost"))
        until(lambda: joined(events))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "no..such.host", "x" * 64 + ".invalid"])
def test_a_name_that_nobody_knows_is_told_plainly_and_tried_again(
    join: Callable[..., Joining], host: str
) -> None:
    agent = join(f"tcp://{host}:5570")
    agent.says(f"the name of the server at tcp://{host}:5570 cannot be resolved; trying again")
    assert agent.process.poll() is None


def test_something_else_at_the_endpoint_is_told_plainly(join: Callable[..., Joining]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        agent = join(f"tcp://127.0.0.1:{other.getsockname()[1]}")
        connection, _ = other.accept()
        connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n" * 4)
        connection.close()
        agent.says("is no AHC server; trying again")


def test_a_second_agent_of_the_same_name_is_refused_until_the_first_is_gone(
    join: Callable[..., Joining],
) -> None:
    with serving(lost_after_s=1) as (hub, events):
        first = Peer(hub.endpoint)
        first.send(hello("n1"))
        until(lambda: joined(events))
        agent = join(hub.endpoint)
        for _ in range(30):
            first.send(hello("n1"))
            time.sleep(0.05)
        agent.says("refuses this agent: another agent with this identity is connected")
        first.close()
        until(lambda: hub.machines().get("n1") and hub.machines()["n1"].instance != "i1", 40)


def test_a_killed_agent_with_a_spool_loses_nothing_that_it_finished(
    join: Callable[..., Joining], tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    with serving() as (hub, events):
        agent = join(hub.endpoint, "--spool", str(spool))
        until(lambda: joined(events))
        hub.send("n1", INVENTORY)
        (done,) = until(lambda: results(events))
        agent.process.kill()
        agent.process.wait()
    with serving(on_event=acknowledge) as (hub, events):
        join(hub.endpoint, "--spool", str(spool))
        (again,) = until(lambda: results(events))
        assert again == done
        greeting = next(event for event in events if isinstance(event, Joined))
        assert greeting.hello.unacknowledged == ["t1"]
        until(lambda: [path.name for path in spool.iterdir()] == ["agent.key"])


def test_with_a_spool_an_agent_keeps_its_key_and_joins_again_at_once(
    join: Callable[..., Joining], tmp_path: Path
) -> None:
    with serving(lost_after_s=3600) as (hub, events):
        for count in (1, 2, 3):
            agent = join(hub.endpoint, "--spool", str(tmp_path / "spool"))
            wait_for_joins(events, count)
            agent.process.kill()
            agent.process.wait()
        assert len({event.public_key for event in events if isinstance(event, Joined)}) == 1


@pytest.mark.parametrize("reason", ["away", "refused", "lost"])
def test_once_means_not_to_come_back(join: Callable[..., Joining], reason: str) -> None:
    if reason == "away":
        agent = join(f"tcp://127.0.0.1:{free_port()}", "--once")
        assert agent.ends() == 3
        assert "ahc-agent: no server at" in agent.stderr()
        return
    with serving() as (hub, events):
        if reason == "refused":
            first = Peer(hub.endpoint)
            first.send(hello("n1"))
            until(lambda: joined(events))
            assert join(hub.endpoint, "--once").ends() == 3
            first.close()
            return
        agent = join(hub.endpoint, "--once")
        until(lambda: joined(events))
    assert agent.ends() == 3


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "where is the server?"),
        (["tcp://h:5570"], "where is the server?"),
        (["ipc:///x", "--server-key", SERVER_KEYS.public], "tcp://HOST:PORT is meant"),
        (["tcp://h:99999", "--server-key", SERVER_KEYS.public], "tcp://HOST:PORT is meant"),
        (["tcp://h:5570", "--server-key", "short"], "is not a CURVE public key"),
        (["tcp://h:5570", f"--server-key={SERVER_KEYS.public}", "--id", "a b"], "--id"),
        (["tcp://h:5570", f"--server-key={SERVER_KEYS.public}", "--disk", "disk0=sdb"], "--disk"),
        (["tcp://h:5570", f"--server-key={SERVER_KEYS.public}", "--disk=a=/x", "--disk=a=/y"], "same name"),
        (["tcp://h:5570", f"--server-key={SERVER_KEYS.public}", "--address", "here"], "is no IP address"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(arguments: list[str], complaint: str) -> None:
    done = subprocess.run([AGENT, "join", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done.stderr
    assert complaint in done.stderr


def test_on_a_ramdisk_server_and_key_are_read_from_the_kernel_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ahc_agent import agent
    from ahc_agent.commands import join as command_room

    cmdline = tmp_path / "cmdline"
    cmdline.write_text(
        f'BOOT_IMAGE=/vmlinuz quiet ahc.server=old:1 ahc.server="tcp://10.0.0.1:5570" ahc.key={SERVER_KEYS.public} ro\n'
    )
    seen: list[Any] = []
    monkeypatch.setattr(command_room, "_KERNEL_ARGUMENTS", str(cmdline))
    monkeypatch.setattr(agent.Agent, "__init__", lambda self, settings, say: seen.append(settings))
    monkeypatch.setattr(agent.Agent, "run", lambda self: None)
    command_room.command.main([], standalone_mode=False)
    assert (seen[0].endpoint, seen[0].server_key) == ("tcp://10.0.0.1:5570", SERVER_KEYS.public)
