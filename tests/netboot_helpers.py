"""Networks for `ahc netboot`: a server with two cards, a machine on each, all in namespaces of their own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

#: 40 characters of Z85 that stand for a key.
KEY = "ab.CD" * 8
SERVER, HTTP = "tcp://10.9.0.1:5570", "http://10.9.0.1:8080"
#: Where Debian's package ``ipxe`` puts its loaders.
LOADERS = Path("/usr/lib/ipxe")
needs_loaders = pytest.mark.skipif(
    not (LOADERS / "undionly.kpxe").exists() or not (LOADERS / "ipxe.efi").exists(),
    reason="Debian's package ipxe is not installed",
)
_numbers = itertools.count()


def tool(*argv: str, check: bool = True, time_limit_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program of the system; fails the test where it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=time_limit_s, check=False)
    assert not check or done.returncode == 0, f"{argv}: {done.stderr or done.stdout}"
    return done


def image(folder: Path, size: int = 300_000) -> Path:
    """A folder with what `make ramdisk` leaves, for as far as nobody boots it."""
    folder.mkdir()
    (folder / "vmlinuz").write_bytes(b"kernel" * 1000)
    (folder / "initramfs").write_bytes(bytes(range(256)) * (size // 256))
    return folder


#: What a certificate must say of itself for iPXE to take what it signs.
MAY_SIGN = ("keyUsage=critical,digitalSignature", "extendedKeyUsage=codeSigning")


def signer(where: Path, *extensions: str) -> Path:
    """Key and self-signed certificate in one file, as docs/netboot.md makes them."""
    key, certificate, both = where / "key.pem", where / "ca.crt", where / "signer.pem"
    tool(
        *["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=boot images"],
        *[word for each in extensions for word in ("-addext", each)],
        *["-days", "2", "-keyout", str(key), "-out", str(certificate)],
    )
    both.write_text(certificate.read_text() + key.read_text())
    return both


@dataclass(frozen=True)
class Place:
    """A namespace."""

    name: str

    def argv(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def run(
        self, *command: str, check: bool = True, time_limit_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        return tool(*self.argv(*command), check=check, time_limit_s=time_limit_s)

    def ip(self, line: str) -> None:
        tool("ip", "-n", self.name, *line.split())

    def curl(self, url: str, *options: str) -> tuple[int, bytes]:
        """Exit status and body; a server that does not answer is given up after 3 s."""
        done = subprocess.run(
            self.argv("curl", "--silent", "--max-time", "3", *options, url),
            capture_output=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout

    def dhcp(self, card: str, folder: Path, *options: str, tries: int = 4) -> dict[str, str] | None:
        """Ask for an address with busybox's client; what it was told, None where nobody answered."""
        told = folder / f"told-{next(_numbers)}"
        script = folder / f"{told.name}.sh"
        script.write_text(f'#!/bin/sh\n[ "$1" = bound ] && env > {told}\nexit 0\n')
        script.chmod(0o755)
        self.run(
            *["busybox", "udhcpc", "-i", card, "-n", "-q", "-f", "-t", str(tries), "-T", "1"],
            *["-s", str(script), *options],
            check=False,
        )
        if not told.exists():
            return None
        return dict(line.partition("=")[::2] for line in told.read_text().splitlines())


@dataclass
class Net:
    """``server`` has ``eth0`` (10.9.0.1/24, to be served) and ``eth1`` (10.8.0.1/24, not to be); ``machine`` hangs on the first
    and ``stranger`` on the second, each by its ``eth0``."""

    server: Place
    machine: Place
    stranger: Place
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, place: Place, *argv: str, log: Path) -> subprocess.Popen[bytes]:
        """A process that ends with the network at the latest."""
        with log.open("wb") as out:
            child = subprocess.Popen(
                place.argv(*argv), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=REPOSITORY
            )
        self._running.append(child)
        return child

    def netboot(self, folder: Path, *options: str, wait: bool = True) -> Netboot:
        """`ahc netboot --serve` at the server."""
        log = folder.parent / f"{folder.name}.log"
        argv = [
            sys.executable,
            "-m",
            "ahc_server",
            "-v",
            "--store",
            str(folder.parent / "store.db"),
            "netboot",
        ]
        child = self.start(self.server, *argv, str(folder), "--serve", "--key", KEY, *options, log=log)
        one = Netboot(child, log)
        if wait:
            one.wait_for("serving on")
        return one

    def close(self) -> None:
        for child in self._running:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


@dataclass
class Netboot:
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, time_limit_s: float = 30) -> None:
        deadline = time.monotonic() + time_limit_s
        while text not in self.said:
            assert self.process.poll() is None and time.monotonic() < deadline, (
                f"{text!r} never came:\n{self.said}"
            )
            threading.Event().wait(0.05)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(15)


@contextmanager
def net() -> Iterator[Net]:
    """The namespaces with their cables; removed on the way out, by name."""
    tag = f"ahcnb{os.getpid() % 100000}x{next(_numbers)}"
    places = [Place(f"{tag}{end}") for end in "smo"]
    made: list[Place] = []
    one = Net(places[0], places[1], places[2])
    try:
        for place in places:
            tool("ip", "netns", "add", place.name)
            made.append(place)
            place.ip("link set lo up")
        for card, other in (("eth0", one.machine), ("eth1", one.stranger)):
            one.server.ip(f"link add {card} type veth peer name eth0 netns {other.name}")
            one.server.ip(f"link set {card} up")
            other.ip("link set eth0 up")
        one.server.ip("address add 10.9.0.1/24 dev eth0")
        one.server.ip("address add 10.8.0.1/24 dev eth1")
        yield one
    finally:
        one.close()
        for place in made:
            tool("ip", "netns", "delete", place.name, check=False)
