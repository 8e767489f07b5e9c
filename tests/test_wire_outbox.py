"""Results wait for their acknowledgement, also through the death of the agent."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest

from ahc_agent.errors import UsageError
from ahc_agent.wire.codec import encode, read_from_agent
from ahc_agent.wire.messages import Result, TaskOutcome
from ahc_agent.wire.outbox import Outbox


def result(task_id: str, error: str | None = None) -> Result:
    return Result(task_id=task_id, outcome=TaskOutcome(status="ok", error=error, duration_s=1.5))


def due(outbox: Outbox, now: float) -> list[str]:
    return [task_id for task_id, _ in outbox.due(now)]


def test_a_result_is_due_until_it_is_acknowledged() -> None:
    outbox = Outbox()
    outbox.put(result("a"))
    outbox.put(result("b"))
    assert [read_from_agent(frame) for _, frame in outbox.due(0)] == [result("a"), result("b")]
    outbox.acknowledge("a")
    outbox.acknowledge("never heard of")
    assert due(outbox, 0) == ["b"]
    assert (outbox.task_ids(), "a" in outbox, len(outbox)) == (["b"], False, 1)


def test_it_is_sent_again_ever_more_rarely() -> None:
    outbox = Outbox()
    outbox.put(result("a"))
    sent, now = [], 0.0
    while now < 600:
        if due(outbox, now):
            sent.append(now)
            outbox.sent("a", now)
        now += 0.5
    pauses = [later - earlier for earlier, later in pairwise(sent)]
    assert pauses == sorted(pauses)
    assert (pauses[0], max(pauses)) == (3, 60)


def test_after_a_welcome_everything_is_due_at_once() -> None:
    outbox = Outbox()
    for name in ("a", "b"):
        outbox.put(result(name))
        outbox.sent(name, 0)
    assert due(outbox, 1) == []
    outbox.due_now("b")
    assert due(outbox, 1) == ["b"]
    outbox.due_now()
    assert due(outbox, 1) == ["a", "b"]


def test_what_the_server_would_not_take_becomes_a_failure_that_it_takes() -> None:
    """Otherwise it would be sent for ever, and the plan would wait for it."""
    outbox = Outbox()
    outbox.put(Result(task_id="a", outcome=TaskOutcome(status="ok", start_delay_s=math.nan, duration_s=1.5)))
    ((_, frame),) = outbox.due(0)
    message = read_from_agent(frame)
    assert isinstance(message, Result)
    assert (message.outcome.status, message.outcome.duration_s) == ("failed", 1.5)
    assert "cannot be sent" in (message.outcome.error or "")


def test_a_spool_survives_the_agent_in_order_and_forgets_what_was_acknowledged(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    outbox = Outbox(spool)
    for number in range(5):
        outbox.put(result(f"session/step {number}/é", "x" * number))
    outbox.acknowledge("session/step 2/é")
    again = Outbox(spool)
    assert [read_from_agent(frame) for _, frame in again.due(0)] == [
        result(f"session/step {number}/é", "x" * number) for number in (0, 1, 3, 4)
    ]
    for task_id in again.task_ids():
        again.acknowledge(task_id)
    assert list(spool.iterdir()) == []


def test_half_written_and_foreign_files_do_not_stop_the_agent(tmp_path: Path) -> None:
    said: list[str] = []
    Outbox(tmp_path).put(result("good"))
    (tmp_path / "half.result").write_bytes(encode(result("half"))[:20])
    (tmp_path / "killed-while-writing.new").write_bytes(b"\x83")
    outbox = Outbox(tmp_path, said.append)
    assert outbox.task_ids() == ["good"]
    assert len(said) == 1
    assert "half.bad" in said[0]
    assert Outbox(tmp_path, said.append).task_ids() == ["good"]
    assert len(said) == 1


def test_a_full_disk_keeps_the_result_in_memory_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    outbox = Outbox(tmp_path / "spool", said.append)
    (tmp_path / "spool").rmdir()  # every write fails from here on, as root too
    outbox.put(result("a"))
    assert due(outbox, 0) == ["a"]
    assert "in memory only" in said[0]
    outbox.acknowledge("a")


def test_a_spool_that_can_no_longer_be_written_does_not_end_the_agent(tmp_path: Path) -> None:
    said: list[str] = []
    outbox = Outbox(tmp_path / "spool", said.append)
    outbox.put(result("a"))
    (file,) = (tmp_path / "spool").iterdir()
    file.unlink()
    file.mkdir()  # as little to be unlinked as a file on a file system that went read-only, as root too
    outbox.acknowledge("a")
    assert len(outbox) == 0
    assert "stays in" in said[0]


def test_a_spool_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--spool"):
        Outbox(tmp_path / "file")
