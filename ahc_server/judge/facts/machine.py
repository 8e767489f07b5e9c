"""What a machine tells of itself as a whole, of its CPUs and of its memory."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any

from ahc_agent.facts import Inventory
from ahc_server.judge.facts.told import Alike, Fact, Place, Section, plain
from ahc_server.judge.hardware import binary_size

# The machine as a whole: what it has once.


def _switch(value: bool) -> str:
    return "on" if value else "off"


def _hertz(value: int) -> str:
    return f"{value / 1e9:.2f} GHz"


_WHOLE: tuple[tuple[Fact, str, Callable[[Any], str]], ...] = (
    (Fact("system", "vendor"), "system.vendor", plain),
    (Fact("system", "product"), "system.product", plain),
    (Fact("system", "board"), "system.board_product", plain),
    (Fact("system", "kernel"), "system.kernel", plain),
    (Fact("system", "virtualization"), "system.virtualization", plain),
    (Fact("firmware", "microcode"), "cpu.microcode", plain),
    (Fact("cpu", "CPU model"), "cpu.model", plain),
    (Fact("cpu", "CPU stepping"), "cpu.stepping", plain),
    (Fact("cpu", "sockets"), "cpu.sockets", plain),
    (Fact("cpu", "cores"), "cpu.cores", plain),
    (Fact("cpu", "logical CPUs"), "cpu.logical_present", plain),
    (Fact("cpu", "logical CPUs online"), "cpu.logical_online", plain),
    (Fact("cpu", "threads per core"), "cpu.threads_per_core", plain),
    (Fact("cpu", "frequency governor"), "cpu.governor", plain),
    (Fact("cpu", "frequency driver"), "cpu.driver", plain),
    (Fact("cpu", "highest frequency"), "cpu.frequency_max_hz", _hertz),
    (Fact("cpu", "lowest frequency"), "cpu.frequency_min_hz", _hertz),
    (Fact("cpu", "boost"), "cpu.boost", _switch),
)
_read_whole = attrgetter("system.bios.version", "system.bios.date", *(path for _, path, _ in _WHOLE))


def _whole(inventory: Inventory, _: Place) -> Hashable:
    flags = inventory.cpu.flags
    virtual = ("vmx" in flags or "svm" in flags) if flags else None
    firmware = inventory.bmc.firmware if inventory.bmc else None
    return *_read_whole(inventory), virtual, firmware


def _whole_facts(signature: tuple[Any, ...], _: Alike) -> dict[Fact, str]:
    version, date, *values, virtual, firmware = signature
    found = {
        fact: how(value) for (fact, _, how), value in zip(_WHOLE, values, strict=True) if value is not None
    }
    if version is not None:
        found[Fact("firmware", "BIOS")] = plain(version) + (f" of {plain(date)}" if date else "")
    if virtual is not None:
        found[Fact("cpu", "virtualization extensions")] = _switch(virtual)
    if firmware is not None:
        found[Fact("firmware", "BMC firmware")] = plain(firmware)
    return found


def _mitigations(inventory: Inventory, _: Place) -> Hashable:
    return tuple(inventory.cpu.vulnerabilities.items()) or None


def _mitigation_facts(signature: tuple[tuple[str, str], ...], _: Alike) -> dict[Fact, str]:
    return {Fact("cpu", "mitigation", name): plain(text) for name, text in signature}


#: Kernel arguments that are each machine's own, by their name or by what they hold (addresses, UUIDs, labels of disks).
_OWN_ARGUMENT = re.compile(
    r"(?i)(?:(?:bootif|ip|ifname|hostname|nodename|macaddr|root|resume|session|serv|ahc\.\w+)=.*"
    r"|.*(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}.*|.*[0-9a-f]{8}-[0-9a-f]{4}-.*|.*\d+\.\d+\.\d+\.\d+.*)"
)


def _arguments(inventory: Inventory, _: Place) -> Hashable:
    told = inventory.system.kernel_arguments
    if told is None:
        return None
    return " ".join(each for each in told.split() if not _OWN_ARGUMENT.fullmatch(each))


def _argument_facts(signature: str, _: Alike) -> dict[Fact, str]:
    return {Fact("system", "kernel arguments"): signature or "none"}


def _caches(inventory: Inventory, _: Place) -> Hashable:
    read = attrgetter("level", "type", "size_bytes", "instances")
    return tuple(sorted(map(read, inventory.cpu.caches))) or None


def _cache_facts(signature: tuple[tuple[int, str, int, int], ...], _: Alike) -> dict[Fact, str]:
    told: dict[str, list[str]] = defaultdict(list)
    for level, kind, size, instances in signature:
        told[f"L{level} {kind.lower()} cache"].append(f"{instances} × {binary_size(size)}")
    return {Fact("cpu", name): " + ".join(each) for name, each in told.items()}


# NUMA and memory.


def _numa(inventory: Inventory, _: Place) -> Hashable:
    return tuple((node.node, node.memory_bytes, tuple(node.distances)) for node in inventory.numa) or None


def _numa_facts(
    signature: tuple[tuple[int, int | None, tuple[int, ...]], ...], alike: Alike
) -> dict[Fact, str]:
    found = {Fact("numa", "number of NUMA nodes"): str(len(signature))}
    for node, memory, distances in signature:
        if memory is not None:
            found[Fact("numa", "memory", f"node{node}")] = binary_size(alike.memory.get(memory, memory))
        if distances:
            found[Fact("numa", "distances", f"node{node}")] = " ".join(map(str, distances))
    return found


_read_dimm = attrgetter(
    "locator", "bank", "size_bytes", "type", "speed_mtps", "configured_speed_mtps", "ranks", "manufacturer", "part_number"
)  # fmt: skip


def _total(inventory: Inventory, _: Place) -> Hashable:
    """What the kernel has, where it is not known what is plugged in: the firmware reserves a part, not the same on every node."""
    memory = inventory.memory
    return None if any(dimm.size_bytes for dimm in memory.dimms) else memory.total_bytes


def _total_facts(total: int, alike: Alike) -> dict[Fact, str]:
    return {Fact("memory", "usable memory"): binary_size(alike.memory.get(total, total))}


def _dimms(inventory: Inventory, _: Place) -> Hashable:
    return tuple(map(_read_dimm, inventory.memory.dimms)) or None


def _dimm_facts(signature: tuple[tuple[Any, ...], ...], _: Alike) -> dict[Fact, str]:
    found: dict[Fact, str] = {}
    locators = Counter(dimm[0] for dimm in signature)
    for number, (locator, bank, size, kind, speed, configured, ranks, maker, part) in enumerate(signature):
        several = locator is None or locators[locator] > 1
        slot = " ".join(each for each in (bank if several else None, locator) if each) or f"slot {number}"
        if size is not None:
            found[Fact("memory", "DIMM", slot)] = binary_size(size) if size else "empty"
        if not size:
            continue
        told = {
            "DIMM speed": f"{configured or speed} MT/s" if configured or speed else None,
            "rated DIMM speed": f"{speed} MT/s" if speed and configured else None,
            "DIMM model": " ".join(each for each in (maker, part) if each),
            "DIMM type": kind,
            "DIMM ranks": ranks,
        }
        found |= {Fact("memory", name, slot): plain(value) for name, value in told.items() if value}
    sizes = sum(dimm[2] or 0 for dimm in signature)
    if sizes:
        found[Fact("memory", "memory size")] = binary_size(sizes)
    return found


SECTIONS: tuple[Section, ...] = (
    Section(_whole, _whole_facts),
    Section(_mitigations, _mitigation_facts),
    Section(_arguments, _argument_facts),
    Section(_caches, _cache_facts),
    Section(_numa, _numa_facts),
    Section(_total, _total_facts),
    Section(_dimms, _dimm_facts, {"DIMM": "empty"}),
)
