"""The lab's network: a switch and a cable to each node, or plain loopback addresses where namespaces are not allowed."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Protocol

from ahc_server.lab import kernel
from ahc_server.lab.space import ip_batch, path_of, run_in

#: RFC 2544 sets 198.18.0.0/15 aside for measuring networks. It exists inside the lab's own namespaces only.
SUBNET = "198.18.0"
PREFIX_LENGTH = 24
#: Speed of a healthy cable, bit/s.
LINE_BITS_PER_S = 1_000_000_000

_SERVER_PORT = 5570
#: How much may leave at once: 2 ms worth at 1 Gbit/s, and more than the largest segment that a virtual cable carries (64 KiB).
_BURST_BYTES = 256 * 1024
#: How long a packet may wait in a node's queue.
_QUEUE_MS = 20


class Network(Protocol):
    """What the fleet needs of a network. ``descriptor`` None: the process stays in the machine's own network.

    ``line_bits_per_s``: speed of a healthy card, where it is shaped.
    """

    line_bits_per_s: int

    def server_endpoint(self) -> str: ...

    def server_descriptor(self) -> int | None: ...

    def descriptor(self, node: str) -> int | None: ...

    def address(self, node: str) -> str: ...

    def set_speed(self, node: str, factor: float) -> None: ...

    def cut(self, node: str) -> None: ...

    def close(self) -> None: ...


class SwitchedNetwork:
    """A namespace for the switch (a bridge, where the server listens too) and one for each node, joined by veth pairs.

    No interface, address or name is made outside these namespaces. Both ends of each cable are shaped (tbf), so that a
    node sends and receives at the speed of its card.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        """Raises OSError or ProgramError where the machine does not allow it; nothing is left behind then."""
        self.line_bits_per_s = LINE_BITS_PER_S
        self._index = {node: index for index, node in enumerate(nodes)}
        self._spaces: dict[str, int] = {}
        self._switch = kernel.new_network_namespace()
        try:
            ip_batch(self._switch, ["link set lo up", "link add br0 type bridge stp_state 0 forward_delay 0"])
            ip_batch(self._switch, [f"address add {SUBNET}.1/{PREFIX_LENGTH} dev br0", "link set br0 up"])
            for node in nodes:
                self._plug_in(node)
        except BaseException:
            self.close()
            raise

    def _plug_in(self, node: str) -> None:
        space = self._spaces[node] = kernel.new_network_namespace()
        port = self._port(node)
        ip_batch(
            self._switch,
            [
                f"link add {port} type veth peer name eth0 netns {path_of(space)}",
                f"link set {port} addrgenmode none",
                f"link set {port} master br0 up",
            ],
        )
        ip_batch(
            space,
            [
                "link set lo up",
                "link set eth0 addrgenmode none",
                f"address add {self.address(node)}/{PREFIX_LENGTH} dev eth0",
                "link set eth0 up",
            ],
        )
        self.set_speed(node, 1.0)

    def server_endpoint(self) -> str:
        return f"tcp://{SUBNET}.1:{_SERVER_PORT}"

    def server_descriptor(self) -> int | None:
        return self._switch

    def descriptor(self, node: str) -> int | None:
        return self._spaces[node]

    def address(self, node: str) -> str:
        return f"{SUBNET}.{self._index[node] + 11}"

    def set_speed(self, node: str, factor: float) -> None:
        """Shape both directions to a part of the healthy speed."""
        rate = round(LINE_BITS_PER_S * factor)
        for space, device in ((self._spaces[node], "eth0"), (self._switch, self._port(node))):
            qdisc = f"root tbf rate {rate}bit burst {_BURST_BYTES}b latency {_QUEUE_MS}ms"
            run_in(space, ["tc", "qdisc", "replace", "dev", device, *qdisc.split()])

    def cut(self, node: str) -> None:
        """Pull the cable at the switch: the node's card loses its carrier."""
        ip_batch(self._switch, [f"link set {self._port(node)} down"])

    def close(self) -> None:
        for descriptor in (self._switch, *self._spaces.values()):
            os.close(descriptor)
        self._spaces = {}

    def _port(self, node: str) -> str:
        return f"port{self._index[node] + 1}"


class LoopbackNetwork:
    """Addresses 127.0.0.11, 127.0.0.12, ... of the machine itself: no rights needed, nothing to shape, no cable to cut."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self.line_bits_per_s = 0
        self._index = {node: index for index, node in enumerate(nodes)}
        self._port = _free_port()

    def server_endpoint(self) -> str:
        return f"tcp://127.0.0.1:{self._port}"

    def server_descriptor(self) -> int | None:
        return None

    def descriptor(self, node: str) -> int | None:
        return None

    def address(self, node: str) -> str:
        return f"127.0.0.{self._index[node] + 11}"

    def set_speed(self, node: str, factor: float) -> None:
        raise NotImplementedError("loopback has no card to slow down")

    def cut(self, node: str) -> None:
        raise NotImplementedError("loopback has no cable to cut")

    def close(self) -> None:
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
