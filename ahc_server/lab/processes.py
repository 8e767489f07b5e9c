"""The lab's processes: started where they belong, found again by a mark, ended without leftovers.

Every process carries the lab's id in its environment (``AHC_LAB=ID``), which its children inherit: fio's workers and
whatever else an agent starts are found by it in ``/proc``, wherever they hang in the process tree.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import ProgramFailed
from ahc_server.lab import kernel

log = logging.getLogger(__name__)

MARK = "AHC_LAB"

#: A process of the lab.
Child = subprocess.Popen[bytes]

#: For output that nobody wants.
NOWHERE = subprocess.DEVNULL


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process runs: its network namespace, its host name, the ``cgroup.procs`` files it signs up in."""

    network: int | None = None
    hostname: str | None = None
    cgroups: tuple[Path, ...] = ()


def start(
    argv: Sequence[str],
    lab_id: str,
    *,
    place: Place | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Child:
    """Start a process of the lab in a session of its own; it dies with the thread that started it.

    ``stdin``, ``stdout`` and ``stderr`` are open descriptors; None is nothing to read, and the lab's own. Raises ProgramFailed.
    """
    place = place or Place()
    parent = os.getpid()

    def prepare() -> None:
        kernel.die_with_parent(parent)
        for procs in place.cgroups:
            procs.write_text("0")
        if place.network is not None:
            kernel.set_namespace(place.network, kernel.CLONE_NEWNET)
            kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS)
            kernel.private_mounts()
            kernel.mount_sysfs()
            if place.hostname is not None:
                socket.sethostname(place.hostname)

    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, MARK: lab_id},
            preexec_fn=prepare,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramFailed(argv[0], f"cannot be started in its place: {error}") from error


def start_watchdog(ledger: Path) -> Child:
    """Start the process that outlives a killed lab (``watchdog``). It carries no mark: it is the one that ends the others.

    Close its ``stdin`` and wait for it when the lab has cleaned up.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "ahc_server.lab.watchdog", str(ledger)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def marked(lab_id: str) -> Iterator[int]:
    """Process ids that carry the lab's mark and have not ended. Those of other users cannot be read and are not ours."""
    mark = f"{MARK}={lab_id}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
        except OSError:
            continue


def kill_marked(lab_id: str, time_limit_s: float = 10.0) -> bool:
    """SIGKILL whatever carries the lab's mark until nothing does; False where something outlived the time limit."""
    deadline = time.monotonic() + time_limit_s
    while True:
        left = [pid for pid in marked(lab_id) if _kill_if_marked(pid, lab_id)]
        if not left:
            return True
        if time.monotonic() > deadline:
            log.error("lab %s: processes %s do not end", lab_id, left)
            return False
        time.sleep(0.02)


def _kill_if_marked(pid: int, lab_id: str) -> bool:
    """Kill by a process descriptor that was opened before the mark was read again: never a stranger with a reused id."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if f"{MARK}={lab_id}".encode() not in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (``/proc/PID/stat``, field 22); None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name, in parentheses, may hold anything: count from its end.
    return int(stat.rpartition(")")[2].split()[19])
