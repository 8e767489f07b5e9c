"""Which CPUs there are, and which of them share a core, a socket.

Read from ``/sys/devices/system/cpu/cpuN/topology`` (kernel: Documentation/admin-guide/cputopology.rst, ABI file
sysfs-devices-system-cpu), with these rules, which are hwloc's:

- A CPU counts when it is online, has a ``topology`` folder, and the cpuset or cgroup of the reading process does not
  withhold it (``cpuset.py``): what may not be used can be neither measured nor compared.
- Cores and sockets are the distinct sets of counting CPUs that the sibling masks name. Their numbers are not used: they
  repeat over sockets and books, or are -1. Kernels before 5.3 know only ``thread_siblings`` and ``core_siblings``.
- A tree without any ``topology`` folder (a saved ``/proc`` alone, kernels before 2.6.16) has what ``/proc/cpuinfo`` says:
  the physical and core ids of x86 and ia64.
- On AMD families 21 and 22 the threads of a compute unit are cores of their own where their ``core_id`` differ. A saved
  tree must say that it is x86 (``saved_facts``) for that; hwloc takes no CPU vendor's quirk for granted without.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ahc_agent.inventory.cpuset import (
    NUMBER_LIMIT,
    allowed,
    first_of,
    mask_of,
    members,
    parse_list,
    parse_mask,
)
from ahc_agent.inventory.root import Root

CPU_FOLDER = "/sys/devices/system/cpu"

_CPU_NAME = re.compile(r"cpu(\d{1,5})")
_X86 = re.compile(r"x86_64|i[3-6]86")
_AMD_COMPUTE_UNITS = re.compile(
    r"^vendor_id[ \t]*:[ \t]*AuthenticAMD\n.{0,400}?^cpu family[ \t]*:[ \t]*(?:21|22)$", re.M | re.S
)

#: One CPU's block of ``/proc/cpuinfo``; s390 lists all in one, "processor 0: version = FF, ...".
_LISTED_CPU = re.compile(r"^processor(?:[ \t]*:)?[ \t]*(\d{1,5})\b", re.M)
_LISTED_SOCKET = re.compile(r"^physical id[ \t]*:[ \t]*(\d{1,9})$", re.M)
_LISTED_CORE = re.compile(r"^core id[ \t]*:[ \t]*(\d{1,9})$", re.M)


@dataclass(frozen=True, slots=True)
class Group:
    """CPUs that belong together; ``number`` is the kernel's own (``core_id``, ``physical_package_id``), where it tells."""

    cpus: int
    number: int | None


@dataclass(frozen=True, slots=True)
class Topology:
    """``online`` are the counting CPUs, ``withheld`` those that would count but for the cpuset.

    ``cores`` and ``sockets`` are empty where the kernel does not tell them (no ``topology`` folder). ``bare`` are the CPUs
    of each socket of which the cpuset leaves no CPU.
    """

    present: int
    online: int
    withheld: int
    cores: tuple[Group, ...]
    sockets: tuple[Group, ...]
    bare: tuple[int, ...] = ()


def read_topology(root: Root) -> Topology:
    """The counting CPUs, their cores and sockets (in the order of their physical id)."""
    folders = _cpu_folders(root)
    running = _running(root, folders)
    told = _with_topology(root, running)
    counting = (told or running) & allowed(root, "cpus")
    present = parse_list(root.text(f"{CPU_FOLDER}/present"))
    cores, sockets = _siblings(root, told) if told else _by_ids(_listed(root), running)
    return Topology(
        present=folders if present is None else present,
        online=counting,
        withheld=(told or running) & ~counting,
        cores=_kept(cores, counting),
        sockets=tuple(sorted(_kept(sockets, counting), key=_by_number)),
        bare=tuple(socket.cpus for socket in sockets if not socket.cpus & counting),
    )


def online_cpus(root: Root) -> int:
    """The counting CPUs alone: cheaper than the whole topology."""
    running = _running(root, _cpu_folders(root))
    return (_with_topology(root, running) or running) & allowed(root, "cpus")


def saved_facts(root: Root) -> dict[str, str]:
    """What ``hwloc-gather-topology`` noted beside a tree that it saved: "Architecture", "OSRelease", "HostName", ..."""
    lines = (line.partition(": ") for line in (root.text("/proc/hwloc-nofile-info") or "").splitlines())
    return {name: value.strip() for name, colon, value in lines if colon and value.strip()}


def _kept(groups: list[Group], counting: int) -> tuple[Group, ...]:
    return tuple(Group(group.cpus & counting, group.number) for group in groups if group.cpus & counting)


def _by_number(group: Group) -> tuple[int, int]:
    """Order by physical id; those that have none (-1, as on some Arm and RISC-V machines) by their first CPU."""
    return (group.number if group.number is not None else -1, first_of(group.cpus))


