"""CPU shares without any rights: stop a program (SIGSTOP) when it has used up its share, continue it when it may go on.

Where no card can be shaped and no disk throttled, the nodes' programs are CPU-bound: the share of the program that measures
is then the speed of what it measures, whatever else runs on the machine meanwhile. The share is of CPU time used
(as control groups count it), not of the clock: what a program overdraws in one period, or uses before it is found, is
taken off the next.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: How often shares are looked after. A program runs so long at least before it is stopped, so that one with a tenth of a CPU
#: runs once in ten of these: a benchmark's sample of a tenth of a second has to hold several such turns.
PERIOD_S = 0.004
#: How often new processes are looked for, which costs much more.
_FIND_S = 0.02
#: What a program that was stopped too long, because this thread came late itself, may catch up on.
_MOST_LATE_S = 0.1
#: Stands for the agent itself, whose threads are the network engine.
AGENT = "agent"


@dataclass(slots=True)
class _Held:
    """One process: its descriptor, the clock of its CPU time, what it may still use before it is stopped."""

    descriptor: int
    clock: int
    used_s: float = 0.0
    budget_s: float = 0.0
    stopped: bool = False


class Governor:
    """Holds programs of a lab to their shares, from a thread of its own."""

    def __init__(self) -> None:
        self._shares: dict[int, dict[str, float]] = {}
        self._held: dict[int, _Held] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._govern, daemon=True)

    def hold(self, agent: int, program: str, cpus: float) -> None:
        """Give a program below an agent's process (or ``AGENT`` itself) so many CPU seconds per second."""
        self._shares = {
            **self._shares,
            agent: {**self._shares.get(agent, {}), program: cpus},
        }
        if not self._thread.is_alive():
            self._thread.start()

    def close(self) -> None:
        """Let everything run freely again."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _govern(self) -> None:
        last, found = time.monotonic(), -_FIND_S
        shares: dict[int, float] = {}
        while not self._end.is_set():
            now = time.monotonic()
            if now - found >= _FIND_S:
                found = now
                shares = dict(_find(self._shares))
                for pid in shares.keys() - self._held.keys():
                    self._take_up(pid)
            for pid, held in list(self._held.items()):
                if pid not in shares or not _ration(held, shares[pid], now - last):
                    os.close(self._held.pop(pid).descriptor)
            last = now
            self._end.wait(PERIOD_S)
        for held in self._held.values():
            _send(held, signal.SIGCONT)
            os.close(held.descriptor)

    def _take_up(self, pid: int) -> None:
        try:
            # clock_getcpuclockid(3): the CPU clock of a process is made from its id.
            self._held[pid] = _Held(os.pidfd_open(pid), (~pid << 3) | 2)
        except OSError:
            return


def _find(shares: dict[int, dict[str, float]]) -> Iterator[tuple[int, float]]:
    """Process id and share of every program that is to be held and runs now."""
    for agent, programs in shares.items():
        if AGENT in programs:
            yield agent, programs[AGENT]
        for pid in _descendants(agent):
            share = programs.get(_name(pid))
            if share is not None:
                yield pid, share


def _descendants(pid: int) -> Iterator[int]:
    """By the kernel's own lists of children: psutil would read all of ``/proc`` each time."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            yield int(child)
            yield from _descendants(int(child))


def _name(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/comm")).strip()


def _read(path: Path) -> str:
    """Empty where the process has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _ration(held: _Held, cpus: float, passed_s: float) -> bool:
    """Give a process its due for the time that passed; stop or continue it. False when it has ended."""
    try:
        used = time.clock_gettime(held.clock)
    except OSError:
        return False
    # No more than one period is saved up by a program that could have run: one that was idle gets no burst.
    most_s = cpus * (_MOST_LATE_S if held.stopped else PERIOD_S)
    held.budget_s = min(held.budget_s + cpus * passed_s, most_s) - (used - held.used_s)
    held.used_s = used
    if (held.budget_s < 0) != held.stopped:
        held.stopped = held.budget_s < 0
        return _send(held, signal.SIGSTOP if held.stopped else signal.SIGCONT)
    return True


def _send(held: _Held, number: signal.Signals) -> bool:
    try:
        signal.pidfd_send_signal(held.descriptor, number)
    except OSError:
        return False
    return True
