"""The address of one card: what it should be, what it is, and trying again until both are the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ahc_agent.boot import routes
from ahc_agent.boot.console import Console
from ahc_agent.boot.routes import Place
from ahc_agent.errors import ProgramError

#: What the kernel would not do is tried again, ever more rarely.
RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 320.0


class Holding:
    """``wanted`` is the address that the card should have, ``place`` that which it has; ``name`` is what sentences call the card.
    ``clock`` tells seconds."""

    def __init__(self, name: str, console: Console, clock: Callable[[], float]) -> None:
        self.name = name
        self.wanted: Place | None = None
        self.place: Place | None = None
        self._console = console
        self._clock = clock
        self._whence = ""
        #: Old ones that could not be taken back yet.
        self._leavings: list[Place] = []
        self._retry_at_s = math.inf
        self._retry_pause_s = RETRY_FIRST_S

    def settle(self, place: Place | None, whence: str = "") -> None:
        """Give the card its address, or take it away. ``whence``: who gave it, for the sentence that tells it."""
        if place == self.wanted:
            return
        if self.wanted is not None:
            self._leavings.append(self.wanted)
        self._leavings = [each for each in self._leavings if each != place]
        self.wanted, self._whence, self._retry_pause_s = place, whence, RETRY_FIRST_S
        self._apply()

    def turn(self) -> None:
        """Try again what has failed, where that is due."""
        if self._clock() >= self._retry_at_s:
            self._apply()

    def _apply(self) -> None:
        """Have the kernel do what is wanted. An address that is there is of use also where one of its routes is not."""
        wrong = [*self._failure(self._take_back), *self._failure(self._give)]
        self._retry_at_s = math.inf
        if wrong:
            pause_s, self._retry_pause_s = self._retry_pause_s, min(2 * self._retry_pause_s, RETRY_MOST_S)
            self._retry_at_s = self._clock() + pause_s
            self._console.trouble(f"{self.name}: {'; '.join(wrong)}", f"It is tried again in {pause_s:.0f} s")
        before = self.place
        self.place = self.wanted if self.wanted is not None and routes.is_there(self.wanted) else None
        if self.place is not None and self.place != before:
            way = f", gateway {self.place.gateway}" if self.place.gateway is not None else ", no gateway"
            self._console.say("network", f"{self.name}: address {self.place.address}{self._whence}{way}")

    def _take_back(self) -> None:
        """Once: what a route is tried again for must not lose its address each time."""
        routes.take_back(self._leavings)
        self._leavings.clear()

    def _give(self) -> None:
        if self.wanted is not None:
            routes.give(self.wanted)

    @staticmethod
    def _failure(act: Callable[[], None]) -> list[str]:
        try:
            act()
        except ProgramError as error:
            return [str(error)]
        return []
