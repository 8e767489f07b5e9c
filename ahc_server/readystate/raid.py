"""RAID volumes: the logical disks that a profile wants against the volumes that the kernel shows as disks.

A controller's volume says so by its model (``PERC H730P Mini``, ``LOGICAL VOLUME``, ``MR9361-8i``). From the outside
it tells its size and that it is there, not its level: a volume of the wanted size is what can be asked for. A wanted size is
``size_gb`` of Ironic's target_raid_config (GiB); "MAX" takes any volume that is left.
"""

from __future__ import annotations

import re

from ahc_agent.facts import Disk, Inventory
from ahc_server.profiles.model import Yields
from ahc_server.readystate.model import Want

GIB = 1024**3
#: Controllers round sizes to their stripes and keep metadata.
_SIZE_TOLERANCE = 0.05
_VOLUME = re.compile(
    r"\b(PERC|LOGICAL VOLUME|VIRTUAL DISK|MR\d{4}|MegaRAID|ServeRAID|RAID ?\d*|LogicalDrv|AVAGO|SmartArray)\b",
    re.I,
)


def look(yields: Yields, inventory: Inventory) -> list[Want]:
    """One wish for each logical disk; volumes too many are one more."""
    wanted = yields.raid.get("logical_disks")
    if not isinstance(wanted, list):
        return []
    left = sorted(
        (disk for disk in inventory.disks if _is_volume(disk)), key=lambda disk: disk.size_bytes or 0
    )
    disks = [each for each in wanted if isinstance(each, dict)]
    shown = ", ".join(f"{disk.name} {_gib(disk)} GiB" for disk in left) or "no volume of a RAID controller"
    by_index: dict[int, Want] = {}
    # Those with a size first: what is asked for as "MAX" takes what they leave.
    for index, each in sorted(enumerate(disks), key=lambda pair: _size(pair[1]) is None):
        expected = f"RAID {each.get('raid_level', '?')} of {each.get('size_gb', '?')} GiB"
        taken = next((disk for disk in left if _fits(disk, _size(each))), None)
        name = f"volume {index + 1}"
        if taken is not None:
            left.remove(taken)
            found = f"{taken.name} {_gib(taken)} GiB"
            by_index[index] = Want("raid", name, expected, found, "met", "the level is not told")
        elif not inventory.disks:
            by_index[index] = Want("raid", name, expected, None, "unknown", "no disks are known")
        else:
            by_index[index] = Want("raid", name, expected, shown, "drift")
    wants = [by_index[index] for index in sorted(by_index)]
    if left and wants:
        extra = ", ".join(f"{disk.name} {_gib(disk)} GiB" for disk in left)
        wants.append(Want("raid", "volumes", f"{len(disks)}", f"besides these {extra}", "drift"))
    return wants


def _is_volume(disk: Disk) -> bool:
    return disk.kind == "disk" and bool(_VOLUME.search(f"{disk.vendor or ''} {disk.model or ''}"))


def _size(wanted: dict[str, object]) -> float | None:
    size = wanted.get("size_gb")
    return float(size) if isinstance(size, int | float) and not isinstance(size, bool) else None


def _fits(disk: Disk, size_gib: float | None) -> bool:
    if size_gib is None:
        return True
    return disk.size_bytes is not None and abs(disk.size_bytes / GIB - size_gib) <= _SIZE_TOLERANCE * size_gib


def _gib(disk: Disk) -> str:
    return "?" if disk.size_bytes is None else f"{disk.size_bytes / GIB:.0f}"
