"""Drivers for everything that the machine has, in a thread: disks may take minutes while the network is there at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from ahc_agent.boot import modules
from ahc_agent.boot.console import Console

#: Rounds of devices behind devices behind devices: a disk behind an adapter behind a bridge are three.
_ROUNDS = 10
_NVME = Path("/sys/class/nvme")
_NOT_YET = {"new", "connecting", "resetting"}
_DISKS_S = 30.0
#: Longer than ``modprobe`` and the disks may take; a driver that stands still in the kernel cannot be killed.
_PATIENCE_S, _SAY_EVERY_S = 400.0, 60.0
_CHECK = "The machine is measured without it. Check that the image has the firmware that the driver wants"


class Hardware:
    """``settled`` is set once all that was there at the start has its driver, or nobody waits for it any more; later comers get
    theirs as well."""

    def __init__(self, console: Console, wake: Callable[[], None]) -> None:
        self.settled = threading.Event()
        self._wake = wake
        self._console = console
        self._loaded: set[str] = set()
        self._plug = modules.HotPlug()
        self._thread = threading.Thread(target=self._run, name="hardware", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(
        self, until: Callable[[Callable[[], bool], float], bool], patience_s: float = _PATIENCE_S
    ) -> None:
        """Until it is settled, or a driver has had time enough. ``until``: of the main loop (``Loop.wait``)."""
        end_s = time.monotonic() + patience_s
        while not until(self.settled.is_set, min(end_s, time.monotonic() + _SAY_EVERY_S)):
            if time.monotonic() >= end_s:
                self._console.trouble(
                    f"drivers are not loaded after {patience_s:.0f} s",
                    "The machine goes on without the rest of them. Its kernel says where it stands still (ahc.debug=1)",
                )
                self.settled.set()  # another server that is tried is not kept waiting once more
                return
            self._console.say("hardware", "drivers are still being loaded")

    def _run(self) -> None:
        try:
            begun = time.monotonic()
            self._load(modules.announced(), modules.UNANNOUNCED)
            for _ in range(_ROUNDS):
                if not self._load(self._plug.heard()):
                    break
            self._wait_for_disks()
            self._console.say(
                "hardware",
                f"drivers are loaded for {len(self._loaded)} kinds of devices ({time.monotonic() - begun:.1f} s)",
            )
            self.settled.set()
            self._wake()
            while True:
                self._plug.wait()
                self._load(self._plug.heard())
        except Exception as error:
            self._console.trouble(f"loading drivers has failed: {error}", _CHECK)
            raise
        finally:
            self.settled.set()
            self._wake()

    def _wait_for_disks(self) -> None:
        """NVMe drivers say that they are loaded before their disks are there; SCSI's are told to look first (etc/modprobe.d)."""
        until = time.monotonic() + _DISKS_S
        while waiting := [path.name for path in _NVME.glob("*") if _state(path) in _NOT_YET]:
            if time.monotonic() > until:
                self._console.trouble(
                    f"not ready after {_DISKS_S:.0f} s: {', '.join(waiting)}", "The disk may be broken"
                )
                return
            time.sleep(0.05)

    def _load(self, names: set[str], more: tuple[str, ...] = ()) -> bool:
        """Whether there was anything to load."""
        new = names - self._loaded
        self._loaded |= new
        if new:
            for sentence in modules.load(new, more):
                self._console.trouble(sentence, _CHECK)
        return bool(new)


def _state(controller: Path) -> str:
    try:
        return (controller / "state").read_text().strip()
    except OSError:
        return ""  # the kernel has given it up just now
