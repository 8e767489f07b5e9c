"""Real loop devices for tests of the benchmarks, and trees that stand for machines."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Loop:
    """A loop device and the file behind it."""

    path: str
    backing: Path

    def write(self, offset: int, data: bytes) -> None:
        with Path(self.path).open("r+b") as device:
            device.seek(offset)
            device.write(data)


def tool(*argv: str, stdin: str | None = None) -> str:
    """Run a program of the system for a test; fails the test where it fails."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr or done.stdout}"
    return done.stdout.strip()


@contextlib.contextmanager
def loop_device(folder: Path, name: str = "disk.img", size: int = 64 * MIB, *options: str) -> Iterator[Loop]:
    """A loop device over a new file of zeros; detached at the end by its own name."""
    backing = folder / name
    with backing.open("wb") as file:
        file.truncate(size)
    with attached(backing, *options) as path:
        yield Loop(path, backing)


@contextlib.contextmanager
def attached(backing: Path | str, *options: str) -> Iterator[str]:
    """A loop device over a file or another device."""
    path = tool("losetup", "--find", "--show", *options, str(backing))
    try:
        yield path
    finally:
        tool("losetup", "--detach", path)


def tree(folder: Path, files: dict[str, str]) -> Path:
    """Write a tree of /proc and /sys files."""
    for name, text in files.items():
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def two_node_machine(folder: Path) -> Path:
    """8 CPUs: 2 sockets, each a NUMA node with 2 cores of 2 threads (CPU n and n+4 are one core)."""
    files = {
        "/proc/cpuinfo": "processor : 0\n",
        "/proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 4194304 kB\nMemAvailable: 6291456 kB\n",
        "/sys/devices/system/cpu/online": "0-7\n",
        "/sys/devices/system/cpu/present": "0-7\n",
        "/sys/devices/system/node/online": "0-1\n",
    }
    for cpu in range(8):
        socket, base = cpu % 4 // 2, f"/sys/devices/system/cpu/cpu{cpu}/topology"
        files |= {
            f"{base}/physical_package_id": f"{socket}\n",
            f"{base}/core_id": f"{cpu % 2}\n",
            f"{base}/core_cpus": f"{(1 << cpu % 4) | (1 << (cpu % 4 + 4)):02x}\n",
            f"{base}/package_cpus": f"{0x33 if socket == 0 else 0xCC:02x}\n",
        }
    for node, (cpus, mask) in enumerate((("0-1,4-5", "33"), ("2-3,6-7", "cc"))):
        base = f"/sys/devices/system/node/node{node}"
        files |= {
            f"{base}/cpulist": f"{cpus}\n",
            f"{base}/cpumap": f"{mask}\n",
            f"{base}/distance": "10 21\n" if node == 0 else "21 10\n",
            f"{base}/meminfo": f"Node {node} MemTotal: 4194304 kB\nNode {node} MemFree: 1048576 kB\n"
            f"Node {node} Active(file): 524288 kB\nNode {node} Inactive(file): 524288 kB\n",
        }
    return tree(folder, files)
