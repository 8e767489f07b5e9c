"""A session as the judge and the reports see it: plain typed data, loaded from the store or imported."""

from __future__ import annotations

from dataclasses import dataclass, field

from ahc_agent.errors import UsageError
from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import Identity, TaskOutcome
from ahc_server.bmc.model import OutOfBand
from ahc_server.flows import FlowTable
from ahc_server.measured import Measured, measured_of


def session_name(text: str) -> str:
    """A session's name as somebody typed it; raises UsageError for one that could not be printed or be a file's."""
    if not (0 < len(text.strip()) == len(text) <= 128 and text.isprintable()) or {"/", "\\"} & set(text):
        raise UsageError(
            f"--session {text!r}: 1 to 128 printable characters are meant, without slashes and spaces at the ends"
        )
    return text


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One machine that takes part. ``node`` is its display id, unique in the session (see ``ids``).

    ``lost``: why it vanished, None while it is there. ``id_note``: why its id is not its serial, where that is so.
    ``out_of_band``: what its BMC said, where it was asked. ``troubles``: what went wrong while it booted, as sentences.
    """

    machine: str
    node: str
    identity: Identity
    inventory: Inventory | None = None
    lost: str | None = None
    id_note: str | None = None
    out_of_band: OutOfBand | None = None
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """One task's outcome on one machine. ``hosts`` is how many machines ran at once in this step (ramp-up); ``wave``: tasks of
    one wave of a step ran at the same time; ``unit``: the same for both ends of a pair, empty where nobody says.

    ``measured``: its measurements as columns, where it was loaded so; then ``outcome`` holds none. Ask ``columns``, which
    knows them either way.
    """

    task_id: str
    machine: str
    job: str
    component: str
    step: int
    hosts: int
    outcome: TaskOutcome
    measured: Measured | None = None
    wave: int = 0
    unit: str = ""

    @property
    def columns(self) -> Measured:
        """Its measurements as columns, however it holds them."""
        return measured_of(self.outcome.measurements) if self.measured is None else self.measured


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of the plan: a job at one host count. Times are Unix seconds, None before it happened.

    ``start_jitter_s``: spread of the starts over its machines (latest minus earliest of the agents' delays). ``repeat``: 0 in the
    plan itself; else which repeat this is, and ``of_step`` what it measured again. ``units``: machines or pairs whose turn came,
    by the books of the server that ran it; None where it kept none.
    """

    step: int
    job: str
    component: str
    hosts: int
    state: str
    started_at_s: float | None = None
    ended_at_s: float | None = None
    start_jitter_s: float | None = None
    repeat: int = 0
    of_step: int | None = None
    units: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that one session holds, in a fixed order (nodes by id, outcomes by task id, flows by step and round)."""

    name: str
    plan: str
    state: str
    created_at_s: float
    nodes: list[NodeRecord] = field(default_factory=list)
    outcomes: list[OutcomeRecord] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)
    flows: list[FlowTable] = field(default_factory=list)
