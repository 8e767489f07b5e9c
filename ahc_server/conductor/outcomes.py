"""What the result of a task means for the books of its session."""

from __future__ import annotations

import msgspec

from ahc_agent.facts import TEXT_LIMIT
from ahc_agent.wire.messages import Ack, TaskOutcome
from ahc_server.conductor.model import Output, Send
from ahc_server.store import records
from ahc_server.store.records import TaskState

#: The state of a task by what its agent says of it.
STATE_OF: dict[str, TaskState] = {
    "ok": "done",
    "failed": "failed",
    "refused": "failed",
    "timeout": "timeout",
    "cancelled": "cancelled",
}


def late_result(machine: str, task_id: str, outcome: TaskOutcome, unix_s: float) -> Output:
    """A result that nobody waits for any more is kept like any other, and acknowledged."""
    record = records.ResultCame(task_id, machine, outcome, STATE_OF[outcome.status], unix_s)
    return Output([record], [Send(machine, Ack(task_id=task_id))])


def explained(outcome: TaskOutcome, why: str | None) -> TaskOutcome:
    """A result of a task that was called off says why, before what its agent has to say."""
    if outcome.status != "cancelled" or why is None:
        return outcome
    said = f"; {outcome.error}" if outcome.error else ""
    return msgspec.structs.replace(outcome, error=f"called off: {why}{said}"[:TEXT_LIMIT])
