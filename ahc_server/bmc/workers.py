"""A process for each BMC, so many at once, each with its own time limit.

pyghmi serves all its sessions from one loop that any caller may run, and answers a log-in's callbacks inside it: one BMC that
falls silent in the wrong moment holds the others. A process of its own holds nobody, and can be killed. It is forked, so
that libraries are loaded once, and its answer comes back through a pipe as MessagePack; nothing goes over a command line.
"""

from __future__ import annotations

import ctypes
import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from ahc_server.bmc.errors import BmcError
from ahc_server.bmc.model import Answer, Failure, Trouble
from ahc_server.bmc.target import Target

#: A full event log and all sensors of one machine; more is no answer.
_ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 65536

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode

_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)

Work = Callable[[Target], Answer]


@dataclass(slots=True)
class _Child:
    place: int
    pid: int
    pipe: int
    deadline_s: float
    data: bytearray = field(default_factory=bytearray)


def ask_all(
    targets: Sequence[Target],
    work: Work,
    *,
    at_once: int,
    time_limit_s: float,
    told: Callable[[Answer], None] = lambda _: None,
) -> list[Answer]:
    """``work`` for each target, in a process of its own; the answers in the order of the targets.

    One that fails or takes longer than ``time_limit_s`` has an answer with its ``failure``. ``told`` hears each answer as it
    comes. Call it from a process without threads: it forks.
    """
    answers: list[Answer | None] = [None] * len(targets)
    waiting = list(reversed(range(len(targets))))
    under_way: dict[int, _Child] = {}
    with selectors.DefaultSelector() as pipes:
        try:
            while waiting or under_way:
                while waiting and len(under_way) < at_once:
                    place = waiting.pop()
                    child = _start(place, targets[place], work, time_limit_s, under_way)
                    under_way[child.pipe] = child
                    pipes.register(child.pipe, selectors.EVENT_READ)
                soonest = min(child.deadline_s for child in under_way.values())
                ready = [key.fd for key, _ in pipes.select(max(0.0, soonest - time.monotonic()))]
                now = time.monotonic()
                for child in list(under_way.values()):
                    over = child.pipe in ready and not _read(child)
                    if not over and now < child.deadline_s:
                        continue
                    pipes.unregister(child.pipe)
                    del under_way[child.pipe]
                    answer = _end(child, targets[child.place], time_limit_s, over=over)
                    answers[child.place] = answer
                    told(answer)
        finally:
            for child in under_way.values():
                _kill(child)
    return [answer for answer in answers if answer is not None]


def failed(target: Target, trouble: Trouble, problem: str) -> Answer:
    """An answer that says why there is none."""
    return Answer(
        node=target.node, address=target.address, failure=Failure(trouble=trouble, problem=problem[:1000])
    )


def _start(place: int, target: Target, work: Work, time_limit_s: float, others: dict[int, _Child]) -> _Child:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # Were it to keep the others' pipes, they would not end while it lives.
            for pipe in (reading, *others):
                os.close(pipe)
            _be_quiet()
            _write(writing, _encode(_worked(target, work)))
            status = 0
        finally:
            # Nothing of the parent's may run here: no exit handlers, no flush of its output.
            os._exit(status)
    os.close(writing)
    return _Child(place, pid, reading, time.monotonic() + time_limit_s)


def _worked(target: Target, work: Work) -> Answer:
    """In the child: the answer, or why there is none. A library's own mistake is told with the place, without its values."""
    try:
        return work(target)
    except BmcError as error:
        return failed(target, error.trouble, str(error))
    except Exception as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f" at {os.path.basename(at.tb_frame.f_code.co_filename)}:{at.tb_lineno}" if at else ""  # noqa: PTH119
        said = target.login.password.hidden_in(str(error))
        return failed(target, "mistake", f"{type(error).__name__}{place}: {said}")


def _be_quiet() -> None:
    """In the child: no output, no logs (a library's may hold what it sends), and an end even where the parent is gone."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)


def _write(pipe: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def _read(child: _Child) -> bool:
    """Take what is there; False at its end (or where it is too much)."""
    data = os.read(child.pipe, _CHUNK_BYTES)
    child.data += data
    return bool(data) and len(child.data) <= _ANSWER_LIMIT_BYTES


def _end(child: _Child, target: Target, time_limit_s: float, *, over: bool) -> Answer:
    status = _kill(child)
    if not over:
        return failed(target, "silent", f"nothing within {time_limit_s:g} s")
    try:
        return _decode(child.data)
    except msgspec.MsgspecError as error:
        problem = f"its process ended with status {status}" if not child.data else f"its answer: {error}"
        return failed(target, "mistake", problem)


def _kill(child: _Child) -> int:
    """End a child by its id, whether or not it ended by itself, and take its exit status."""
    os.close(child.pipe)
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
