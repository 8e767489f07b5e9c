"""A running lab: its server, its agents, and everything that has to be gone afterwards."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ahc_agent.errors import CannotAnswer, ServerAway
from ahc_server.lab import ledger as ledgers
from ahc_server.lab import processes
from ahc_server.lab.build import build
from ahc_server.lab.fabric import FabricNetwork
from ahc_server.lab.model import Breakage, LabSpec
from ahc_server.lab.processes import Child, Place
from ahc_server.paths import Where

log = logging.getLogger(__name__)

#: What nodes that share this machine have in common.
PHYSICAL_HOST = "lab"
#: Short, so that a dead node is missed soon.
HEARTBEAT_S = 2.0
_SERVER_START_S = 30.0
_STOP_S = 5.0


class Fleet:
    """A lab's processes. Use it as a context manager: whatever happens inside, nothing is left afterwards.

    ``where``: the store that its server uses. ``logs``: folder for the processes' logs (kept), None for one that
    goes with the lab. The processes die with the thread that makes the fleet.
    """

    def __init__(self, spec: LabSpec, where: Where, logs: Path | None = None) -> None:
        self.spec = spec
        self.where = where
        self.lab_id = secrets.token_hex(4)
        self._logs = logs
        self._server: Child | None = None
        self._voice: Child | None = None

    def __enter__(self) -> Self:
        """Sweep up after killed labs, then make the hardware. Raises AhcError."""
        try:
            return self._build()
        except OSError as error:
            raise CannotAnswer(f"the lab cannot be built: {error}") from error

    def _build(self) -> Self:
        for swept in ledgers.sweep():
            log.warning("cleaned up after the lab %s, which was killed", swept)
        self._ledger = ledgers.Ledger.open_new(self.lab_id)
        self._watchdog = processes.start_watchdog(self._ledger.path)
        try:
            # /var/tmp is on a real disk, where /tmp may be in memory.
            base = "/var/tmp" if os.access("/var/tmp", os.W_OK) else tempfile.gettempdir()
            self.folder = Path(base) / f"{ledgers.PREFIX}{self.lab_id}"
            self._ledger.note_folder(self.folder)
            self.folder.mkdir(mode=0o700)
            self.logs = self._logs or self.folder
            self.logs.mkdir(parents=True, exist_ok=True)
            self.parts = build(self.spec, self._ledger, self.folder)
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_gently()
        self.parts.close()
        self._clean_up()

    def _stop_gently(self) -> None:
        """Let the agents and the server say goodbye and close the store; what does not end is killed by the ledger."""
        children = [*self.parts.agents.values(), *(each for each in (self._server, self._voice) if each)]
        self.parts.governor.close()
        for child in children:
            child.terminate()
            # A frozen agent takes the signal only when it runs again.
            child.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + _STOP_S
        while any(child.poll() is None for child in children) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _clean_up(self) -> None:
        try:
            self._ledger.clean_up()
        finally:
            assert self._watchdog.stdin is not None
            self._watchdog.stdin.close()
            self._watchdog.wait()

    def start_server(self) -> None:
        """Start ``ahc serve`` and wait until it answers; where there are leaf switches, they begin to announce themselves.
        Raises ServerAway with the last line of its log."""
        if isinstance(self.parts.network, FabricNetwork):
            voice = [sys.executable, "-P", "-m", "ahc_server.lab.announce"]
            self._voice = self.start(voice, "switches", Place(self.parts.network.server_descriptor()))
        endpoint = self.parts.network.server_endpoint()
        self._server = self.start(
            [
                *_program("ahc_server", self.where),
                "serve",
                "--bind",
                endpoint,
                "--heartbeat",
                str(HEARTBEAT_S),
            ],
            "server",
            Place(self.parts.network.server_descriptor()),
        )
        deadline = time.monotonic() + _SERVER_START_S
        while not _answers(self.where.control):
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise ServerAway(f"the lab's server did not start: {self._last_words('server')}")
            time.sleep(0.05)

    def start_agent(self, node: str) -> None:
        """Start (or start again) a node's agent."""
        own = self.folder / node
        own.mkdir(exist_ok=True)
        agent = self.start(
            [
                *(sys.executable, "-P", "-m", "ahc_agent", "-v"),
                *("join", self.parts.network.server_endpoint()),
                *("--server-key", self.where.public_key.read_text().strip()),
                *("--id", node, *self._shares()),
                *("--disk", f"disk0={self.parts.disks[node].path}"),
                *("--address", self.parts.network.address(node)),
                *("--spool", str(own / "spool"), "--key-file", str(own / "agent.key")),
            ],
            node,
            self.parts.places[node],
        )
        self.parts.agent_started(node, agent, self.spec.health.cpus)

    def _shares(self) -> tuple[str, ...]:
        """All nodes are on this machine, and are to be measured one after the other; but behind leaf switches cards are so slow
        that all work at once."""
        return () if self.spec.leaves else ("--physical-host", PHYSICAL_HOST)

    def start(self, argv: Sequence[str], name: str, place: Place | None = None) -> Child:
        """Start a process whose output goes to its log."""
        with (self.logs / f"{name}.log").open("ab") as file:
            return processes.start(argv, self.lab_id, place=place, stdout=file.fileno(), stderr=file.fileno())

    def start_run(self, plan: str, session: str, *, confirm: bool = False) -> Child:
        """Start ``ahc run``; its progress goes to standard error, as the lab's own does."""
        self._ledger.note_session(self.where.store, session)
        return processes.start(
            [
                *_program("ahc_server", self.where),
                *("run", plan, "--session", session),
                *("--nodes", str(len(self.spec.nodes)), "--wait-nodes", str(60 + 2 * len(self.spec.nodes))),
                *(("--confirm",) if confirm else ()),
            ],
            self.lab_id,
            stdout=processes.NOWHERE,
        )

    def start_report(self, session: str, form: str) -> Child:
        """Start ``ahc report``; it prints to standard output."""
        return processes.start(report_command(self.where, session, form), self.lab_id)

    def inject(self, breakage: Breakage) -> str:
        """Break something; returns how, in one phrase."""
        return breakage.fault.inject(breakage, self.parts, self.spec.health)

    def kill_server(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def kill_agent(self, node: str) -> None:
        """SIGKILL, as a power cut would."""
        agent = self.parts.agents[node]
        agent.kill()
        agent.wait()

    def check_server(self) -> None:
        """Raises ServerAway when the server has ended."""
        if self._server is None or self._server.poll() is not None:
            raise ServerAway(f"the lab's server has ended: {self._last_words('server')}")

    def _last_words(self, name: str) -> str:
        lines = (self.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _program(package: str, where: Where) -> list[str]:
    return [sys.executable, "-P", "-m", package, "--store", str(where.store)]


def _answers(control: Path) -> bool:
    """Whether a server listens on the control socket (a killed one leaves the file behind)."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(control))
        except OSError:
            return False
    return True


def report_command(where: Where, session: str, form: str) -> list[str]:
    """The command that prints a session's report."""
    return [*_program("ahc_server", where), "report", "--session", session, "--format", form]
