"""Drivers for everything that the machine has, in a thread: disks may take minutes while the network is there at once."""

from __future__ import annotations

import threading
import time

from ahc_agent.boot import modules
from ahc_agent.boot.console import Console

#: Rounds of devices behind devices behind devices: a disk behind an adapter behind a bridge are three.
_ROUNDS = 10
_CHECK = "The machine is measured without it. Check that the image has the firmware that the driver wants"


class Hardware:
    """``settled`` is set once all that was there at the start has its driver; later comers get theirs as well."""

    def __init__(self, console: Console) -> None:
        self.settled = threading.Event()
        self._console = console
        self._loaded: set[str] = set()
        self._plug = modules.HotPlug()
        self._thread = threading.Thread(target=self._run, name="hardware", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        try:
            begun = time.monotonic()
            self._load(modules.announced(), modules.UNANNOUNCED)
            for _ in range(_ROUNDS):
                if not self._load(self._plug.heard()):
                    break
            self._console.say(
                "hardware",
                f"drivers are loaded for {len(self._loaded)} kinds of devices ({time.monotonic() - begun:.1f} s)",
            )
            self.settled.set()
            while True:
                self._plug.wait()
                self._load(self._plug.heard())
        except Exception as error:
            self._console.trouble(f"loading drivers has failed: {error}", _CHECK)
            raise
        finally:
            self.settled.set()

    def _load(self, names: set[str], more: tuple[str, ...] = ()) -> bool:
        """Whether there was anything to load."""
        new = names - self._loaded
        self._loaded |= new
        if new:
            for sentence in modules.load(new, more):
                self._console.trouble(sentence, _CHECK)
        return bool(new)
