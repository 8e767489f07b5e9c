"""Results for a machine without a network: written to a partition that somebody has labelled ``AHCEXPORT``.

That label is the operator's leave. Nothing else is ever mounted or written, and nothing that is there is overwritten: several
machines, or one machine several times, leave their results on one stick.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ahc_agent.errors import AhcError
from ahc_agent.programs import run

LABEL = "AHCEXPORT"
#: blkid's type → the kernel's file system (ext4 takes its elders).
_TYPES = {"vfat": "vfat", "ext4": "ext4", "ext3": "ext4", "ext2": "ext4"}
#: mount(2)
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_TIME_LIMIT_S = 30.0
_NOTHING_FOUND = 2  # blkid(8)
_MOST_NAMES = 10_000


class ExportError(AhcError):
    """Nothing was written; the text says why."""


def partitions() -> list[tuple[Path, str]]:
    """Devices with the label, and their file systems as the kernel calls them. Raises ProgramError or ExportError."""
    every = ["blkid", "-c", "/dev/null"]
    listed = run(
        [*every, "-t", f"LABEL={LABEL}", "-o", "device"],
        time_limit_s=_TIME_LIMIT_S,
        ok_statuses=(0, _NOTHING_FOUND),
    )
    found, others = [], []
    for device in listed.text().split():
        told = run([*every, "-s", "TYPE", "-o", "value", device], time_limit_s=_TIME_LIMIT_S).text().strip()
        if told in _TYPES:
            found.append((Path(device), _TYPES[told]))
        else:
            others.append(f"{device} ({told})")
    if others and not found:
        raise ExportError(f"{', '.join(others)}: labelled {LABEL}, but neither FAT nor ext4")
    return found


def export(data: bytes, name: str, mount_point: Path) -> str:
    """Write a result as ``name`` (or, where that is taken, ``name`` with a number) to the first partition that takes it.

    Answers with where it is, for a sentence. Raises ExportError or ProgramError.
    """
    found = partitions()
    if not found:
        raise ExportError(f"there is no partition labelled {LABEL}")
    problems = []
    for device, kind in found:
        try:
            with _mounted(device, kind, mount_point):
                return f"{write_new(mount_point, name, data).name} on {device}"
        except OSError as error:
            problems.append(f"{device}: {error.strerror or error}")
    raise ExportError("; ".join(problems))


def write_new(folder: Path, name: str, data: bytes) -> Path:
    """A file that appears whole under a name that was free. Raises OSError."""
    temporary = folder / f".{os.urandom(4).hex()}.part"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        free = _free_name(folder, name)
        temporary.rename(free)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return free


def file_name(name: str) -> str:
    """What a machine is called, as a file's name that every file system takes; ".json" stands at its end."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:100]
    return f"{plain or 'unknown'}.json"


def _free_name(folder: Path, name: str) -> Path:
    start, dot, end = name.rpartition(".")
    for number in range(1, _MOST_NAMES):
        path = folder / (name if number == 1 else f"{start}-{number}{dot}{end}")
        if not os.path.lexists(path):
            return path
    raise OSError(errno.EEXIST, f"{_MOST_NAMES} results of this name are there")


@contextmanager
def _mounted(device: Path, kind: str, mount_point: Path) -> Iterator[None]:
    """Raises OSError."""
    mount_point.mkdir(mode=0o700, parents=True, exist_ok=True)
    library = ctypes.CDLL(None, use_errno=True)
    at, flags = os.fsencode(mount_point), _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _checked(library.mount(os.fsencode(device), at, kind.encode(), ctypes.c_ulong(flags), None))
    try:
        yield
    finally:
        _checked(library.umount2(at, 0))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
