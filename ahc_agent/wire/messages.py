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
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ahc_agent.facts import Inventory, Text
from ahc_agent.measure import Finite, Measurement

PROTOCOL_VERSION = 1

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
#: Purpose → port.
Ports = Annotated[
    dict[Annotated[str, msgspec.Meta(max_length=32)], Annotated[int, msgspec.Meta(ge=1, le=65535)]],
    msgspec.Meta(max_length=16),
]


class Identity(msgspec.Struct, kw_only=True, frozen=True):
    """Who a machine is. ``name`` is what the operator called it (``--id``) and beats everything else.

    ``physical_host``: what machines on the same physical host share (a virtual machine's chassis serial, the lab's
    name); None on bare metal, where a machine is its own host.
    """

    name: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    serial: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    uuid: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    macs: Annotated[list[Annotated[str, msgspec.Meta(max_length=64)]], msgspec.Meta(max_length=256)] = []
    hostname: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    physical_host: Annotated[str, msgspec.Meta(max_length=256)] | None = None

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
    """A pair task is prepared. ``ports``: what the listening end bound, by purpose ("bulk", "tcp", "udp", "iperf3")."""

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


# ── tasks ──────────────────────────────────────────────────────────────────────────────────────────


class Task(
    msgspec.Struct,
    kw_only=True,
    frozen=True,
    tag_field="kind",
    tag=lambda name: name.lower().removesuffix("task"),
):
    """Base of what an agent can be told to do."""


class InventoryTask(Task, kw_only=True, frozen=True):
    """Collect the inventory."""


class BenchLimits(msgspec.Struct, kw_only=True, frozen=True):
    """When one benchmark stops: at the relative half width ``ci_target`` of the 95 % confidence interval (with at
    least ``min_samples`` samples; 0 never stops early), at ``runtime_s`` at the latest. ``rampup_s`` is thrown away."""

    runtime_s: Seconds = 10.0
    rampup_s: Seconds = 0.0
    ci_target: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    min_samples: Annotated[int, msgspec.Meta(ge=2, le=4096)] = 5


class CpuTask(Task, kw_only=True, frozen=True):
    """sysbench CPU. ``scopes``: "socket" (one core of each, pinned), "core" (each core alone), "all".

    ``cores`` bounds the threads of "all" (eDeploy's ``cores``); None takes every online CPU.
    """

    limits: BenchLimits = BenchLimits()
    scopes: tuple[Literal["socket", "core", "all"], ...] = (
        "socket",
        "all",
    )
    cores: Annotated[int, msgspec.Meta(ge=1, le=65536)] | None = None


class MemoryTask(Task, kw_only=True, frozen=True):
    """sysbench memory. ``scopes``: "node" (each NUMA node from its own CPUs), "all" (all CPUs), "cross" (each node from
    each other's CPUs), "socket" (one core per socket). ``mode``: eDeploy's "threaded" or "forked"."""

    limits: BenchLimits = BenchLimits()
    scopes: tuple[Literal["socket", "node", "all", "cross"], ...] = (
        "node",
        "all",
    )
    block_sizes: tuple[Annotated[str, msgspec.Meta(max_length=16)], ...] = ("1M",)
    operation: Literal["read", "write"] = "write"
    mode: Literal["threaded", "forked"] = "threaded"
    cores: Annotated[int, msgspec.Meta(ge=1, le=65536)] | None = None


class DiskTask(Task, kw_only=True, frozen=True):
    """fio on block devices. ``patterns`` are fio's ("read", "randread", "write", "randwrite").

    ``devices``: names as in the inventory; empty takes all that can be measured. Writes need ``destructive``, which
    the server sets only where plan and server both allow it, and pass the agent's own guard. ``simultaneous``: also
    all devices at once.
    """

    limits: BenchLimits = BenchLimits()
    patterns: tuple[Literal["read", "randread", "write", "randwrite"], ...] = (
        "read",
        "randread",
    )
    block_sizes: dict[
        Literal["read", "randread", "write", "randwrite"], Annotated[str, msgspec.Meta(max_length=16)]
    ] = {}
    devices: Annotated[list[Annotated[str, msgspec.Meta(max_length=128)]], msgspec.Meta(max_length=1024)] = []
    simultaneous: bool = True
    destructive: bool = False


class PairTask(Task, kw_only=True, frozen=True):
    """One end of a pairwise network test.

    The "listen" end binds (``address``: its own, "" for any) and answers Ready with its ports; the "connect" end gets them with
    Go and drives: bandwidth connect → listen ("tx" of the connecting end), bandwidth listen → connect, then round-trip times.
    ``token`` (hexadecimal, one use) must be shown on every data socket. ``directions`` are seen from the connecting end.
    """

    pair_id: Id
    role: Literal["listen", "connect"]
    peer: Id
    address: Annotated[str, msgspec.Meta(max_length=64)] = ""
    peer_address: Annotated[str, msgspec.Meta(max_length=64)] = ""
    token: Annotated[str, msgspec.Meta(min_length=16, max_length=128, pattern="^[0-9a-f]+$")]
    engine: Literal["zmq", "iperf3"] = "zmq"
    connection: Literal["tcp", "udp"] = "tcp"
    bandwidth: bool = True
    latency: bool = True
    round_trip_protocols: tuple[Literal["tcp", "udp"], ...] = (
        "tcp",
        "udp",
    )
    directions: tuple[Literal["tx", "rx"], ...] = (
        "tx",
        "rx",
    )
    streams: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    message_bytes: Annotated[int, msgspec.Meta(ge=1, le=64 * 1024 * 1024)] = 1024 * 1024
    warmup_s: Seconds = 0.2
    limits: BenchLimits = BenchLimits(runtime_s=1.0)
    round_trips: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000


