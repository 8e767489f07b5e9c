"""What an agent can be told to do."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ahc_agent.wire.bounds import Id, Seconds


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
