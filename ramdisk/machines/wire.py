"""The wire that machines hang on: a network namespace without a name, a bridge in it, a tap for each card.

Nothing is made outside the namespace; it vanishes with its last descriptor and process (``ahc_server.lab.kernel``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ahc_server.lab import kernel, processes
from ahc_server.lab.space import ip_batch, path_of, run_in

#: RFC 2544 sets 198.18.0.0/15 aside for measuring networks. It exists inside the namespace only.
SUBNET = "198.18.77"
PREFIX_LENGTH = 24
BRIDGE = "br0"

_BURST_BYTES = 32 * 1024
_QUEUE_MS = 20


class Wire:
    """The bridge ``br0`` has address ``SUBNET``.1 and, for iPXE's sake, an IPv6 one; close it when all is over."""

    def __init__(self) -> None:
        """Raises OSError or ProgramError where this machine does not allow it."""
        self.space = kernel.new_network_namespace()
        self._taps = 0
        try:
            # The small bridges before shaped cables must not answer for an address that is not theirs.
            run_in(self.space, ["sysctl", "-q", "-w", "net.ipv4.conf.all.arp_ignore=1"])
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

    def start(self, argv: Sequence[str], stdin: int | None = None) -> tuple[processes.Child, int]:
        """Start a program in the namespace; it dies with the thread that started it. Answers with it and an open descriptor, the
        caller's to close, from which all that it says can be read. ``stdin``: an open descriptor. Raises ProgramFailed."""
        read, write = os.pipe()
        try:
            child = processes.start(
                argv,
                f"machines-{os.getpid()}",
                place=processes.Place(network=self.space),
                stdin=stdin,
                stdout=write,
                stderr=write,
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        return child, read

    def tap(self, *, cable: bool = False) -> str:
        """A new port of the bridge; ``cable``: one whose speed can be set (``limit``)."""
        number = self._taps
        name = f"tap{number}"
        self._taps += 1
        ip_batch(self.space, [f"tuntap add {name} mode tap", f"link set {name} up"])
        if cable:
            self._behind_a_cable(name, number)
        else:
            ip_batch(self.space, [f"link set {name} master {BRIDGE}"])
        return name

    def limit(self, tap: str, bits_per_s: int) -> None:
        """Hold what goes to a port with a cable to a rate, and what comes from it."""
        for device in (tap, tap.replace("tap", "near")):
            shape = f"root tbf rate {bits_per_s}bit burst {_BURST_BYTES}b latency {_QUEUE_MS}ms"
            run_in(self.space, ["tc", "qdisc", "replace", "dev", device, *shape.split()])

    def _behind_a_cable(self, tap: str, number: int) -> None:
        """A queue shapes only what leaves by a device: a small bridge and a cable of its own give both directions one."""
        inner, near, far = f"inner{number}", f"near{number}", f"far{number}"
        ip_batch(
            self.space,
            [
                f"link add {inner} type bridge stp_state 0 forward_delay 0",
                f"link add {near} type veth peer name {far}",
                f"link set {tap} master {inner}",
                f"link set {near} master {inner} up",
                f"link set {far} master {BRIDGE} up",
                f"link set {inner} up",
            ],
        )

    def pull(self, tap: str) -> None:
        """Pull a cable."""
        ip_batch(self.space, [f"link set {tap} down"])

    def close(self) -> None:
        os.close(self.space)
