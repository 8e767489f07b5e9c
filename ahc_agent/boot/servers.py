"""Who the server is: what the kernel's arguments name, and for what they leave open the word of DHCP servers (options 224, 225).

DHCP's word is no last one. While the server that it named cannot be joined, DHCP is asked anew, ever more rarely, and another
server or another key is tried as soon as one is named.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ahc_agent.boot.arguments import Arguments, endpoint, key
from ahc_agent.boot.console import Console
from ahc_agent.boot.dhcp import KEY_OPTION, SERVER_OPTION
from ahc_agent.boot.loop import Loop
from ahc_agent.errors import UsageError

#: How long a server is waited for that only DHCP could name, before that is said.
_NAMED_WITHIN_S: Final = 10.0
_NAMED_MOST_S: Final = 320.0
#: So long a server cannot be joined before DHCP is asked anew; the pause doubles each time, and is spread at random: a fleet that
#: lost its server must not ask as one.
_ASK_FIRST_S: Final = 10.0
_ASK_MOST_S: Final = 320.0
_CHECK_OPTIONS = "Check the DHCP server's options 224 and 225"
_CHECK_NAMED = (
    "Boot with ahc.server= and ahc.key= (`ahc serve` prints both), or give DHCP options 224 and 225"
)


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and its public key."""

    endpoint: str
    key: str


class Servers:
    """``give_up_at_s`` (CLOCK_MONOTONIC): when the patience ends with which a server is waited for; None: never."""

    def __init__(
        self,
        arguments: Arguments,
        console: Console,
        loop: Loop,
        give_up_at_s: float | None,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = lambda: random.uniform(0.75, 1.25),
    ) -> None:
        self._arguments = arguments
        self._console = console
        self._loop = loop
        self._give_up_at_s = give_up_at_s
        self._clock = clock
        self._spread = spread
        self._refused: set[tuple[str, str]] = set()
        self._tried: Server | None = None
        self._failed: set[Server] = set()
        self._ask_at_s: float | None = None
        self._pause_s = _ASK_FIRST_S

    def find(self) -> Server | None:
        """The server, as soon as there is an address from which to go there; None where patience ends before."""
        arguments, console = self._arguments, self._console
        if arguments.server is not None and arguments.key is not None:
            console.say("server", f"is {arguments.server}, by the kernel's arguments")
            there = self._loop.wait(lambda: bool(self._loop.network.places()), self._give_up_at_s)
            return Server(arguments.server, arguments.key) if there else None
        pause_s = _NAMED_WITHIN_S
        while True:
            say_at_s = self._clock() + pause_s
            if self._give_up_at_s is not None:
                say_at_s = min(say_at_s, self._give_up_at_s)
            if self._loop.wait(lambda: bool(self._named()), say_at_s):
                self._tried = self._next()
                console.say("server", f"is {self._tried.endpoint}, by DHCP")
                return self._tried
            if self._give_up_at_s is not None and self._clock() >= self._give_up_at_s:
                return None
            known = arguments.server or self._loop.network.told(SERVER_OPTION)
            console.trouble(
                f"the key of {known} is not named" if known else "no server is named", _CHECK_NAMED
            )
            pause_s = min(2 * pause_s, _NAMED_MOST_S)

    def turn(self, joined: bool) -> bool:
        """Called in each turn of the agent's loop: whether another server than that of ``find`` is to be tried."""
        if joined or self._tried is None:
            self._ask_at_s, self._pause_s = None, _ASK_FIRST_S
            return False
        now = self._clock()
        if self._ask_at_s is None:
            self._ask_at_s = now + self._pause_s * self._spread()
        named = self._named()
        if named and self._tried not in named:
            return True
        if now < self._ask_at_s:
            return False
        self._ask_at_s = now + self._pause_s * self._spread()
        self._failed.add(self._tried)
        if not self._failed.issuperset(named):
            return True
        # All that are named had their turn: from the start, with what DHCP says now.
        self._failed.clear()
        self._pause_s = min(2 * self._pause_s, _ASK_MOST_S)
        self._console.say("server", "cannot be joined; DHCP is asked again who it is")
        self._loop.network.ask_again()
        return False

    def _next(self) -> Server:
        """The first that has not failed in this round."""
        named = self._named()
        return next((server for server in named if server not in self._failed), named[0])

    def _named(self) -> list[Server]:
        """As each DHCP server said endpoint and key, that of the preferred card first, but for what cannot be a server; what the
        kernel's arguments name is not asked of DHCP."""
        found = []
        for lease in self._loop.network.leases():
            where = self._arguments.server or lease.text(SERVER_OPTION)
            server_key = self._arguments.key or lease.text(KEY_OPTION)
            if not where or not server_key or (where, server_key) in self._refused:
                continue
            try:
                found.append(Server(endpoint(where), key(server_key)))
            except UsageError as error:
                self._refused.add((where, server_key))
                self._console.trouble(f"DHCP names a server that cannot be one: {error}", _CHECK_OPTIONS)
        return list(dict.fromkeys(found))
