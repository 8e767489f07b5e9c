"""What goes on beside an agent on a ramdisk: a real agent and a hub."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ahc_agent.agent import Agent, Settings
from ahc_agent.boot.companion import Beside
from ahc_agent.boot.console import TROUBLES_LIMIT, Console
from ahc_agent.wire.keys import new_pair
from ahc_agent.wire.messages import Assign, BenchLimits, CpuTask, Identity, Result, Stop
from ahc_server.hub import Event, Hub, Joined, Said
from tests.wire_helpers import SERVER_KEYS, serving


class Machine:
    """An agent and what is beside it; all that its console says."""

    def __init__(self, endpoint: str, *, give_up_at_s: float | None = None) -> None:
        self.lines: list[str] = []
        self.console = Console(self.lines.append)
        self.clock: list[float] = []
        self.moves: list[bool] = []
        self.beside = Beside(
            self.console,
            lambda: bool(self.moves) and self.moves.pop(),
            lambda server: ["10.0.0.9/24"] if server == "127.0.0.1" else [],
            built_at_s=0.0,
            set_clock=self.clock.append,
            give_up_at_s=give_up_at_s,
        )
        settings = Settings(endpoint, SERVER_KEYS.public, new_pair(), Identity(name="n1"), session="s")
        self.agent = Agent(settings, self.beside.say, self.beside)

    def said(self, text: str) -> list[str]:
        return [line for line in self.lines if text in line]


def joins(events: list[Event]) -> list[Joined]:
    return [event for event in events if isinstance(event, Joined)]


def test_an_agent_tells_its_troubles_its_session_and_later_its_programs() -> None:
    def stop(hub: Hub, event: Event) -> None:
        if isinstance(event, Joined) and event.hello.programs:
            hub.send("n1", Stop(reason="released", then="reboot"))

    with serving(on_event=stop) as (hub, events):
        machine = Machine(hub.endpoint)
        machine.console.trouble("eth0: no DHCP answer")
        machine.agent.run()
    first, last = joins(events)[0].hello, joins(events)[-1].hello
    assert (first.session, first.troubles, first.programs) == ("s", ["eth0: no DHCP answer"], {})
    assert last.programs and last.addresses == ["10.0.0.9/24"] and last.instance == first.instance
    assert machine.agent.stopped == Stop(reason="released", then="reboot")
    assert len(machine.said("joined the server")) == 1
    assert machine.clock == [], "both clocks are the same here"


def test_what_goes_wrong_later_is_told_too() -> None:
    def act(hub: Hub, event: Event) -> None:
        if isinstance(event, Joined) and "later" in event.hello.troubles:
            hub.send("n1", Stop())
        elif isinstance(event, Joined):
            machine.console.trouble("later")

    with serving(on_event=act) as (hub, events):
        machine = Machine(hub.endpoint)
        machine.agent.run()
    assert joins(events)[0].hello.troubles == [] and joins(events)[-1].hello.troubles == ["later"]


def test_what_goes_wrong_later_is_told_also_where_much_went_wrong_before() -> None:
    def act(hub: Hub, event: Event) -> None:
        if isinstance(event, Joined) and "later" in event.hello.troubles:
            hub.send("n1", Stop())
        elif isinstance(event, Joined) and event.hello.programs:
            machine.console.trouble("later")
            machine.beside._tell_at_s = 0.0

    with serving(on_event=act) as (hub, events):
        machine = Machine(hub.endpoint)
        for number in range(TROUBLES_LIMIT):
            machine.console.trouble(f"trouble {number}")
        machine.agent.run()
    assert len(joins(events)[-1].hello.troubles) == TROUBLES_LIMIT


def test_addresses_that_change_before_the_server_is_there_are_in_the_first_greeting() -> None:
    def stop(hub: Hub, event: Event) -> None:
        if isinstance(event, Joined):
            hub.send("n1", Stop())

    with serving(on_event=stop) as (hub, events):
        machine = Machine(hub.endpoint)
        machine.moves = [True]
        machine.agent.run()
    assert joins(events)[0].hello.addresses == ["10.0.0.9/24"]


def test_the_console_tells_what_runs() -> None:
    def act(hub: Hub, event: Event) -> None:
        if isinstance(event, Joined) and not event.hello.programs:
            limits = BenchLimits(runtime_s=0.3, min_samples=2)
            hub.send(
                "n1", Assign(task_id="t1", task=CpuTask(scopes=("all",), limits=limits), time_limit_s=30)
            )
        elif isinstance(event, Said) and isinstance(event.message, Result):
            hub.send("n1", Stop())

    with serving(on_event=act) as (hub, _):
        machine = Machine(hub.endpoint)
        machine.agent.run()
    assert machine.said("work      the CPUs: begins")
    assert machine.said("work      the CPUs: done in") or machine.said("trouble   the CPUs: ")


def test_an_agent_that_finds_nobody_gives_up_in_time() -> None:
    machine = Machine("tcp://127.0.0.1:1", give_up_at_s=time.monotonic() + 1.0)
    machine.agent.run()
    assert machine.beside.gave_up and machine.agent.stopped is None
    [kept] = machine.console.troubles
    assert kept.startswith("no server at tcp://127.0.0.1:1")


def test_an_agent_that_makes_way_for_another_leaves_no_file_open() -> None:
    """A machine whose servers are away tries one after the other for days, each by an agent of its own."""

    def opened() -> int:
        machine = Machine("tcp://127.0.0.1:1")
        machine.agent.end("another server is named")
        machine.agent.run()
        return len([*Path("/proc/self/fd").iterdir()])

    opened()  # what a first one loads stays
    counts = [opened() for _ in range(6)]
    assert counts[-1] - counts[0] < len(counts) - 1, "not one for each; what ran before may still end"


def test_a_person_who_comes_late_hears_why_there_is_no_server_and_since_when() -> None:
    machine = Machine("tcp://127.0.0.1:1")
    machine.agent.end("the test is over")
    machine.agent.run()
    failure = "no server at tcp://127.0.0.1:1"
    for minute in range(61):
        machine.beside._say_again(failure, 60.0 * minute)
    told = machine.said("by now. Check that `ahc serve` runs there")
    assert "tried for 6 min by now" in told[0] and 9 <= len(told) <= 11
    machine.beside._say_again(None, 3700.0)
    machine.beside._say_again(failure, 3800.0)
    assert len(machine.said("by now")) == len(told), "it was there in between"
    assert len(machine.console.troubles) <= 1


@pytest.mark.parametrize("text", ["the server says stop", "the result of t1 is in memory only"])
def test_other_sentences_of_the_agent_are_work(text: str) -> None:
    machine = Machine("tcp://127.0.0.1:1")
    machine.beside.say(text)
    machine.agent.end("the test is over")
    machine.agent.run()  # an agent that never ran holds a ZeroMQ context, whose end would be waited for for ever
    assert machine.said(f" work      {text}") and machine.console.troubles == []
