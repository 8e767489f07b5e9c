"""Looking up a server's name never holds the loop that waits for it."""

from __future__ import annotations

import select
import socket
import threading
import time

import pytest

from ahc_agent.wire.keys import new_pair
from ahc_agent.wire.link import Link
from ahc_agent.wire.lookup import Lookup
from ahc_agent.wire.messages import Hello, Identity


def ended(lookup: Lookup) -> tuple[str, ...] | None:
    select.select([lookup], [], [], 30)
    return lookup.addresses


@pytest.mark.parametrize(("host", "address"), [("10.0.0.1", "10.0.0.1"), ("[fd00::1]", "fd00::1")])
def test_an_address_is_known_at_once(host: str, address: str) -> None:
    lookup = Lookup(host)
    assert lookup.addresses == (address,)
    lookup.close()


def test_a_name_is_looked_up_beside_its_asker() -> None:
    lookup = Lookup("localhost")
    assert set(ended(lookup) or ()) & {"127.0.0.1", "::1"}
    lookup.close()


@pytest.mark.parametrize("host", ["no..such.host", "x" * 64 + ".invalid"])
def test_a_name_that_cannot_be_one_has_no_address(host: str) -> None:
    lookup = Lookup(host)
    assert ended(lookup) == ()
    lookup.close()


@pytest.fixture
def silent_name_server(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Whoever asks for an address waits until the event is set."""
    answers = threading.Event()
    real = socket.getaddrinfo

    def wait(*words: object, **more: object) -> object:
        answers.wait(30)
        return real("127.0.0.1", None, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    return answers


def test_a_look_up_that_nobody_waits_for_any_more_ends_by_itself(silent_name_server: threading.Event) -> None:
    before = set(threading.enumerate())
    lookup = Lookup("some.name")
    [thread] = set(threading.enumerate()) - before
    lookup.close()
    silent_name_server.set()
    thread.join(30)
    assert lookup.addresses == ("127.0.0.1",)


def test_a_link_goes_on_while_a_name_server_is_silent(
    silent_name_server: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    before = set(threading.enumerate())
    link = Link(
        "tcp://some.name:1",
        new_pair().public,
        new_pair(),
        hello=lambda: Hello(identity=Identity(), instance="i", agent_version="1"),
        say=said.append,
    )
    try:
        assert link.poll(0.01) == [] and link.peer is None and said == []
        for _ in range(3):
            link._due_at = time.monotonic()  # its patience is over
            link.poll(0.01)
        asked = [thread.name for thread in set(threading.enumerate()) - before]
        assert asked.count("lookup") == 1, "what takes long is waited for, not begun anew"
        assert said == ["the name of the server at tcp://some.name:1 cannot be resolved; trying again"]
        silent_name_server.set()
        until_s = time.monotonic() + 30
        while link.peer is None and time.monotonic() < until_s:
            link.poll(0.1)
        assert link.peer == "127.0.0.1"
    finally:
        link.close()
