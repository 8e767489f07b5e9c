"""What goes on beside the agent once it talks to the server: leases, cards, the watchdog, the clock, and what went wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ahc_agent.agent import Agent, Companion
from ahc_agent.boot import clock
from ahc_agent.boot.console import Console
from ahc_agent.boot.telling import Telling
from ahc_agent.identity import program_versions
from ahc_agent.wire.messages import Assign, FromServer, Message, Result, Welcome

#: What a person should look at, by a part of the agent's own sentence (``wire.link``).
CHECKS: dict[str, str] = {
    "does not hold the key": "Compare ahc.key= with the key that `ahc serve` prints",
    "does not admit this agent's key": "The server takes listed agents only: ahc serve --authorized-keys",
    "is no AHC server": "Compare ahc.server= with what `ahc serve` prints",
    "no server at": "Check that `ahc serve` runs there, and that no firewall is between",
    "no answer from the server": "Check the route to it, and that no firewall is between",
    "cannot be resolved": "Check the name servers that DHCP gives, or name the server by its address",
    "is gone": "It may be restarting",
    "refuses this agent": "The reason is the server's",
}
JOINED = "joined the server"
#: Whoever comes to a machine that finds no server hears of it within this, and since when.
_SAY_AGAIN_S = 320.0
#: What goes wrong later is told to the server no more often than this.
_TELL_EVERY_S = 30.0


class Beside(Companion):
    """``turn_of_boot`` is called in each turn of the agent's loop; ``addresses`` tells those of the machine, given the server's;
    ``elsewhere`` is told whether the server is joined, and tells whether another is to be tried: then the agent ends, and
    ``moves`` is so. ``give_up_at_s`` (CLOCK_MONOTONIC): the agent ends where it has not joined until then; None: never.
    """

    def __init__(
        self,
        console: Console,
        turn_of_boot: Callable[[], bool],
        addresses: Callable[[str | None], list[str]],
        elsewhere: Callable[[bool], bool] = lambda joined: False,
        *,
        built_at_s: float,
        set_clock: Callable[[float], None] | None,
        give_up_at_s: float | None,
    ) -> None:
        self.has_joined = self.gave_up = self.moves = False
        self._give_up_at_s = give_up_at_s
        self._told, self._tell_at_s = 0, 0.0
        self._away_since_s: float | None = None
        self._say_again_at_s = 0.0
        self._programs: dict[str, str] | None = None
        self._versions: threading.Thread | None = None
        self._console = console
        self._telling = Telling(console)
        self._turn_of_boot = turn_of_boot
        self._addresses_towards = addresses
        self._elsewhere = elsewhere
        self._built_at_s = built_at_s
        self._set_clock = set_clock

    def say(self, text: str) -> None:
        """The agent's sentences, each on the stage where it belongs."""
        if text.startswith(JOINED):
            again, self.has_joined = self.has_joined, True
            self._console.say("server", f"is back with {text.removeprefix('joined ')}" if again else text)
            return
        check = _check(text)
        if check is not None:
            self._console.trouble(text, check, kept=not self.has_joined)
        else:
            self._console.say("work", text)

    def _say_again(self, failure: str | None, now: float) -> None:
        """Why there is no connection: the link says so once."""
        if failure is None or self._away_since_s is None:
            self._away_since_s = None if failure is None else now
            self._say_again_at_s = now + _SAY_AGAIN_S
        elif now >= self._say_again_at_s:
            self._say_again_at_s = now + _SAY_AGAIN_S
            since = f"{failure}; tried for {(now - self._away_since_s) / 60:.0f} min by now"
            self._console.trouble(since, _check(failure) or "", kept=False)

    def turn(self, agent: Agent) -> None:
        moved = self._turn_of_boot()
        now = time.monotonic()
        self._say_again(agent.failure, now)
        if not self.has_joined and self._give_up_at_s is not None and now >= self._give_up_at_s:
            self.gave_up = True
            agent.end("no server was found in time")
        # What is under way ends first: its result is kept for the server that asked for it.
        self.moves = not agent.is_busy and self._elsewhere(agent.is_joined)
        if self.moves:
            agent.end("another server is named")
        programs_are_known = self._versions is not None and not self._versions.is_alive()
        if programs_are_known:
            self._versions = None
        troubles_are_due = self.has_joined and self._console.kept > self._told and now >= self._tell_at_s
        if moved or programs_are_known or troubles_are_due:
            self._tell_at_s = now + _TELL_EVERY_S
            agent.tell(self._programs)

    def heard(self, message: FromServer) -> None:
        if isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, Assign):
            self._telling.begins(message.task_id, message.task)

    def said(self, message: Message) -> None:
        if isinstance(message, Result):
            self._telling.ended(message)

    def _read_versions(self) -> None:
        """Half a dozen programs take a second to start on a slow machine: nobody waits for them."""
        self._programs = program_versions()

    def _welcomed(self, message: Welcome) -> None:
        if self._programs is None and self._versions is None:
            self._versions = threading.Thread(target=self._read_versions, name="versions", daemon=True)
            self._versions.start()
        right_s = clock.correct(self._built_at_s, message.server_at_unix_s)
        if right_s is None or self._set_clock is None:
            return
        try:
            self._set_clock(right_s)
            self._console.say("server", f"the clock was wrong; by the server it is {clock.text(right_s)}")
        except OSError as error:
            self._console.trouble(f"the clock is wrong and cannot be set: {error.strerror}")

    def troubles(self) -> list[str]:
        self._told = self._console.kept
        return list(self._console.troubles)

    def addresses(self, server: str | None) -> list[str]:
        return self._addresses_towards(server)


def _check(sentence: str) -> str | None:
    return next((check for part, check in CHECKS.items() if part in sentence), None)
