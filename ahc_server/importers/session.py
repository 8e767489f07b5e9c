"""Imported machines as a session of the store, like any other.

One step, "import", with one task a machine, whose result holds inventory and measurements. Its time is that of the
files, so that the same files give the same report whenever they are imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from msgspec.structs import replace

from ahc_agent.errors import FileFormatError, UsageError
from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import Hello, Identity, TaskOutcome
from ahc_server import __version__
from ahc_server.importers.model import Imported, Source
from ahc_server.measured import Measured
from ahc_server.store import Store
from ahc_server.store.kept import Kept, keep, keep_columns
from ahc_server.store.records import (
    ParticipantAdded,
    Record,
    ResultKept,
    SessionChanged,
    StepEnded,
    StepStarted,
    TaskRow,
)
from ahc_server.store.saved import Members

PLAN_NAME = "import"
_JOB = "import"
_STEP = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """One machine, ready to be written. ``kept`` is its packed outcome; ``task`` names machine and content."""

    identity: Identity
    kept: Kept
    task: str
    file: str
    at_unix_s: float


@dataclass(slots=True)
class Gathering:
    """Machines on their way into one session. ``known``: machine → the task of what the session already has of it;
    ``adds``: the session may be there already."""

    session: str
    adds: bool = False
    known: dict[str, str] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    again: int = 0
    _file_of: dict[str, str] = field(default_factory=dict)

    def add(self, source: Source, imported: Imported) -> None:
        """Take one machine; the same results once more are only counted. Raises FileFormatError for other results of a
        machine that is there: a session has one run of each."""
        identity = identity_of(imported.inventory, source.stem)
        machine = identity.machine
        content = sha256("\0".join((machine, source.text)).encode())
        task = f"{session_uid(self.session)}-{content.hexdigest()[:32]}"
        if machine in self.known:
            if self.known[machine] == task:
                self.again += 1
                return
            other = self._file_of.get(machine, f"session {self.session}")
            raise FileFormatError(
                source.file,
                f"another run of a machine that is there already, from {other} ({identity.serial or machine})",
                remedy="a session holds one run of each machine: import it into a session of its own",
            )
        outcome = TaskOutcome(
            status="ok",
            started_at_unix_s=source.at_unix_s,
            inventory=imported.inventory,
        )
        if isinstance(imported.taken, Measured):
            kept = keep_columns(outcome, imported.taken)
        else:
            kept = keep(replace(outcome, measurements=imported.taken))
        self.known[machine] = task
        self._file_of[machine] = source.file
        self.taken.append(Taken(identity, kept, task, source.file, source.at_unix_s))


def gathering_for(store: Store, session: str, *, add: bool) -> Gathering:
    """For a new session, or with ``add`` for one that an import made. Raises UsageError."""
    members = _members(store, session, add=add)
    return Gathering(session, add, {} if members is None else dict(members.task_of))


def _members(store: Store, session: str, *, add: bool) -> Members | None:
    if not store.has_session(session):
        return None
    if not add:
        raise UsageError(f"there is a session {session!r} already (--add adds machines to it)")
    members = store.members(session)
    if members.plan_name != PLAN_NAME:
        raise UsageError(f"session {session!r} was measured by a plan; import into a session of its own")
    return members


def write(store: Store, gathering: Gathering) -> None:
    """All that was taken, in one transaction. Machines that another import added meanwhile stay as they are."""
    taken = gathering.taken
    with store.transaction():
        members = _members(store, gathering.session, add=gathering.adds)
        if members is not None:
            number, ended_s = members.number, members.ended_s
            taken = [each for each in taken if each.identity.machine not in members.task_of]
        else:
            number, ended_s = _create(store, gathering.session, taken), 0.0
        for each in taken:
            store.apply(number, _records(each))
        newest_s = max([ended_s, *(each.at_unix_s for each in taken)])
        store.apply(number, [StepEnded(_STEP, newest_s, None), SessionChanged("done", newest_s)])


def _create(store: Store, session: str, taken: Sequence[Taken]) -> int:
    oldest_s = min(each.at_unix_s for each in taken)
    number = store.create_session(
        session, session_uid(session), PLAN_NAME, "# imported results\n", (), oldest_s, "done"
    )
    machines = tuple(each.identity.machine for each in taken)
    store.apply(number, [StepStarted(_STEP, _JOB, "inventory", 1, machines, oldest_s)])
    return number


def _records(each: Taken) -> list[Record]:
    machine = each.identity.machine
    hello = Hello(identity=each.identity, instance="import", agent_version=f"import {__version__}")
    return [
        ParticipantAdded(machine, hello),
        TaskRow(each.task, _STEP, 0, machine, each.task, "solo", 1, "done"),
        ResultKept(each.task, each.kept, each.at_unix_s),
    ]


def session_uid(session: str) -> str:
    """Begins the session's task ids; from its name, which is unique in a store."""
    return f"import-{sha256(session.encode()).hexdigest()[:16]}"


def identity_of(inventory: Inventory, stem: str) -> Identity:
    """Who the machine is, by the rules of ``ahc_agent.identity``; a file that does not say is known by its name."""
    system = inventory.system
    virtual = system.virtualization not in (None, "none")
    serial = system.serial or (None if virtual else system.board_serial)
    macs = [nic.mac for nic in inventory.nics if nic.mac and nic.kind == "physical" and len(nic.mac) == 17]
    nameless = not (serial or system.uuid or macs)
    return Identity(
        serial=_short(serial),
        uuid=_short(system.uuid, 64),
        macs=list(dict.fromkeys(macs))[:256],
        hostname=_short(system.hostname) or (_short(stem) if nameless else None),
        physical_host=_short(serial) if virtual else None,
    )


def _short(text: str | None, limit: int = 256) -> str | None:
    return text[:limit] if text and text.isprintable() else None
