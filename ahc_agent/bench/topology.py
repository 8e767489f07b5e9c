"""The CPUs that a benchmark may use, by core, socket and NUMA node, and the memory that it may take."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ahc_agent.errors import NotThere
from ahc_agent.inventory import cpuset
from ahc_agent.inventory import topology as machine
from ahc_agent.inventory.root import Root

_NODE = re.compile(r"^Node\s+\d+\s+(\S+?):\s+(\d+) kB", re.M)
_LINE = re.compile(r"^(\S+?):\s+(\d+) kB", re.M)


@dataclass(frozen=True, slots=True)
class Part:
    """One core, socket or NUMA node by its name in metrics ("core3", "socket0", "node1"), and its CPUs."""

    name: str
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """What of the machine is online and left to this process (cpuset, affinity).

    Sockets are numbered in the order of their physical id, cores by their first CPU (``taskset -c 3`` is core3),
    NUMA nodes as the kernel numbers them; nodes without CPUs are absent. A kernel without NUMA has node 0 with all.
    """

    cpus: tuple[int, ...]
    cores: tuple[Part, ...]
    sockets: tuple[Part, ...]
    nodes: tuple[Part, ...]


def read(root: Root | None = None) -> Topology:
    """The topology as this process may use it."""
    from ahc_agent.inventory import numa

    root = root or Root("/")
    found = machine.read_topology(root)
    mine = cpuset.mask_of(iter(os.sched_getaffinity(0))) if root.live else -1
    usable = found.online & mine
    cores = [group.cpus & usable for group in found.cores]
    sockets = [group.cpus & usable for group in found.sockets] or [usable]
    try:
        nodes = {each.node: (cpuset.parse_list(each.cpus) or 0) & usable for each in numa.collect(root)}
    except NotThere:
        nodes = {0: usable}
    return Topology(
        cpus=tuple(cpuset.members(usable)),
        cores=tuple(
            _part(f"core{cpuset.first_of(cpus)}", cpus)
            for cpus in (cores or [1 << cpu for cpu in cpuset.members(usable)])
            if cpus
        ),
        sockets=tuple(_part(f"socket{number}", cpus) for number, cpus in enumerate(sockets) if cpus),
        nodes=tuple(_part(f"node{number}", cpus) for number, cpus in sorted(nodes.items()) if cpus),
    )


def available_bytes(root: Root | None = None, node: int | None = None) -> int | None:
    """Memory that can be taken without swapping: the kernel's own estimate, or a node's free and clean memory.

    ``/proc/meminfo`` MemAvailable; of a node MemFree and the file pages (man 5 proc_meminfo; a node has no estimate).
    """
    root = root or Root("/")
    if node is None:
        fields = dict(_LINE.findall(root.text("/proc/meminfo") or ""))
        return int(fields["MemAvailable"]) * 1024 if "MemAvailable" in fields else None
    fields = dict(_NODE.findall(root.text(f"/sys/devices/system/node/node{node}/meminfo") or ""))
    if "MemFree" not in fields:
        return available_bytes(root)
    return 1024 * sum(int(fields.get(name, 0)) for name in ("MemFree", "Active(file)", "Inactive(file)"))


def _part(name: str, cpus: int) -> Part:
    return Part(name, tuple(cpuset.members(cpus)))
