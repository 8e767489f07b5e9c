"""What can be broken on a machine, how much, and where that shows.

A fault is a factor for each metric, and a change of the machine's facts. Metrics that are gone (half of the threads, a
disk) have the factor NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.fleets.noise import Floats
from benchmarks.fleets.platforms import CACHED_SIZES, DiskKind, Metric, Platform


@dataclass(frozen=True, slots=True)
class DimmFact:
    """One slot; ``size_gib`` 0 is an empty one."""

    slot: str
    size_gib: int
    mhz: int
    vendor: str
    product: str
    serial: str


@dataclass(frozen=True, slots=True)
class DiskFact:
    name: str
    kind: DiskKind
    write_cache: bool


@dataclass(frozen=True, slots=True)
class NicFact:
    """``speed_mbps`` 0 is a port without a link."""

    name: str
    mac: str
    firmware: str
    speed_mbps: int


@dataclass(slots=True)
class Node:
    """One machine's facts; faults and batches change them."""

    serial: str
    uuid: str
    platform: Platform
    bios: tuple[str, str]
    dimms: list[DimmFact]
    disks: list[DiskFact]
    nics: list[NicFact]
    address: str
    hyperthreading: bool = True
    batch: str = ""

    @property
    def logical(self) -> int:
        return self.platform.logical if self.hyperthreading else self.platform.physical

    @property
    def memory_bytes(self) -> int:
        return sum(dimm.size_gib for dimm in self.dimms) * 2**30


@dataclass(slots=True)
class Damage:
    """``factor`` (m,); ``part``: the piece of hardware; ``contrast``: the number of places where it could have been."""

    factor: Floats
    part: str
    places: int = 1


@dataclass(frozen=True, slots=True)
class FaultKind:
    """``components``: any of them names the fault rightly. ``sizes``: severity levels, in parts of the healthy level, those
    named twice come up twice as often; drift has the one level 0: it is in
    the facts, whatever it costs in speed."""

    name: str
    components: frozenset[str]
    sizes: tuple[float, ...]
    inflict: Callable[[np.random.Generator, Node, Sequence[Metric], float], Damage] = field(repr=False)
    possible: Callable[[Platform], bool] = field(repr=False, default=lambda platform: True)

    @property
    def is_drift(self) -> bool:
        return self.sizes == (0.0,)


def _of_clock(metric: Metric) -> bool:
    """What follows the clock of a core."""
    return metric.kind in ("loops", "all") or (metric.disk < 0 and metric.what in CACHED_SIZES)


def _of_memory(metric: Metric) -> bool:
    return metric.kind in ("core", "threaded", "forked") and metric.what not in CACHED_SIZES


def _slow_clock(
    rng: np.random.Generator, node: Node, metrics: Sequence[Metric], loss: dict[int, float]
) -> Floats:
    """Cores slowed by ``loss``; what all cores do together follows. Blocks that fit the caches follow on three machines of four.

    One core alone is measured once by each test: there they always follow, or it could not be told from a glitch.
    """
    follows = 1.0 if len(loss) <= 2 or rng.random() < 0.75 else 0.0
    everybody = float(np.mean([loss.get(core, 0.0) for core in range(node.platform.logical)]))
    factor = np.ones(len(metrics))
    for column, metric in enumerate(metrics):
        if _of_clock(metric):
            lost = loss.get(metric.core, 0.0) if metric.core >= 0 else everybody
            factor[column] = 1 - lost * (1.0 if metric.kind in ("loops", "all") else follows)
    return factor


