"""A network for a machine that boots: its cards in one namespace, a switch, a DHCP server and AHC's server in another."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import REPOSITORY

BIN = Path(sys.executable).parent
HOOK = REPOSITORY / "ramdisk/rootfs/usr/share/ahc/udhcpc"
SERVER = "10.77.0.1"
_NETNS_FILES = Path("/etc/netns")
_SILENT = """
import signal, socket, sys
held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held.bind((sys.argv[1], 53))
signal.pause()
"""
DHCP = ("--dhcp-range=10.77.0.50,10.77.0.99,255.255.255.0,1h",)


def until(condition: Callable[[], bool], time_limit_s: float = 30.0) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + time_limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class Process:
    """A program in a namespace; ``said`` is all that it has printed."""

    def __init__(self, namespace: str, argv: Sequence[str | Path], log: Path) -> None:
        self._log = log
        with log.open("wb") as file:
            self._child = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *map(str, argv)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def says(self, text: str, time_limit_s: float = 30.0) -> str:
        """Wait for a text; answers with the line that holds it."""
        assert until(lambda: text in self.said, time_limit_s), f"{text!r} was not said, but:\n{self.said}"
        return next(line for line in self.said.splitlines() if text in line)

    def ends(self, time_limit_s: float = 30.0) -> int:
        return self._child.wait(time_limit_s)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, number)
            self._child.wait(20)


@dataclass
class Site:
    """``machine``: the namespace with the cards c0, c1, …; ``outside``: that with the switch br0 and the other ends p0, p1, …"""

    folder: Path
    machine: str
    outside: str
    processes: list[Process] = field(default_factory=list)

    def ip(self, *words: str, namespace: str | None = None) -> str:
        return self.run("ip", *words, namespace=namespace)

    def run(self, *argv: str, namespace: str | None = None) -> str:
        """To its end; in the machine's namespace unless another is named."""
        return subprocess.run(
            ["ip", "netns", "exec", namespace or self.machine, *argv],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    def start(self, namespace: str, *argv: str | Path) -> Process:
        log = self.folder / f"log{len(self.processes)}"
        self.processes.append(Process(namespace, argv, log))
        return self.processes[-1]

    def plug(self, number: int) -> None:
        """A new card c<number> with a cable to the switch."""
        out, inside = f"p{number}", f"c{number}"
        self.ip(
            *("link", "add", out, "type", "veth", "peer", inside, "address", mac(number)),
            *("netns", self.machine),
            namespace=self.outside,
        )
        self.ip("link", "set", out, "master", "br0", "up", namespace=self.outside)

    def unplug(self, number: int) -> None:
        """The card c<number> is gone."""
        self.ip("link", "delete", f"p{number}", namespace=self.outside)

    def dhcp(self, *options: str, interface: str = "br0") -> Process:
        """A real dnsmasq on the switch."""
        leases = self.folder / f"leases{len(self.processes)}"
        fixed = (
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
            "--user=root",
            "--log-facility=-",
            "--no-ping",
        )
        return self.start(
            self.outside,
            "dnsmasq",
            *fixed,
            "--bind-interfaces",
            f"--interface={interface}",
            "--except-interface=lo",
            "--dhcp-authoritative",
            f"--dhcp-leasefile={leases}",
            f"--pid-file={leases}.pid",
            *(options or DHCP),
        )

    def serve(self, *options: str, port: int = 5570) -> tuple[Process, str]:
        """A real ``ahc serve``, and its key."""
        process = self.start(
            self.outside,
            BIN / "ahc",
            "-v",
            "--store",
            self.store,
            "serve",
            "--bind",
            f"tcp://*:{port}",
            *options,
        )
        process.says("ahc.key=")
        return process, key_of(process)

    def web(self, folder: Path, port: int = 8080) -> Process:
        """A web server outside that takes what is PUT."""
        return self.start(
            self.outside, sys.executable, Path(__file__).with_name("put_server.py"), SERVER, str(port), folder
        )

    def silent_name_server(self) -> None:
        """The machine's name server (``ip netns exec`` shows it /etc/netns/NAME/) takes every question and answers none."""
        folder = _NETNS_FILES / self.machine
        folder.mkdir(parents=True)
        (folder / "resolv.conf").write_text(f"nameserver {SERVER}\n")
        self.start(self.outside, sys.executable, "-c", _SILENT, SERVER)

    @property
    def store(self) -> Path:
        return self.folder / "ahc.db"

    def boot(self, arguments: str) -> Process:
        """A real ``ahc-agent boot`` in rehearsal."""
        return self.start(
            self.machine, BIN / "ahc-agent", "boot", "--rehearse", self.folder, "--arguments", arguments
        )


def key_of(server: Process) -> str:
    """The key in what ``ahc serve`` printed."""
    return next(word.partition("=")[2] for word in server.said.split() if word.startswith("ahc.key="))


@contextmanager
def site(folder: Path, cards: int = 1) -> Iterator[Site]:
    """Namespaces with ``cards`` cables into one switch; everything is ended and removed at the end."""
    tag = os.urandom(3).hex()
    made = Site(folder, f"ahc-boot-m-{tag}", f"ahc-boot-o-{tag}")
    (folder / "udhcpc").symlink_to(HOOK)
    subprocess.run(["ip", "netns", "add", made.machine], check=True)
    try:
        subprocess.run(["ip", "netns", "add", made.outside], check=True)
        out = made.outside
        for namespace in (made.machine, out):
            made.ip("link", "set", "lo", "up", namespace=namespace)
        made.ip("link", "add", "br0", "type", "bridge", namespace=out)
        made.ip("address", "add", f"{SERVER}/24", "dev", "br0", namespace=out)
        made.ip("link", "set", "br0", "up", namespace=out)
        for number in range(cards):
            made.plug(number)
        yield made
    finally:
        for process in reversed(made.processes):
            process.kill()
        for namespace in (made.machine, made.outside):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
        shutil.rmtree(_NETNS_FILES / made.machine, ignore_errors=True)


def mac(number: int) -> str:
    """Of the card c<number>."""
    return f"52:54:00:77:00:{number:02x}"
