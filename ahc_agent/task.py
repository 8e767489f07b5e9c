"""What a running task may use: the seam between the agent's loop and everything that measures."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import Go


def _no_progress(fraction: float, note: str) -> None:
    return None


def _no_ready(ports: dict[str, int]) -> None:
    raise RuntimeError("this task has no peer to be ready for")


def _no_go(time_limit_s: float) -> Go:
    raise RuntimeError("this task has no peer to wait for")


def _nothing_heard(inventory: Inventory) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Device:
    """A block device (or, in a lab without loop devices, a regular file) that may be measured, and its name in metrics."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class TaskContext:
    """Handed to every task.

    ``progress(fraction, note)`` may be called at any time. ``cancelled`` is to be watched: a task ends within a second of
    it. ``ready(ports)`` and ``wait_go(time_limit_s)`` are for pair tasks: say that this end is prepared; wait for the moment
    that the server's Go names (raises AhcError when Go does not come in time or the task is cancelled). ``only_disks``: measure
    these and no others (``ahc-agent join --disk``); None is every disk of the machine. ``neighbours`` adds to an inventory what
    was heard of the switches since the agent started.
    """

    machine: str = ""
    progress: Callable[[float, str], None] = _no_progress
    cancelled: threading.Event = field(default_factory=threading.Event)
    ready: Callable[[dict[str, int]], None] = _no_ready
    wait_go: Callable[[float], Go] = _no_go
    only_disks: tuple[Device, ...] | None = None
    neighbours: Callable[[Inventory], None] = _nothing_heard
