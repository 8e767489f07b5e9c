"""A leaf–spine network: a rack for each leaf switch, an uplink from each to the spine, and a network apart for talking.

All bridges stand in one namespace, each node in its own. A node has two cards: ``eth0`` for talking to the server, which no
fault touches, and ``eth1`` for data. Cables of data are veth pairs without segmentation offload, so that what is
shaped, lost or too large is a frame as on a wire; both ends are shaped (tbf). The leaves announce themselves
(``announce``), so that agents hear by LLDP which switch they hang on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ahc_agent.errors import UsageError
from ahc_server.lab import kernel
from ahc_server.lab.space import ip_batch, path_of, run_in, tc_batch

#: RFC 2544 sets 198.18.0.0/15 aside for measuring networks.
TALK, DATA = "198.18.0", "198.19.0"
_PREFIX_LENGTH = 24
_SERVER_PORT = 5570
#: What all cards together may carry on this machine, bit/s, and a card at most.
_ALL_BITS_PER_S, _MOST_BITS_PER_S, _LEAST_BITS_PER_S = 240_000_000, 50_000_000, 5_000_000
#: Speed of a healthy uplink, as a part of what its nodes' cards send together.
UPLINK_PART = 1.0
#: How much may leave at once, in time at full speed, and at least (some frames).
_BURST_S, _LEAST_BURST_BYTES = 0.004, 6_000
_QUEUE_MS = 30
_MTU = 1500


@dataclass(frozen=True, slots=True)
class Racks:
    """Which node stands in which rack: filled from the first leaf on, all alike but perhaps the last."""

    leaves: tuple[str, ...]
    of: dict[str, str]

    def inside(self, leaf: str) -> list[str]:
        return [node for node, its in self.of.items() if its == leaf]


def racks(nodes: Sequence[str], count: int) -> Racks:
    """``count`` racks, leaf1, leaf2, ... Raises UsageError where a rack would have less than two nodes."""
    if not 1 <= count <= len(nodes) // 2:
        raise UsageError(f"--leaves {count}: with {len(nodes)} nodes there may be 1 to {len(nodes) // 2}")
    leaves = tuple(f"leaf{number + 1}" for number in range(count))
    return Racks(leaves, {node: leaves[place * count // len(nodes)] for place, node in enumerate(nodes)})


def fitting_bits_per_s(nodes: int) -> int:
    """Speed of a card with which this machine carries the data of all pairs at once."""
    share = _ALL_BITS_PER_S * 2 // max(nodes, 2)
    return max(min(share, _MOST_BITS_PER_S), _LEAST_BITS_PER_S)


class FabricNetwork:
    """See the module. Raises OSError or ProgramError where the machine does not allow it; nothing is left behind then."""

    def __init__(self, nodes: Sequence[str], leaves: int, line_bits_per_s: int | None = None) -> None:
        self.racks = racks(nodes, leaves)
        self.line_bits_per_s = line_bits_per_s or fitting_bits_per_s(len(nodes))
        self._index = {node: index for index, node in enumerate(nodes)}
        self._undo: list[Callable[[], object]] = []
        self._spaces: dict[str, int] = {}
        self._switch = kernel.new_network_namespace()
        try:
            self._build_switches()
            for node in nodes:
                self._plug_in(node)
        except BaseException:
            self.close()
            raise

    def _build_switches(self) -> None:
        lines = ["link set lo up"]
        for number, bridge in enumerate(("talk", "spine", *self.racks.leaves)):
            lines += [
                f"link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                # Else a bridge takes the lowest address of its ports, which would change with them.
                f"link set {bridge} address 02:00:00:00:01:{number:02x} addrgenmode none up",
            ]
        lines.append(f"address add {TALK}.1/{_PREFIX_LENGTH} dev talk")
        for leaf in self.racks.leaves:
            up, down = self._uplink(leaf)
            lines += [
                f"link add {up} type veth peer name {down}",
                *(f"link set {end} addrgenmode none gso_max_segs 1" for end in (up, down)),
                f"link set {up} master {leaf} up",
                f"link set {down} master spine up",
            ]
        ip_batch(self._switch, lines)
        for leaf in self.racks.leaves:
            self._shape_uplink(leaf, 1.0)

    def _plug_in(self, node: str) -> None:
        space = self._spaces[node] = kernel.new_network_namespace()
        port, number = self.port(node), self._index[node] + 11
        lines = []
        for end, card, bridge in ((f"talk{number}", "eth0", "talk"), (port, "eth1", self.racks.of[node])):
            lines += [
                f"link add {end} type veth peer name {card} netns {path_of(space)}",
                f"link set {end} addrgenmode none",
                f"link set {end} master {bridge} up",
            ]
        ip_batch(self._switch, [*lines, f"link set {port} gso_max_segs 1"])
        ip_batch(
            space,
            [
                "link set lo up",
                "link set eth0 addrgenmode none",
                "link set eth1 addrgenmode none gso_max_segs 1",
                f"address add {TALK}.{number}/{_PREFIX_LENGTH} dev eth0",
                f"address add {DATA}.{number}/{_PREFIX_LENGTH} dev eth1",
                "link set eth0 up",
                "link set eth1 up",
            ],
        )
        self._shape_cable(node, 1.0, 1.0)

    # ── what the fleet needs ───────────────────────────────────────────────────────────────────────────

    def server_endpoint(self) -> str:
        return f"tcp://{TALK}.1:{_SERVER_PORT}"

    def server_descriptor(self) -> int | None:
        return self._switch

    def descriptor(self, node: str) -> int | None:
        return self._spaces[node]

    def address(self, node: str) -> str:
        return f"{DATA}.{self._index[node] + 11}"

    def close(self) -> None:
        for descriptor in (self._switch, *self._spaces.values()):
            os.close(descriptor)
        self._spaces = {}

    # ── faults ─────────────────────────────────────────────────────────────────────────────────────────

    def set_speed(self, node: str, factor: float) -> None:
        """Shape both directions of a node's cable to a part of the healthy speed."""
        self.set_speeds(node, factor, factor)

    def set_speeds(self, node: str, sends: float, receives: float) -> None:
        """Shape the directions of a node's cable."""
        self._undo.append(partial(self._shape_cable, node, 1.0, 1.0))
        self._shape_cable(node, sends, receives)

    def set_uplink(self, leaf: str, factor: float) -> None:
        """Shape both directions of a leaf's uplink to a part of the healthy speed."""
        self._undo.append(partial(self._shape_uplink, leaf, 1.0))
        self._shape_uplink(leaf, factor)

    def lose(self, node: str, share: float) -> None:
        """Lose this share of the frames of a node's cable, in both directions."""
        for space, device in self._ends(node):
            table = f"netdev lab_{device}"
            hook = f"type filter hook ingress device {device} priority 0"
            rule = f"numgen random mod 10000 < {round(10_000 * share)} drop"
            self._undo.append(partial(run_in, space, ["nft", f"delete table {table}"]))
            run_in(space, ["nft", f"table {table} {{ chain in {{ {hook} ; {rule} ; }} ; }}"])

    def set_port_mtu(self, node: str, mtu: int) -> None:
        """Give a node's switch port a smaller MTU than its card: larger frames vanish there, both ways, without a word."""
        port = self.port(node)
        self._undo.append(partial(ip_batch, self._switch, [f"link set {port} mtu {_MTU}"]))
        ip_batch(self._switch, [f"link set {port} mtu {mtu}"])

    def unplug(self, node: str) -> None:
        """Pull a node's data cable at the switch; it can still talk to the server."""
        port = self.port(node)
        self._undo.append(partial(ip_batch, self._switch, [f"link set {port} up"]))
        ip_batch(self._switch, [f"link set {port} down"])

    def unplug_uplink(self, leaf: str) -> None:
        """Pull the cable between a leaf and the spine."""
        up, _ = self._uplink(leaf)
        self._undo.append(partial(ip_batch, self._switch, [f"link set {up} up"]))
        ip_batch(self._switch, [f"link set {up} down"])

    def swap(self, one: str, other: str) -> None:
        """Plug the cables of two nodes into each other's leaf."""
        leaves = self.racks.of
        self._undo.append(partial(self._plug_into, {one: leaves[one], other: leaves[other]}))
        self._plug_into({one: leaves[other], other: leaves[one]})

    def _plug_into(self, leaf_of: Mapping[str, str]) -> None:
        moved = [f"link set {self.port(node)} master {leaf}" for node, leaf in leaf_of.items()]
        # A host announces itself when its link comes up, so that switches forget where they knew it before.
        forget = [f"link set {bridge} type bridge fdb_flush" for bridge in ("spine", *self.racks.leaves)]
        ip_batch(self._switch, [*moved, *forget])

    def cut(self, node: str) -> None:
        """Pull all cables of a node: it is gone."""
        ports = (self.port(node), f"talk{self._index[node] + 11}")
        self._undo.append(partial(ip_batch, self._switch, [f"link set {port} up" for port in ports]))
        ip_batch(self._switch, [f"link set {port} down" for port in ports])

    def heal(self) -> None:
        """Undo all faults."""
        while self._undo:
            self._undo.pop()()

    # ── parts ──────────────────────────────────────────────────────────────────────────────────────────

    def port(self, node: str) -> str:
        """The switch port of a node's data cable."""
        return f"port{self._index[node] + 1}"

    def uplink_bits_per_s(self, leaf: str) -> int:
        return round(self.line_bits_per_s * max(len(self.racks.inside(leaf)) * UPLINK_PART, 1.0))

    def _uplink(self, leaf: str) -> tuple[str, str]:
        """Its ends at the leaf and at the spine."""
        return f"{leaf}up", f"{leaf}down"

    def _ends(self, node: str) -> tuple[tuple[int, str], tuple[int, str]]:
        """Namespace and device of both ends of a node's data cable, the node's first."""
        return (self._spaces[node], "eth1"), (self._switch, self.port(node))

    def _shape_cable(self, node: str, sends: float, receives: float) -> None:
        for (space, device), factor in zip(self._ends(node), (sends, receives), strict=True):
            tc_batch(space, [_shape(device, self.line_bits_per_s * factor)])

    def _shape_uplink(self, leaf: str, factor: float) -> None:
        rate = self.uplink_bits_per_s(leaf) * factor
        tc_batch(self._switch, [_shape(end, rate) for end in self._uplink(leaf)])


def _shape(device: str, bits_per_s: float) -> str:
    burst = max(round(bits_per_s / 8 * _BURST_S), _LEAST_BURST_BYTES)
    return f"qdisc replace dev {device} root tbf rate {round(bits_per_s)}bit burst {burst}b latency {_QUEUE_MS}ms"
