"""The wire that machines hang on: a network namespace without a name, a bridge in it, a tap for each card.

Nothing is made outside the namespace; it vanishes with its last descriptor and process (``ahc_server.lab.kernel``).
"""

from __future__ import annotations

import os

from ahc_server.lab import kernel
from ahc_server.lab.space import ip_batch, path_of, run_in

#: RFC 2544 sets 198.18.0.0/15 aside for measuring networks. It exists inside the namespace only.
SUBNET = "198.18.77"
PREFIX_LENGTH = 24
BRIDGE = "br0"

_BURST_BYTES = 64 * 1024
_QUEUE_MS = 20


class Wire:
    """The bridge ``br0`` has address ``SUBNET``.1 and, for iPXE's sake, an IPv6 one; close it when all is over."""

    def __init__(self) -> None:
        """Raises OSError or ProgramError where this machine does not allow it."""
        self.space = kernel.new_network_namespace()
        self._taps = 0
        try:
            ip_batch(
                self.space,
                [
                    "link set lo up",
                    f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0",
                    f"address add {self.server_address}/{PREFIX_LENGTH} dev {BRIDGE}",
                    f"address add fd77::1/64 dev {BRIDGE} nodad",
                    f"link set {BRIDGE} up",
                ],
            )
        except BaseException:
            self.close()
            raise

    @property
    def server_address(self) -> str:
        return f"{SUBNET}.1"

    def inside(self) -> list[str]:
        """What to put before a command that is to run in the namespace."""
        return ["nsenter", f"--net={path_of(self.space)}", "--"]

    def tap(self, limit_bits_per_s: int | None = None) -> str:
        """A new port of the bridge. ``limit_bits_per_s``: what goes to the machine is held to it, and what comes from it."""
        name = f"tap{self._taps}"
        self._taps += 1
        ip_batch(
            self.space,
            [f"tuntap add {name} mode tap", f"link set {name} master {BRIDGE}", f"link set {name} up"],
        )
        if limit_bits_per_s is not None:
            self._limit(name, limit_bits_per_s)
        return name

    def _limit(self, tap: str, rate: int) -> None:
        shape = f"root tbf rate {rate}bit burst {_BURST_BYTES}b latency {_QUEUE_MS}ms"
        run_in(self.space, ["tc", "qdisc", "add", "dev", tap, *shape.split()])
        run_in(self.space, ["tc", "qdisc", "add", "dev", tap, "ingress"])
        police = (
            f"parent ffff: matchall action police rate {rate}bit burst {_BURST_BYTES} conform-exceed drop"
        )
        run_in(self.space, ["tc", "filter", "add", "dev", tap, *police.split()])

    def pull(self, tap: str) -> None:
        """Pull a cable."""
        ip_batch(self.space, [f"link set {tap} down"])

    def close(self) -> None:
        os.close(self.space)
