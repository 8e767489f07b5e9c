"""Reports into files, whole or not at all: a collector that reads the file never sees half of one."""

from __future__ import annotations

import os
from pathlib import Path

from ahc_agent.errors import UsageError


def write_whole(path: Path, text: str, *, private: bool = False) -> None:
    """Write beside ``path``, then take its place. Raises UsageError where that cannot be done; then ``path`` is as it was.

    ``private``: for its owner alone (mode 0600) from its first byte on, whatever stood there before.
    """
    mode = 0o600 if private else 0o666
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"--output {path}: {error.strerror or error}") from error
