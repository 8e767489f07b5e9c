"""What the conductor reads and answers. Nothing here does anything."""

from __future__ import annotations

from dataclasses import dataclass, field

from ahc_agent.wire.messages import Ack, Assign, Cancel, Go, Hello
from ahc_server.store.records import Record


@dataclass(frozen=True, slots=True)
class Now:
    """The clock, handed in: ``monotonic_s`` for time limits, ``unix_s`` for what is written down."""

    monotonic_s: float
    unix_s: float


@dataclass(frozen=True, slots=True)
class Parts:
    """How many parts of a machine a benchmark has to go through (for its time limit)."""

    sockets: int = 8
    cores: int = 256
    numa_nodes: int = 8
    disks: int = 32


@dataclass(slots=True)
class Node:
    """A participant. ``host``: its physical host (itself where it is none's guest). ``lost``: why it is not there.

    ``leaf``: the switch that it hangs on, where its inventory told. ``silent_tasks``: tasks in a row whose time limit passed
    without a word.
    """

    machine: str
    position: int
    hello: Hello
    lost: str | None = None
    parts: Parts = Parts()
    leaf: str | None = None
    silent_tasks: int = 0

    @property
    def host(self) -> str:
        return self.hello.identity.physical_host or f"machine:{self.machine}"


@dataclass(frozen=True, slots=True)
class Send:
    machine: str
    message: Assign | Go | Cancel | Ack


@dataclass(slots=True)
class Output:
    """What one turn asks for: first everything in ``records`` goes to the disk, then ``sends`` go out.

    ``more``: there is more to do at once; call again without waiting for events.
    """

    records: list[Record] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    more: bool = False
