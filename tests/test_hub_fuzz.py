"""The hub under fire: 100,000 hostile frames and garbage on the port, and every honest agent is served meanwhile.

The hostile peers have finished the handshake: they hold the server's public key, as any agent of an open enrolment does.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import msgpack

from ahc_agent.errors import WireError
from ahc_agent.wire import codec
from ahc_agent.wire.keys import new_pair
from ahc_agent.wire.link import Link, State
from ahc_agent.wire.messages import (
    Ack,
    Bye,
    Heartbeat,
    PairOutcome,
    Progress,
    Ready,
    Result,
    TaskOutcome,
)
from ahc_agent.wire.outbox import Outbox
from ahc_server.hub import Event, Hub, Said
from tests.wire_helpers import SERVER_KEYS, Peer, hello, serving, until

HOSTILE_FRAMES = 100_000
HOSTILE_PEERS = 4
HONEST, RESULTS_EACH = 6, 25

VALID = [
    codec.encode(message)
    for message in (
        hello("honest-0", "stolen"),
        hello("hostile"),
        Heartbeat(sequence=1, sent_at_ns=1),
        Ready(task_id="honest-0/0", ports={"bulk": 1}),
        Progress(task_id="honest-0/0", fraction=0.5),
        Result(task_id="honest-0/0", outcome=TaskOutcome(status="failed", error="forged")),
        Result(
            task_id="t",
            outcome=TaskOutcome(
                status="ok", pair=PairOutcome(pair_id="p", role="listen", peer="x", connected=True)
            ),
        ),
        Bye(reason="forged"),
    )
]


def random_bytes(dice: random.Random) -> list[bytes]:
    return [dice.randbytes(dice.randrange(300))]


def truncated(dice: random.Random) -> list[bytes]:
    frame = dice.choice(VALID)
    return [frame[: dice.randrange(len(frame))]]


def damaged(dice: random.Random) -> list[bytes]:
    frame = bytearray(dice.choice(VALID))
    for _ in range(dice.randrange(1, 4)):
        frame[dice.randrange(len(frame))] = dice.randrange(256)
    return [bytes(frame)]


def forged(dice: random.Random) -> list[bytes]:
    return [dice.choice(VALID)]


def nested(dice: random.Random) -> list[bytes]:
    step = dice.choice([b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xdc\xff\xff", b"\xdd\x00\x01\x00\x00"])
    # Where exactly the reader says "nested" depends on the stack that it is called on: keep away from that depth.
    depth = dice.choice([dice.randrange(20, 800), dice.randrange(1100, 5000)])
    return [b"\x83\xa1v\x01\xa4type\xa5hello\xa8identity" + step * depth]


def huge_promises(dice: random.Random) -> list[bytes]:
    header = dice.choice([b"\xdb", b"\xc6", b"\xdd", b"\xdf", b"\xc9"])
    field = dice.choice([b"\xa8instance", b"\xaeunacknowledged", b"\xa8programs", b"\xa9addresses"])
    return [
        b"\x84\xa1v\x01\xa4type\xa5hello" + field + header + dice.choice([b"\xff" * 4, b"\x7f" + b"\xff" * 3])
    ]


def long_lists(dice: random.Random) -> list[bytes]:
    return [msgpack.packb({"v": 1, "type": "hello", "unacknowledged": [""] * dice.randrange(10_001, 20_000)})]


def wrong_types(dice: random.Random) -> list[bytes]:
    values: list[object] = [
        None,
        True,
        -1,
        1e308,
        float("nan"),
        "x" * 300,
        b"\xff",
        [],
        {},
        [[]],
        {"a": [None]},
    ]
    names = ["identity", "instance", "task_id", "fraction", "outcome", "sequence", "ports"]
    fields = {dice.choice(names): dice.choice(values) for _ in range(4)}
    return [msgpack.packb({"v": 1, "type": dice.choice(["hello", "result", "progress", "ready"]), **fields})]


def other_versions(dice: random.Random) -> list[bytes]:
    return [msgpack.packb({"v": dice.choice([0, 2, 2**63, -1, "1", None]), "type": "hello"})]


def wrong_part_counts(dice: random.Random) -> list[bytes]:
    return [dice.choice([b"", b"\0", *VALID]) for _ in range(dice.choice([2, 3, 7, 40]))]


KINDS_OF_ATTACK: list[Callable[[random.Random], list[bytes]]] = [
    random_bytes,
    truncated,
    damaged,
    forged,
    nested,
    huge_promises,
    wrong_types,
    other_versions,
    wrong_part_counts,
]


def kind_of(frames: list[bytes]) -> str:
    """How the hub should count this message; "" where it is a valid one."""
    if len(frames) != 1:
        return "parts"
    try:
        codec.read_from_agent(frames[0])
    except WireError as error:
        return error.kind
    return ""


def prepare(seed: int) -> list[tuple[list[bytes], str]]:
    dice = random.Random(seed)
    prepared = [dice.choice(KINDS_OF_ATTACK)(dice) for _ in range(3000)] + [
        long_lists(dice) for _ in range(3)
    ]
    return [(frames, kind_of(frames)) for frames in prepared]


def attack(peer: Peer, seed: int, served: threading.Event, sent: Counter[str]) -> None:
    """Send this peer's share of hostile frames, and go on until the honest agents have been served."""
    prepared = prepare(seed)
    count = 0
    while count < HOSTILE_FRAMES // HOSTILE_PEERS or not served.is_set():
        frames, kind = prepared[count % len(prepared)]
        peer.socket.send_multipart(frames)
        sent[kind] += 1
        count += 1


