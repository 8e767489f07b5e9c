"""What a person in front of the machine reads: lines of time, stage and sentence on every active console, the serial one as well.

``/dev/console`` is only the last console that the kernel was given; all of them stand in ``/sys/class/tty/console/active``. A
serial port whose other end holds the line (flow control) must not hold the boot: what does not leave within a moment is dropped.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

Stage = Literal["boot", "hardware", "network", "server", "work", "trouble", "done"]

_ACTIVE = Path("/sys/class/tty/console/active")
_UPTIME = Path("/proc/uptime")
#: A line of 120 characters takes 0.13 s on a port of 9600 baud.
_PATIENCE_S = 1.0
#: What is told to the server: so many troubles, each of so many characters (``Hello.troubles``).
TROUBLES_LIMIT, TROUBLE_CHARACTERS = 50, 500


def active_consoles(listed: Path = _ACTIVE) -> list[Path]:
    """The consoles that the kernel writes to; ``/dev/console`` where it does not tell."""
    try:
        names = listed.read_text().split()
    except OSError:
        names = []
    found = [Path("/dev") / name for name in names]
    return [path for path in found if path.exists()] or [Path("/dev/console")]


def uptime_s() -> float:
    """Seconds since the kernel started."""
    return float(_UPTIME.read_text().split()[0])


class Console:
    """``write`` gets each line (with its end); without it lines go to all active consoles. ``troubles``: what went wrong so
    far; ``kept``: how many that were, also where some had to give way."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write or Terminals(active_consoles()).write
        self.troubles: list[str] = []
        self.kept = 0

    def say(self, stage: Stage, sentence: str) -> None:
        """One line. Characters that could move a terminal's cursor are written out."""
        plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in sentence)
        clock = time.strftime("%H:%M:%S", time.gmtime())
        self._write(f"{clock} {stage:<8}  {plain}  [{uptime_s():.1f} s]\n")

    def trouble(self, sentence: str, check: str = "", *, kept: bool = True) -> None:
        """Something went wrong: said, and ``kept`` for the server. ``check``: what a person should look at. The same is kept
        once."""
        self.say("trouble", f"{sentence}. {check}" if check else sentence)
        if kept:
            self._keep(sentence)

    def _keep(self, sentence: str) -> None:
        kept = sentence[:TROUBLE_CHARACTERS]
        if kept not in self.troubles:
            self.troubles.append(kept)
            self.kept += 1
            # The first ones tell most, the last ones what is wrong now.
            if len(self.troubles) > TROUBLES_LIMIT:
                del self.troubles[TROUBLES_LIMIT // 2]


class Terminals:
    """Several terminals; what one does not take in time is lost there and nowhere else.

    One that is held gets no time until it takes a line whole again: with a second for each line a machine with a hundred cards
    would be reset by its watchdog.
    """

    def __init__(self, paths: list[Path]) -> None:
        self._handles = []
        self._held: set[int] = set()
        for path in paths:
            try:
                self._handles.append(os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK))
            except OSError:
                continue  # the kernel lists consoles that have no device, as braille and netconsole
        if not self._handles:
            self._handles.append(os.dup(2))

    def write(self, text: str) -> None:
        line = text.replace("\n", "\r\n").encode()
        for handle in self._handles:
            if _write(handle, line, 0.0 if handle in self._held else _PATIENCE_S):
                self._held.discard(handle)
            else:
                self._held.add(handle)

    def close(self) -> None:
        for handle in self._handles:
            os.close(handle)


def _write(handle: int, data: bytes, patience_s: float) -> bool:
    """Whether all of it was taken in time; a terminal that has hung up takes everything."""
    until = time.monotonic() + patience_s
    while data:
        try:
            data = data[os.write(handle, data) :]
        except BlockingIOError:
            left = until - time.monotonic()
            if left <= 0:
                return False
            select.select([], [handle], [], left)
        except OSError:
            return True
    return True
