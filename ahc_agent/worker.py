"""Tasks, one at a time, each in a thread of its own, so that the agent's main thread keeps the link alive.

Whatever happens in a task, there is a ``Result`` in the end: it returned, raised, was cancelled, reached its time limit,
or did not stop when it was told to (then its thread is left behind and the next task starts).
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from ahc_agent.errors import AhcError, WriteRefused
from ahc_agent.facts import TEXT_LIMIT, Inventory
from ahc_agent.task import Device, TaskContext
from ahc_agent.wire.messages import (
    Assign,
    CpuTask,
    DiskTask,
    Go,
    InventoryTask,
    MemoryTask,
    Message,
    PairTask,
    Progress,
    Ready,
    Result,
    Task,
    TaskOutcome,
)

_log = logging.getLogger("ahc.agent")

#: Tasks that may wait for the one under way.
QUEUE_LIMIT = 100
#: A task that was told to stop and has not ended after this is left behind.
_GRACE_S = 10.0
_PROGRESS_INTERVAL_S = 0.5


def _inventory(task: Task, context: TaskContext) -> dict[str, Any]:
    from ahc_agent.inventory import collect

    found = collect(only_disks=context.only_disks)
    context.neighbours(found)
    return {"inventory": found}


def _bench(task: Any, context: TaskContext) -> dict[str, Any]:
    from ahc_agent.bench import run_task

    return {"measurements": run_task(task, context)}


def _pair(task: Any, context: TaskContext) -> dict[str, Any]:
    from ahc_agent.net import run_pair

    return {"pair": run_pair(task, context)}


#: What to call for a task, and so what field of the outcome it fills. Imported when first needed: an agent starts fast.
FUNCTIONS: dict[type, Callable[[Any, TaskContext], dict[str, Any]]] = {
    InventoryTask: _inventory,
    CpuTask: _bench,
    MemoryTask: _bench,
    DiskTask: _bench,
    PairTask: _pair,
}


@dataclass(slots=True)
class _Job:
    """A task that was assigned. Times are CLOCK_MONOTONIC seconds but for ``started_at_unix_s``.

    ``ready``: what a pair has said, as long as it waits for its Go.
    """

    assign: Assign
    received_at: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    stopped_at: float = 0.0
    why: Literal["timeout", "cancelled"] | None = None
    ready: Ready | None = None
    gos: queue.SimpleQueue[tuple[Go, float, float | None]] = field(default_factory=queue.SimpleQueue)
    started_at: float = 0.0
    started_at_unix_s: float = 0.0
    start_delay_s: float = 0.0
    clock_error_s: float | None = None

    @property
    def task_id(self) -> str:
        return self.assign.task_id

    @property
    def deadline(self) -> float:
        return self.received_at + self.assign.time_limit_s

    def started(self, since: float) -> None:
        self.started_at = time.monotonic()
        self.started_at_unix_s = time.time()
        self.start_delay_s = self.started_at - since

    def stop(self, why: Literal["timeout", "cancelled"]) -> None:
        if self.why is None:
            self.why, self.stopped_at = why, time.monotonic()
            self.cancelled.set()

    def outcome(self, status: str, **fields: Any) -> TaskOutcome:
        return TaskOutcome(
            status=self.why or status,  # type: ignore[arg-type]
            started_at_unix_s=self.started_at_unix_s,
            start_delay_s=self.start_delay_s,
            clock_error_s=self.clock_error_s,
            duration_s=time.monotonic() - self.started_at if self.started_at else 0.0,
            **fields,
        )


class Worker:
    """See the module. All methods are for the main thread; ``wake_fd`` becomes readable when ``collect`` has something."""

    def __init__(
        self,
        machine: str,
        only_disks: tuple[Device, ...] | None = None,
        neighbours: Callable[[Inventory], None] = lambda inventory: None,
    ) -> None:
        self._machine = machine
        self._only_disks = only_disks
        self._neighbours = neighbours
        self._waiting: deque[_Job] = deque()
        self._job: _Job | None = None
        self._thread: threading.Thread | None = None
        self._out: queue.SimpleQueue[tuple[_Job | None, Message]] = queue.SimpleQueue()
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_closed = False
        #: Held while threads write to ``wake_fd``: once it is closed its number may be another file's.
        self._waking = threading.Lock()

    @property
    def busy(self) -> str | None:
        """Id of the task under way."""
        return self._job.task_id if self._job is not None else None

    def wake(self) -> None:
        """Make ``wake_fd`` readable (also from a signal handler)."""
        if not self._is_closed:
            os.eventfd_write(self.wake_fd, 1)

    def assign(self, assign: Assign) -> None:
        """Do a task, after those assigned before. One that is there already is not done twice."""
        jobs = [*([self._job] if self._job else []), *self._waiting]
        if any(job.task_id == assign.task_id for job in jobs):
            return
        job = _Job(assign, time.monotonic())
        if len(self._waiting) >= QUEUE_LIMIT:
            self._post(
                None,
                Result(task_id=job.task_id, outcome=job.outcome("failed", error="busy: too many tasks wait")),
            )
            return
        self._waiting.append(job)
        self._start_next()

    def cancel(self, task_id: str) -> None:
        """Stop a task, or never start it; its outcome is "cancelled"."""
        self._stop(lambda job: job.task_id == task_id, "cancelled")

    def go(self, go: Go, start_s: float, clock_error_s: float | None = None) -> None:
        """Hand a Go to the pair task that waits for it, to start at ``start_s`` (CLOCK_MONOTONIC), which is wrong by
        ``clock_error_s`` at most; one for anything else is late and means nothing."""
        if self._job is not None and self._job.task_id == go.task_id:
            self._job.ready = None
            self._job.gos.put((go, start_s, clock_error_s))

    @property
    def ready(self) -> Ready | None:
        """What the pair task under way says while it waits for its Go: a server that was killed may not have heard it."""
        return self._job.ready if self._job is not None and self._job.why is None else None

    def expire(self, now: float) -> None:
        """Stop what has reached its time limit, leave behind what does not stop."""
        self._stop(lambda job: now >= job.deadline, "timeout")
        job = self._job
        if job is not None and job.why is not None and now >= job.stopped_at + _GRACE_S:
            _log.error("task %s did not stop %g s after it was told to: left behind", job.task_id, _GRACE_S)
            self._post(
                job,
                Result(task_id=job.task_id, outcome=job.outcome("failed", error="did not stop when told to")),
            )

    def collect(self) -> list[Message]:
        """What tasks have said since the last call; starts the next task when one has ended."""
        try:
            os.eventfd_read(self.wake_fd)
        except BlockingIOError:
            pass
        messages = []
        while not self._out.empty():
            job, message = self._out.get()
            if job is not None and job is not self._job:
                continue  # it was left behind
            messages.append(message)
            if job is not None and isinstance(message, Result):
                self._job = self._thread = None
        self._start_next()
        return messages

    def stop(self, time_limit_s: float) -> None:
        """Stop everything (the agent ends); waits for the task under way so that its programs are ended too."""
        self._waiting.clear()
        if self._job is not None and self._thread is not None:
            self._job.stop("cancelled")
            self._thread.join(time_limit_s)

    def close(self) -> None:
        """After the last ``collect``. A task that was left behind may still say something: nobody hears it."""
        with self._waking:
            self._is_closed = True
            os.close(self.wake_fd)

    def _stop(self, which: Callable[[_Job], bool], why: Literal["timeout", "cancelled"]) -> None:
        for job in [job for job in self._waiting if which(job)]:
            self._waiting.remove(job)
            job.stop(why)
            self._post(
                None,
                Result(task_id=job.task_id, outcome=job.outcome(why, error="stopped before it was started")),
            )
        if self._job is not None and which(self._job):
            self._job.stop(why)

    def _start_next(self) -> None:
        if self._job is None and self._waiting:
            self._job = self._waiting.popleft()
            self._thread = threading.Thread(
                target=self._do, args=(self._job,), name=self._job.task_id, daemon=True
            )
            self._thread.start()

    def _post(self, job: _Job | None, message: Message) -> None:
        self._out.put((job, message))
        with self._waking:
            self.wake()

    def _do(self, job: _Job) -> None:
        """The body of a task's thread."""
        job.started(since=job.received_at)
        try:
            outcome = job.outcome(
                "ok", **FUNCTIONS[type(job.assign.task)](job.assign.task, self._context(job))
            )
        except WriteRefused as error:
            outcome = job.outcome("refused", error=_clip(error))
        except AhcError as error:
            outcome = job.outcome("failed", error=_clip(error))
        except Exception as error:
            _log.exception("task %s failed", job.task_id)
            outcome = job.outcome("failed", error=_clip(f"{type(error).__name__}: {error}"))
        self._post(job, Result(task_id=job.task_id, outcome=outcome))

    def _context(self, job: _Job) -> TaskContext:
        last_progress = -_PROGRESS_INTERVAL_S

        def progress(fraction: float, note: str) -> None:
            nonlocal last_progress
            now = time.monotonic()
            if now - last_progress >= _PROGRESS_INTERVAL_S:
                last_progress = now
                bounded = min(max(fraction, 0.0), 1.0)
                self._post(job, Progress(task_id=job.task_id, fraction=bounded, note=note[:256]))

        def ready(ports: dict[str, int]) -> None:
            job.ready = Ready(task_id=job.task_id, ports=ports)
            self._post(job, job.ready)

        def wait_go(time_limit_s: float) -> Go:
            deadline = time.monotonic() + time_limit_s
            while not job.cancelled.is_set():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AhcError("the server's Go did not come in time: the other end was not ready")
                try:
                    go, start_s, job.clock_error_s = job.gos.get(timeout=min(left, 0.1))
                except queue.Empty:
                    continue
                while (ahead_s := start_s - time.monotonic()) > 0:
                    if job.cancelled.wait(ahead_s):
                        break
                job.started(since=start_s)
                return go
            raise AhcError("stopped while waiting for the server's Go")

        return TaskContext(
            machine=self._machine,
            progress=progress,
            cancelled=job.cancelled,
            ready=ready,
            wait_go=wait_go,
            only_disks=self._only_disks,
            neighbours=self._neighbours,
        )


def _clip(text: object) -> str:
    return str(text)[:TEXT_LIMIT]
