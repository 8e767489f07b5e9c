"""The one door to outside programs (fio, sysbench, iperf3, smartctl, ipmitool, ...).

Every call has an argument list (never a shell), a time limit, bounded and captured output and typed
errors. The child gets a process group of its own, so that its own children die with it at the time
limit, when the caller is cancelled, and when the calling thread's process dies.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ahc_agent.errors import ProgramError, ProgramFailed, ProgramMissing, ProgramTimeout

#: More output than this from one program is refused: nothing that we run prints so much.
OUTPUT_LIMIT_BYTES = 32 * 1024 * 1024

#: Where set: programs are killed for want of memory before the agent is (``oom_score_adj`` of proc(5)).
oom_score_of_programs: int | None = None

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left behind. ``duration_s`` is wall-clock time."""

    argv: tuple[str, ...]
    exit_status: int
    stdout: bytes
    stderr: bytes
    duration_s: float

    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode("utf-8", "replace")


def find(program: str) -> str | None:
    """Path of an installed program, or None. ``/usr/sbin`` and ``/sbin`` are always searched too."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(program, path=f"{path}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")


def run(
    argv: Sequence[str],
    *,
    time_limit_s: float,
    env: Mapping[str, str] | None = None,
    cpus: Sequence[int] | None = None,
    ok_statuses: Sequence[int] | None = (0,),
    cancelled: threading.Event | None = None,
    stdin: bytes | None = None,
) -> Finished:
    """Run a program to its end.

    ``cpus`` pins it (``sched_setaffinity``); ``ok_statuses`` None takes every exit status (smartctl
    reports health in it); ``cancelled`` ends it early as a time limit does.

    Raises ProgramMissing, ProgramTimeout (also when cancelled) or ProgramFailed.
    """
    with running(argv, env=env, cpus=cpus, stdin=stdin) as program:
        return program.finish(time_limit_s, ok_statuses=ok_statuses, cancelled=cancelled)


class Running:
    """A program under way; made by ``running``."""

    def __init__(self, argv: Sequence[str], child: subprocess.Popen[bytes]) -> None:
        self._argv = tuple(argv)
        self._child = child
        self._started = time.monotonic()

    def alive(self) -> bool:
        return self._child.poll() is None

    def finish(
        self,
        time_limit_s: float,
        *,
        ok_statuses: Sequence[int] | None = (0,),
        cancelled: threading.Event | None = None,
    ) -> Finished:
        """Wait for its end, ``time_limit_s`` from now at most; arguments and errors as of ``run``."""
        name, child = self._argv[0], self._child
        stdout, stderr = _gather(child, name, time.monotonic() + time_limit_s, cancelled)
        finished = Finished(self._argv, child.returncode, stdout, stderr, time.monotonic() - self._started)
        if ok_statuses is not None and finished.exit_status not in ok_statuses:
            said = (stderr or stdout).decode("utf-8", "replace").strip().splitlines()
            problem = said[-1][:300] if said else "no output"
            raise ProgramFailed(name, f"exit status {finished.exit_status}: {problem}")
        return finished


@contextmanager
def running(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cpus: Sequence[int] | None = None,
    stdin: bytes | None = None,
) -> Iterator[Running]:
    """A program beside the caller (a server for one measurement); its whole group is killed on the way out.

    Its output waits in pipes: one that prints more than 64 KiB stands still until ``finish`` is called.
    The program dies with the calling thread. Raises ProgramMissing or ProgramFailed (cannot be started).
    """
    path = find(argv[0])
    if path is None:
        raise ProgramMissing(argv[0])
    with _input_file(stdin) as source:
        try:
            child = subprocess.Popen(
                [path, *argv[1:]],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C", **(env or {})},
                preexec_fn=_prepare_child(cpus),
                start_new_session=True,
            )
        except OSError as error:
            raise ProgramFailed(argv[0], f"cannot be started: {error.strerror}") from error
    try:
        yield Running(argv, child)
    finally:
        if child.returncode is None:
            _kill_group(child)
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


def _input_file(data: bytes | None) -> IO[bytes]:
    """Input comes from a file, not a pipe: Popen.communicate cannot go on with its input after a timeout."""
    if data is None:
        return Path(os.devnull).open("rb")
    source = tempfile.TemporaryFile()  # noqa: SIM115 — the caller closes it
    source.write(data)
    source.seek(0)
    return source


def _prepare_child(cpus: Sequence[int] | None) -> Callable[[], None]:
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        if cpus is not None:
            os.sched_setaffinity(0, cpus)
        if oom_score_of_programs is not None:
            with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 — little happens between fork and exec
                file.write(str(oom_score_of_programs))

    return prepare


def _gather(
    child: subprocess.Popen[bytes],
    program: str,
    deadline: float,
    cancelled: threading.Event | None,
) -> tuple[bytes, bytes]:
    """Collect both outputs until the program ends; kill its whole group on any way out but the good one."""
    ended = False
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ProgramTimeout(program, "did not end within its time limit and was killed")
            if cancelled is not None and cancelled.is_set():
                raise ProgramTimeout(program, "cancelled")
            try:
                stdout, stderr = child.communicate(timeout=min(left, 0.2))
                ended = True
            except subprocess.TimeoutExpired:
                continue
            if len(stdout) + len(stderr) > OUTPUT_LIMIT_BYTES:
                raise ProgramError(program, "printed more than can be right")
            return stdout, stderr
    finally:
        if not ended:
            _kill_group(child)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.communicate()
