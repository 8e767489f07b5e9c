"""What the store answers besides whole sessions."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import Hello, PairOutcome
from ahc_server.store.records import SessionState, StepStarted, TaskRow
from ahc_server.store.repeats import RepeatPlanned


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One line of ``ahc sessions``. Times are Unix seconds."""

    name: str
    plan: str
    state: str
    created_at_s: float
    ended_at_s: float | None
    nodes: int
    lost: int
    results: int


@dataclass(frozen=True, slots=True)
class SavedSession:
    """A session under way, as a server that was killed left it.

    ``participants`` in order: machine, its last Hello, why it is lost. ``steps`` begun so far, ``ended`` those that are over;
    ``tasks`` of the last step; ``inventories`` by machine; ``repeats``: what is to be measured again, begun or not; ``pairs``:
    task of the last step → what that end of a pair said; ``heard``: its tasks that are lost by what they said themselves.
    """

    session: int
    name: str
    uid: str
    plan: str
    state: str
    participants: list[tuple[str, Hello, str | None]]
    steps: list[StepStarted]
    ended: list[int]
    tasks: list[TaskRow]
    inventories: dict[str, Inventory]
    repeats: list[RepeatPlanned] = field(default_factory=list)
    pairs: dict[str, PairOutcome] = field(default_factory=dict)
    heard: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Members:
    """Who takes part in a session: machine → its last task there. ``ended_s`` of its last step, 0 where none ended."""

    number: int
    plan_name: str
    ended_s: float
    task_of: dict[str, str]


class Standing(msgspec.Struct, kw_only=True, tag_field="type", tag="standing"):
    """How far a session is. ``step`` counts from 1, 0 before the first; ``done`` and ``units`` count the step's measurements
    (a pair is one). ``nodes`` take part, ``lost`` of them are not there: machine → reason. ``waiting`` says for what, if so."""

    session: str
    state: SessionState
    step: int = 0
    steps: int = 0
    job: str = ""
    component: str = ""
    hosts: int = 0
    done: int = 0
    units: int = 0
    nodes: int = 0
    lost: dict[str, str] = {}
    waiting: str = ""
