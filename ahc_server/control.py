"""How ``ahc run`` and its kin talk to ``ahc serve``: typed requests over a Unix socket beside the store.

MessagePack over ZeroMQ (``ipc://``), one request, one answer. The guard is the file system: the socket has mode 0600 in a
folder of mode 0700, and Linux asks for the right to write before it lets anybody connect.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import zmq

from ahc_agent.errors import CannotAnswer, ServerAway
from ahc_agent.wire.messages import Identity
from ahc_server.store.saved import Standing

#: A plan of 1 MiB and a little; answers for 20,000 nodes.
MESSAGE_LIMIT_BYTES = 8 * 1024 * 1024
#: Longest path of a Unix socket (sun_path of unix(7), with its final zero).
_PATH_LIMIT = 107


class Request(
    msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag=str.lower, forbid_unknown_fields=True
):
    """Base of what can be asked."""


class Submit(Request, kw_only=True, frozen=True):
    """Run this plan (YAML; ``file`` is its name in errors) on ``nodes`` of the agents, None: on all that it can take."""

    plan: str
    file: Annotated[str, msgspec.Meta(max_length=4096)] = "plan"
    session: str | None = None
    nodes: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None


class StatusOf(Request, kw_only=True, frozen=True):
    session: str


class StopSession(Request, kw_only=True, frozen=True):
    """End a session early; what was measured stays."""

    session: str


class RepeatedStep(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A step of the plan that is to run again on ``machines``; those ``apart`` do not meet each other in pairs."""

    step: Annotated[int, msgspec.Meta(ge=0)]
    machines: list[str]
    apart: list[str] = []


class Repeat(Request, kw_only=True, frozen=True):
    """Measure some machines of a session that is over again, as further steps of that session."""

    session: str
    steps: Annotated[list[RepeatedStep], msgspec.Meta(min_length=1, max_length=1000)]


class ListAgents(Request, kw_only=True, frozen=True):
    """Who is joined now."""


class Release(Request, kw_only=True, frozen=True):
    """Tell machines to stop, and what then; by display id, serial, UUID or MAC address. None: all that are joined."""

    machines: Annotated[list[str], msgspec.Meta(max_length=20_000)] | None = None
    then: Literal["", "halt", "reboot", "poweroff", "wait"] = ""


class Reply(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag=str.lower):
    """Base of answers; ``Standing`` is one too."""


class Submitted(Reply, kw_only=True, frozen=True):
    session: str
    machines: list[str]


class Agents(Reply, kw_only=True, frozen=True):
    """Machine → where it can be reached, who it says it is, and which start of its agent this is (``Hello.instance``)."""

    machines: dict[str, list[str]]
    identities: dict[str, Identity] = {}
    instances: dict[str, str] = {}


class Released(Reply, kw_only=True, frozen=True):
    """``unreached``: their queues are full; they can be told again."""

    machines: list[str]
    unreached: list[str] = []


class Declined(Reply, kw_only=True, frozen=True):
    """No. ``exit_code`` is the command's; ``later``: it may become a yes when more agents join."""

    reason: str
    exit_code: int = 3
    later: bool = False


AnyRequest = Submit | Repeat | StatusOf | StopSession | ListAgents | Release
AnyReply = Submitted | Standing | Agents | Released | Declined

_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(AnyRequest).decode
_decode_reply = msgspec.msgpack.Decoder(AnyReply).decode


@contextmanager
def only_server(lock: Path) -> Iterator[None]:
    """Hold the lock of a store for as long as this lasts. Raises CannotAnswer where another server holds it."""
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotAnswer(f"{lock}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(file, 20, 0).decode("ascii", "replace").strip()
            raise CannotAnswer(
                f"{lock.with_suffix('')}: another server (process {other or '?'}) serves this store already"
                " (end it first, or name another store with --store)"
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


class ControlServer:
    """The server's end. Raises CannotAnswer where it cannot listen."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.set(zmq.MAXMSGSIZE, MESSAGE_LIMIT_BYTES)
        self.socket.set(zmq.LINGER, 500)
        self._folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        before = os.umask(0o177)
        try:
            self.socket.bind(_address(path, self._folder))
        except zmq.ZMQError as error:
            self.close()
            raise CannotAnswer(f"{path}: cannot listen there: {error.strerror}") from error
        finally:
            os.umask(before)

    def receive(self, at_most: int = 100) -> list[tuple[bytes, AnyRequest]]:
        """The requests that are there; what is none is answered at once and left out."""
        requests = []
        for _ in range(at_most):
            try:
                peer, *frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                if len(frames) != 1:
                    raise ValueError("one frame is expected")
                requests.append((peer, _decode_request(frames[0])))
            except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                self.answer(
                    peer, Declined(reason=f"not a request that this server knows: {str(error)[:200]}")
                )
        return requests

    def answer(self, peer: bytes, reply: AnyReply) -> None:
        """Whoever does not wait for its answer does not get it."""
        try:
            self.socket.send_multipart([peer, _encode(reply)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise

    def close(self) -> None:
        self.socket.close()
        self._context.term()
        os.close(self._folder)
        self._path.unlink(missing_ok=True)


def ask(path: Path, request: AnyRequest, time_limit_s: float = 5.0) -> AnyReply:
    """Ask the server of a store. Raises ServerAway, or CannotAnswer where it is not ours to ask."""
    if not path.exists():
        raise ServerAway(f"no server for this store (nothing at {path}): start `ahc serve`")
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with context.socket(zmq.DEALER) as asking:
            asking.set(zmq.LINGER, 0)
            asking.set(zmq.MAXMSGSIZE, MESSAGE_LIMIT_BYTES)
            address = _address(path, folder)
            _knock(address.removeprefix("ipc://"), path)
            asking.connect(address)
            asking.send(_encode(request))
            if not asking.poll(int(time_limit_s * 1000)):
                raise ServerAway(f"the server does not answer at {path}: start `ahc serve`, or wait for it")
            reply: AnyReply = _decode_reply(asking.recv())
            return reply
    except (zmq.ZMQError, msgspec.MsgspecError) as error:
        raise ServerAway(f"the server at {path} cannot be understood: {error}") from error
    finally:
        context.term()
        os.close(folder)


def _knock(address: str, path: Path) -> None:
    """ZeroMQ tries for ever to reach a socket that a killed server left: find out whether anybody listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise ServerAway(
                f"no server for this store (nobody listens at {path}): start `ahc serve`"
            ) from error
        except PermissionError as error:
            raise CannotAnswer(
                f"{path}: you may not talk to this server (it belongs to another user)"
            ) from error
        except OSError as error:
            raise CannotAnswer(f"{path}: {error.strerror}") from error


def _address(path: Path, folder: int) -> str:
    """Where a Unix socket is; a path that is too long for one is reached through the open folder."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        return f"ipc://{path}"
    return f"ipc:///proc/self/fd/{folder}/{path.name}"
