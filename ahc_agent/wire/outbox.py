"""Results that wait for the server's acknowledgement: nothing that was measured is lost on the way.

With a spool folder every result is on the disk before it is sent, and an agent that was killed sends it after its next
start. A file of the spool is a frame as it crosses the wire.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import UsageError, WireError
from ahc_agent.wire import codec
from ahc_agent.wire.messages import Result, TaskOutcome

#: A result without an acknowledgement is sent again after this, and then ever more rarely.
_AGAIN_FIRST_S, _AGAIN_MAX_S = 3.0, 60.0
_SUFFIX = ".result"


@dataclass(slots=True)
class _Waiting:
    frame: bytes
    due_at: float = 0.0
    pause_s: float = _AGAIN_FIRST_S


class Outbox:
    """See the module. ``spool`` None keeps results in memory only. Raises UsageError for a spool that cannot be used."""

    def __init__(self, spool: Path | None = None, say: Callable[[str], None] = lambda text: None) -> None:
        self._spool = spool
        self._say = say
        self._waiting: dict[str, _Waiting] = {}
        if spool is not None:
            try:
                spool.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._load(spool)
            except OSError as error:
                raise UsageError(f"--spool {spool}: {error.strerror or error}") from error

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def task_ids(self) -> list[str]:
        """Tasks whose results are not acknowledged yet, oldest first."""
        return list(self._waiting)

    def put(self, result: Result) -> None:
        """Keep a result until it is acknowledged. One that the server would not take becomes a failed outcome."""
        frame = codec.encode(result)
        try:
            codec.read_from_agent(frame)
        except WireError as error:
            failed = TaskOutcome(
                status="failed",
                error=f"the outcome cannot be sent: {error}",
                started_at_unix_s=result.outcome.started_at_unix_s,
                duration_s=result.outcome.duration_s,
            )
            frame = codec.encode(Result(task_id=result.task_id, outcome=failed))
        if self._spool is not None:
            try:
                _write_durably(self._file(result.task_id), frame)
            except OSError as error:
                self._say(
                    f"the result of {result.task_id} is in memory only: {self._spool}: {error.strerror}"
                )
        self._waiting[result.task_id] = _Waiting(frame)

    def acknowledge(self, task_id: str) -> None:
        """The server has it. An acknowledgement of something unknown is nothing."""
        if self._waiting.pop(task_id, None) is None or self._spool is None:
            return
        try:
            self._file(task_id).unlink(missing_ok=True)
        except (
            OSError
        ) as error:  # a sick disk is what may be looked for here: sent once more after the next start
            self._say(f"the result of {task_id} stays in {self._spool}: {error.strerror}")

    def due_now(self, task_id: str | None = None) -> None:
        """Send one result, or all, as soon as possible (the server is new, or asked again)."""
        for name, waiting in self._waiting.items():
            if task_id in (None, name):
                waiting.due_at, waiting.pause_s = 0.0, _AGAIN_FIRST_S

    def due(self, now: float) -> Iterator[tuple[str, bytes]]:
        """Results to be sent now: (task id, frame). ``now``: CLOCK_MONOTONIC seconds."""
        for task_id, waiting in self._waiting.items():
            if waiting.due_at <= now:
                yield task_id, waiting.frame

    def sent(self, task_id: str, now: float) -> None:
        """It left; wait for the acknowledgement before sending it again."""
        waiting = self._waiting[task_id]
        waiting.due_at = now + waiting.pause_s
        waiting.pause_s = min(waiting.pause_s * 2, _AGAIN_MAX_S)

    def _file(self, task_id: str) -> Path:
        import hashlib  # loads OpenSSL: only agents with a spool pay for it

        assert self._spool is not None
        return self._spool / (hashlib.sha256(task_id.encode()).hexdigest()[:32] + _SUFFIX)

    def _load(self, spool: Path) -> None:
        for path in sorted(spool.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime_ns):
            frame = path.read_bytes()
            try:
                message = codec.read_from_agent(frame)
                if not isinstance(message, Result):
                    raise WireError("invalid", "not a result")
            except WireError as error:
                path.rename(path.with_suffix(".bad"))
                self._say(f"{path} cannot be read and is now {path.stem}.bad: {error}")
                continue
            self._waiting[message.task_id] = _Waiting(frame)


def _write_durably(path: Path, data: bytes) -> None:
    """Write a file that is there whole after a crash, or not at all."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
