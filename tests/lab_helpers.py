"""What the lab's tests share: what a lab left behind, and labs started as a user starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from ahc_agent.errors import CannotAnswer
from ahc_server.lab import cgroups, kernel, ledger, processes


def _why_no_lab() -> str:
    """Why a lab with namespaces, loop devices and control groups cannot be had here; empty where it can."""
    if os.geteuid() != 0:
        return "not root"
    try:
        os.close(kernel.new_network_namespace())
    except OSError as error:
        return f"no network namespaces: {error}"
    if not Path("/dev/loop-control").exists():
        return "no loop devices"
    return ""


T = TypeVar("T")

NO_LAB = _why_no_lab()
needs_lab = pytest.mark.skipif(bool(NO_LAB), reason=f"no lab here: {NO_LAB}")


def traces(lab_id: str) -> list[str]:
    """Everything on this machine that a lab made and that is still there."""
    left = [f"process {pid}" for pid in processes.marked(lab_id)]
    left += [f"ledger {path}" for path in ledger.folder().glob(f"{lab_id}*")]
    left += [str(path) for base in ("/tmp", "/var/tmp") for path in Path(base).glob(f"*{lab_id}*")]
    left += [str(group) for group in _cgroups(lab_id) if group.exists()]
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if lab_id in backing.read_text():
                left.append(str(backing))
        except OSError:
            continue
    return left


def _cgroups(lab_id: str) -> list[Path]:
    try:
        return [folder / f"{ledger.PREFIX}{lab_id}" for folder in cgroups.find().folders]
    except CannotAnswer:
        return []


def network_namespaces() -> dict[int, int]:
    """Process id → network namespace, of all processes of this machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found[int(path.parts[2])] = path.stat().st_ino
        except OSError:
            continue
    return found


def lab_of(owner: int) -> str | None:
    """The id of the lab that a process runs, by its ledger."""
    for path in ledger.folder().glob("*.json"):
        try:
            entries = ledger.Ledger.load(path).entries
        except OSError:
            continue
        if entries.owner == owner:
            return entries.lab_id
    return None


def wait_for(what: Callable[[], T | None], time_limit_s: float = 60.0) -> T:
    """The first true answer of ``what``."""
    deadline = time.monotonic() + time_limit_s
    while not (answer := what()):
        assert time.monotonic() < deadline, f"waited {time_limit_s} s in vain"
        time.sleep(0.05)
    return answer
