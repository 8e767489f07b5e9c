"""The main loop of a machine that boots: it waits for whatever happens, and never stands still while something else works."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ahc_agent.boot.network import Network
from ahc_agent.boot.watchdog import Watchdog

#: A turn at least so often.
_TURN_S = 1.0

_T = TypeVar("_T")


class Loop:
    """``turn`` does what is due at any time. ``wake`` may be called from any thread."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.watchdog: Watchdog | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """End the waiting: something may be so now."""
        os.eventfd_write(self._wake_fd, 1)

    def turn(self) -> bool:
        """Whether the machine's addresses have changed."""
        if self.watchdog is not None:
            self.watchdog.pet()
        return self.network.turn()

    def wait(self, until: Callable[[], bool], until_s: float | None = None) -> bool:
        """Until something is so, or the time (CLOCK_MONOTONIC) has come; answers with whether it is so."""
        while not until():
            left_s = _TURN_S if until_s is None else min(_TURN_S, until_s - time.monotonic())
            if left_s <= 0:
                return False
            readable, _, _ = select.select([self._wake_fd, *self.network.readable()], [], [], left_s)
            if self._wake_fd in readable:
                os.eventfd_read(self._wake_fd)
            self.turn()
        return True

    def rest(self, seconds: float) -> None:
        """Do nothing but what is due."""
        self.wait(lambda: False, time.monotonic() + seconds)

    def in_thread(self, function: Callable[[], _T]) -> _T:
        """What a function answers that may take its time; the loop goes on meanwhile."""
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(function)
            future.add_done_callback(lambda _: self.wake())
            self.wait(future.done)
            return future.result()

    def close(self) -> None:
        self.network.close()
        if self.watchdog is not None:
            self.watchdog.close()
            self.watchdog = None
        os.close(self._wake_fd)
