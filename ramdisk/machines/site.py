"""A site as an operator has it: a server (`ahc serve`), and what boots machines (`ahc netboot --serve`), on one wire."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent.errors import CannotAnswer
from ahc_server.lab import processes
from ramdisk.machines.guest import Guest
from ramdisk.machines.hardware import Machine
from ramdisk.machines.qemu import Direct
from ramdisk.machines.wire import BRIDGE, SUBNET, Wire

_PORT = 5570
_HTTP_PORT = 8080
_START_S = 30.0
_POLL_S = 0.05


@dataclass
class Said:
    """What a process says, line by line, gathered by a thread."""

    lines: list[str] = field(default_factory=list)

    def gather(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "r", errors="replace") as stream:
            self.lines.extend(line.rstrip("\n") for line in stream)

    def wait_for(
        self, pattern: str, process: processes.Child, time_limit_s: float = _START_S
    ) -> re.Match[str]:
        """Raises CannotAnswer with what was said where the pattern never shows."""
        deadline = time.monotonic() + time_limit_s
        while True:
            alive = process.poll() is None
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            if not alive or time.monotonic() > deadline:
                said = "\n".join(self.lines[-30:])
                raise CannotAnswer(f"{pattern!r} does not show{'' if alive else ' (it ended)'}:\n{said}")
            time.sleep(_POLL_S)


class Site:
    """See the module. Make it by ``site``, which also takes it down."""

    def __init__(self, folder: Path, images: Path, netboot: Sequence[str] = ()) -> None:
        """``images``: a folder with ``vmlinuz`` and ``initramfs``; ``netboot``: more arguments for `ahc netboot`."""
        self.folder = folder
        self.images = images
        self.store = folder / "store.sqlite"
        self.wire = Wire()
        self.key = ""
        self._netboot = [*netboot]
        self._children: list[tuple[processes.Child, threading.Thread]] = []
        self._guests: list[Guest] = []
        self._server: tuple[processes.Child, threading.Thread] | None = None

    @property
    def endpoint(self) -> str:
        return f"tcp://{self.wire.server_address}:{_PORT}"

    @property
    def url(self) -> str:
        return f"http://{self.wire.server_address}:{_HTTP_PORT}"

    def start_server(self, *arguments: str) -> Said:
        """`ahc serve`, again after ``kill_server`` with the same store and key."""
        said, child = self.start([*self._ahc(), "serve", "--bind", self.endpoint, *arguments])
        self._server = child
        self.key = said.wait_for(r"public key: (\S+)", child[0])[1]
        return said

    def kill_server(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self._server is not None
        _end(*self._server, 9)
        self._server = None

    def start_netboot(self, *arguments: str) -> Said:
        """`ahc netboot --serve` on the bridge: DHCP, TFTP and HTTP. The server's key must be known (``start_server``, or
        ``make_key``)."""
        argv = [
            *[*self._ahc(), "netboot", str(self.folder / "netboot"), "--image", str(self.images)],
            *["--server", self.endpoint, "--key", self.key, "--http", self.url],
            *["--console", "ttyS0", "--serve", "--interface", BRIDGE],
            *["--range", f"{SUBNET}.50,{SUBNET}.99"],
            *[*self._netboot, *arguments],
        ]
        said, child = self.start(argv)
        said.wait_for("serving", child[0])
        return said

    def power_on(
        self,
        machine: Machine,
        *,
        direct: Direct | None = None,
        screen: bool = False,
        taps: list[str] | None = None,
    ) -> Guest:
        """Power a machine on; the site pulls its plug in the end."""
        guest = Guest(machine, self.wire, self.folder / machine.name, direct=direct, screen=screen, taps=taps)
        self._guests.append(guest)
        return guest

    def direct(self, *arguments: str) -> Direct:
        """Boot without firmware and network: for tests of what comes after."""
        words = ["console=ttyS0", f"ahc.server={self.endpoint}", f"ahc.key={self.key}", *arguments]
        return Direct(self.images / "vmlinuz", self.images / "initramfs", " ".join(words))

    def ahc(
        self, *arguments: str, time_limit_s: float = 300.0, ok: Sequence[int] = (0,), inside: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """A command of an operator at the server, for example ``ahc("run", "quick", "--session", "s")``.

        ``inside``: in the wire's namespace, to speak with what listens there. Raises CannotAnswer for an exit status
        that is not in ``ok``.
        """
        ended = subprocess.run(
            [*(self.wire.inside() if inside else []), *self._ahc(), *arguments],
            capture_output=True,
            text=True,
            timeout=time_limit_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if ended.returncode not in ok:
            raise CannotAnswer(
                f"ahc {' '.join(arguments)} ended with {ended.returncode}: {ended.stderr[-3000:]}"
            )
        return ended

    def close(self) -> None:
        """Everything that was started ends, whatever one of them does; what it was stays in the folder."""
        with ExitStack() as stack:
            stack.callback(self.wire.close)
            for child in reversed(self._children):
                stack.callback(_end, *child, 15)
            for guest in reversed(self._guests):
                stack.callback(guest.kill)

    def _ahc(self) -> list[str]:
        return [sys.executable, "-m", "ahc_server", "--store", str(self.store)]

    def start(self, argv: Sequence[str]) -> tuple[Said, tuple[processes.Child, threading.Thread]]:
        """Start a program in the namespace; the site ends it."""
        child, read = self.wire.start(argv)
        said = Said()
        reader = threading.Thread(target=said.gather, args=(read,), daemon=True)
        reader.start()
        self._children.append((child, reader))
        return said, (child, reader)


@contextmanager
def site(folder: Path, images: Path, netboot: Sequence[str] = ()) -> Iterator[Site]:
    """A site without server and netboot yet; everything ends with the block."""
    one = Site(folder, images, netboot)
    try:
        yield one
    finally:
        one.close()


def _end(child: processes.Child, reader: threading.Thread, number: int) -> None:
    if child.poll() is None:
        child.send_signal(number)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)
    reader.join(10)