AnyTask = InventoryTask | CpuTask | MemoryTask | DiskTask | PairTask

# ── outcomes ───────────────────────────────────────────────────────────────────────────────────────


class Flow(msgspec.Struct, kw_only=True, frozen=True):
    """One direction between two nodes as one end saw it. ``bytes_per_s`` 0 means that nothing came through."""

    source: Id
    destination: Id
    bytes_per_s: Finite | None = None
    samples: Annotated[list[Finite], msgspec.Meta(max_length=4096)] = []
    retransmits: Count | None = None


class RoundTrips(msgspec.Struct, kw_only=True, frozen=True):
    """Round-trip times in microseconds over a plain socket. ``lost`` counts datagrams without an answer (UDP)."""

    protocol: Literal["tcp", "udp"]
    count: Count
    lost: Count = 0
    min_us: Finite | None = None
    p50_us: Finite | None = None
    p90_us: Finite | None = None
    p99_us: Finite | None = None
    max_us: Finite | None = None


class LinkCounters(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A network interface that a pair's test used, and by how much its counters rose during the test.

    ``of_address``: it carries the address that was tested, or is a card beneath that one (a bond, a VLAN); else it is told
    because data went through it. ``rises``: name as ``/sys/class/net/*/statistics`` and ``ethtool -S`` have it → rise; what
    did not rise is left out.
    """

    card: Annotated[str, msgspec.Meta(max_length=64)]
    of_address: bool = True
    rises: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=64)], Count],
        msgspec.Meta(max_length=64),
    ] = {}
    speed_mbps: Count | None = None
    duplex: Literal["full", "half"] | None = None
    mtu: Count | None = None
    mac: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class PathMtu(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The largest IP packets (bytes) that pass unbroken: ``sent`` to the peer, ``received`` from it.

    ``wanted``: the smaller MTU of both ends' cards, which should pass. 0: not even the smallest passed; None: not told.
    """

    wanted: Count
    sent: Count | None = None
    received: Count | None = None


class PathFacts(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What one end can tell of the way to its peer. ``stack_rises``: counters of the whole network stack of the machine
    ("TcpRetransSegs", as ``/proc/net/snmp`` has it) → rise during the test. ``peer_mac``: who answers to the peer's address."""

    address: Annotated[str, msgspec.Meta(max_length=64)] = ""
    peer_address: Annotated[str, msgspec.Meta(max_length=64)] = ""
    peer_mac: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    links: Annotated[list[LinkCounters], msgspec.Meta(max_length=16)] = []
    stack_rises: Annotated[
        dict[Annotated[str, msgspec.Meta(max_length=64)], Count], msgspec.Meta(max_length=32)
    ] = {}
    mtu: PathMtu | None = None


class PairOutcome(msgspec.Struct, kw_only=True, frozen=True):
    """What one end of a pair saw. ``connected`` False is a result too: the pair could not talk. ``path``: None where nothing
    could be read of it, and in the outcomes of older agents."""

    pair_id: Id
    role: Literal["listen", "connect"]
    peer: Id
    connected: bool
    flows: Annotated[list[Flow], msgspec.Meta(max_length=16)] = []
    round_trips: Annotated[list[RoundTrips], msgspec.Meta(max_length=4)] = []
    path: PathFacts | None = None
    error: Text | None = None


class TaskOutcome(msgspec.Struct, kw_only=True, frozen=True):
    """How a task ended on one machine.

    ``status``: "ok" (measured, perhaps with errors of single parts inside), "failed", "refused" (a write guard or a right said
    no), "timeout", "cancelled". Times are the agent's;
    ``start_delay_s`` runs from receipt of Assign (for pairs: from the moment that Go names) to the start. ``clock_error_s``: the
    most by which that moment was known wrongly; None for all but pairs, and of older agents.
    """

    status: Literal["ok", "failed", "refused", "timeout", "cancelled"]
    error: Text | None = None
    started_at_unix_s: Finite = 0.0
    start_delay_s: Finite = 0.0
    clock_error_s: Finite | None = None
    duration_s: Finite = 0.0
    inventory: Inventory | None = None
    measurements: Annotated[list[Measurement], msgspec.Meta(max_length=100_000)] = []
    pair: PairOutcome | None = None


FromAgent = Hello | Heartbeat | Ready | Progress | Result | Bye
FromServer = Welcome | Refused | WhoAreYou | Pulse | Assign | Go | Cancel | Ack | Stop
