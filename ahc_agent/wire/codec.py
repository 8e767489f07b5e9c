"""Messages to frames and back. A frame is one MessagePack map, ``{"type": ..., "v": 1, ...}``.

MessagePack is read by msgspec's typed decoder: bytes become the fields that the message type has, checked on the way,
and nothing else is ever built. A reader that first builds whatever the bytes describe, and checks afterwards, can be
made to take a thousand times the size of the frame (nested array headers, each of which promises many elements).

Whatever is wrong with a frame is one ``WireError`` with a ``kind``:

=============  ===================================================================================================
oversized      longer than ``FRAME_LIMIT_BYTES`` (or than the caller's own limit)
malformed      not one MessagePack value, cut short, bytes after it, or not a map with "v" and "type"
nested         nested so deeply that no message can be meant
version        of another protocol version
unknown-type   no message of this name goes in this direction
invalid        a field is absent, of the wrong type or out of its bounds; NaN and infinity are out of all bounds
=============  ===================================================================================================
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, get_args

import msgspec

from ahc_agent.errors import WireError
from ahc_agent.wire.messages import PROTOCOL_VERSION, FromAgent, FromServer, Message

#: The largest message is the result of a memory job on a machine with many NUMA nodes: well below 1 MiB.
FRAME_LIMIT_BYTES: Final = 16 * 1024 * 1024

KINDS: Final = ("oversized", "malformed", "nested", "version", "unknown-type", "invalid")

_UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, MemoryError)
_encoder = msgspec.msgpack.Encoder()


class _Envelope(msgspec.Struct):
    v: int
    type: str


_envelopes = msgspec.msgpack.Decoder(_Envelope)


class Reader:
    """Reads the messages of one direction."""

    def __init__(self, types: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(types)
        self._names = frozenset(type_.__struct_config__.tag for type_ in get_args(types) or (types,))

    def read(self, frame: bytes | memoryview, limit: int = FRAME_LIMIT_BYTES) -> Any:
        """The message that a frame holds; raises WireError and nothing else."""
        if len(frame) > limit:
            raise WireError("oversized", f"{len(frame)} bytes, allowed are {limit}")
        try:
            envelope = _envelopes.decode(frame)
        except RecursionError:
            raise WireError("nested", "nested too deeply") from None
        except _UNREADABLE as error:
            raise WireError("malformed", _shorten(error)) from None
        if envelope.v != PROTOCOL_VERSION:
            raise WireError("version", f"protocol version {envelope.v}, spoken here is {PROTOCOL_VERSION}")
        if envelope.type not in self._names:
            raise WireError("unknown-type", f"type {envelope.type[:40]!r}")
        try:
            return self._decoder.decode(frame)
        except RecursionError:
            raise WireError("nested", "nested too deeply") from None
        except _UNREADABLE as error:
            raise WireError("invalid", f"{envelope.type}: {_shorten(error)}") from None


@cache
def _reader(types: Any) -> Reader:
    """Made when first needed: an agent that starts has nothing to read of what agents say."""
    return Reader(types)


def encode(message: Message) -> bytes:
    """The frame of a message. What it holds is not checked: the reader does that."""
    return _encoder.encode(message)


def read_from_agent(frame: bytes | memoryview, limit: int = FRAME_LIMIT_BYTES) -> FromAgent:
    """A frame that came from an agent; raises WireError."""
    message: FromAgent = _reader(FromAgent).read(frame, limit)
    return message


def read_from_server(frame: bytes | memoryview, limit: int = FRAME_LIMIT_BYTES) -> FromServer:
    """A frame that came from the server; raises WireError."""
    message: FromServer = _reader(FromServer).read(frame, limit)
    return message


def _shorten(error: BaseException) -> str:
    """An error's text for one line of a log; it may quote what the peer sent."""
    return ascii(str(error))[1:-1][:200]
