"""Time limits: every wait of a pairwise test has one, and ends early when the task is called off."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time

from ahc_agent.errors import Cancelled

#: No wait sleeps longer than this before it looks whether the task was cancelled.
SLICE_S = 0.1


class Watch:
    """A deadline and the cancel event of the task."""

    def __init__(self, cancelled: threading.Event, limit_s: float) -> None:
        self.cancelled = cancelled
        self.deadline = time.monotonic() + limit_s

    def within(self, limit_s: float) -> Watch:
        """A watch that ends after ``limit_s``, and never later than this one."""
        return Watch(self.cancelled, min(limit_s, self.deadline - time.monotonic()))

    def running(self) -> bool:
        """True until the deadline. Raises Cancelled."""
        if self.cancelled.is_set():
            raise Cancelled("cancelled")
        return time.monotonic() < self.deadline

    def slice_s(self) -> float:
        """How long to sleep before looking again."""
        return max(0.0, min(SLICE_S, self.deadline - time.monotonic()))

    def readable(self, *sockets: socket.socket) -> list[socket.socket]:
        """Those sockets that can be read, after a slice at the latest."""
        return select.select(sockets, (), (), self.slice_s())[0]

    def sleep(self) -> None:
        """Sleep until the deadline, to the fraction of a millisecond. Raises Cancelled."""
        while self.running():
            self.cancelled.wait(self.deadline - time.monotonic())


def receive_slice(sock: socket.socket, slice_s: float = SLICE_S) -> None:
    """Let blocking reads of a socket end (BlockingIOError) after a slice.

    By SO_RCVTIMEO, not by ``settimeout``: with that, Python asks ``poll`` before every read, a system call more in each
    round trip.
    """
    sock.setblocking(True)
    seconds = int(slice_s)
    value = struct.pack("@ll", seconds, int((slice_s - seconds) * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
