"""From the kernel's hand-over to the server, and to the machine's end: the order of things on a discovery ramdisk.

Nothing here gives up while going on makes sense: cards, leases, the server are tried again for ever, ever more rarely, each
failure is said on the console with what to check, and told to the server once it is there.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ahc_agent import __version__
from ahc_agent.boot import clock, interfaces, kernel, routes
from ahc_agent.boot.arguments import Arguments, Then, endpoint, key
from ahc_agent.boot.console import Console
from ahc_agent.boot.dhcp import HOOK, KEY_OPTION, SERVER_OPTION
from ahc_agent.boot.ending import SENTENCES
from ahc_agent.boot.hardware import Hardware
from ahc_agent.boot.loop import Loop
from ahc_agent.boot.network import Network
from ahc_agent.boot.watchdog import Watchdog, arm
from ahc_agent.errors import UsageError

RUN = Path("/run/ahc")
#: How long a server is waited for that only DHCP could name, before that is said.
_NAMED_WITHIN_S = 10.0
_NAMED_MOST_S = 320.0
#: In ``Powers.run``: there since the agent's first start; holds why the last one failed.
STARTED = "started"
_CHECK_OPTIONS = "Check the DHCP server's options 224 and 225"
_CHECK_NAMED = (
    "Boot with ahc.server= and ahc.key= (`ahc serve` prints both), or give DHCP options 224 and 225"
)


@dataclass(frozen=True, slots=True)
class Powers:
    """What the boot may do. ``machine`` False (a rehearsal in a network namespace): no driver, clock, watchdog, kernel setting,
    power."""

    machine: bool = True
    run: Path = RUN
    hook: Path = HOOK
    plans: Path = Path("/usr/share/ahc/plans")
    resolver: Path | None = Path("/etc/resolv.conf")


class Boot:
    """See the module. ``run`` answers with how the machine is to end."""

    def __init__(self, arguments: Arguments, console: Console, powers: Powers) -> None:
        self._arguments = arguments
        self._console = console
        self._powers = powers
        # Where the machine would only wait after a failure, it can as well go on trying.
        gives_up = arguments.plan is None and arguments.on_failure != "wait"
        self._give_up_at_s = time.monotonic() + arguments.patience_s if gives_up else None
        self._key_file = powers.run / "agent.key"
        self._built_at_s = clock.built_at_s()
        self._loop = Loop(Network(arguments, console, hook=powers.hook, resolver=powers.resolver))
        self._hardware = Hardware(console, self._loop.wake) if powers.machine else None

    def run(self) -> Then:
        """Boot, obey or measure, and answer with what comes then."""
        try:
            self._begin()
            plan = self._arguments.plan
            then = self._alone(plan) if plan is not None else self._obey()
            if then == "wait" and self._powers.machine:
                self._wait()
            return then
        finally:
            self._loop.close()

    def _wait(self) -> NoReturn:
        """For a person. Leases are renewed meanwhile: an address that is kept without could be given to another machine."""
        self._console.say("done", SENTENCES["wait"])
        while True:
            self._loop.rest(3600.0)

    # ── stages ─────────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        console = self._console
        console.say("boot", f"Automatic Health Check {__version__}: {who()}")
        for sentence in self._arguments.mistakes:
            console.trouble(sentence, "Mend the kernel's arguments")
        if self._powers.machine:
            self._prepare_machine()
        for sentence in routes.prepare(()):
            console.trouble(sentence)
        self._look_back()
        if self._hardware is not None:
            self._hardware.start()
        self._loop.turn()
        # What takes a second on a slow machine is done while drivers and DHCP servers take theirs.
        for module in ("ahc_agent.agent", "ahc_agent.identity"):
            importlib.import_module(module)
            self._loop.turn()

    def _look_back(self) -> None:
        """Whether an agent ran here before, and why it failed."""
        started = self._powers.run / STARTED
        if started.exists():
            self._console.trouble(
                "the agent has been started anew by init",
                "The server keeps what it had; results are sent again",
            )
            if why := started.read_text(errors="replace"):
                self._console.trouble(why)
            routes.forget([card.name for card in interfaces.cards()])
        started.parent.mkdir(parents=True, exist_ok=True)
        started.write_text("")

    def _prepare_machine(self) -> None:
        console = self._console
        right_s = clock.correct(self._built_at_s)
        if right_s is not None:
            try:
                clock.set_clock(right_s)
                console.trouble(
                    f"the clock stood before this image was made; it is {clock.text(right_s)} until the server tells",
                    "The battery of the machine's clock may be empty",
                )
            except OSError as error:
                console.trouble(f"the clock is wrong and cannot be set: {error.strerror}")
        for sentence in kernel.prepare(self._arguments.debug):
            console.trouble(sentence)
        armed = arm()
        if isinstance(armed, Watchdog):
            self._loop.watchdog = armed
        else:
            console.trouble(armed, "A machine that hangs is not started anew by itself")

    def _obey(self) -> Then:
        """Join the server, and obey it until it says stop."""
        from ahc_agent.agent import Agent, Settings
        from ahc_agent.boot.companion import Beside
        from ahc_agent.identity import read_identity
        from ahc_agent.wire.keys import load_or_create

        found = self._find_server()
        if found is None:
            return self._give_up()
        where, server_key = found
        self._wait_for_hardware()
        beside = Beside(
            self._console,
            self._loop.turn,
            self._addresses,
            built_at_s=self._built_at_s,
            set_clock=clock.set_clock if self._powers.machine else None,
            give_up_at_s=self._give_up_at_s,
        )
        settings = Settings(
            endpoint=where,
            server_key=server_key,
            keys=load_or_create(self._key_file),
            identity=read_identity(),
            spool=self._powers.run / "spool",
            session=self._arguments.session,
        )
        agent = Agent(settings, beside.say, beside)
        agent.run()
        if beside.gave_up:
            return self._give_up()
        if agent.stopped is None:
            return "wait"  # a signal: init ends the machine, or a person the agent
        return agent.stopped.then or self._arguments.on_success

    def _addresses(self, server: str | None) -> list[str]:
        """Where other agents reach this one: first that from which the server's IP address is reached."""
        from ahc_agent.identity import source_address

        first = source_address(server) if server is not None else None
        found = [place.address for place in self._loop.network.places()]
        return [str(each) for each in sorted(found, key=lambda each: str(each.ip) != first)]

    def _give_up(self) -> Then:
        self._console.trouble(f"no server was found within {self._arguments.patience_s:.0f} s; giving up")
        return self._arguments.on_failure

    def _alone(self, plan: str) -> Then:
        """Measure without a server."""
        from ahc_agent.boot.alone import Alone

        self._wait_for_hardware()
        powers = self._powers
        alone = Alone(self._arguments, self._console, self._loop, powers.run, powers.machine, powers.plans)
        return alone.measure(plan)

    def _wait_for_hardware(self) -> None:
        if self._hardware is not None:
            self._hardware.wait(self._loop.wait)

    # ── the server ─────────────────────────────────────────────────────────────────────────────────

    def _find_server(self) -> tuple[str, str] | None:
        """Endpoint and key, as soon as there is an address from which to go there; None where patience ends before."""
        arguments, network, console = self._arguments, self._loop.network, self._console
        if arguments.server is not None and arguments.key is not None:
            console.say("server", f"is {arguments.server}, by the kernel's arguments")
            there = self._loop.wait(lambda: bool(network.places()), self._give_up_at_s)
            return (arguments.server, arguments.key) if there else None
        refused: set[tuple[str, str]] = set()
        pause_s = _NAMED_WITHIN_S
        while True:
            say_at_s = time.monotonic() + pause_s
            if self._give_up_at_s is not None:
                say_at_s = min(say_at_s, self._give_up_at_s)
            self._loop.wait(lambda: self._named(refused) is not None, say_at_s)
            named = self._named(refused)
            if named is not None:
                try:
                    found = endpoint(named[0]), key(named[1])
                except UsageError as error:
                    refused.add(named)
                    console.trouble(f"DHCP names a server that cannot be one: {error}", _CHECK_OPTIONS)
                    continue
                console.say("server", f"is {found[0]}, by DHCP")
                return found
            if self._give_up_at_s is not None and time.monotonic() >= self._give_up_at_s:
                return None
            known = arguments.server or network.told(SERVER_OPTION)
            console.trouble(
                f"the key of {known} is not named" if known else "no server is named", _CHECK_NAMED
            )
            pause_s = min(2 * pause_s, _NAMED_MOST_S)

    def _named(self, refused: set[tuple[str, str]]) -> tuple[str, str] | None:
        """Endpoint and key as one DHCP server said them, that of the preferred card first, but for those that were refused; what
        the kernel's arguments name is not asked of DHCP."""
        for lease in self._loop.network.leases():
            named = self._arguments.server or lease.text(SERVER_OPTION)
            server_key = self._arguments.key or lease.text(KEY_OPTION)
            if named and server_key and (named, server_key) not in refused:
                return named, server_key
        return None


def who() -> str:
    """This machine in a few words: its maker and model, serial number, and kernel."""
    from ahc_agent.errors import NotThere
    from ahc_agent.inventory import system
    from ahc_agent.inventory.root import Root

    try:
        machine = system.collect(Root("/"))
    except NotThere:
        return "a machine that does not tell what it is"
    model = " ".join(filter(None, (machine.vendor, machine.product))) or "a machine without a name"
    serial = f"serial {machine.serial}" if machine.serial else "no serial number"
    return f"{model}, {serial}, Linux {machine.kernel or '?'}"
