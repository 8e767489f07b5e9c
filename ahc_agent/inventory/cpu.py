"""The CPU collector: counts, caches, frequencies, and what the processor calls itself."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable

from ahc_agent.errors import NotThere
from ahc_agent.facts import Cache, Cpu, CpuKind
from ahc_agent.inventory.cpuinfo import CpuInfo, read_cpuinfo
from ahc_agent.inventory.cpuset import (
    first_of,
    format_list,
    mask_of,
    members,
    parse_list,
    parse_mask,
)
from ahc_agent.inventory.numa import with_memory
from ahc_agent.inventory.root import Root
from ahc_agent.inventory.topology import CPU_FOLDER, Topology, read_topology, saved_facts

_CACHE_SIZE = re.compile(r"(\d{1,12})([KMG]?)")
_CACHE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}

#: Kernel performance counters of the kinds of Intel hybrid CPUs, and what to call the kind.
_HYBRID = {"cpu_core": "core", "cpu_atom": "atom", "cpu_lowpower": "lowpower"}


def collect(root: Root) -> Cpu:
    """Everything about the processors. Raises NotThere for a tree that has neither sysfs CPUs nor ``/proc/cpuinfo``."""
    topology = read_topology(root)
    info = read_cpuinfo(root)
    if not topology.present and not info.processors and info == CpuInfo():
        raise NotThere("neither /sys/devices/system/cpu nor /proc/cpuinfo")
    online = topology.online
    if topology.withheld:
        withheld = format_list(topology.withheld)
        root.trouble.append(f"CPUs {withheld} are online but withheld by this process's cpuset: not counted")
    frequencies = _Frequencies(root, online)
    return Cpu(
        model=info.model,
        vendor=info.vendor,
        architecture=_architecture(root, info),
        family=info.family,
        model_number=info.model_number,
        stepping=info.stepping,
        logical_present=topology.present.bit_count() or info.processors or None,
        logical_online=online.bit_count() or info.processors or None,
        online_cpus=format_list(online) or None,
        # A cpuset may withhold the CPUs of a socket and leave its memory: hwloc still counts it.
        sockets=len(topology.sockets) + (with_memory(root, topology.bare) if topology.bare else 0) or None,
        cores=len(topology.cores) or None,
        threads_per_core=max((core.cpus.bit_count() for core in topology.cores), default=None),
        first_cpus=[first_of(socket.cpus) for socket in topology.sockets],
        socket_cpus=[format_list(socket.cpus) for socket in topology.sockets],
        kinds=_kinds(root, online),
        caches=_caches(root, topology),
        flags=list(info.flags),
        microcode=info.microcode or _microcode(root, online),
        frequency_min_hz=frequencies.lowest("cpuinfo_min_freq"),
        frequency_max_hz=frequencies.highest("cpuinfo_max_freq"),
        governor=frequencies.words("scaling_governor"),
        driver=frequencies.words("scaling_driver"),
        boost=_boost(root),
        vulnerabilities=_vulnerabilities(root),
    )


def _architecture(root: Root, info: CpuInfo) -> str | None:
    return os.uname().machine if root.live else saved_facts(root).get("Architecture") or info.architecture


def _microcode(root: Root, online: int) -> str | None:
    """Kernels before 3.1 tell the revision only in sysfs."""
    return root.text(f"{CPU_FOLDER}/cpu{first_of(online)}/microcode/version") if online else None


class _Frequencies:
    """cpufreq attributes of the online CPUs, one reading for each policy (Documentation/admin-guide/pm/cpufreq.rst).

    Frequencies stand in kHz there. ``cpu MHz`` of ``/proc/cpuinfo`` is the present one, never a limit, and is not used.
    """

    def __init__(self, root: Root, online: int) -> None:
        self.root = root
        self.folders = [
            f"{CPU_FOLDER}/cpufreq/{name}"
            for name in root.names(f"{CPU_FOLDER}/cpufreq")
            if name[:6] == "policy"
        ]
        if not self.folders:
            candidates = (f"{CPU_FOLDER}/cpu{cpu}/cpufreq" for cpu in members(online))
            self.folders = [folder for folder in candidates if root.exists(folder)]

    def highest(self, attribute: str) -> int | None:
        return max(self._hertz(attribute), default=None)

    def lowest(self, attribute: str) -> int | None:
        return min(self._hertz(attribute), default=None)

    def words(self, attribute: str) -> str | None:
        """The one word that all policies have, or all the different ones: "performance,powersave"."""
        found = {self.root.text(f"{folder}/{attribute}") for folder in self.folders}
        return ",".join(sorted(word for word in found if word)) or None

    def _hertz(self, attribute: str) -> list[int]:
        found = (self.root.integer(f"{folder}/{attribute}") for folder in self.folders)
        return [kilohertz * 1000 for kilohertz in found if kilohertz is not None and kilohertz > 0]


def _boost(root: Root) -> bool | None:
    """Whether the CPUs may run above their nominal frequency."""
    no_turbo = root.integer(f"{CPU_FOLDER}/intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == 0
    boost = root.integer(f"{CPU_FOLDER}/cpufreq/boost")
    return boost != 0 if boost is not None else None


def _vulnerabilities(root: Root) -> dict[str, str]:
    folder = f"{CPU_FOLDER}/vulnerabilities"
    found = ((name, root.text(f"{folder}/{name}")) for name in root.names(folder))
    return {name: text for name, text in found if text is not None}


def _kinds(root: Root, online: int) -> list[CpuKind]:
    """The kinds of CPUs of a hybrid machine, [] where all are alike (or the kernel does not tell)."""
    for folder in ("/sys/devices", "/sys/bus/event_source/devices"):
        sets = ((name, parse_list(root.text(f"{folder}/{pmu}/cpus"))) for pmu, name in _HYBRID.items())
        kinds = [
            CpuKind(name=name, cpus=format_list(cpus & online))
            for name, cpus in sets
            if cpus and cpus & online
        ]
        if kinds:
            return kinds
    capacities: dict[int, int] = {}
    for cpu in members(online):
        capacity = root.integer(f"{CPU_FOLDER}/cpu{cpu}/cpu_capacity")
        if capacity is None:
            return []
        capacities[capacity] = capacities.get(capacity, 0) | 1 << cpu
    if len(capacities) < 2:
        return []
    return [
        CpuKind(name=f"capacity {capacity}", cpus=format_list(cpus))
        for capacity, cpus in sorted(capacities.items())
    ]


def _caches(root: Root, topology: Topology) -> list[Cache]:
    """Caches of the online CPUs, counted once for all the CPUs that share one (ABI: sysfs-devices-system-cpu, cache/index*).

    A CPU that lies in an already known cache of the same index is not read again: a large machine has thousands of
    these files.
    """
    counted: Counter[tuple[int, str, int]] = Counter()
    known: dict[str, int] = {}
    for cpu in members(topology.online):
        folder = f"{CPU_FOLDER}/cpu{cpu}/cache"
        for index in _cache_indexes(root, folder, known):
            if known.get(index, 0) >> cpu & 1:
                continue
            sharing = _sharing(root, f"{folder}/{index}", topology, cpu)
            known[index] = known.get(index, 0) | sharing
            level = root.integer(f"{folder}/{index}/level")
            size = _cache_size(root.text(f"{folder}/{index}/size"))
            if level is not None and size:
                counted[level, root.text(f"{folder}/{index}/type") or "Unified", size] += 1
    return [
        Cache(level=level, type=kind, size_bytes=size, instances=instances)
        for (level, kind, size), instances in sorted(counted.items())
    ]


def _cache_indexes(root: Root, folder: str, known: dict[str, int]) -> Iterable[str]:
    """The indexes seen so far serve all CPUs; only the first CPU's folder (and that of CPUs outside) is listed."""
    cpu = int(folder.rsplit("/cpu", 1)[1].split("/")[0])
    if known and any(cpus >> cpu & 1 for cpus in known.values()):
        return list(known)
    return [name for name in root.names(folder) if name.startswith("index")]


def _sharing(root: Root, folder: str, topology: Topology, cpu: int) -> int:
    """The online CPUs that share a cache. ia64 leaves the mask empty: then it is the core's."""
    mask = parse_mask(root.text(f"{folder}/shared_cpu_map")) or parse_list(
        root.text(f"{folder}/shared_cpu_list")
    )
    if mask:
        return mask & topology.online | 1 << cpu
    return mask_of([cpu]) | next((core.cpus for core in topology.cores if core.cpus >> cpu & 1), 0)


def _cache_size(text: str | None) -> int | None:
    found = _CACHE_SIZE.fullmatch(text or "")
    return int(found[1]) * _CACHE_UNITS[found[2]] if found else None
