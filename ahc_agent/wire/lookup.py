"""Addresses of a host's name, looked up in a thread: a name server that is away holds whoever asks it for half a minute, and the
main loop must go on (heartbeats, leases, the watchdog)."""

from __future__ import annotations

import ipaddress
import socket
import threading


class Lookup:
    """One look-up, begun when it is made. ``addresses``: None until it has ended, () where nobody knows the name; those of IPv6
    without brackets. Readable (``fileno``) once it has ended.

    A thread that waits for a name server cannot be ended: who has no patience closes the look-up and leaves it to itself.
    """

    def __init__(self, host: str) -> None:
        self.addresses: tuple[str, ...] | None = None
        self._host = host.strip("[]")
        self._ours, theirs = socket.socketpair()
        try:
            ipaddress.ip_address(self._host)
        except ValueError:
            threading.Thread(target=self._ask, args=(theirs,), name="lookup", daemon=True).start()
        else:
            self.addresses = (self._host,)
            theirs.close()

    def fileno(self) -> int:
        return self._ours.fileno()

    def close(self) -> None:
        self._ours.close()

    def _ask(self, end: socket.socket) -> None:
        with end:  # whose closing makes ours readable
            try:
                found = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):  # an empty label, or one that is too long, is a UnicodeError
                found = []
            self.addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