def throw_garbage(endpoint: str, served: threading.Event) -> None:
    """Raw TCP on the same port: not ZMTP, half of ZMTP, ZMTP without CURVE, and connections that say nothing."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    dice = random.Random(99)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00"
    held: list[socket.socket] = []
    garbage = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        greeting,
        greeting + b"NULL".ljust(20, b"\0") + bytes(32),
        greeting + b"CURVE".ljust(20, b"\0") + bytes(32) + b"\x04\xc8\x05HELLO" + bytes(194),
        b"\xff" * 4096,
        b"",
    ]
    try:
        while not served.is_set() and len(held) < 300:
            raw = socket.create_connection((host, int(port)), timeout=10)
            raw.settimeout(0.5)
            try:
                raw.sendall(dice.choice([*garbage, dice.randbytes(500)]))
            except OSError:
                pass  # the hub hung up, as it should
            held.append(raw)
            served.wait(0.005)
    finally:
        for raw in held:
            raw.close()


class Honest:
    """An agent's link and outbox, without the agent around them: joins, beats, delivers its results."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.name = name
        self.outbox = Outbox()
        self.task_ids = [f"{name}/{count}" for count in range(RESULTS_EACH)]
        self.said: list[str] = []
        greeting = hello(name)
        self.link = Link(
            endpoint, SERVER_KEYS.public, new_pair(), hello=lambda: greeting, say=self.said.append
        )

    def fill_outbox(self) -> None:
        for task_id in self.task_ids:
            self.outbox.put(Result(task_id=task_id, outcome=TaskOutcome(status="ok")))

    def turn(self) -> None:
        for message in self.link.poll(0.002):
            if isinstance(message, Ack):
                self.outbox.acknowledge(message.task_id)
        if self.link.state is State.JOINED:
            now = time.monotonic()
            for task_id, frame in list(self.outbox.due(now)):
                if self.link.send(frame):
                    self.outbox.sent(task_id, now)


def test_honest_agents_are_served_while_hostile_peers_flood_the_hub() -> None:
    first, late = ([f"{name}-{number}" for number in range(HONEST)] for name in ("honest", "late-and-honest"))
    names = {*first, *late}
    delivered: Counter[tuple[str, str]] = Counter()

    def store(hub: Hub, event: Event) -> None:
        if isinstance(event, Said) and isinstance(event.message, Result) and event.machine in names:
            assert event.message.outcome.status == "ok", "a forged result was taken"
            delivered[event.machine, event.message.task_id] += 1
            hub.send(event.machine, Ack(task_id=event.message.task_id))

    served = threading.Event()
    sent = [Counter[str]() for _ in range(HOSTILE_PEERS)]
    # The flood and all who stand in it share one process: silence is what lasts for seconds.
    with serving(on_event=store, heartbeat_s=2.0) as (hub, _):
        # Whoever comes first has the name: these are there before the flood, in which their names are forged.
        agents = [Honest(hub.endpoint, name) for name in first]
        until(lambda: turn(agents) and all(agent.link.state is State.JOINED for agent in agents))
        peers = [Peer(hub.endpoint) for _ in range(HOSTILE_PEERS)]
        threads = [
            threading.Thread(target=attack, args=(peer, seed, served, sent[seed]))
            for seed, peer in enumerate(peers)
        ]
        threads.append(threading.Thread(target=throw_garbage, args=(hub.endpoint, served)))
        try:
            for thread in threads:
                thread.start()
            until(lambda: sum(hub.stats.values()) > 1000)
            for agent in agents:
                agent.fill_outbox()
            agents += [Honest(hub.endpoint, name) for name in late]
            for agent in agents[HONEST:]:
                agent.fill_outbox()
            until(lambda: turn(agents) and not any(len(agent.outbox) for agent in agents), 120)
        finally:
            served.set()
            for thread in threads:
                thread.join(120)
        expected = sum(sent, Counter())
        kinds = [*codec.KINDS, "parts"]
        until(lambda: sum(hub.stats[kind] for kind in kinds) >= sum(expected[kind] for kind in kinds), 60)
        for peer in peers:
            peer.close()
        for agent in agents:
            agent.link.close()

    assert sum(expected.values()) >= HOSTILE_FRAMES
    assert {kind: hub.stats[kind] for kind in kinds} == {kind: expected[kind] for kind in kinds}
    assert set(delivered) == {(agent.name, task_id) for agent in agents for task_id in agent.task_ids}
    assert names <= set(hub.machines())
    assert [agent.said for agent in agents if len(agent.said) > 1] == [], (
        "an honest agent lost its connection"
    )


def turn(agents: list[Honest]) -> bool:
    for agent in agents:
        agent.turn()
    return True