def _slow_socket(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    socket = int(rng.integers(node.platform.sockets))
    cores = [core for core in range(node.platform.logical) if node.platform.socket_of(core) == socket]
    return Damage(
        _slow_clock(rng, node, metrics, dict.fromkeys(cores, size)), f"socket{socket}", node.platform.sockets
    )


def _slow_cpu(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    return Damage(_slow_clock(rng, node, metrics, dict.fromkeys(range(node.platform.logical), size)), "all")


def _bad_core(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    core = int(rng.integers(node.platform.physical))
    cores = range(core, node.platform.logical, node.platform.physical)
    return Damage(
        _slow_clock(rng, node, metrics, dict.fromkeys(cores, size)), f"core{core}", node.platform.physical
    )


def _throttling(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    """Cores are measured one after the other while the heat builds up: later ones lose more, and none the same."""
    count = node.platform.logical
    loss = np.linspace(0.2, 1.8, count) * rng.uniform(0.4, 1.6, count)
    loss *= size / loss.mean()
    lost = {core: min(float(loss[core]), 0.9) for core in range(count)}
    return Damage(_slow_clock(rng, node, metrics, lost), "all", count)


def _memory_loss(node: Node, metrics: Sequence[Metric], socket: int, loss: float) -> Floats:
    factor = np.ones(len(metrics))
    for column, metric in enumerate(metrics):
        if _of_memory(metric):
            if metric.socket == socket:
                factor[column] = 1 - loss
            elif metric.socket < 0:
                factor[column] = 1 - loss / node.platform.sockets
    return factor


def _slow_memory(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    socket = int(rng.integers(node.platform.sockets))
    return Damage(_memory_loss(node, metrics, socket, size), f"node{socket}", node.platform.sockets)


def _missing_dimm(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    """One module is not seen: its size is missing, and with it a part of its socket's bandwidth."""
    filled = [number for number, dimm in enumerate(node.dimms) if dimm.size_gib]
    gone = int(rng.choice(filled))
    node.dimms[gone] = replace(node.dimms[gone], size_gib=0, mhz=0, vendor="", product="", serial="")
    socket = gone * node.platform.sockets // len(node.dimms)
    return Damage(_memory_loss(node, metrics, socket, size), node.dimms[gone].slot)


def _disk_loss(
    rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float, only_random: bool
) -> Damage:
    number = int(rng.integers(len(node.disks)))
    hit = [m.disk == number and (m.is_random or not only_random) for m in metrics]
    return Damage(np.where(hit, 1 - size, 1.0), node.disks[number].name, len(node.disks))


def _slow_disk(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    return _disk_loss(rng, node, metrics, size, only_random=False)


def _slow_random(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    return _disk_loss(rng, node, metrics, size, only_random=True)


def _old_bios(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    node.bios = (_older(node.bios[0]), "11/07/2011")
    return Damage(np.ones(len(metrics)), "bios")


def _older(version: str) -> str:
    """Another version of the same form: its last digit changes."""
    last = max(place for place, letter in enumerate(version) if letter.isdigit())
    return f"{version[:last]}{(int(version[last]) + 7) % 10}{version[last + 1 :]}"


def _nic_firmware(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    node.nics = [replace(nic, firmware=_older(nic.firmware)) for nic in node.nics]
    return Damage(np.ones(len(metrics)), "eth0")


def _link_speed(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    node.nics[0] = replace(node.nics[0], speed_mbps=node.nics[0].speed_mbps // 10)
    return Damage(np.ones(len(metrics)), "eth0")


def _write_cache(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    number = int(rng.integers(len(node.disks)))
    node.disks[number] = replace(node.disks[number], write_cache=not node.disks[number].write_cache)
    hit = [metric.disk == number and "write" in metric.what for metric in metrics]
    return Damage(np.where(hit, 0.6, 1.0), node.disks[number].name)


def _dimm_speed(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    slower = {1333: 1066, 1600: 1333, 2133: 1866, 2400: 2133}[node.platform.dimm_mhz]
    node.dimms = [replace(dimm, mhz=slower) if dimm.size_gib else dimm for dimm in node.dimms]
    loss = float(rng.uniform(0.0, 0.05))
    return Damage(np.where([_of_memory(metric) for metric in metrics], 1 - loss, 1.0), "all")


def _disk_missing(rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float) -> Damage:
    number = int(rng.integers(1, len(node.disks)))
    name = node.disks.pop(number).name
    return Damage(np.where([metric.disk == number for metric in metrics], np.nan, 1.0), name)


def _no_hyperthreading(
    rng: np.random.Generator, node: Node, metrics: Sequence[Metric], size: float
) -> Damage:
    node.hyperthreading = False
    gone = [metric.core >= node.platform.physical for metric in metrics]
    return Damage(np.where(gone, np.nan, 1.0), "all")


def _several_sockets(platform: Platform) -> bool:
    return platform.sockets > 1


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


KINDS: tuple[FaultKind, ...] = (
    FaultKind(
        "slow socket", _of("cpu"), (0.02, 0.02, 0.03, 0.05, 0.10, 0.30), _slow_socket, _several_sockets
    ),
    FaultKind("slow CPU", _of("cpu"), (0.03, 0.05, 0.05, 0.10, 0.30), _slow_cpu),
    FaultKind("bad core", _of("cpu"), (0.15, 0.30, 0.50), _bad_core),
    FaultKind("throttling", _of("cpu", "health"), (0.03, 0.05, 0.10), _throttling),
    FaultKind("missing DIMM", _of("memory"), (0.05, 0.15, 0.25), _missing_dimm),
    FaultKind("slow memory", _of("memory", "numa"), (0.05, 0.10, 0.30), _slow_memory),
    FaultKind("slow disk", _of("disk"), (0.05, 0.05, 0.10, 0.30), _slow_disk),
    FaultKind("random IOPS only", _of("disk"), (0.10, 0.10, 0.20, 0.30), _slow_random),
    FaultKind("dead-slow disk", _of("disk"), (0.80, 0.95), _slow_disk),
    FaultKind("drift: BIOS", _of("firmware", "system"), (0.0,), _old_bios),
    FaultKind("drift: NIC firmware", _of("network", "firmware"), (0.0,), _nic_firmware),
    FaultKind("drift: link speed", _of("network"), (0.0,), _link_speed),
    FaultKind("drift: write cache", _of("disk"), (0.0,), _write_cache),
    FaultKind("drift: DIMM speed", _of("memory"), (0.0,), _dimm_speed),
    FaultKind(
        "drift: disk missing", _of("disk"), (0.0,), _disk_missing, lambda platform: len(platform.disks) > 1
    ),
    FaultKind(
        "drift: hyperthreading",
        _of("cpu"),
        (0.0,),
        _no_hyperthreading,
        lambda platform: platform.threads_per_core > 1,
    ),
)
