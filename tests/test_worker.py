"""Tasks of an agent: one at a time, and an answer to every one of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ahc_agent import worker as room
from ahc_agent.errors import AhcError, ProgramMissing, WriteRefused
from ahc_agent.measure import Measurement
from ahc_agent.task import Device, TaskContext
from ahc_agent.wire.messages import (
    Assign,
    CpuTask,
    Go,
    InventoryTask,
    Message,
    PairTask,
    Progress,
    Ready,
    Result,
    TaskOutcome,
)
from ahc_agent.worker import Worker
from tests.wire_helpers import until

Function = Callable[[Any, TaskContext], dict[str, Any]]
MEASURED = Measurement(component="cpu", part="all", quantity="events_per_s", unit="1/s", value=1.0)


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("n1", (Device("disk0", "/dev/null"),))
    yield worker
    worker.stop(5)
    worker.close()


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch) -> Callable[[Function], None]:
    """Give CPU tasks another body."""
    return lambda function: monkeypatch.setitem(room.FUNCTIONS, CpuTask, function)


def assign(task_id: str = "t1", time_limit_s: float = 60.0) -> Assign:
    return Assign(task_id=task_id, task=CpuTask(), time_limit_s=time_limit_s)


def collect(worker: Worker, count: int = 1) -> list[Message]:
    """What the worker says, until that is ``count`` messages."""
    messages: list[Message] = []

    def enough() -> bool:
        worker.expire(time.monotonic())
        messages.extend(worker.collect())
        return len(messages) >= count

    until(enough)
    return messages


def outcome(worker: Worker) -> TaskOutcome:
    (message,) = collect(worker)
    assert isinstance(message, Result)
    return message.outcome


def wait_for_cancel(task: CpuTask, context: TaskContext) -> dict[str, Any]:
    context.cancelled.wait(60)
    return {"measurements": [MEASURED]}


def test_what_a_task_returns_is_its_outcome(worker: Worker, does: Callable[[Function], None]) -> None:
    seen: list[TaskContext] = []

    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        seen.append(context)
        time.sleep(0.05)
        return {"measurements": [MEASURED]}

    does(body)
    before = time.time()
    worker.assign(assign())
    assert worker.busy == "t1"
    done = outcome(worker)
    assert (done.status, done.measurements, done.error) == ("ok", [MEASURED], None)
    assert before <= done.started_at_unix_s <= time.time() - 0.05
    assert 0 <= done.start_delay_s < 5
    assert 0.05 <= done.duration_s < 5
    assert (seen[0].machine, seen[0].only_disks) == ("n1", (Device("disk0", "/dev/null"),))
    assert worker.busy is None


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (WriteRefused("/dev/sda is mounted"), "refused", "/dev/sda is mounted"),
        (ProgramMissing("fio"), "failed", "fio: not installed"),
        (ZeroDivisionError("division by zero"), "failed", "ZeroDivisionError: division by zero"),
        (MemoryError(), "failed", "MemoryError"),
        (ValueError("x" * 10_000), "failed", "ValueError: xxx"),
    ],
)
def test_a_task_that_raises_has_failed_and_says_how(
    worker: Worker, does: Callable[[Function], None], error: Exception, status: str, text: str
) -> None:
    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        raise error

    does(body)
    worker.assign(assign())
    done = outcome(worker)
    assert done.status == status
    assert done.error is not None
    assert done.error.startswith(text)
    assert len(done.error) <= 4096


def test_a_task_that_returns_nonsense_has_failed(worker: Worker, does: Callable[[Function], None]) -> None:
    does(lambda task, context: {"no such field": 1})
    worker.assign(assign())
    assert outcome(worker).status == "failed"


def test_the_time_limit_ends_a_task_and_keeps_what_it_measured(
    worker: Worker, does: Callable[[Function], None]
) -> None:
    does(wait_for_cancel)
    worker.assign(assign(time_limit_s=0.1))
    done = outcome(worker)
    assert (done.status, done.measurements) == ("timeout", [MEASURED])
    assert done.duration_s >= 0.05


def test_a_cancelled_task_says_so(worker: Worker, does: Callable[[Function], None]) -> None:
    does(wait_for_cancel)
    worker.assign(assign())
    worker.cancel("another task")
    worker.cancel("t1")
    assert outcome(worker).status == "cancelled"


def test_a_task_that_does_not_stop_is_left_behind_and_the_next_one_runs(
    worker: Worker, does: Callable[[Function], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_GRACE_S", 0.1)
    stuck, calls = threading.Event(), []

    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 1:
            stuck.wait(60)
        return {}

    does(body)
    worker.assign(assign("stuck", time_limit_s=0.1))
    worker.assign(assign("next"))
    first, second = collect(worker, 2)
    assert isinstance(first, Result)
    assert isinstance(second, Result)
    assert (first.task_id, first.outcome.status, first.outcome.error) == (
        "stuck",
        "timeout",
        "did not stop when told to",
    )
    assert (second.task_id, second.outcome.status) == ("next", "ok")
    stuck.set()  # its late answer is nobody's
    time.sleep(0.1)
    assert worker.collect() == []


def test_tasks_run_one_after_the_other_in_the_order_of_their_assignment(
    worker: Worker, does: Callable[[Function], None]
) -> None:
    running, most = [0], [0]

    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.01)
        running[0] -= 1
        return {}

    does(body)
    for number in range(8):
        worker.assign(assign(f"t{number}"))
    results = collect(worker, 8)
    assert [message.task_id for message in results if isinstance(message, Result)] == [
        f"t{n}" for n in range(8)
    ]
    assert most == [1]


def test_a_task_assigned_twice_runs_once(worker: Worker, does: Callable[[Function], None]) -> None:
    """A restarted server assigns again what it does not know the end of."""
    calls = []

    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        calls.append(1)
        time.sleep(0.05)
        return {}

    does(body)
    for _ in range(3):
        worker.assign(assign("running"))
        worker.assign(assign("waiting"))
    assert len(collect(worker, 2)) == 2
    time.sleep(0.1)
    assert worker.collect() == []
    assert len(calls) == 2


def test_too_many_tasks_are_answered_with_busy(worker: Worker, does: Callable[[Function], None]) -> None:
    does(wait_for_cancel)
    for number in range(room.QUEUE_LIMIT + 3):
        worker.assign(assign(f"t{number}"))
    refused = [message for message in collect(worker, 2) if isinstance(message, Result)]
    assert [message.task_id for message in refused] == ["t101", "t102"]
    assert all(
        message.outcome.status == "failed" and "busy" in (message.outcome.error or "") for message in refused
    )


def test_a_waiting_task_can_be_cancelled_and_can_reach_its_limit_unstarted(
    worker: Worker, does: Callable[[Function], None]
) -> None:
    does(wait_for_cancel)
    worker.assign(assign("running"))
    worker.assign(assign("unwanted"))
    worker.assign(assign("too late", time_limit_s=0.05))
    worker.cancel("unwanted")
    ends = {message.task_id: message.outcome for message in collect(worker, 2) if isinstance(message, Result)}
    assert {task_id: end.status for task_id, end in ends.items()} == {
        "unwanted": "cancelled",
        "too late": "timeout",
    }
    assert all(end.duration_s == 0 for end in ends.values())
    assert worker.busy == "running"


PAIR = PairTask(pair_id="p", role="connect", peer="n2", token="00" * 8)


def test_a_pair_task_says_ready_waits_for_go_and_starts_from_there(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[Go] = []

    def body(task: PairTask, context: TaskContext) -> dict[str, Any]:
        time.sleep(0.2)
        context.ready({"bulk": 4711})
        got.append(context.wait_go(30))
        return {}

    monkeypatch.setitem(room.FUNCTIONS, PairTask, body)
    worker.assign(Assign(task_id="t1", task=PAIR, time_limit_s=60))
    worker.go(Go(task_id="another"), time.monotonic())
    assert collect(worker) == [Ready(task_id="t1", ports={"bulk": 4711})]
    start_s = time.monotonic() + 0.25
    worker.go(Go(task_id="t1", ports={"bulk": 1}), start_s)
    done = outcome(worker)
    assert time.monotonic() >= start_s
    assert done.status == "ok"
    assert got == [Go(task_id="t1", ports={"bulk": 1})]
    assert done.duration_s < 0.2, "the time before Go is not part of the test"
    assert 0 <= done.start_delay_s < 0.2, "late by so much"


def test_a_pair_that_is_cancelled_between_go_and_its_start_does_not_wait_for_it(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def body(task: PairTask, context: TaskContext) -> dict[str, Any]:
        context.wait_go(30)
        return {}

    monkeypatch.setitem(room.FUNCTIONS, PairTask, body)
    worker.assign(Assign(task_id="t1", task=PAIR, time_limit_s=60))
    worker.go(Go(task_id="t1"), time.monotonic() + 3600)
    worker.cancel("t1")
    assert outcome(worker).status == "cancelled"


@pytest.mark.parametrize(("limit", "cancel", "status"), [(0.05, False, "failed"), (60, True, "cancelled")])
def test_a_pair_task_does_not_wait_for_go_for_ever(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, limit: float, cancel: bool, status: str
) -> None:
    def body(task: PairTask, context: TaskContext) -> dict[str, Any]:
        with pytest.raises(AhcError) as end:
            context.wait_go(limit)
        raise end.value

    monkeypatch.setitem(room.FUNCTIONS, PairTask, body)
    worker.assign(Assign(task_id="t1", task=PAIR, time_limit_s=60))
    if cancel:
        worker.cancel("t1")
    assert outcome(worker).status == status


def test_progress_is_bounded_in_value_and_rate(worker: Worker, does: Callable[[Function], None]) -> None:
    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        for number in range(1000):
            context.progress(5 + number, "x" * 1000)
        return {}

    does(body)
    worker.assign(assign())
    first, last = collect(worker, 2)
    assert first == Progress(task_id="t1", fraction=1.0, note="x" * 256)
    assert isinstance(last, Result)


def test_an_agent_that_ends_stops_its_task(worker: Worker, does: Callable[[Function], None]) -> None:
    ended = threading.Event()

    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        context.cancelled.wait(60)
        ended.set()
        return {}

    does(body)
    worker.assign(assign())
    worker.assign(assign("never started"))
    worker.stop(10)
    assert ended.is_set()


def test_a_task_that_outlives_its_worker_writes_to_nobodys_file(
    does: Callable[[Function], None], tmp_path: Path
) -> None:
    """Whoever opens a file next gets the number that the worker had."""
    speaks = threading.Event()

    def body(task: CpuTask, context: TaskContext) -> dict[str, Any]:
        speaks.wait(60)
        context.progress(0.5, "still here")
        return {}

    does(body)
    worker = Worker("n1")
    worker.assign(assign())
    [thread] = [each for each in threading.enumerate() if each.name == "t1"]
    worker.stop(0.0)
    before = worker.wake_fd
    with (tmp_path / "somebodys").open("wb") as file:
        worker.close()
        os.dup2(file.fileno(), before)
        try:
            speaks.set()
            thread.join(60)
            worker.wake()
        finally:
            os.close(before)
    assert (tmp_path / "somebodys").read_bytes() == b""


def test_the_inventory_task_collects_the_inventory_of_this_machine(worker: Worker) -> None:
    worker.assign(Assign(task_id="t1", task=InventoryTask(), time_limit_s=60))
    inventory = outcome(worker).inventory
    assert inventory is not None
    assert inventory.memory.total_bytes
