"""What a lab made and would not vanish by itself, written down before it is made, so that it is removed in any case.

Most of a lab vanishes with its processes: network namespaces without names, loop devices that detach themselves. What is
left (processes, control groups, a folder) stands in a ledger file. Three look after it: the lab at its end, the watchdog
when the lab was killed, and the next lab on this machine when the watchdog was killed too.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

import msgspec

from ahc_agent.errors import CannotAnswer
from ahc_server.lab import processes
from ahc_server.paths import default_store

log = logging.getLogger(__name__)

PREFIX = "ahc-lab-"


class Entries(msgspec.Struct, kw_only=True):
    """The ledger's content.

    ``owner_started`` (clock ticks since the boot ``boot``) tells the owner from a later process with the same id.
    ``sessions``: store and name of those that the lab began.
    """

    lab_id: str
    owner: int
    owner_started: int
    boot: str
    cgroups: list[str] = []
    folders: list[str] = []
    sessions: list[tuple[str, str]] = []


class Ledger:
    """One lab's ledger file. Each note is on disk before the caller makes the thing."""

    def __init__(self, path: Path, entries: Entries) -> None:
        self.path = path
        self.entries = entries

    @classmethod
    def open_new(cls, lab_id: str) -> Ledger:
        """A new ledger, owned by the calling process."""
        started = processes.start_time(os.getpid())
        assert started is not None
        entries = Entries(lab_id=lab_id, owner=os.getpid(), owner_started=started, boot=_boot_id())
        ledger = cls(folder() / f"{lab_id}.json", entries)
        ledger._write()
        return ledger

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """Raises OSError, or msgspec.MsgspecError where the file is damaged."""
        return cls(path, msgspec.json.decode(path.read_bytes(), type=Entries))

    def note_cgroup(self, path: Path) -> None:
        self.entries.cgroups.append(str(path))
        self._write()

    def note_folder(self, path: Path) -> None:
        self.entries.folders.append(str(path))
        self._write()

    def note_session(self, store: Path, name: str) -> None:
        self.entries.sessions.append((str(store.absolute()), name))
        self._write()

    def owner_lives(self) -> bool:
        entries = self.entries
        return entries.boot == _boot_id() and processes.start_time(entries.owner) == entries.owner_started

    def clean_up(self) -> None:
        """Remove everything, in the reverse order of its making, and then the ledger. May be done twice, also at once by
        two processes. What cannot be removed stays in the ledger; raises CannotAnswer and says what it is."""
        entries = self.entries
        stuck: list[str] = []
        if entries.boot == _boot_id():
            if not processes.kill_marked(entries.lab_id):
                stuck.append("processes")
            stuck += [
                path for path in reversed(entries.cgroups) if not _remove_cgroup(Path(path), entries.lab_id)
            ]
        stuck += [
            path for path in reversed(entries.folders) if not _remove_folder(Path(path), entries.lab_id)
        ]
        for store, session in entries.sessions:
            _stop_session(Path(store), session)
        if stuck:
            raise CannotAnswer(
                f"the lab {entries.lab_id} could not be cleaned up: {', '.join(stuck)}; see {self.path}"
            )
        self._draft.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    @property
    def _draft(self) -> Path:
        return self.path.with_suffix(".new")

    def _write(self) -> None:
        draft = self._draft
        draft.write_bytes(msgspec.json.encode(self.entries))
        draft.replace(self.path)


def folder() -> Path:
    """Where ledgers stand, mode 0700: ``/run/ahc-lab`` for root, else ``ahc-lab`` in the runtime or the state folder."""
    if os.geteuid() == 0:
        path = Path("/run/ahc-lab")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        path = Path(runtime) / "ahc-lab"
    else:
        path = default_store().parent / "lab"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def sweep() -> list[str]:
    """Clean up after labs whose process is gone; returns their ids. A ledger that cannot be read is logged and kept."""
    swept = []
    for path in sorted(folder().glob("*.json")):
        try:
            ledger = Ledger.load(path)
            if not ledger.owner_lives():
                ledger.clean_up()
                swept.append(ledger.entries.lab_id)
        except FileNotFoundError:
            continue
        except (OSError, msgspec.MsgspecError, CannotAnswer) as error:
            log.warning("%s: %s", path, error)
    return swept


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stop_session(store: Path, name: str) -> None:
    """A lab's session that is not over never will be: its nodes are gone, and the store's next server must not wait."""
    # The watchdog needs none of this in most of its lives.
    from ahc_server.control import only_server
    from ahc_server.store import Store
    from ahc_server.store.records import SessionChanged

    if not store.exists():
        return
    try:
        with only_server(store.with_suffix(".lock")), Store(store, write=True) as opened:
            left = opened.unfinished()
            if left is not None and left.name == name:
                with opened.transaction():
                    gone = SessionChanged("stopped", time.time(), "the lab was ended")
                    opened.apply(left.session, [gone])
    except CannotAnswer as error:
        # Another server has the store by now, or it cannot be used: not the lab's business any more.
        log.warning("session %s stays as it is: %s", name, error)


def _remove_cgroup(path: Path, lab_id: str) -> bool:
    """Remove one control group; its processes were killed before, but the kernel may take a moment to see it."""
    if f"{PREFIX}{lab_id}" not in path.parts:
        return False
    deadline = time.monotonic() + 5
    while True:
        try:
            path.rmdir()
            return True
        except FileNotFoundError:
            return True
        except OSError as error:
            if time.monotonic() > deadline:
                log.error("cannot remove the control group %s: %s", path, error)
                return False
        time.sleep(0.02)


def _remove_folder(path: Path, lab_id: str) -> bool:
    if not path.name.startswith(f"{PREFIX}{lab_id}"):
        return False
    for _ in range(3):
        try:
            shutil.rmtree(path)
            return True
        except FileNotFoundError:
            if not path.exists():
                return True
        except OSError as error:
            log.error("cannot remove %s: %s", path, error)
            return False
    return not path.exists()
