"""A watchdog that resets the machine when the agent's main loop stands still (Documentation/watchdog/watchdog-api.rst of the
kernel).

Only the main loop pets it. An agent that ended without a word and is started again by init in time goes on petting it.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import time
from pathlib import Path

from ahc_agent.errors import ProgramError
from ahc_agent.programs import run

DEVICE = Path("/dev/watchdog")
#: Longer than the worst that the main loop does in one turn; hardware may allow less.
TIMEOUT_S = 60
_EVERY_S = 5.0
_WDIOC_SETTIMEOUT = 0xC0045706  # _IOWR('W', 6, int)


class Watchdog:
    """An open watchdog; ``timeout_s`` is what the hardware made of the wish. Raises OSError."""

    def __init__(self, device: Path = DEVICE, timeout_s: int = TIMEOUT_S) -> None:
        self._handle = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
        self._petted_at_s = 0.0
        wanted = array.array("i", [timeout_s])
        try:
            fcntl.ioctl(self._handle, _WDIOC_SETTIMEOUT, wanted)
            self.timeout_s = wanted[0]
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):
                self.close()  # armed since it was opened, and nobody would pet it
                raise
            self.timeout_s = 0  # it has one of its own, and does not tell
        self.pet()

    def pet(self) -> None:
        """The main loop is alive. As often as one likes."""
        now = time.monotonic()
        if now - self._petted_at_s >= _EVERY_S:
            os.write(self._handle, b"\0")
            self._petted_at_s = now

    def close(self) -> None:
        """Disarm it ("magic close"): the machine ends on purpose, or a person takes over."""
        os.write(self._handle, b"V")
        os.close(self._handle)


def arm(device: Path = DEVICE) -> Watchdog | str:
    """The machine's watchdog, else the kernel's own (softdog); else why there is none."""
    if not device.exists():
        try:
            run(["modprobe", "softdog"], time_limit_s=20)
        except ProgramError as error:
            return f"no watchdog: {error}"
    try:
        return Watchdog(device)
    except OSError as error:
        return f"no watchdog: {device}: {error.strerror}"
