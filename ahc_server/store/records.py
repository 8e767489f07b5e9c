"""What the conductor asks the store to keep: one small type for each fact. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ahc_agent.wire.messages import Hello, TaskOutcome
from ahc_server.store.kept import Kept

SessionState = Literal["running", "stopping", "done", "stopped"]
StepState = Literal["running", "done"]

#: "assigned" and "going" (a pair that was told to start) are under way; "again": given to the machine a second time under
#: another task id, so that this one no longer counts.
TaskState = Literal["assigned", "going", "done", "failed", "lost", "timeout", "cancelled", "again"]
OPEN_STATES: tuple[TaskState, ...] = ("assigned", "going")


@dataclass(frozen=True, slots=True)
class ParticipantSeen:
    """A participant said Hello again, perhaps with other addresses."""

    machine: str
    hello: Hello


@dataclass(frozen=True, slots=True)
class ParticipantState:
    """A participant is there (``lost`` None) or not, and why."""

    machine: str
    lost: str | None


@dataclass(frozen=True, slots=True)
class ParticipantAdded:
    """A machine that takes part from now on, after those that are there."""

    machine: str
    hello: Hello


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins on these machines; ``hosts`` of them at once."""

    step: int
    job: str
    component: str
    hosts: int
    machines: tuple[str, ...]
    at_s: float


@dataclass(frozen=True, slots=True)
class StepEnded:
    """``start_jitter_s``: latest minus earliest start of what was started together, the worst wave's; None unknown. ``units``:
    machines or pairs whose turn came, second tries not counted; None where nobody counted."""

    step: int
    at_s: float
    start_jitter_s: float | None
    units: int | None = None


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task on one machine. ``unit`` joins the two ends of a pair; of the task of one machine it is its own id."""

    task_id: str
    step: int
    wave: int
    machine: str
    unit: str
    role: Literal["solo", "listen", "connect"]
    attempt: int
    state: TaskState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TaskChanged:
    task_id: str
    state: TaskState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ResultCame:
    """An outcome to be kept exactly once. ``state`` is the task's from now on."""

    task_id: str
    machine: str
    outcome: TaskOutcome
    state: TaskState
    at_s: float


@dataclass(frozen=True, slots=True)
class ResultKept:
    """The packed outcome of a task that is there and done. What comes from files by the thousand is packed as it comes."""

    task_id: str
    kept: Kept
    at_s: float


@dataclass(frozen=True, slots=True)
class SessionChanged:
    state: SessionState
    at_s: float
    reason: str | None = None


Record = (
    ParticipantSeen
    | ParticipantState
    | ParticipantAdded
    | StepStarted
    | StepEnded
    | TaskRow
    | TaskChanged
    | ResultCame
    | ResultKept
    | SessionChanged
)
