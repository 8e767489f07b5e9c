"""The messages between agents and server, protocol version 1.

A frame is one MessagePack map ``{"v": 1, "type": ..., ...}``; ``codec`` writes and reads it. The life of an agent::

    agent                                server
    Hello  ─────────────────────────────▶  admits (or Refused)
           ◀─────────────────────────────  Welcome
    Heartbeat ──────────────────────────▶
           ◀─────────────────────────────  Pulse          (answer; WhoAreYou from a restarted server: say Hello again)
           ◀─────────────────────────────  Assign
    Ready  ─────────────────────────────▶                 (pair tasks only: both ends are listening / connected)
           ◀─────────────────────────────  Go             (pair tasks only: start at this moment)
    Progress ───────────────────────────▶                 (never acknowledged, may be lost)
    Result ─────────────────────────────▶  stores
           ◀─────────────────────────────  Ack            (the agent sends Result again until this arrives)

A result's identity is ``task_id``: whatever is sent twice is stored once. Task ids are chosen by the server, are
unique over all sessions, and mean one task on one machine.

Tasks, outcomes and bounds are rooms of their own; whoever speaks the protocol finds all of it here.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ahc_agent.facts import Text
from ahc_agent.wire.bounds import Count, Id, Ports, Seconds
from ahc_agent.wire.outcomes import (
    Flow,
    LinkCounters,
    PairOutcome,
    PathFacts,
    PathMtu,
    RoundTrips,
    TaskOutcome,
)
from ahc_agent.wire.work import (
    AnyTask,
    BenchLimits,
    CpuTask,
    DiskTask,
    InventoryTask,
    MemoryTask,
    PairTask,
    Task,
)

__all__ = [
    "PROTOCOL_VERSION",
    "Ack",
    "AnyTask",
    "Assign",
    "BenchLimits",
    "Bye",
    "Cancel",
    "Count",
    "CpuTask",
    "DiskTask",
    "Flow",
    "FromAgent",
    "FromServer",
    "Go",
    "Heartbeat",
    "Hello",
    "Id",
    "Identity",
    "InventoryTask",
    "LinkCounters",
    "MemoryTask",
    "Message",
    "PairOutcome",
    "PairTask",
    "PathFacts",
    "PathMtu",
    "Ports",
    "Progress",
    "Pulse",
    "Ready",
    "Refused",
    "Result",
    "RoundTrips",
    "Seconds",
    "Stop",
    "Task",
    "TaskOutcome",
    "Welcome",
    "WhoAreYou",
]

PROTOCOL_VERSION = 1


class Identity(msgspec.Struct, kw_only=True, frozen=True):
    """Who a machine is. ``name`` is what the operator called it (``--id``) and beats everything else.

    ``physical_host``: what machines on the same physical host share (a virtual machine's chassis serial, the lab's
    name); None on bare metal, where a machine is its own host. ``bmc_address``: where the machine's BMC says it is reached.
    """

    name: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    serial: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    uuid: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    macs: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=256)] = []
    hostname: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    physical_host: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    bmc_address: Annotated[str, msgspec.Meta(max_length=64)] | None = None

    @property
    def machine(self) -> str:
        """The stable key of this machine, equal whenever the same machine joins again.

        Display ids (serial, else UUID, else MAC, unique in a session) are chosen later, by ``ahc_server.ids``.
        """
        if self.name:
            return self.name
        parts = [part for part in (self.uuid, self.serial, self.macs[0] if self.macs else None) if part]
        return "/".join(parts) or (self.hostname or "unknown")


class Message(msgspec.Struct, kw_only=True, frozen=True, tag_field="type", tag=lambda name: name.lower()):
    """Base of all messages; the tag is the class name in lower case, ``v`` the protocol version."""

    v: int = PROTOCOL_VERSION


# ── agent → server ─────────────────────────────────────────────────────────────────────────────────


class Hello(Message, kw_only=True, frozen=True):
    """First message, and again whenever the server asks WhoAreYou.

    ``instance``: random, new at each start of the agent. ``addresses``: where other agents can reach this one
    ("10.1.0.3/24"), best first. ``programs``: outside program → version, of those installed.
    ``unacknowledged``: task ids whose results the agent still holds; ``busy``: the task under way.
    ``session``: it takes part in this one only; None: in any. ``troubles``: what went wrong while the machine booted, as
    sentences.
    """

    identity: Identity
    instance: Id
    agent_version: Annotated[str, msgspec.Meta(max_length=64)]
    addresses: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=256)] = []
    programs: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=64)], Annotated[str, msgspec.Meta(max_length=256)]],
        msgspec.Meta(max_length=64),
    ] = {}
    unacknowledged: Annotated[list[Id], msgspec.Meta(max_length=10_000)] = []
    busy: Id | None = None
    session: Id | None = None
    troubles: Annotated[list[Annotated[str, msgspec.Meta(max_length=500)]], msgspec.Meta(max_length=50)] = []


class Heartbeat(Message, kw_only=True, frozen=True):
    """Sent every ``Welcome.heartbeat_s``. ``sent_at_ns`` is the agent's CLOCK_MONOTONIC and comes back in Pulse."""

    sequence: Count
    sent_at_ns: Count
    busy: Id | None = None


