"""A machine that runs: its console line by line, its screen, its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahc_agent.errors import CannotAnswer
from ramdisk.machines import qemu
from ramdisk.machines.hardware import Machine
from ramdisk.machines.wire import Wire

#: What terminals take as orders: cursor moves and colours, which firmware likes to send.
_ORDERS = re.compile(rb"\x1b(?:\[[0-9;?]*[A-Za-z]|c|[()][AB0])")
_POLL_S = 0.05
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the console, and when its end came (CLOCK_MONOTONIC)."""

    at_s: float
    text: str


class Guest:
    """A started machine. All times are CLOCK_MONOTONIC of this side: the guest's own clock is not asked."""

    def __init__(
        self,
        machine: Machine,
        wire: Wire,
        folder: Path,
        *,
        direct: qemu.Direct | None = None,
        screen: bool = False,
        taps: list[str] | None = None,
    ) -> None:
        """Power on. ``folder`` is made for the machine's disks; ``taps`` of an earlier life of it are used again.

        Raises ProgramFailed where QEMU cannot be started.
        """
        self.machine = machine
        self._wire = wire
        self.taps = taps or [wire.tap(cable=card.limit_bits_per_s is not None) for card in machine.cards]
        self._files = qemu.Files(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for index, disk in enumerate(machine.disks):
            path = self._files.disk(index)
            if not path.exists():
                with path.open("wb") as file:
                    file.truncate(disk.size_mib << 20)
        self._lines: list[Line] = []
        keys, self._keyboard = os.pipe()
        try:
            argv = qemu.arguments(machine, self.taps, self._files, direct, screen=screen)
            self._process, read = wire.start(argv, keys)
        except BaseException:
            os.close(self._keyboard)
            raise
        finally:
            os.close(keys)
        self.started_at_s = time.monotonic()
        self._reader = threading.Thread(target=self._read, args=(read,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lines(self) -> list[Line]:
        """The console so far."""
        return list(self._lines)

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self._lines)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, pattern: str, time_limit_s: float, *, after_s: float = 0.0) -> Line:
        """The first console line (that ended after ``after_s``) in which a regular expression is found.

        Raises CannotAnswer with the console's last lines where none came in time, or the machine ended.
        """
        expression = re.compile(pattern)
        deadline = time.monotonic() + time_limit_s
        seen = 0
        while True:
            alive = self.running
            for line in self._lines[seen:]:
                seen += 1
                if line.at_s >= after_s and expression.search(line.text):
                    return line
            if not alive or time.monotonic() > deadline:
                what = "did not come in time" if alive else "never came: the machine ended"
                tail = "\n".join(line.text for line in self._lines[-40:])
                raise CannotAnswer(f"{self.machine.name}: {pattern!r} {what}; its console ends with\n{tail}")
            time.sleep(_POLL_S)

    def wait_for_end(self, time_limit_s: float) -> None:
        """Until the machine has powered itself off. Raises CannotAnswer."""
        deadline = time.monotonic() + time_limit_s
        while self.running:
            if time.monotonic() > deadline:
                raise CannotAnswer(f"{self.machine.name}: still on after {time_limit_s:g} s")
            time.sleep(_POLL_S)

    def limit_cards(self) -> None:
        """From now on the cables carry what they are meant to carry; until then the image comes at full speed."""
        for tap, card in zip(self.taps, self.machine.cards, strict=True):
            if card.limit_bits_per_s is not None:
                self._wire.limit(tap, card.limit_bits_per_s)

    def type(self, line: str) -> None:
        """Type a line on the serial console. Raises OSError where the machine is off."""
        os.write(self._keyboard, f"{line}\n".encode())

    def screenshot(self, path: Path) -> None:
        """The VGA screen as a PNG file (guests with ``screen`` only)."""
        self.order("screendump", filename=str(path), format="png")

    def order(self, command: str, **arguments: Any) -> Any:
        """A command of QEMU's monitor (QMP). Raises CannotAnswer."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self._files.qmp))
            with line.makefile("rwb") as talk:
                talk.readline()
                answer: Any = None
                for what in (
                    {"execute": "qmp_capabilities"},
                    {"execute": command, "arguments": arguments},
                ):
                    talk.write(json.dumps(what).encode() + b"\n")
                    talk.flush()
                    answer = json.loads(talk.readline())
                    while "event" in answer:
                        answer = json.loads(talk.readline())
        if "error" in answer:
            raise CannotAnswer(f"{self.machine.name}: {command}: {answer['error']['desc']}")
        return answer["return"]

    def kill(self) -> None:
        """Pull the power plug."""
        if self.running:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(_END_S)
        if self._keyboard >= 0:
            os.close(self._keyboard)
            self._keyboard = -1
        self._reader.join(_END_S)

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            rest = b""
            while chunk := stream.read(65536):
                *whole, rest = (rest + chunk).split(b"\n")
                now = time.monotonic()
                self._lines += [Line(now, _clean(each)) for each in whole]
            if rest:
                self._lines.append(Line(time.monotonic(), _clean(rest)))


@contextmanager
def running(*guests: Guest) -> Iterator[None]:
    """Pull the plugs of machines at the end, whatever happened."""
    try:
        yield
    finally:
        for guest in guests:
            guest.kill()


def _clean(line: bytes) -> str:
    return _ORDERS.sub(b"", line).decode("utf-8", "replace").replace("\r", "").rstrip()