def _cpu_folders(root: Root) -> int:
    names = (_CPU_NAME.fullmatch(name) for name in root.names(CPU_FOLDER))
    return mask_of(int(found[1]) for found in names if found and int(found[1]) < NUMBER_LIMIT)


def _running(root: Root, folders: int) -> int:
    """The online CPUs; kernels before 2.6.26 have no list, only one file per CPU (none for a CPU that cannot go offline)."""
    online = parse_list(root.text(f"{CPU_FOLDER}/online"))
    if online is not None:
        return online & folders if folders else online
    if not folders:
        return mask_of(_listed(root))
    return mask_of(cpu for cpu in members(folders) if root.integer(f"{CPU_FOLDER}/cpu{cpu}/online") != 0)


def _with_topology(root: Root, cpus: int) -> int:
    """Those of ``cpus`` whose topology the kernel tells; hwloc leaves the others out."""
    return mask_of(cpu for cpu in members(cpus) if root.exists(f"{CPU_FOLDER}/cpu{cpu}/topology"))


def _siblings(root: Root, cpus: int) -> tuple[list[Group], list[Group]]:
    """The distinct cores and sockets among ``cpus``: each is taken at its first CPU."""
    if not cpus:
        return [], []
    core_file, socket_file = _sibling_files(root, cpus)
    split_units = _has_compute_units(root)
    cores: list[Group] = []
    sockets: list[Group] = []
    for cpu in members(cpus):
        topology = f"{CPU_FOLDER}/cpu{cpu}/topology"
        threads = (parse_mask(root.text(f"{topology}/{core_file}")) or 0) & cpus
        if threads and split_units is None and threads & (threads - 1):
            split_units = _core_ids_differ(root, threads)
        first = not threads or first_of(threads) == cpu
        if threads and (first or split_units):
            cores.append(Group(1 << cpu if split_units else threads, _number(root, f"{topology}/core_id")))
        if first:
            package = (parse_mask(root.text(f"{topology}/{socket_file}")) or 0) & cpus
            if package and first_of(package) == cpu:
                sockets.append(Group(package, _number(root, f"{topology}/physical_package_id")))
    return cores, sockets


def _listed(root: Root) -> dict[int, tuple[int, int] | None]:
    """The CPUs of ``/proc/cpuinfo``, which lists those online: their physical id and core id, None where it tells none."""
    listed: dict[int, tuple[int, int] | None] = {}
    for block in (root.text("/proc/cpuinfo") or "").split("\n\n"):
        socket, core = _LISTED_SOCKET.search(block), _LISTED_CORE.search(block)
        place = (int(socket[1]), int(core[1])) if socket and core else None
        found = (int(number) for number in _LISTED_CPU.findall(block))
        listed |= {cpu: place for cpu in found if cpu < NUMBER_LIMIT}
    return listed


def _by_ids(listed: dict[int, tuple[int, int] | None], cpus: int) -> tuple[list[Group], list[Group]]:
    """Cores and sockets by their ids; none where an id is missing."""
    cores: dict[tuple[int, int], int] = {}
    sockets: dict[int, int] = {}
    for cpu in members(cpus):
        place = listed.get(cpu)
        if place is None:
            return [], []
        cores[place] = cores.get(place, 0) | 1 << cpu
        sockets[place[0]] = sockets.get(place[0], 0) | 1 << cpu
    return (
        [Group(cpus, core) for (_, core), cpus in cores.items()],
        [Group(cpus, socket) for socket, cpus in sockets.items()],
    )


def _sibling_files(root: Root, cpus: int) -> tuple[str, str]:
    """The names of the mask files, new (since Linux 5.3) or old."""
    topology = f"{CPU_FOLDER}/cpu{first_of(cpus)}/topology"
    if root.exists(f"{topology}/package_cpus") or root.exists(f"{topology}/core_cpus"):
        return "core_cpus", "package_cpus"
    return "thread_siblings", "core_siblings"


def _has_compute_units(root: Root) -> bool | None:
    """False: threads of a core are threads. None: an AMD family with compute units, where ``core_id`` decides."""
    machine = os.uname().machine if root.live else saved_facts(root).get("Architecture", "")
    if not _X86.fullmatch(machine):
        return False
    first = (root.text("/proc/cpuinfo") or "").partition("\n\n")[0]
    return None if _AMD_COMPUTE_UNITS.search(first) else False


def _core_ids_differ(root: Root, threads: int) -> bool:
    first, second = list(members(threads))[:2]
    ids = [root.integer(f"{CPU_FOLDER}/cpu{cpu}/topology/core_id") for cpu in (first, second)]
    return ids[0] != ids[1]


def _number(root: Root, path: str) -> int | None:
    number = root.integer(path)
    return number if number is not None and number >= 0 else None
