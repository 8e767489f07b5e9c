"""From the kernel's hand-over to the server, and to the machine's end: the order of things on a discovery ramdisk.

Nothing here gives up while going on makes sense: cards, leases, the server are tried again for ever, ever more rarely, each
failure is said on the console with what to check, and told to the server once it is there.
"""

from __future__ import annotations

import importlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ahc_agent import __version__
from ahc_agent.boot import clock, interfaces, kernel, routes
from ahc_agent.boot.arguments import Arguments, Then
from ahc_agent.boot.console import Console
from ahc_agent.boot.dhcp import HOOK
from ahc_agent.boot.ending import SENTENCES
from ahc_agent.boot.hardware import Hardware
from ahc_agent.boot.loop import Loop
from ahc_agent.boot.network import Network
from ahc_agent.boot.servers import Server, Servers
from ahc_agent.boot.watchdog import Watchdogs

if TYPE_CHECKING:
    from ahc_agent.agent import Agent
    from ahc_agent.boot.companion import Beside

RUN = Path("/run/ahc")
#: In ``Powers.run``: there since the agent's first start; holds why the last one failed, or that it made way for a person.
STARTED = "started"
HANDED_OVER = "a person was given this console"
#: So long a person can read that kernel and image do not fit.
_MISMATCH_S = 60.0


@dataclass(frozen=True, slots=True)
class Powers:
    """What the boot may do. ``machine`` False (a rehearsal in a network namespace): no driver, clock, watchdog, kernel setting,
    power."""

    machine: bool = True
    run: Path = RUN
    hook: Path = HOOK
    plans: Path = Path("/usr/share/ahc/plans")
    resolver: Path = Path("/etc/resolv.conf")


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
            self._greet()
            if self._powers.machine and self._is_mixed():
                return "reboot"
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

    def _greet(self) -> None:
        self._console.say("boot", f"Automatic Health Check {__version__}: {who()}")
        for sentence in self._arguments.mistakes:
            self._console.trouble(sentence, "Mend the kernel's arguments")

    def _begin(self) -> None:
        console = self._console
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

    def _is_mixed(self) -> bool:
        """Whether the kernel of one build was started with the image of another: somebody copied in between. It cannot be mended
        from here, and the next start finds both files whole; as after a panic, a person can read what it was."""
        drivers = kernel.mismatch()
        if drivers is None:
            return False
        self._console.trouble(
            f"kernel {os.uname().release} was started with an image that has drivers for {drivers} only",
            f"They are of different builds: copy both, or `ahc netboot` again. The machine starts anew in {_MISMATCH_S:.0f} s",
        )
        self._loop.rest(_MISMATCH_S)
        return True

    def _look_back(self) -> None:
        """Whether an agent ran here before, and why it failed."""
        started = self._powers.run / STARTED
        if started.exists():
            why = started.read_text(errors="replace")
            if why == HANDED_OVER:
                self._console.say("boot", "the shell has ended; the agent begins again")
            else:
                self._console.trouble(
                    "the agent has been started anew by init",
                    "The server keeps what it had; results are sent again",
                )
                if why:
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
        self._loop.watchdogs = Watchdogs(console)
        self._loop.watchdogs.arm()

    def _obey(self) -> Then:
        """Join the server, and obey it until it says stop; where it cannot be joined and another is named, that one."""
        from ahc_agent.boot.companion import Beside

        servers = Servers(self._arguments, self._console, self._loop, self._give_up_at_s)
        beside = Beside(
            self._console,
            self._loop.turn,
            self._addresses,
            servers.turn,
            built_at_s=self._built_at_s,
            set_clock=clock.set_clock if self._powers.machine else None,
            give_up_at_s=self._give_up_at_s,
        )
        while True:
            server = servers.find()
            if server is None:
                return self._give_up()
            self._wait_for_hardware()
            agent = self._agent(server, beside)
            agent.run()
            if beside.gave_up:
                return self._give_up()
            if not beside.moves:
                break
        if agent.stopped is None:
            return "wait"  # a signal: init ends the machine, or a person the agent
        return agent.stopped.then or self._arguments.on_success

    def _agent(self, server: Server, beside: Beside) -> Agent:
        from ahc_agent.agent import Agent, Settings
        from ahc_agent.identity import read_identity
        from ahc_agent.wire.keys import load_or_create

        settings = Settings(
            endpoint=server.endpoint,
            server_key=server.key,
            keys=load_or_create(self._key_file),
            identity=read_identity(),
            # Of each server its own: another would acknowledge results of tasks that it never gave, and drop them.
            spool=self._powers.run / "spool" / server.key.encode().hex(),
            session=self._arguments.session,
        )
        return Agent(settings, beside.say, beside)

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
