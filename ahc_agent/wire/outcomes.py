"""How a task ended, and what it brought."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ahc_agent.facts import Inventory, Text
from ahc_agent.measure import Finite, Measurement
from ahc_agent.wire.bounds import Count, Id


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
