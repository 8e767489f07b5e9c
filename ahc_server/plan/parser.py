"""From YAML to a Plan: the vocabulary of eDeploy's DAHC job files, and what is ours on top.

Whatever is wrong in a file is a FileFormatError with line, problem and remedy; nothing else is ever raised.
The keys of a job, by component, stand in the tables below.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ahc_agent.bench.sysbench import format_size
from ahc_agent.wire.messages import AnyTask, BenchLimits, CpuTask, DiskTask, InventoryTask, MemoryTask
from ahc_server.plan.cabling import read_cabling
from ahc_server.plan.model import Affinity, Component, HostRange, Job, Plan, pair_pattern
from ahc_server.rounds import BISECTION_ROUNDS, MOST_ROUNDS, Rounds
from ahc_server.yamlfile import Document, Section, parse_document, read_document

MOST_HOSTS = 100_000
MOST_STEPS = 10_000
LONGEST_S = 86_400.0

PLAN_KEYS = (
    "name",
    "description",
    "required-hosts",
    "required-hypervisors",
    "runtime",
    "ci-target",
    "destructive",
    "cabling",
    "jobs",
)
#: Keys that every job may have.
JOB_KEYS = ("component", "description", "required-hosts", "step-hosts", "affinity", "affinity-hosts")
BENCH_KEYS = ("runtime", "rampup-time", "ci-target", "min-samples")

_SIZE = re.compile(r"([1-9][0-9]{0,8})\s*([kKmMgG]?)(?:i?[bB])?")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(s|sec|m|min|h)?")
_DURATION_FACTORS = {"": 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def read_plan(path: str | Path) -> Plan:
    """A plan from a file. Raises FileFormatError."""
    return _plan(read_document(path))


def parse_plan(text: str | bytes, file: str = "plan") -> Plan:
    """A plan from text. Raises FileFormatError."""
    return _plan(parse_document(text, file))


def _plan(document: Document) -> Plan:
    top = document.section()
    top.only(PLAN_KEYS, "a plan")
    if "jobs" not in top:
        top.fail(None, "no jobs", "add `jobs:` with at least one job")
    sections = top.sections("jobs")
    if not 1 <= len(sections) <= 200:
        top.fail("jobs", "1 to 200 jobs are expected")
    hosts = _hosts(top, "required-hosts")
    destructive = top.flag("destructive") or False
    jobs = tuple(_job(name, section, top) for name, section in sections.items())
    for job in jobs:
        section = sections[job.name]
        if hosts is not None and job.hosts is not None and job.hosts.high > hosts.high:
            section.fail(
                "required-hosts",
                f"{job.name} wants {job.hosts.high} hosts, the plan at most {hosts.high}",
                "raise the plan's required-hosts",
            )
        if isinstance(job.task, DiskTask) and writes(job.task) and not destructive:
            section.fail(
                "access",
                f"{job.name} writes to disks",
                "say `destructive: true` in the plan if their content may be lost",
            )
    return Plan(
        name=top.text("name", max_length=128) or Path(document.file).stem[:128] or "plan",
        description=top.text("description") or "",
        hosts=hosts,
        hypervisors=top.integer("required-hypervisors", 1, MOST_HOSTS),
        destructive=destructive,
        cabling=read_cabling(top),
        jobs=tuple(
            replace(job, task=_allowed(job.task)) if isinstance(job.task, DiskTask) else job for job in jobs
        ),
        text=document.text,
    )


def writes(task: AnyTask) -> bool:
    """Whether a task destroys what is on the disks."""
    return isinstance(task, DiskTask) and any("write" in pattern for pattern in task.patterns)


def _allowed(task: DiskTask) -> DiskTask:
    """``destructive`` only on tasks that write: a reading task of a destructive plan gets no right it does not need."""
    fields = {name: getattr(task, name) for name in task.__struct_fields__}
    return DiskTask(**{**fields, "destructive": writes(task)})


def _job(name: str, section: Section, top: Section) -> Job:
    if not 0 < len(name) <= 128:
        section.fail(None, "a job's name has 1 to 128 characters")
    component = section.choice("component", COMPONENTS)
    if component is None:
        section.fail(None, f"{name}: no component", f"one of: {', '.join(COMPONENTS)}")
    keys, build = COMPONENTS[component]
    section.only((*JOB_KEYS, *keys), f"a {component} job")
    hosts = _hosts(section, "required-hosts")
    step = section.integer("step-hosts", 1, MOST_HOSTS)
    if step is not None and hosts is None:
        section.fail(
            "step-hosts", "step-hosts without required-hosts", "say for example `required-hosts: 1-81`"
        )
    if hosts is not None:
        hosts = HostRange(hosts.low, hosts.high, step or 1)
        if len(hosts.counts()) > MOST_STEPS:
            section.fail("required-hosts", f"more than {MOST_STEPS} steps", "raise step-hosts")
        if component == "network" and hosts.low < 2:
            section.fail(
                "required-hosts", "a network job needs at least 2 hosts", f"say 2-{max(2, hosts.high)}"
            )
    affinity_hosts, affinity_count = _affinity_hosts(section)
    rounds = _rounds(section) if component == "network" else "all"
    return Job(
        name=name,
        component=cast(Component, component),
        description=section.text("description") or "",
        hosts=hosts,
        affinity=cast(Affinity, section.choice("affinity", ("fair", "any")) or "fair"),
        affinity_hosts=affinity_hosts,
        affinity_count=affinity_count,
        arity=section.integer("arity", 2, MOST_HOSTS) if component == "network" else None,
        parallel=section.integer("parallel", 1, MOST_HOSTS) if component == "network" else None,
        networks=_networks(section) if component == "network" else (),
        rounds=rounds,
        most_rounds=(component == "network" and section.integer("most-rounds", 1, MOST_HOSTS))
        or (BISECTION_ROUNDS if rounds == "bisection" else MOST_ROUNDS),
        budget_s=_budget_s(section) if component == "network" else None,
        task=build(section, _limits(section, top, hosts is not None)),
    )


def _hosts(section: Section, key: str) -> HostRange | None:
    """``81``, ``1-81``, or ``all`` (None, as if it were not given)."""

    def take(value: Any) -> tuple[int, int] | None:
        if value == "all":
            return (0, 0)
        match = re.fullmatch(r"\s*([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?\s*", str(value))
        if isinstance(value, bool | float) or match is None:
            return None
        low, high = int(match[1]), int(match[2] or match[1])
        return (low, high) if 1 <= low <= high <= MOST_HOSTS else None

    found = section.get(key, "a number of hosts (81), a range (1-81) or all", take)
    return None if found is None or found == (0, 0) else HostRange(*found)


def _affinity_hosts(section: Section) -> tuple[tuple[str, ...], int | None]:
    """A list of physical hosts, or a number: at most so many nodes of one physical host."""
    if type(section.plain.get("affinity-hosts")) is int:
        return (), section.integer("affinity-hosts", 1, MOST_HOSTS)
    if section.plain.get("affinity-hosts") == []:
        return (), None
    return section.words("affinity-hosts") or (), None


#: Keys of network jobs → the ways of choosing rounds that they go with.
_WITH_ROUNDS: dict[str, tuple[Rounds, ...]] = {
    "arity": ("auto", "all"),
    "most-rounds": ("auto", "bisection"),
    "budget": ("auto",),
}


def _rounds(section: Section) -> Rounds:
    """``auto`` (the default), ``all``, ``bisection``, or how many."""

    def take(value: Any) -> Rounds | None:
        if value in ("auto", "all", "bisection"):
            return cast(Rounds, value)
        return value if type(value) is int and 1 <= value <= MOST_HOSTS else None

    found: Rounds = section.get("rounds", "auto, all, bisection, or a number of rounds", take) or "auto"
    for key, with_rounds in _WITH_ROUNDS.items():
        if key in section and found not in with_rounds:
            section.fail("rounds", f"rounds: {found} and {key} in one job", "keep one of them")
    return found


def _budget_s(section: Section) -> float | None:
    """``90``, ``90s``, ``10min``, ``1.5h`` in seconds."""

    def take(value: Any) -> float | None:
        match = None if isinstance(value, bool) else _DURATION.fullmatch(str(value).strip())
        seconds = float(match[1]) * _DURATION_FACTORS[match[2] or ""] if match else 0.0
        return seconds if 0 < seconds <= LONGEST_S else None

    return section.get("budget", f"a time like 90s, 10min or 1h (at most {LONGEST_S / 3600:g}h)", take)


def _networks(section: Section) -> tuple[str, ...]:
    networks = []
    for word in section.words("network-hosts", at_most=64) or ():
        try:
            networks.append(str(ipaddress.ip_network(word, strict=False)))
        except ValueError:
            section.fail(
                "network-hosts", f"network-hosts: {word!r} is no network", "write it like 10.1.0.0/24"
            )
    return tuple(networks)


def _limits(section: Section, top: Section, at_once: bool) -> BenchLimits:
    """When a benchmark stops. In a ramp-up job the load is held for the whole time: no early stop unless asked."""
    runtime = (
        section.number("runtime", 0.1, LONGEST_S)
        if "runtime" in section
        else top.number("runtime", 0.1, LONGEST_S)
    )
    target = section.number("ci-target", 0, 1) if "ci-target" in section else top.number("ci-target", 0, 1)
    return BenchLimits(
        runtime_s=10.0 if runtime is None else runtime,
        rampup_s=section.number("rampup-time", 0, LONGEST_S) or 0.0,
        ci_target=(0.0 if at_once else 0.01) if target is None else target,
        min_samples=section.integer("min-samples", 2, 4096) or 5,
    )


def size_bytes(text: str) -> int | None:
    """``128K``, ``1M``, ``4k``, ``512`` in bytes (powers of 1024); None where it is no size."""
    match = _SIZE.fullmatch(text.strip())
    return int(match[1]) * _SIZE_FACTORS[match[2].lower()] if match else None


def _sizes(section: Section, low: int, high: int) -> tuple[str, ...]:
    """``block-size`` or ``block-sizes``, spelled in one way (``4096`` and ``4k`` are ``4K``): metrics carry it in their names."""
    if "block-size" in section and "block-sizes" in section:
        section.fail("block-sizes", "block-size and block-sizes in one job", "keep one of them")
    key = "block-sizes" if "block-sizes" in section else "block-size"
    out = []
    for word in section.words(key, at_most=32) or ():
        size = size_bytes(word)
        if size is None or not low <= size <= high:
            section.fail(
                key,
                f"{key}: {word!r} is no block size",
                f"write it like 4K, 1M or 2G, from {low} to {high} bytes",
            )
        out.append(format_size(size))
    return tuple(dict.fromkeys(out))


def _inventory(section: Section, limits: BenchLimits) -> AnyTask:
    return InventoryTask()


def _cpu(section: Section, limits: BenchLimits) -> AnyTask:
    cores = section.integer("cores", 1, 65536)
    scopes = section.words("scopes", ("socket", "core", "all"))
    return CpuTask(
        limits=limits, cores=cores, scopes=cast(Any, scopes or (("all",) if cores else ("socket", "all")))
    )


def _memory(section: Section, limits: BenchLimits) -> AnyTask:
    cores = section.integer("cores", 1, 65536)
    scopes = section.words("scopes", ("node", "all", "cross", "socket"))
    return MemoryTask(
        limits=limits,
        cores=cores,
        scopes=cast(Any, scopes or (("all",) if cores else ("node", "all"))),
        block_sizes=_sizes(section, 512, 16 * 1024**3) or ("1M",),
        operation=cast(Any, section.choice("access", ("read", "write")) or "write"),
        mode=cast(Any, section.choice("mode", ("threaded", "forked")) or "threaded"),
    )


def _storage(section: Section, limits: BenchLimits) -> AnyTask:
    modes = section.words("mode", ("sequential", "random")) or ("sequential", "random")
    accesses = section.words("access", ("read", "write")) or ("read",)
    patterns = [("rand" if mode == "random" else "") + access for access in accesses for mode in modes]
    sizes = [size.lower() if size.endswith("K") else size for size in _sizes(section, 512, 64 * 1024**2)]
    if len(sizes) > 1:
        section.fail("block-sizes", "one block size in a storage job", "make one job for each block size")
    devices = section.words("device") or ()
    together = section.flag("simultaneous")
    return DiskTask(
        limits=limits,
        patterns=cast(Any, tuple(dict.fromkeys(patterns))),
        block_sizes=cast(Any, dict.fromkeys(patterns, sizes[0]) if sizes else {}),
        devices=[] if devices == ("all",) else [name.removeprefix("/dev/") for name in devices],
        simultaneous=not devices if together is None else together,
    )


def _network(section: Section, limits: BenchLimits) -> AnyTask:
    modes = section.words("mode", ("bandwidth", "latency")) or ("bandwidth", "latency")
    protocols = section.words("latency", ("tcp", "udp"))
    connection = section.choice("connection", ("tcp", "udp"))
    engine = section.choice("engine", ("zmq", "iperf3")) or "zmq"
    if connection == "udp" and "bandwidth" in modes and engine == "zmq":
        section.fail(
            "connection",
            "ZeroMQ measures bandwidth over TCP only",
            "say `engine: iperf3`, or `mode: latency`",
        )
    sizes = _sizes(section, 1, 64 * 1024**2)
    if len(sizes) > 1:
        section.fail("block-sizes", "one block size in a network job", "make one job for each block size")
    return pair_pattern(
        engine=engine,
        connection=connection or "tcp",
        bandwidth="bandwidth" in modes,
        latency="latency" in modes or protocols is not None,
        round_trip_protocols=cast(Any, protocols or ((connection,) if connection else ("tcp", "udp"))),
        streams=section.integer("streams", 1, 64) or 2,
        message_bytes=(size_bytes(sizes[0]) if sizes else None) or 1024 * 1024,
        round_trips=section.integer("round-trips", 1, 1_000_000) or 1000,
        warmup_s=limits.rampup_s or 0.2,
        limits=limits,
    )


#: component → (its own keys, how its task is made).
COMPONENTS: dict[str, tuple[tuple[str, ...], Callable[[Section, BenchLimits], AnyTask]]] = {
    "inventory": ((), _inventory),
    "cpu": ((*BENCH_KEYS, "cores", "scopes"), _cpu),
    "memory": ((*BENCH_KEYS, "cores", "scopes", "block-size", "block-sizes", "access", "mode"), _memory),
    "storage": (
        (*BENCH_KEYS, "mode", "access", "block-size", "block-sizes", "device", "simultaneous"),
        _storage,
    ),
    "network": (
        (
            *BENCH_KEYS,
            "arity",
            "parallel",
            "rounds",
            "most-rounds",
            "budget",
            "network-hosts",
            "mode",
            "connection",
            "latency",
            "engine",
            "streams",
            "block-size",
            "block-sizes",
            "round-trips",
        ),
        _network,
    ),
}
