"""The main loop of a machine that boots: it waits for whatever happens, and never stands still while something else works."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

from ahc_agent.boot.network import Network
from ahc_agent.boot.watchdog import Watchdogs

#: A turn at least so often.
_TURN_S = 1.0

_T = TypeVar("_T")


class _Thread(threading.Thread):
    """``concurrent.futures`` would do, and load the logging of Python: 0.1 s on a slow machine."""

    def __init__(self, function: Callable[[], object], wake: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.answer: object = None
        self.error: Exception | None = None
        self.done = False
        self._function, self._wake = function, wake

    def run(self) -> None:
        try:
            self.answer = self._function()
        except Exception as error:
            self.error = error
        finally:
            self.done = True
            self._wake()


class Loop:
    """``turn`` does what is due at any time. ``wake`` may be called from any thread."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.watchdogs: Watchdogs | None = None
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def wake(self) -> None:
        """End the waiting: something may be so now."""
        os.eventfd_write(self._wake_fd, 1)

    def turn(self) -> bool:
        """Whether the machine's addresses have changed."""
        if self.watchdogs is not None:
            self.watchdogs.pet()
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
        thread = _Thread(function, self.wake)
        thread.start()
        self.wait(lambda: thread.done)
        if thread.error is not None:
            raise thread.error
        return cast("_T", thread.answer)

    def close(self) -> None:
        self.network.close()
        if self.watchdogs is not None:
            self.watchdogs.close()
            self.watchdogs = None
        os.close(self._wake_fd)
