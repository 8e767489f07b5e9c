"""The NUMA collector: nodes, their CPUs, memory and distances.

Source: ``/sys/devices/system/node`` (kernel ABI file stable/sysfs-devices-node). Nodes without CPUs (memory only: HBM,
persistent memory, CXL) and nodes without memory are nodes too. A kernel without NUMA has one node with everything.
As hwloc does, nodes whose CPUs cannot be told, or repeat those of an earlier node, are left out, and on POWER those
that are the memory of a graphics card; and those that the process's cpuset withholds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ahc_agent.errors import NotThere
from ahc_agent.facts import NumaNode
from ahc_agent.inventory.cpuset import (
    NUMBER_LIMIT,
    allowed,
    format_list,
    mask_of,
    members,
    parse_list,
    parse_mask,
)
from ahc_agent.inventory.memory import total_bytes
from ahc_agent.inventory.root import Root, whole_number
from ahc_agent.inventory.topology import online_cpus

NODE_FOLDER = "/sys/devices/system/node"

_NODE_NAME = re.compile(r"node(\d{1,5})")
_MEMORY_TOTAL = re.compile(r"\bMemTotal:\s+(\d{1,15}) kB")
_GPU_NODE = re.compile(r"^Node:\s*(\d{1,5})\s*$", re.M)
_POWER = re.compile(r"^cpu\s*:\s*POWER", re.M)


def collect(root: Root) -> list[NumaNode]:
    """The nodes in the order of their numbers. Raises NotThere for a tree that tells neither nodes nor CPUs."""
    online = online_cpus(root)
    listed = _listed(root)
    nodes = _nodes(root, listed)
    if not nodes:
        if not online:
            raise NotThere("no CPU and no NUMA node")
        return [NumaNode(node=0, cpus=format_list(online), memory_bytes=total_bytes(root))]
    return [
        NumaNode(
            node=number,
            cpus=format_list(cpus & online),
            memory_bytes=_memory_bytes(root, number),
            distances=_distances(root, number, listed, nodes),
        )
        for number, cpus in nodes.items()
    ]


def with_memory(root: Root, sockets: Iterable[int]) -> int:
    """How many of some sockets (sets of CPUs) hold all the CPUs of a counting node."""
    nodes = [cpus for cpus in _nodes(root, _listed(root)).values() if cpus]
    return sum(any(cpus & ~socket == 0 for cpus in nodes) for socket in sockets)


def _listed(root: Root) -> list[int]:
    """The online nodes' numbers; kernels before 2.6.25 have folders only."""
    online = parse_list(root.text(f"{NODE_FOLDER}/online"))
    if online is None:
        names = (_NODE_NAME.fullmatch(name) for name in root.names(NODE_FOLDER))
        online = mask_of(int(found[1]) for found in names if found and int(found[1]) < NUMBER_LIMIT)
    return list(members(online))


def _nodes(root: Root, listed: list[int]) -> dict[int, int]:
    """The counting nodes and their CPUs."""
    hidden = _graphics_nodes(root)
    mine = allowed(root, "mems")
    nodes: dict[int, int] = {}
    taken = 0
    for number in listed:
        folder = f"{NODE_FOLDER}/node{number}"
        cpus = parse_mask(root.text(f"{folder}/cpumap"))
        if cpus is None and root.exists(f"{folder}/cpulist"):
            cpus = parse_list(root.text(f"{folder}/cpulist")) or 0
        if cpus is None or cpus & taken or number in hidden:
            continue
        taken |= cpus
        if mine >> number & 1:
            nodes[number] = cpus
    return nodes


def _graphics_nodes(root: Root) -> set[int]:
    """Nodes that stand for an NVLink graphics card's own memory on POWER: no program may use them as the machine's."""
    folder = "/proc/driver/nvidia/gpus"
    cards = root.names(folder)
    if not cards or not _POWER.search(root.text("/proc/cpuinfo") or ""):
        return set()
    found = (_GPU_NODE.search(root.text(f"{folder}/{card}/numa_status") or "") for card in cards)
    return {int(node[1]) for node in found if node}


def _memory_bytes(root: Root, number: int) -> int | None:
    found = _MEMORY_TOTAL.search(root.text(f"{NODE_FOLDER}/node{number}/meminfo") or "")
    return int(found[1]) * 1024 if found else None


def _distances(root: Root, number: int, listed: list[int], nodes: dict[int, int]) -> list[int]:
    """The node's SLIT row. The kernel writes one entry for each online node; a row of another length is none."""
    row = [whole_number(item) for item in (root.text(f"{NODE_FOLDER}/node{number}/distance") or "").split()]
    if len(row) != len(listed):
        return []
    kept = [distance for other, distance in zip(listed, row, strict=True) if other in nodes]
    distances = [distance for distance in kept if distance is not None]
    return distances if len(distances) == len(kept) else []
