"""Counts and marks back into eDeploy's folder: under its lock, each file whole, all of them or none."""

from __future__ import annotations

import os
import pprint
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_server.edeploy.files import read_state
from ahc_server.edeploy.roles import Folder

LOCK_NAME = "lock"
LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.1
#: A ``generate()`` so near the beginning is kept as NAME.cmdb.orig when its entries are written out, as the package does.
_GENERATED_WITHIN = 20


class Locked(CannotAnswer):
    """Somebody else works in the folder."""


@contextmanager
def locked(path: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold the lock that eDeploy's own server holds while it hands out roles: the file ``lock``, made anew.

    Raises Locked after ``wait_s`` seconds, UsageError where the folder cannot be written.
    """
    lock = path / LOCK_NAME
    until = time.monotonic() + wait_s
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
            break
        except FileExistsError as error:
            if time.monotonic() >= until:
                raise Locked(
                    f"{lock} is there: eDeploy is at work in this folder; where it is not, remove that file"
                ) from error
            time.sleep(_LOCK_POLL_S)
        except OSError as error:
            raise UsageError(f"{lock}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def save(folder: Folder) -> list[Path]:
    """Write what ``choose`` changed, behind links too; which files. Hold the lock from before they were read.

    All drafts are written before the first takes its place, and where one cannot, those before it are put back. Raises
    UsageError; then the files are as they were.
    """
    texts = {
        folder.cmdb_file(name).resolve(): pprint.pformat(folder.entries[name]) + "\n"
        for name in sorted(folder.changed)
    }
    if folder.state_file is not None and read_state(folder.state_file) != folder.roles:
        counts = [(role.name, role.left) for role in folder.roles]
        texts[folder.state_file.resolve()] = pprint.pformat(counts) + "\n"
    before: dict[Path, bytes] = {}
    drafts: dict[Path, Path] = {}
    try:
        for path, text in texts.items():
            before[path] = path.read_bytes()
            drafts[path] = _draft(path, text.encode())
        for path in texts:
            if b"generate(" in before[path][:_GENERATED_WITHIN]:
                shutil.copy2(path, path.with_name(path.name + ".orig"))
        _replace(drafts, before)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror or error}; nothing was changed") from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
    return list(texts)


def _draft(path: Path, data: bytes) -> Path:
    """Beside the file, with its mode."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, draft)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _replace(drafts: dict[Path, Path], before: dict[Path, bytes]) -> None:
    done: list[Path] = []
    try:
        for path, draft in drafts.items():
            draft.replace(path)
            done.append(path)
    except OSError:
        for path in done:
            _draft(path, before[path]).replace(path)
        raise
