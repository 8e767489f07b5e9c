"""eDeploy's benchmark values under our names: component, part, quantity, and the factor to our unit.

Meaning and units as the programs that wrote them have them (``health_bench``, ``hardware.benchmark``):

* ``loops_per_sec``: events of ``sysbench cpu`` (primes up to 15,000) a second, on one logical CPU or on all with a thread each.
* ``bandwidth_SIZE``: ``sysbench memory``, writing, in MiB/s without decimals, one thread on one logical CPU;
  ``threaded_bandwidth_SIZE``: one process with a thread per CPU; ``forked_bandwidth_SIZE``: a process per CPU, added up.
* ``standalone_...`` and ``simultaneous_...``: fio, 32 requests in flight, one disk alone or all at once; KBps are KiB/s.
* ``network bandwidth PEER/PORT``: netperf's TCP_STREAM or UDP_STREAM, 10⁶ bit/s (``-f m``);
  ``requests_per_sec``: TCP_RR, UDP_RR.
* ``bogomips``: what the kernel reckoned at boot; it follows the CPU's nominal clock.

What is not in the table but is called like a rate or a duration (``..._IOps``, ``..._per_sec``, ``..._us``) is a
measurement too; anything else is a fact.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from ahc_agent.measure import Component
from ahc_server.importers.values import printable

KIB, MIB = 1024.0, 1048576.0
_MBIT_BYTES = 125_000.0


class Target(msgspec.Struct, frozen=True, cache_hash=True):
    """Where a value goes. Our value is the file's times ``scale``."""

    component: Component
    part: str
    quantity: str
    unit: str
    scale: float = 1.0
    higher_is_better: bool = True


_CORE = re.compile(r"logical(?:_(\d{1,6}))?")
_SIZE = r"(\d{1,6}[kKMGT]?)"
_OF_CPU: tuple[tuple[re.Pattern[str], Component, str, str, float], ...] = (
    (re.compile(r"loops_per_sec"), "cpu", "loops_per_s", "loops/s", 1.0),
    (re.compile(r"bogomips"), "cpu", "bogomips", "BogoMIPS", 1.0),
    (re.compile(rf"bandwidth_{_SIZE}"), "memory", "write_{}_bytes_per_s", "bytes/s", MIB),
    (re.compile(rf"threaded_bandwidth_{_SIZE}"), "memory", "threaded_{}_bytes_per_s", "bytes/s", MIB),
    (re.compile(rf"forked_bandwidth_{_SIZE}"), "memory", "forked_{}_bytes_per_s", "bytes/s", MIB),
)
_OF_DISK = re.compile(rf"(standalone|simultaneous)_((?:rand)?(?:read|write|rw))_{_SIZE}_(KBps|IOps)")
_OF_NETWORK = {
    "bandwidth": Target("network", "tx", "flow_bytes_per_s", "bytes/s", _MBIT_BYTES),
    "requests_per_sec": Target("network", "all", "flow_requests_per_s", "requests/s"),
}

#: Rates and durations of tests that we do not know, by the end of their names: unit, factor, higher is better.
_UNKNOWN = (
    (re.compile(r"(.*?)_?(?:KBps|KiBps|KB/s|KiB/s)"), "bytes_per_s", "bytes/s", KIB, True),
    (re.compile(r"(.*?)_?(?:MBps|MiBps|MB/s|MiB/s)"), "bytes_per_s", "bytes/s", MIB, True),
    (re.compile(r"(.*?)_?(?:GBps|GiBps|GB/s|GiB/s)"), "bytes_per_s", "bytes/s", MIB * KIB, True),
    (re.compile(r"(.*?)_?(?:IOps|IOPS|iops)"), "iops", "IOPS", 1.0, True),
    (re.compile(r"(.*)_per_s(?:ec|econd)?"), "per_s", "1/s", 1.0, True),
    (re.compile(r"((?:.*_)?(?:bandwidth|throughput)(?:_.*)?)"), "", "", 1.0, True),
    (re.compile(r"((?:.*_)?[a-zA-Z]?(?i:flops|bogomips|score))"), "", "", 1.0, True),
    (re.compile(r"(.*)_(?:us|usec)"), "us", "us", 1.0, False),
    (re.compile(r"(.*)_(?:ms|msec)"), "us", "us", 1000.0, False),
    (re.compile(r"(.*)_(?:ns|nsec)"), "us", "us", 0.001, False),
)
_COMPONENT_OF: dict[str, Component] = {
    "cpu": "cpu", "memory": "memory", "numa": "numa", "disk": "disk", "pdisk": "disk", "ldisk": "disk", "hpa": "disk",
    "megaraid": "disk", "areca": "disk", "ahci": "disk", "network": "network", "infiniband": "network",
}  # fmt: skip
#: Kinds whose items are never measurements, whatever they are called.
_FACTS_ONLY = frozenset({"firmware", "hp", "hw", "ipmi", "lldp", "system"})
_TIDY = re.compile(r"[^\w-]+")
#: A whole number that is a thousand times the value: what `ahc_agent.ironic.extra_hardware` makes of small ones.
_THOUSANDTHS = "_x1000"


@lru_cache(maxsize=65536)
def target(kind: str, part: str, item: str) -> Target | None:
    """Where a row's value goes as a measurement; None where the row is a fact."""
    if kind == "cpu":
        found = _cpu(part, item)
    elif kind == "disk":
        found = _disk(part, item)
    elif kind == "network":
        found = _OF_NETWORK.get(part)
    else:
        found = None
    return found or _unknown(kind, part, item)


def _cpu(part: str, item: str) -> Target | None:
    core = _CORE.fullmatch(part)
    if core is None:
        return None
    ours = f"core{int(core[1])}" if core[1] else "all"
    for pattern, component, quantity, unit, scale in _OF_CPU:
        found = pattern.fullmatch(item)
        if found is not None:
            return Target(component, ours, quantity.format(*found.groups()), unit, scale)
    return None


def _disk(part: str, item: str) -> Target | None:
    found = _OF_DISK.fullmatch(item)
    if found is None:
        return None
    mode, pattern, size, unit = found.groups()
    together = "_together" if mode == "simultaneous" else ""
    name, scale = ("bytes_per_s", KIB) if unit == "KBps" else ("iops", 1.0)
    return Target(
        "disk",
        disk_name(part),
        f"{pattern}_{size}{together}_{name}",
        "bytes/s" if scale > 1 else "IOPS",
        scale,
    )


def _unknown(kind: str, part: str, item: str) -> Target | None:
    if (
        kind in _FACTS_ONLY
        or "/" in item.replace("B/s", "")
        or not item
        or len(item) > 200
        or len(part) > 200
    ):
        return None
    thousandths = item.endswith(_THOUSANDTHS)
    item = item.removesuffix(_THOUSANDTHS)
    for pattern, suffix, unit, scale, higher in _UNKNOWN:
        found = pattern.fullmatch(item)
        if found is not None:
            quantity = "_".join(word for word in (_tidy(found[1]), suffix) if word)
            core = _CORE.fullmatch(part) if kind == "cpu" else None
            ours = ("all" if core[1] is None else f"core{int(core[1])}") if core else _tidy(part) or "all"
            if thousandths:
                scale /= 1000.0
            return Target(_COMPONENT_OF.get(kind, "system"), ours, quantity, unit, scale, higher)
    return None


def disk_name(part: str) -> str:
    """The kernel's name of a disk."""
    return printable(part.removeprefix("/dev/"))[:200]


def _tidy(name: str) -> str:
    return _TIDY.sub("_", name).strip("_")
