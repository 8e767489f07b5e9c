"""The memory collector: how much the kernel has, and the DIMM slots that SMBIOS lists."""

from __future__ import annotations

import re

from ahc_agent.errors import NotThere
from ahc_agent.facts import Dimm, Memory
from ahc_agent.inventory.root import Root
from ahc_agent.inventory.smbios import read_tables

_MEMORY_TOTAL = re.compile(r"^MemTotal:\s+(\d{1,15}) kB", re.M)


def collect(root: Root) -> Memory:
    """Total and DIMM slots (the empty ones too). Raises NotThere for a tree that tells neither."""
    total = total_bytes(root)
    tables = read_tables(root)
    dimms: list[Dimm] = tables.dimms() if tables is not None else []
    if total is None and not dimms:
        raise NotThere("neither /proc/meminfo nor SMBIOS memory devices")
    return Memory(total_bytes=total, dimms=dimms)


def total_bytes(root: Root) -> int | None:
    """What the kernel can use (MemTotal of ``/proc/meminfo``): the DIMMs' sum less what firmware and kernel took."""
    found = _MEMORY_TOTAL.search(root.text("/proc/meminfo") or "")
    return int(found[1]) * 1024 if found else None
