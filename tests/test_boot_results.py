"""Results of a machine that goes from server to server: each gets those of its own tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ahc_agent.agent import Agent
from ahc_agent.boot.arguments import read
from ahc_agent.boot.companion import Beside
from ahc_agent.boot.console import Console
from ahc_agent.boot.sequence import Boot, Powers
from ahc_agent.boot.servers import Server
from ahc_agent.wire.keys import new_pair
from ahc_agent.wire.messages import Result, TaskOutcome


class Machine:
    """A boot that has come to its servers; nobody is there."""

    def __init__(self, folder: Path) -> None:
        console = Console(lambda line: None)
        self.boot = Boot(read(""), console, Powers(machine=False, run=folder))
        self.beside = Beside(
            console,
            lambda: False,
            lambda server: [],
            built_at_s=0.0,
            set_clock=None,
            give_up_at_s=None,
        )

    def waiting_for(self, server: Server, *more: Result) -> list[str]:
        """Tasks whose results an agent of this server keeps, once it has ended; ``more`` are done meanwhile."""
        agent: Agent = self.boot._agent(server, self.beside)
        for result in more:
            agent._outbox.put(result)
        agent.end("another server is named")
        agent.run()
        return agent._outbox.task_ids()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_result_waits_for_the_server_that_asked_for_it_and_goes_to_no_other(machine: Machine) -> None:
    """Another one acknowledges what it never asked for, and drops it."""
    first, other = (Server("tcp://127.0.0.1:1", new_pair().public) for _ in range(2))
    done = Result(task_id="t1", outcome=TaskOutcome(status="ok", started_at_unix_s=0.0, duration_s=1.0))
    assert machine.waiting_for(first, done) == ["t1"]
    assert machine.waiting_for(other) == []
    moved = Server("tcp://127.0.0.1:2", first.key)
    assert machine.waiting_for(moved) == ["t1"], "the same server by another address"
