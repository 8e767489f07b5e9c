"""What each metric tells, and of which piece of hardware: one table for our own names and those of imported results.

A *reading* says what kind of evidence a metric is. Blocks that fit a core's caches follow the core's clock and not the
memory; BogoMIPS are what the kernel reckoned at boot, and no measurement at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ahc_server.judge.features import Metric

#: "compute": the clock of cores; "cached": blocks that fit the caches; "memory": blocks that do not; "sequential",
#: "random": a disk's rates, reading, and "... writes"; "latency": a disk's times; "tx", "rx", "rtt": a card;
#: "other": measured, and not known to us; "silent": told, but no evidence.
Kind = Literal[
    "compute",
    "cached",
    "memory",
    "sequential",
    "sequential writes",
    "random",
    "random writes",
    "latency",
    "tail latency",
    "tx",
    "rx",
    "rtt",
    "other",
    "silent",
]

#: Blocks up to this size fit the caches of one core; from the second size on they fit no cache.
CACHED_BYTES, UNCACHED_BYTES = 1 << 20, 64 << 20

_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_BLOCK = re.compile(r"_(\d+)([kKMGT]?)_")
_DISK = re.compile(r"^(rand)?(read|write|rw)_\d+[kKMGT]?(_together)?_(bytes_per_s|iops|p\d+_us)$")
_ALL_CORES = re.compile(r"^(threaded|forked)_")
_FAR_TAIL = re.compile(r"^p99\d+_us$|_p99\d+_us$|max_us$")
_SILENT = re.compile(r"^bogomips$")


@dataclass(frozen=True, slots=True)
class Reading:
    """``part``: the piece. ``together``: measured while others ran too. ``method``: how, where there are several ways."""

    kind: Kind
    part: str
    together: bool = False
    method: str = ""


def readings(metrics: Sequence[Metric]) -> list[Reading]:
    """A reading for each metric of a group. What blocks of memory tell depends on which sizes there are."""
    sizes: dict[tuple[str, str], set[int]] = {}
    for metric in metrics:
        if metric.component in ("memory", "numa"):
            sizes.setdefault(_family(metric), set()).add(_block(metric))
    return [_reading(metric, sizes.get(_family(metric), set())) for metric in metrics]


def _family(metric: Metric) -> tuple[str, str]:
    way = _ALL_CORES.match(metric.quantity)
    return re.sub(r"\d+", "", metric.part), way[1] if way else ""


def _block(metric: Metric) -> int:
    found = _BLOCK.search(f"_{metric.quantity}_")
    return int(found[1]) * _SIZES[found[2].upper()] if found else 0


def _reading(metric: Metric, sizes: set[int]) -> Reading:
    component, part, quantity = metric.component, metric.part, metric.quantity
    if _SILENT.match(quantity) or _FAR_TAIL.search(quantity):
        return Reading("silent", part)
    if component == "cpu" and quantity in ("events_per_s", "loops_per_s"):
        return Reading("compute", part)
    if component in ("memory", "numa") and _block(metric) and metric.higher_is_better:
        return Reading(_of_block(_block(metric), sizes), part, method=_family(metric)[1])
    if component == "disk" and (seen := _DISK.match(quantity)):
        if seen[4].startswith("p"):
            kind_of_time: Kind = "tail latency" if seen[4].startswith("p9") else "latency"
            return Reading(kind_of_time, part, together=bool(seen[3]))
        kind: Kind = "random" if seen[1] else "sequential"
        if seen[2] == "write":
            kind = "random writes" if seen[1] else "sequential writes"
        return Reading(kind, part, together=bool(seen[3]))
    if component == "network" and part in ("tx", "rx", "rtt"):
        return Reading({"tx": "tx", "rx": "rx"}.get(part, "rtt"), part)  # type: ignore[arg-type]
    return Reading("other", part)


def _of_block(size: int, sizes: set[int]) -> Kind:
    """Where no block is large enough to leave the caches, the largest must do for memory."""
    if max(sizes) < UNCACHED_BYTES:
        return "memory" if size == max(sizes) else "cached"
    if size >= UNCACHED_BYTES:
        return "memory"
    # Blocks in between may fit a shared cache or not; those of 1 KiB time the loop around them.
    return "cached" if 2048 <= size <= CACHED_BYTES else "silent"
