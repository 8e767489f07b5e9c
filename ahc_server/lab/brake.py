"""Faults without any rights: stop some of a node's programs for a part of the time.

Where no card can be shaped and no disk throttled, the program that measures is stopped (SIGSTOP) and continued (SIGCONT)
many times a second. It then sees its hardware that much slower, and nobody else does.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import psutil

#: Short against a benchmark's sample, long against a time slice of the scheduler.
PERIOD_S = 0.05
#: How often a node's process tree is looked through for programs that have just started.
_LOOK_S = 0.2

#: Stands for the agent itself, whose threads are the network engine.
AGENT = "agent"


@dataclass(frozen=True, slots=True)
class _Braked:
    agent: int
    programs: frozenset[str]
    factor: float


class Brakes:
    """All braked nodes of a lab, each with a thread of its own."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, agent: int, programs: frozenset[str], factor: float) -> None:
        """Let the named programs below an agent's process run for a part ``factor`` of the time."""
        thread = threading.Thread(target=self._brake, args=(_Braked(agent, programs, factor),), daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        """Let everything run again."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _brake(self, braked: _Braked) -> None:
        targets: list[psutil.Process] = []
        looked = 0.0
        while not self._end.is_set():
            if time.monotonic() - looked > _LOOK_S:
                targets, looked = _targets(braked), time.monotonic()
            for target in targets:
                _signal(target, stop=True)
            self._end.wait(PERIOD_S * (1 - braked.factor))
            for target in targets:
                _signal(target, stop=False)
            self._end.wait(PERIOD_S * braked.factor)


def _targets(braked: _Braked) -> list[psutil.Process]:
    try:
        agent = psutil.Process(braked.agent)
        children = agent.children(recursive=True)
        found = [child for child in children if child.name() in braked.programs]
    except psutil.Error:
        return []
    return [agent, *found] if AGENT in braked.programs else found


def _signal(target: psutil.Process, *, stop: bool) -> None:
    """psutil compares start times first: a reused process id is left alone."""
    try:
        if stop:
            target.suspend()
        else:
            target.resume()
    except psutil.Error:
        return
