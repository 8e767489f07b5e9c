"""The hub: who is let in, whose word counts for whom, and what it says of whom it lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from ahc_agent.errors import UsageError
from ahc_agent.measure import Measurement
from ahc_agent.wire.codec import FRAME_LIMIT_BYTES
from ahc_agent.wire.keys import new_pair
from ahc_agent.wire.messages import (
    Ack,
    Bye,
    Heartbeat,
    Hello,
    Identity,
    Progress,
    Pulse,
    Refused,
    Result,
    TaskOutcome,
    Welcome,
    WhoAreYou,
)
from ahc_server.hub import Hub, Joined, Lost, Said
from tests.wire_helpers import Peer, gather, hello, joined, make_hub, until


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = make_hub(lost_after_s=60)
    yield hub
    hub.close()


@pytest.fixture
def peers(hub: Hub) -> Iterator[list[Peer]]:
    """Three peers with keys of their own."""
    peers = [Peer(hub.endpoint) for _ in range(3)]
    yield peers
    for peer in peers:
        peer.close()


def admit(hub: Hub, peer: Peer, greeting: Hello) -> Joined:
    peer.send(greeting)
    (event,) = gather(hub, 1)
    assert isinstance(event, Joined)
    assert isinstance(peer.receive(), Welcome)
    return event


def result(task_id: str = "t1") -> Result:
    return Result(task_id=task_id, outcome=TaskOutcome(status="ok"))


def serve(hub: Hub, seconds: float = 0.3) -> None:
    """Let the hub take what comes, and say that nothing is handed on."""
    assert gather(hub, 1, seconds) == []


def test_a_machine_that_says_hello_is_admitted_under_the_key_of_its_connection(
    hub: Hub, peers: list[Peer]
) -> None:
    event = admit(hub, peers[0], hello("n1"))
    assert (event.machine, event.public_key, event.hello) == ("n1", peers[0].keys.public, hello("n1"))
    assert hub.machines() == {"n1": hello("n1")}


def test_heartbeats_are_answered_with_the_agents_own_time(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    before = time.monotonic_ns()
    peers[0].send(Heartbeat(sequence=7, sent_at_ns=123))
    serve(hub)
    pulse = peers[0].receive()
    assert isinstance(pulse, Pulse)
    assert (pulse.sequence, pulse.sent_at_ns) == (7, 123)
    assert before < pulse.server_at_ns < time.monotonic_ns()


def test_what_a_machine_says_is_handed_on_in_order_and_bears_its_name(hub: Hub, peers: list[Peer]) -> None:
    for name, peer in zip(("n1", "n2"), peers, strict=False):
        admit(hub, peer, hello(name))
    said = [Progress(task_id="t1", fraction=0.5), result("t1"), result("t2")]
    for message in said:
        peers[1].send(message)
    events = gather(hub, 3)
    assert [(event.machine, event.message) for event in events if isinstance(event, Said)] == [
        ("n2", message) for message in said
    ]


def test_messages_reach_the_machine_they_are_for(hub: Hub, peers: list[Peer]) -> None:
    for name, peer in zip(("n1", "n2"), peers, strict=False):
        admit(hub, peer, hello(name))
    assert hub.send("n2", Ack(task_id="t9"))
    assert peers[1].receive() == Ack(task_id="t9")
    assert peers[0].receive(0.1) is None


def test_sending_to_nobody_says_so(hub: Hub, peers: list[Peer]) -> None:
    assert not hub.send("n1", Ack(task_id="t1"))
    admit(hub, peers[0], hello("n1"))
    peers[0].socket.close(0)
    until(lambda: not hub.send("n1", Ack(task_id="t1")))
    assert hub.stats["unsent"] == 1


def test_a_stranger_is_asked_who_it_is_and_what_it_said_is_dropped(hub: Hub, peers: list[Peer]) -> None:
    peers[0].send(result())
    serve(hub)
    assert isinstance(peers[0].receive(), WhoAreYou)
    assert hub.stats["stranger"] == 1


def test_a_connected_machine_cannot_be_taken_over_by_another_key(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    peers[1].send(hello("n1", "i2"))
    serve(hub)
    refused = peers[1].receive()
    assert isinstance(refused, Refused)
    assert "another agent with this identity is connected" in refused.reason
    peers[1].send(result())  # and its word does not count
    serve(hub)
    peers[0].send(result("mine"))
    (event,) = gather(hub, 1)
    assert event == Said("n1", result("mine"), event.at_s)


def test_not_even_when_its_connection_is_closed_for_a_moment(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    peers[0].socket.close(0)
    until(lambda: not hub.send("n1", Ack(task_id="t1")))
    peers[1].send(hello("n1", "i2"))
    serve(hub)
    assert isinstance(peers[1].receive(), Refused)


def test_after_goodbye_another_key_may_speak_for_the_machine(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    peers[0].send(Bye(reason="reboot"))
    (event,) = gather(hub, 1)
    assert isinstance(event, Lost)
    assert (event.machine, event.reason) == ("n1", "said goodbye: reboot")
    admit(hub, peers[1], hello("n1", "i2"))


def test_a_silent_machine_is_lost_and_another_key_may_speak_for_it(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    now = time.monotonic()
    assert hub.expire(now + 59) == []
    assert hub.expire(now + 61) == [Lost("n1", "silent for 60 s", now + 61)]
    assert hub.machines() == {}
    admit(hub, peers[1], hello("n1", "i2"))


def test_a_lost_machine_that_speaks_again_is_asked_who_it_is(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    hub.expire(time.monotonic() + 61)
    peers[0].send(Heartbeat(sequence=1, sent_at_ns=1))
    serve(hub)
    assert isinstance(peers[0].receive(), WhoAreYou)
    admit(hub, peers[0], hello("n1"))


def test_nobody_is_lost_while_the_hub_has_not_read_what_has_come(hub: Hub, peers: list[Peer]) -> None:
    """A server that was busy with its disk for a minute finds the heartbeats of that minute in its queue."""
    admit(hub, peers[0], hello("n1"))
    for number in range(10):
        peers[0].send(Heartbeat(sequence=number, sent_at_ns=1))
    until(lambda: hub.socket.poll(10))
    time.sleep(0.1)
    hub.receive(max_frames=5)
    assert hub.expire(time.monotonic() + 61) == []
    hub.receive()
    assert [lost.machine for lost in hub.expire(time.monotonic() + 61)] == ["n1"]


def test_an_agent_that_reconnects_takes_its_place_again(hub: Hub, peers: list[Peer]) -> None:
    first = peers[0]
    admit(hub, first, hello("n1", "i1"))
    again = Peer(hub.endpoint, first.keys)
    try:
        admit(hub, again, hello("n1", "i1"))
        assert hub.send("n1", Ack(task_id="t"))
        assert again.receive() == Ack(task_id="t")
    finally:
        again.close()


def test_an_agent_started_anew_with_its_key_waits_only_for_the_old_connection_to_close(
    hub: Hub, peers: list[Peer]
) -> None:
    first = peers[0]
    admit(hub, first, hello("n1", "i1"))
    again = Peer(hub.endpoint, first.keys)
    try:
        again.send(hello("n1", "i2"))
        serve(hub)
        assert isinstance(again.receive(), Refused)
        first.socket.close(0)
        until(lambda: not hub.send("n1", Ack(task_id="t")))
        admit(hub, again, hello("n1", "i2"))
    finally:
        again.close()


def test_a_connection_speaks_for_one_machine(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    peers[0].send(hello("n2"))
    events = gather(hub, 2)
    assert isinstance(events[0], Lost)
    assert events[0].machine == "n1"
    assert joined(events) == ["n2"]
    assert list(hub.machines()) == ["n2"]


def test_machines_may_share_a_key(hub: Hub) -> None:
    """One ramdisk image with a key in it boots them all."""
    keys = new_pair()
    peers = [Peer(hub.endpoint, keys) for _ in range(3)]
    try:
        for number, peer in enumerate(peers):
            admit(hub, peer, hello(f"n{number}", f"i{number}"))
        assert len(hub.machines()) == 3
    finally:
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("name", ["n1\n2026 forged line", "\x1b[2Jn1", "n\u202e1"])
def test_names_that_could_forge_a_log_or_a_report_are_refused(hub: Hub, peers: list[Peer], name: str) -> None:
    peers[0].send(hello(name))
    serve(hub)
    refused = peers[0].receive()
    assert isinstance(refused, Refused)
    assert "cannot be printed" in refused.reason


@pytest.mark.parametrize(
    "identity",
    [
        Identity(name=" "),
        Identity(serial=" ", hostname="\x1b[2J"),
        Identity(uuid="u", macs=["02:00:00:00:00:01", "\n"]),
        Identity(name="n1", physical_host="\r"),
    ],
)
def test_nothing_of_an_identity_can_forge_a_line(hub: Hub, peers: list[Peer], identity: Identity) -> None:
    peers[0].send(Hello(identity=identity, instance="i1", agent_version="0"))
    serve(hub)
    assert isinstance(peers[0].receive(), Refused)


def test_last_words_can_neither_forge_a_line_nor_fill_the_screen(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    peers[0].send(Bye(reason="\x1b[2J\n" + "x" * 4000))
    (event,) = gather(hub, 1)
    assert isinstance(event, Lost)
    assert event.reason.isprintable() and len(event.reason) < 300


def test_no_more_of_a_greeting_is_kept_than_is_needed(hub: Hub, peers: list[Peer]) -> None:
    long = msgspec.structs.replace(hello("n1"), unacknowledged=[f"t{n}" for n in range(10_000)])
    assert admit(hub, peers[0], long).hello == long
    assert hub.machines()["n1"].unacknowledged == []
    peers[1].send(msgspec.structs.replace(hello("n2"), programs={f"p{n}": "1" for n in range(65)}))
    serve(hub)
    assert hub.stats["invalid"] == 1


def test_only_authorized_keys_finish_the_handshake() -> None:
    known = new_pair()
    hub = make_hub(authorized_keys=frozenset({known.public}))
    stranger, friend = Peer(hub.endpoint), Peer(hub.endpoint, known)
    try:
        stranger.send(hello("bad"))
        friend.send(hello("good"))
        assert joined(gather(hub, 1)) == ["good"]
        until(lambda: hub.stats["unauthorized"] > 0)
        serve(hub)
        assert list(hub.machines()) == ["good"]
    finally:
        stranger.close()
        friend.close()
        hub.close()


def test_a_peer_with_a_wrong_server_key_says_nothing_that_is_heard(hub: Hub) -> None:
    peer = Peer(hub.endpoint, server_key=new_pair().public)
    try:
        peer.send(hello("n1"))
        serve(hub, 0.5)
    finally:
        peer.close()


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        ((b"\xc1",), "malformed"),
        ((b"",), "malformed"),
        ((hello(), b""), "parts"),
        ((b"", hello()), "parts"),
        ((b"\x82\xa1v\x09\xa4type\xa3bye",), "version"),
        ((b"\x82\xa1v\x01\xa4type\xa4stop",), "unknown-type"),
        ((b"\x82\xa1v\x01\xa4type\xa5hello",), "invalid"),
        ((b"\xc0" * 1_100_000,), "oversized"),
    ],
)
def test_bad_frames_are_counted_logged_once_and_hurt_nobody(
    hub: Hub,
    peers: list[Peer],
    frames: tuple[bytes, ...],
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    admit(hub, peers[0], hello("n1"))
    for _ in range(5):
        peers[1].send(*frames)
    until(lambda: hub.receive() or hub.stats[kind] == 5)
    assert sum("dropped a frame" in record.message for record in caplog.records) == 1
    peers[0].send(result())
    assert len(gather(hub, 1)) == 1
    peers[1].send(hello("n2"))  # a peer that mends its ways is welcome
    assert joined(gather(hub, 1)) == ["n2"]


def test_a_machine_that_has_joined_may_send_large_results(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    measurement = Measurement(component="disk", part="p" * 4000, quantity="q", unit="u", value=1.0)
    large = Result(task_id="t", outcome=TaskOutcome(status="ok", measurements=[measurement] * 1000))
    peers[0].send(large)
    (event,) = gather(hub, 1)
    assert isinstance(event, Said)
    assert event.message == large


def test_one_turn_takes_a_bounded_number_of_bytes_so_that_a_fleet_can_deliver_at_once(
    hub: Hub, peers: list[Peer]
) -> None:
    admit(hub, peers[0], hello("n1"))
    measurement = Measurement(component="disk", part="p" * 4000, quantity="q", unit="u", value=1.0)
    large = Result(task_id="t", outcome=TaskOutcome(status="ok", measurements=[measurement] * 1000))
    for _ in range(6):
        peers[0].send(large)
    turns: list[int] = []
    while sum(turns) < 6:
        hub.socket.poll(5000)
        turns.append(len(hub.receive()))
    assert max(turns) <= 3


def test_a_frame_beyond_all_bounds_ends_its_connection_and_no_other(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("n1"))
    admit(hub, peers[1], hello("n2"))
    peers[1].send(bytes(FRAME_LIMIT_BYTES + 1))
    until(lambda: not gather(hub, 1, 0.01) and not hub.send("n2", Ack(task_id="t")))
    peers[0].send(result())
    assert len(gather(hub, 1)) == 1


def test_a_peer_that_reads_nothing_does_not_stop_the_hub(hub: Hub, peers: list[Peer]) -> None:
    admit(hub, peers[0], hello("slow"))
    admit(hub, peers[1], hello("n2"))
    refusal = Refused(reason="x" * 4000)
    until(lambda: not all(hub.send("slow", refusal) for _ in range(500)), 60)
    assert hub.stats["unsent"] > 0
    peers[1].send(Heartbeat(sequence=1, sent_at_ns=1))
    serve(hub)
    assert isinstance(peers[1].receive(), Pulse)


def test_an_endpoint_that_is_taken_is_said(hub: Hub) -> None:
    with pytest.raises(UsageError, match="cannot listen"):
        make_hub(hub.endpoint)


def test_identity_decides_the_machine_not_the_connection(hub: Hub, peers: list[Peer]) -> None:
    greeting = Hello(
        identity=Identity(uuid="u-1", serial="S1", macs=["02:00:00:00:00:01"]),
        instance="i1",
        agent_version="0",
    )
    assert admit(hub, peers[0], greeting).machine == "u-1/S1/02:00:00:00:00:01"
