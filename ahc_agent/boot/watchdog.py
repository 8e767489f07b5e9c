"""A watchdog that resets the machine when the agent's main loop stands still (Documentation/watchdog/watchdog-api.rst of the
kernel).

Only the main loop pets them. An agent that ended without a word and is started again by init in time goes on petting them.

The kernel's own (softdog) is there from the start; the machine's own joins it when its driver is loaded, and resets the machine
also where the kernel stands still.
"""

from __future__ import annotations

import array
import errno
import fcntl
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from ahc_agent.boot.console import Console
from ahc_agent.errors import ProgramError
from ahc_agent.programs import run

DEVICES = Path("/dev")
_NAMES = Path("/sys/class/watchdog")
#: Longer than the worst that the main loop does in one turn; hardware may allow less.
TIMEOUT_S = 60
_EVERY_S = 5.0
#: One that allows less is left alone: it would reset machines that are merely busy.
_SHORTEST_S = 30
_CHECK = "A machine that hangs is not started anew by itself"
_CHECK_PET = "It is tried on. Should it be armed still, it resets this machine"
_CHECK_CLOSE = "It may reset this machine"
_WDIOC_SETTIMEOUT = 0xC0045706  # _IOWR('W', 6, int)


class Watchdog:
    """An open watchdog; ``timeout_s`` is what the hardware made of the wish. Raises OSError."""

    def __init__(self, device: Path, timeout_s: int = TIMEOUT_S) -> None:
        self._handle = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
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
        """Raises OSError."""
        os.write(self._handle, b"\0")

    def close(self) -> None:
        """Disarm it ("magic close"): the machine ends on purpose, or a person takes over. Raises OSError."""
        try:
            os.write(self._handle, b"V")
        finally:
            os.close(self._handle)


class Watchdogs:
    """All of the machine. What happens with them is said on the console. ``clock``: seconds."""

    def __init__(
        self,
        console: Console,
        devices: Path = DEVICES,
        names: Path = _NAMES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._devices, self._names = devices, names
        self._clock = clock
        self._dogs: dict[Path, Watchdog | None] = {}
        self._failing: set[Path] = set()
        self._petted_at_s = -math.inf

    def arm(self) -> None:
        """Those that are there, else the kernel's own."""
        if not self._listed():
            try:
                run(["modprobe", "softdog"], time_limit_s=20)
            except ProgramError as error:
                self._console.trouble(f"no watchdog: {error}", _CHECK)
        self.pet()

    def pet(self) -> None:
        """The main loop is alive. As often as one likes; those that have come since are armed."""
        now = self._clock()
        if now - self._petted_at_s < _EVERY_S:
            return
        self._petted_at_s = now
        for device in self._listed():
            if device not in self._dogs:
                self._dogs[device] = self._open(device)
        for device, dog in self._dogs.items():
            try:
                if dog is not None:
                    dog.pet()
                    self._failing.discard(device)
            except OSError as error:
                # It is petted on: it may be armed still, and the next time may reach it.
                if device not in self._failing:
                    self._failing.add(device)
                    self._console.trouble(f"watchdog {device}: {error.strerror}", _CHECK_PET)

    def close(self) -> None:
        """Disarm them. One that cannot be keeps no machine from its end."""
        while self._dogs:
            device, dog = self._dogs.popitem()
            try:
                if dog is not None:
                    dog.close()
            except OSError as error:
                self._console.trouble(
                    f"watchdog {device}: cannot be disarmed: {error.strerror}", _CHECK_CLOSE
                )

    def _listed(self) -> list[Path]:
        """``/dev/watchdog`` is the first of the numbered ones, where there are such."""
        numbered = sorted(self._devices.glob("watchdog[0-9]*"))
        return numbered or [path for path in (self._devices / "watchdog",) if path.exists()]

    def _open(self, device: Path) -> Watchdog | None:
        try:
            # One that cannot be disarmed again is armed by opening it: what it allows is asked first.
            most_s = self._number(device, "max_timeout")
            if self._number(device, "nowayout") and 0 < most_s < _SHORTEST_S:
                raise OSError(0, f"allows {most_s} s only, and cannot be disarmed; left alone")
            dog = Watchdog(device)
            if 0 < dog.timeout_s < _SHORTEST_S:
                dog.close()
                raise OSError(0, f"allows {dog.timeout_s} s only; left alone")
        except OSError as error:
            self._console.trouble(f"no watchdog: {device}: {error.strerror}", _CHECK)
            return None
        after = f" after {dog.timeout_s} s" if dog.timeout_s else ""
        self._console.say(
            "hardware", f"watchdog: {self._name(device)} resets this machine{after} without the agent"
        )
        return dog

    def _number(self, device: Path, name: str) -> int:
        """What sysfs tells of it (Documentation/ABI/testing/sysfs-class-watchdog); 0 where it does not."""
        try:
            return int((self._names / device.name / name).read_text())
        except (OSError, ValueError):
            return 0

    def _name(self, device: Path) -> str:
        try:
            return (self._names / device.name / "identity").read_text(errors="replace").strip()
        except OSError:
            return device.name