class Ready(Message, kw_only=True, frozen=True):
    """A pair task is prepared. ``ports``: what the listening end bound, by purpose ("bulk", "tcp", "udp", "iperf3").

    Said again to a server that admits the agent anew as long as no Go has come: the one before may have been killed.
    """

    task_id: Id
    ports: Ports = {}
    error: Text | None = None


class Progress(Message, kw_only=True, frozen=True):
    task_id: Id
    fraction: Annotated[float, msgspec.Meta(ge=0, le=1)]
    note: Annotated[str, msgspec.Meta(max_length=256)] = ""


class Result(Message, kw_only=True, frozen=True):
    """How a task ended. Sent again until acknowledged."""

    task_id: Id
    outcome: TaskOutcome


class Bye(Message, kw_only=True, frozen=True):
    """The agent ends on purpose."""

    reason: Text = ""


# ── server → agent ─────────────────────────────────────────────────────────────────────────────────


class Welcome(Message, kw_only=True, frozen=True):
    """The agent is admitted. ``epoch`` changes whenever the server is started anew."""

    epoch: Id
    server_version: Annotated[str, msgspec.Meta(max_length=64)]
    heartbeat_s: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    server_at_unix_s: Annotated[float, msgspec.Meta(ge=0, le=1e11)] | None = None


class Refused(Message, kw_only=True, frozen=True):
    """The agent is not admitted; it says so on its console and tries again later, ever more rarely."""

    reason: Text


class WhoAreYou(Message, kw_only=True, frozen=True):
    """The server does not know this peer (it was restarted): say Hello again."""


class Pulse(Message, kw_only=True, frozen=True):
    """Answer to Heartbeat; ``server_at_ns`` is the server's CLOCK_MONOTONIC (offset = one half of the round trip)."""

    sequence: Count
    sent_at_ns: Count
    server_at_ns: Count


class Assign(Message, kw_only=True, frozen=True):
    """Do this. ``time_limit_s`` counts from receipt; the agent answers with a Result in any case."""

    task_id: Id
    task: AnyTask
    time_limit_s: Seconds


class Go(Message, kw_only=True, frozen=True):
    """Start the prepared pair task at ``start_at_ns`` of the server's CLOCK_MONOTONIC, which an agent knows from the answers to
    its heartbeats; where it does not, ``delay_s`` from now. ``ports`` are the listener's, for the connecting end."""

    task_id: Id
    delay_s: Seconds = 0.0
    start_at_ns: Count | None = None
    ports: Ports = {}


class Cancel(Message, kw_only=True, frozen=True):
    task_id: Id


class Ack(Message, kw_only=True, frozen=True):
    """The result of this task is on the server's disk; the agent may forget it."""

    task_id: Id


class Stop(Message, kw_only=True, frozen=True):
    """End the agent. ``then``: what the machine does, where the agent is all that runs on it; "" is as it was booted to do."""

    reason: Text = ""
    then: Literal["", "halt", "reboot", "poweroff", "wait"] = ""


FromAgent = Hello | Heartbeat | Ready | Progress | Result | Bye
FromServer = Welcome | Refused | WhoAreYou | Pulse | Assign | Go | Cancel | Ack | Stop
