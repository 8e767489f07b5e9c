"""The control connection of a pair: the connecting end says what is measured next, the receiving end of a transfer steers it.

A frame is two bytes of length (network order) and one MessagePack map; the connection was guarded when it was made.

::

    connecting end                     listening end
    Step(mtu) ... Halt ───────────────▶              datagrams of all sizes, where the listening end bound a port for them
    Step(bulk, tx) ───────────────────▶              then data flows to the listening end
                  ◀─────────────────── Resize, ...   the receiver asks for larger or smaller messages
                  ◀─────────────────── Halt          it has seen enough
    Step(bulk, rx) ───────────────────▶              then data flows to the connecting end
    Resize, Halt  ────────────────────▶
    Step(tcp) ... Halt ───────────────▶              round trips on the echo connection
    Step(udp) ... Halt ───────────────▶
    Step(iperf3)  ────────────────────▶
                  ◀─────────────────── Listening     (or Failure) iperf3's server is there
    Halt ─────────────────────────────▶              iperf3's client has ended
    Done ─────────────────────────────▶
"""

from __future__ import annotations

import socket
import struct
from typing import Annotated, Literal

import msgspec

from ahc_agent.errors import PeerGone, PeerSilent
from ahc_agent.facts import Text
from ahc_agent.net.watch import Watch

_LENGTH = struct.Struct("!H")
_FRAME_LIMIT_BYTES = 8192


class Order(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag=lambda name: name.lower()):
    """Base of what is said on the control connection."""


class Step(Order, kw_only=True, frozen=True):
    """What comes next. ``direction`` is seen from the connecting end."""

    kind: Literal["mtu", "bulk", "iperf3", "tcp", "udp"]
    direction: Literal["tx", "rx"] = "tx"


class Resize(Order, kw_only=True, frozen=True):
    """Send messages of this size from now on."""

    message_bytes: Annotated[int, msgspec.Meta(ge=1, le=64 * 1024 * 1024)]


class Halt(Order, kw_only=True, frozen=True):
    """This step is over."""


class Listening(Order, kw_only=True, frozen=True):
    """The iperf3 server of this step listens."""


class Failure(Order, kw_only=True, frozen=True):
    """This step cannot be done here; the next may be."""

    error: Text


class Done(Order, kw_only=True, frozen=True):
    """All is measured; the connection is closed next."""


AnyOrder = Step | Resize | Halt | Listening | Failure | Done
_decoder: msgspec.msgpack.Decoder[AnyOrder] = msgspec.msgpack.Decoder(AnyOrder)
_encoder = msgspec.msgpack.Encoder()


class Control:
    """One end of the control connection. Owns the socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._seen = bytearray()

    def close(self) -> None:
        self._socket.close()

    def send(self, order: Order) -> None:
        """Orders are few and small: they always fit the socket's buffer. Raises PeerGone or PeerSilent."""
        frame = _encoder.encode(order)
        frame = _LENGTH.pack(len(frame)) + frame
        try:
            sent = self._socket.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerGone(f"the peer is gone: {error.strerror}") from error
        if sent != len(frame):
            raise PeerSilent("the peer takes nothing any more")

    def poll(self) -> AnyOrder | None:
        """The next order if it is there already. Raises PeerGone."""
        order = self._parse()
        if order is not None:
            return order
        try:
            more = self._socket.recv(_FRAME_LIMIT_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise PeerGone(f"the peer is gone: {error.strerror}") from error
        if not more:
            raise PeerGone("the peer closed the connection")
        self._seen += more
        return self._parse()

    def receive(self, watch: Watch) -> AnyOrder:
        """The next order. Raises PeerSilent at the deadline, PeerGone, Cancelled."""
        while True:
            order = self.poll()
            if order is not None:
                return order
            if not watch.running():
                raise PeerSilent("the peer said nothing any more within the time limit")
            watch.readable(self._socket)

    def await_halt(self, watch: Watch) -> None:
        """Wait for Halt; an order of a step that is over means nothing any more."""
        while not isinstance(self.receive(watch), Halt):
            pass

    def _parse(self) -> AnyOrder | None:
        if len(self._seen) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._seen)
        if length > _FRAME_LIMIT_BYTES:
            raise PeerGone("the peer talks nonsense")
        end = _LENGTH.size + length
        if len(self._seen) < end:
            return None
        frame = bytes(self._seen[_LENGTH.size : end])
        del self._seen[:end]
        try:
            return _decoder.decode(frame)
        except msgspec.MsgspecError as error:
            raise PeerGone(f"the peer talks nonsense: {error}") from error
