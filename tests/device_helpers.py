"""Trees, namespaces and recordings for the tests of the inventory's devices."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahc_agent.inventory.root import Root
from tests.conftest import REPOSITORY

_serial_numbers = itertools.count()


class Tree:
    """A ``/sys`` built file by file. Paths are given as on the machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def root(self) -> Root:
        return Root(self.path)

    def file(self, path: str, content: str | bytes) -> None:
        place = self._place(path)
        place.write_bytes(content.encode() + b"\n" if isinstance(content, str) else content)

    def files(self, folder: str, **contents: str | bytes) -> None:
        """``queue__rotational="1"`` is the file ``queue/rotational``."""
        for name, content in contents.items():
            self.file(f"{folder}/{name.replace('__', '/')}", content)

    def link(self, path: str, target: str) -> None:
        """A relative link, as the kernel makes them."""
        place = self._place(path)
        place.symlink_to(os.path.relpath(self.path / target.lstrip("/"), place.parent))

    def pci(self, path: str, **contents: str | bytes) -> None:
        """A PCI function at ``/sys/devices/<path>``, listed in ``/sys/bus/pci/devices``."""
        self.files(f"/sys/devices/{path}", **contents)
        self.link(f"/sys/bus/pci/devices/{path.rpartition('/')[2]}", f"/sys/devices/{path}")

    def block(self, path: str, **contents: str | bytes) -> None:
        """A whole block device at ``/sys/devices/<path>``; two levels up lies its device."""
        name = path.rpartition("/")[2]
        self.files(f"/sys/devices/{path}", **{"dev": "8:0", "size": "2048", **contents})
        self.file(f"/sys/devices/{path}/queue/logical_block_size", "512")
        self.link(f"/sys/class/block/{name}", f"/sys/devices/{path}")
        above, _, kind = path.rpartition("/")[0].rpartition("/")
        device = above if kind == "block" else f"{above}/{kind}"
        self.link(f"/sys/devices/{path}/device", f"/sys/devices/{device}")

    def nic(self, path: str, **contents: str | bytes) -> None:
        """A network interface at ``/sys/devices/<path>/net/<name>``; virtual ones have no device."""
        name = path.rpartition("/")[2]
        defaults = {
            "address": "52:54:00:00:00:01",
            "flags": "0x1003",
            "type": "1",
            "mtu": "1500",
            "carrier": "1",
        }
        self.files(f"/sys/devices/{path}", **{**defaults, **contents})
        self.link(f"/sys/class/net/{name}", f"/sys/devices/{path}")
        if not path.startswith("virtual/"):
            self.link(f"/sys/devices/{path}/device", f"/sys/devices/{path.rpartition('/net/')[0]}")

    def _place(self, path: str) -> Path:
        place = self.path / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def vpd(page: int, body: bytes) -> bytes:
    """A SCSI vital product data page."""
    return bytes([0, page]) + len(body).to_bytes(2, "big") + body


def machines(shared: Path) -> dict[str, dict[str, Any]]:
    """What lscpu and hwloc read from each recorded machine, by the name of its archive."""
    lines = (shared / "machines" / "truth.jsonl").read_text().splitlines()
    return {entry["machine"]: entry for entry in map(json.loads, lines)}


def unpack(shared: Path, machine: str, where: Path) -> Root:
    """A recorded machine's tree."""
    where.mkdir()
    archive = shared / "machines" / machine
    subprocess.run(["tar", "-C", where, "--no-same-owner", "-xf", archive], check=True, timeout=120)
    (top,) = where.iterdir()
    return Root(top)


@dataclass(frozen=True)
class Namespace:
    """A network namespace with one end of a veth pair in it."""

    name: str
    interface: str

    def argv(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.name, *command]

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", "-n", self.name, *arguments], check=True, timeout=30)

    def python(self, program: str) -> str:
        """Run Python inside; returns what it printed."""
        done = subprocess.run(
            self.argv(sys.executable, "-c", program),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=REPOSITORY,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def popen(self, program: str) -> subprocess.Popen[str]:
        """Python inside, to talk with by its standard input and output."""
        return subprocess.Popen(
            self.argv(sys.executable, "-c", program),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )


@contextmanager
def veth_pair() -> Iterator[tuple[Namespace, Namespace]]:
    """Two namespaces joined by a cable, up on both ends; removed on the way out."""
    tag = f"h2t{os.getpid() % 100000}x{next(_serial_numbers)}"
    ends = (Namespace(f"{tag}a", "card0"), Namespace(f"{tag}b", "card1"))
    made: list[Namespace] = []
    try:
        for end in ends:
            subprocess.run(["ip", "netns", "add", end.name], check=True, timeout=30)
            made.append(end)
        first, second = ends
        first.ip(
            "link",
            "add",
            first.interface,
            "type",
            "veth",
            "peer",
            "name",
            second.interface,
            "netns",
            second.name,
        )
        for end in ends:
            end.ip("link", "set", end.interface, "up")
        yield ends
    finally:
        for end in made:
            subprocess.run(["ip", "netns", "del", end.name], check=False, timeout=30)
