"""A machine without a server: fetch the plan, measure, and leave the result where the operator can find it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.boot.arguments import Arguments, Then
from ahc_agent.boot.console import Console
from ahc_agent.boot.export import LABEL, export, file_name
from ahc_agent.boot.loop import Loop
from ahc_agent.boot.standalone import do_tasks, load_tasks, result_of
from ahc_agent.boot.upload import WebError, put, target
from ahc_agent.errors import AhcError, FileFormatError
from ahc_agent.identity import read_identity
from ahc_agent.wire.messages import Identity
from ahc_agent.wire.tasks import TaskList

_PAUSE_FIRST_S, _PAUSE_MAX_S = 2.0, 60.0
#: An upload is tried so often before a partition is looked for; with both gone both are tried in turn.
_UPLOADS_FIRST = 4
_CHECK_PLAN = "Check ahc.plan= and the web server; it is asked again"
_CHECK_EXPORT = f"Plug in a stick or disk with a FAT or ext4 partition labelled {LABEL}"


@dataclass(slots=True)
class Alone:
    """``may_mount`` False (a rehearsal): results go to ``run`` instead of a partition."""

    arguments: Arguments
    console: Console
    loop: Loop
    run: Path
    may_mount: bool
    plans: Path

    def measure(self, plan: str) -> Then:
        """All of it; answers with what the machine does then."""
        tasks = self._fetch(plan)
        if tasks is None:
            return self.arguments.on_failure
        self.console.say("work", f"plan {tasks.plan}: {len(tasks.tasks)} jobs, without a server")
        for left_out in tasks.left_out:
            self.console.say("work", f"left out: {left_out}")
        identity = read_identity()
        inventory, found = do_tasks(tasks, self.console, self.loop.turn, identity.machine)
        data = result_of(tasks, self.arguments.session, inventory, found)
        missing = sum(each.value is None for each in found)
        self.console.say("work", f"measured: {len(found) - missing} of {len(found)} metrics")
        return (
            self.arguments.on_success if self._deliver(data, called(identity)) else self.arguments.on_failure
        )

    def _fetch(self, plan: str) -> TaskList | None:
        """The plan; None where it cannot be had. A web server may have another one a moment later, the image will not."""
        give_up_at_s = self._give_up_at_s()
        pause_s = _PAUSE_FIRST_S
        may_change = plan.startswith("http")
        if may_change:
            self._wait_for_address(give_up_at_s)
        while True:
            try:
                return self.loop.in_thread(lambda: load_tasks(plan, self.plans))
            except WebError as error:
                self.console.trouble(f"the plan cannot be fetched: {error}", _CHECK_PLAN)
            except FileFormatError as error:
                self.console.trouble(f"the plan cannot be taken: {error}", _CHECK_PLAN if may_change else "")
                if not may_change:
                    return None
            if give_up_at_s is not None and time.monotonic() >= give_up_at_s:
                self.console.trouble("no plan; giving up")
                return None
            self.loop.rest(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _deliver(self, data: bytes, name: str) -> bool:
        """By HTTP where the operator named an address, else to a partition; whether one of them worked."""
        give_up_at_s = self._give_up_at_s()
        pause_s = _PAUSE_FIRST_S
        attempts = 0
        if self.arguments.upload is not None:
            self._wait_for_address(time.monotonic() + 30.0)
        while True:
            attempts += 1
            if self.arguments.upload is not None and self._upload(target(self.arguments.upload, name), data):
                return True
            if (self.arguments.upload is None or attempts >= _UPLOADS_FIRST) and self._export(data, name):
                return True
            if give_up_at_s is not None and time.monotonic() >= give_up_at_s:
                self.console.trouble("the result could not be left anywhere; giving up")
                return False
            self.loop.rest(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _upload(self, url: str, data: bytes) -> bool:
        try:
            self.loop.in_thread(lambda: put(url, data))
        except WebError as error:
            self.console.trouble(
                f"the result cannot be delivered: {error}", "Check ahc.upload= and the web server"
            )
            return False
        self.console.say("done", f"the result ({len(data):,} bytes) is at {url}")
        return True

    def _export(self, data: bytes, name: str) -> bool:
        if not self.may_mount:
            self.console.say(
                "work", f"a partition labelled {LABEL} would be looked for, were it not a rehearsal"
            )
            return False
        try:
            where = self.loop.in_thread(lambda: export(data, name, self.run / "export"))
        except AhcError as error:
            self.console.trouble(f"the result cannot be written: {error}", _CHECK_EXPORT)
            return False
        self.console.say(
            "done", f"the result ({len(data):,} bytes) is in {where}; the stick can be taken out"
        )
        return True

    def _wait_for_address(self, until_s: float | None) -> None:
        self.loop.wait(lambda: bool(self.loop.network.places()), until_s)

    def _give_up_at_s(self) -> float | None:
        """Where the machine would only wait after a failure, it can as well go on trying."""
        if self.arguments.on_failure == "wait":
            return None
        return time.monotonic() + self.arguments.patience_s


def called(identity: Identity) -> str:
    """The result's file name: by what is the machine's id in reports (serial, else UUID, else first MAC address)."""
    first_mac = identity.macs[0] if identity.macs else None
    return file_name(identity.serial or identity.uuid or first_mac or identity.hostname or "unknown")
