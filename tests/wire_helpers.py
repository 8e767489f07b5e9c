"""What the tests of the wire share: messages of every kind by Hypothesis, a bare peer, a hub that is being served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, get_args

import msgspec
import zmq
from hypothesis import strategies as st

from ahc_agent.wire import codec
from ahc_agent.wire.keys import KeyPair, new_pair
from ahc_agent.wire.messages import FromAgent, FromServer, Hello, Identity, Message
from ahc_server.hub import Event, Hub, Joined, Lost

FROM_AGENT: tuple[type[Message], ...] = get_args(FromAgent)
FROM_SERVER: tuple[type[Message], ...] = get_args(FromServer)

SERVER_KEYS = new_pair()


@cache
def messages(type_: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of a type, within the bounds that the type declares. Lists are kept short.

    Made once: to draw is cheap, to make is not.
    """
    fields = {
        field.name: _values(field.type)
        for field in _struct(msgspec.inspect.type_info(type_)).fields
        if field.name != "v"
    }
    return st.builds(type_, **fields)


def _struct(info: msgspec.inspect.Type) -> msgspec.inspect.StructType:
    assert isinstance(info, msgspec.inspect.StructType)
    return info


def _values(info: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case msgspec.inspect.StructType():
            return st.builds(info.cls, **{field.name: _values(field.type) for field in info.fields})
        case msgspec.inspect.UnionType():
            return st.one_of([_values(part) for part in info.types])
        case msgspec.inspect.ListType():
            return st.lists(_values(info.item_type), min_size=info.min_length or 0, max_size=3)
        case msgspec.inspect.VarTupleType():
            return st.lists(_values(info.item_type), max_size=3).map(tuple)
        case msgspec.inspect.DictType():
            return st.dictionaries(_values(info.key_type), _values(info.value_type), max_size=3)
        case msgspec.inspect.LiteralType():
            return st.sampled_from(info.values)
        case msgspec.inspect.StrType():
            if info.pattern is not None:
                return st.text("0123456789abcdef", min_size=info.min_length or 0, max_size=info.max_length)
            return st.text(min_size=info.min_length or 0, max_size=min(info.max_length or 30, 30))
        case msgspec.inspect.IntType():
            return st.integers(
                info.ge if info.ge is not None else -(2**63), info.le if info.le is not None else 2**63
            )
        case msgspec.inspect.FloatType():
            low, high = info.ge if info.ge is not None else info.gt, info.le
            return st.floats(low, high, exclude_min=info.gt is not None)
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.NoneType():
            return st.none()
    raise AssertionError(f"no strategy for {info}")


class Peer:
    """A bare DEALER with CURVE: what an agent, honest or not, can do to a hub."""

    def __init__(
        self, endpoint: str, keys: KeyPair | None = None, server_key: str = SERVER_KEYS.public
    ) -> None:
        self.keys = keys or new_pair()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.set(zmq.CURVE_SERVERKEY, server_key.encode())
        self.socket.set(zmq.CURVE_PUBLICKEY, self.keys.public.encode())
        self.socket.set(zmq.CURVE_SECRETKEY, self.keys.secret.encode())
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.SNDTIMEO, 10_000)
        self.socket.connect(endpoint)

    def send(self, *frames: Message | bytes) -> None:
        self.socket.send_multipart([f if isinstance(f, bytes) else codec.encode(f) for f in frames])

    def receive(self, time_limit_s: float = 10.0) -> Any:
        """The next message, or None when there is none in time."""
        if not self.socket.poll(int(time_limit_s * 1000)):
            return None
        return codec.read_from_server(self.socket.recv())

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()


class SharedHub(Hub):
    """A hub that a thread serves and a test acts on, one at a time: a ZeroMQ socket that two use at once ends the process."""

    def __init__(self, bind: str, **options: Any) -> None:
        self.turn = threading.RLock()
        super().__init__(bind, **options)

    def send(self, machine: str, message: FromServer) -> bool:
        with self.turn:
            return super().send(machine, message)

    def expire(self, now: float) -> list[Lost]:
        with self.turn:
            return super().expire(now)

    def machines(self) -> dict[str, Hello]:
        with self.turn:
            return super().machines()


@contextmanager
def serving(
    bind: str = "tcp://127.0.0.1:0",
    *,
    authorized_keys: frozenset[str] | None = None,
    heartbeat_s: float = 0.2,
    lost_after_s: float = 30.0,
    on_event: Callable[[Hub, Event], None] | None = None,
    epoch: str = "epoch-1",
) -> Iterator[tuple[Hub, list[Event]]]:
    """A hub that a thread serves; what it says is in the list, and handed to ``on_event`` in that thread."""
    hub = make_hub(
        bind, authorized_keys=authorized_keys, heartbeat_s=heartbeat_s, lost_after_s=lost_after_s, epoch=epoch
    )
    events: list[Event] = []
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            with hub.turn:
                hub.socket.poll(20)
                for event in [*hub.receive(), *hub.expire(time.monotonic())]:
                    if on_event is not None:
                        on_event(hub, event)
                    events.append(event)
            time.sleep(0.001)  # else the test's turn would hardly come

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield hub, events
    finally:
        ending.set()
        thread.join(10)
        hub.close()


def make_hub(
    bind: str = "tcp://127.0.0.1:0",
    *,
    authorized_keys: frozenset[str] | None = None,
    heartbeat_s: float = 0.2,
    lost_after_s: float = 30.0,
    epoch: str = "epoch-1",
) -> SharedHub:
    return SharedHub(
        bind,
        secret_key=SERVER_KEYS.secret,
        public_key=SERVER_KEYS.public,
        authorized_keys=authorized_keys,
        server_version="0",
        epoch=epoch,
        heartbeat_s=heartbeat_s,
        lost_after_s=lost_after_s,
    )


def hello(name: str = "n1", instance: str = "i1") -> Hello:
    return Hello(identity=Identity(name=name), instance=instance, agent_version="0")


def gather(hub: Hub, count: int, time_limit_s: float = 10.0) -> list[Event]:
    """Serve a hub here until it has said ``count`` things, or the time is over."""
    events: list[Event] = []
    end = time.monotonic() + time_limit_s
    while len(events) < count and time.monotonic() < end:
        hub.socket.poll(50)
        events += hub.receive()
    return events


def until(what: Callable[[], Any], time_limit_s: float = 20.0) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + time_limit_s
    while not (value := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


def joined(events: list[Event]) -> list[str]:
    """Machines that have joined, in order."""
    return [event.machine for event in events if isinstance(event, Joined)]
