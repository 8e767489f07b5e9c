"""The nodes' disks: loop devices, or regular files where loop devices are not allowed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ahc_server.lab import kernel

#: Size of each disk. The file behind it is sparse: it takes no room, and the host's own disk, which is not under test, does
#: not join in; how fast the disk is, its throttle says.
DISK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class LabDisk:
    """``device`` is "MAJOR:MINOR" of a loop device (None for a file), ``descriptor`` keeps it attached."""

    path: str
    device: str | None = None
    descriptor: int | None = None

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)


def attach(folder: Path, node: str) -> LabDisk:
    """A loop device for a node; it detaches itself with the lab. Raises OSError."""
    backing = make_file(folder, node)
    try:
        descriptor, path = kernel.attach_loop_device(backing)
    finally:
        # The loop device holds the file; without a name it vanishes together with the device.
        backing.unlink()
    number = os.fstat(descriptor).st_rdev
    return LabDisk(path, f"{os.major(number)}:{os.minor(number)}", descriptor)


def make_file(folder: Path, node: str) -> Path:
    """A sparse file of a disk's size."""
    path = folder / f"{node}-disk0"
    with path.open("xb") as file:
        file.truncate(DISK_BYTES)
    return path
