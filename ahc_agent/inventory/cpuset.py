"""Sets of CPUs and of NUMA nodes: how the kernel writes them, and which of them the reading process may use.

A set is an int with bit N for number N: exact, fast and of any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ahc_agent.inventory.root import Root

#: CPU and NUMA node numbers from here on are nonsense (the kernel's own limits are 8192 CPUs and 1024 nodes).
NUMBER_LIMIT = 65536

_MASK = re.compile(r"[0-9a-fA-F]{1,8}(?:,[0-9a-fA-F]{8})*|[0-9a-fA-F]{1,16384}")
_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6})(?::(\d{1,6})/(\d{1,6}))?)?")
_ALL = -1

#: Characters. Longer texts name no set of numbers below the limit; a mask needs a quarter of a character for each.
_TEXT_LIMIT = NUMBER_LIMIT


def parse_mask(text: str | None) -> int | None:
    """A kernel CPU mask ("00000000,0000000f") as a set; None where it is none."""
    if not text or len(text) > _TEXT_LIMIT or not _MASK.fullmatch(text):
        return None
    cpus = int(text.replace(",", ""), 16)
    return cpus if cpus.bit_length() <= NUMBER_LIMIT else None


def parse_list(text: str | None) -> int | None:
    """A kernel CPU list ("0-3,8,16-31:2/4") as a set; None where it is none. An empty file counts as none.

    The form is in Documentation/admin-guide/kernel-parameters.rst: ``a-b:used/group`` takes the first ``used`` of each
    ``group`` numbers.
    """
    if not text or len(text) > _TEXT_LIMIT:
        return None
    cpus = 0
    for item in text.split(","):
        found = _RANGE.fullmatch(item.strip())
        if found is None:
            return None
        first, last, used, group = (int(part) if part else None for part in found.groups())
        assert first is not None
        last = first if last is None else last
        if last < first or last >= NUMBER_LIMIT or used == 0 or group == 0:
            return None
        if used is None or group is None or used >= group:
            cpus |= (1 << (last + 1)) - (1 << first)
        else:
            cpus |= mask_of(cpu for cpu in range(first, last + 1) if (cpu - first) % group < used)
    return cpus


def format_list(cpus: int) -> str:
    """A set as the kernel writes it: "0-3,8"; the empty set is ""."""
    ranges: list[list[int]] = []
    for cpu in members(cpus):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def members(cpus: int) -> Iterator[int]:
    """The numbers in a (finite) set, ascending."""
    while cpus:
        lowest = cpus & -cpus
        yield lowest.bit_length() - 1
        cpus ^= lowest


def first_of(cpus: int) -> int:
    """The lowest number of a set that is not empty."""
    return (cpus & -cpus).bit_length() - 1


def mask_of(numbers: Iterable[int]) -> int:
    """The set of some numbers."""
    cpus = 0
    for number in numbers:
        cpus |= 1 << number
    return cpus


def allowed(root: Root, what: str) -> int:
    """The CPUs (``what`` is "cpus") or NUMA nodes ("mems") that the process's cpuset leaves it; all where it has none.

    Found as ``man 7 cpuset`` and the kernel's Documentation/admin-guide/cgroup-v2.rst say: the mount point, the process's
    own path below it, the file there.
    """
    mount = _mount(root)
    place = _own_path(root)
    if mount is None or place is None:
        return _ALL
    folder, pattern = mount
    limited = parse_list(root.text(f"{folder}{place}/{pattern.format(what)}"))
    return _ALL if limited is None else limited


def _mount(root: Root) -> tuple[str, str] | None:
    """Where cpusets are mounted, and the pattern of the file names there."""
    for line in (root.text("/proc/mounts") or "").splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        folder, kind, options = fields[1].rstrip("/"), fields[2], fields[3].split(",")
        if kind == "cgroup2":
            if "cpuset" in (root.text(f"{folder}/cgroup.controllers") or "").split():
                return folder, "cpuset.{}.effective"
        elif kind == "cpuset" or (kind == "cgroup" and "cpuset" in options and "noprefix" in options):
            return folder, "{}"
        elif kind == "cgroup" and "cpuset" in options:
            return folder, "cpuset.{}"
    return None


def _own_path(root: Root) -> str | None:
    """The process's path below the mount point, "" for the top."""
    path = root.text("/proc/self/cpuset")
    if path is None:
        lines = (line.split(":", 2) for line in (root.text("/proc/self/cgroup") or "").splitlines())
        path = next((line[2] for line in lines if len(line) == 3 and line[1] in ("", "cpuset")), None)
    return path.rstrip("/") if path is not None else None
