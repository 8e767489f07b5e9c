"""Who uses a block device: mounts, swap, devices on top of it, processes, and the boot.

Everything goes by device number (``/sys/dev/block/MAJOR:MINOR``), because one device has many names. Processes that may not
be looked at (root without CAP_SYS_PTRACE, as in a container) are passed over: what they have mounted, or use
exclusively, the write guard learns from the kernel itself (``O_EXCL``).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from ahc_agent.errors import WriteRefused

_SYS = Path("/sys/dev/block")
_KERNEL_ARGUMENTS = Path("/proc/cmdline")
_OCTAL = re.compile(r"\\([0-7]{3})")
#: The process has ended, is a zombie, or may not be looked at.
_PASSED_OVER = {errno.ENOENT, errno.ESRCH, errno.EINVAL, errno.EACCES, errno.EPERM}


def check(path: str, number: int) -> None:
    """Raise WriteRefused if the whole disk ``number`` is in use, is no whole disk, or that cannot be told."""
    folder = _SYS / _name(number)
    if not folder.is_dir():
        raise WriteRefused(f"{path}: /sys does not know this device, so that its use cannot be told")
    try:
        _check_kind(path, folder)
        _check_booted(path, number)
        _check_mounts(path, number)
        _check_swap(path, number)
        _check_loops(path, number)
        _check_open(path, number)
    except OSError as error:
        raise WriteRefused(f"{path}: cannot tell whether it is in use: {error}") from error


def _name(number: int) -> str:
    return f"{os.major(number)}:{os.minor(number)}"


def _check_kind(path: str, folder: Path) -> None:
    if (folder / "partition").exists():
        raise WriteRefused(f"{path}: is a partition; benchmarks write to whole disks only")
    if (folder / "ro").read_text().strip() != "0":
        raise WriteRefused(f"{path}: is read-only")
    if int((folder / "size").read_text()) == 0:
        raise WriteRefused(f"{path}: has no medium (size 0)")
    for kind, meaning in (("holders", "is part of"), ("slaves", "is built of")):
        names = sorted(each.name for each in (folder / kind).iterdir())
        if names:
            raise WriteRefused(f"{path}: {meaning} {', '.join(names)} (RAID, LVM, encryption or multipath)")
    partitions = sorted(each.parent.name for each in folder.glob("*/partition"))
    if partitions:
        raise WriteRefused(f"{path}: has partitions ({', '.join(partitions)})")


def _check_booted(path: str, disk: int) -> None:
    """The device of ``/`` and those that the kernel command line names (root=, resume=), or their whole disk.

    Forms other than a path (UUID=, LABEL=) name a file system, whose signature refuses the disk anyway.
    """
    if _whole(Path("/").stat().st_dev) == disk:
        raise WriteRefused(f"{path}: this system runs from it")
    for word in _KERNEL_ARGUMENTS.read_text().split():
        key, _, value = word.partition("=")
        number = _number(value) if key in {"root", "resume", "boot"} else None
        if number is not None and _whole(number) == disk:
            raise WriteRefused(f"{path}: this system booted from it ({word})")


def _whole(number: int) -> int:
    """The disk that a partition is part of; any other device is itself."""
    folder = _SYS / _name(number)
    if not (folder / "partition").exists():
        return number
    major, _, minor = (folder.resolve().parent / "dev").read_text().strip().partition(":")
    return os.makedev(int(major), int(minor))


def _check_mounts(path: str, disk: int) -> None:
    """man 5 proc_pid_mountinfo: the third field is MAJOR:MINOR. Every mount namespace that has a process is read once."""
    seen: set[str] = set()
    for process in _processes():
        namespace = _read_link(process / "ns/mnt")
        if namespace in seen:
            continue
        try:
            text = (process / "mountinfo").read_text("utf-8", "surrogateescape")
        except OSError as error:
            if error.errno in _PASSED_OVER:
                continue
            raise
        if namespace is not None:
            seen.add(namespace)
        for line in text.splitlines():
            fields = line.split()
            major, _, minor = fields[2].partition(":")
            source = _plain(fields[fields.index("-") + 2])
            numbers = {os.makedev(int(major), int(minor)), _number(source)}
            if any(number is not None and _whole(number) == disk for number in numbers):
                raise WriteRefused(f"{path}: is mounted on {_plain(fields[4])}")


def _check_swap(path: str, disk: int) -> None:
    swaps = Path("/proc/swaps")
    if not swaps.exists():
        return
    for line in swaps.read_text("utf-8", "surrogateescape").splitlines()[1:]:
        number = _number(_plain(line.split()[0]))
        if number is not None and _whole(number) == disk:
            raise WriteRefused(f"{path}: is in use as swap")


def _check_loops(path: str, disk: int) -> None:
    """A loop device on a disk does not hold it in the kernel's eyes."""
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        number = _number(backing.read_text("utf-8", "surrogateescape").rstrip("\n"))
        if number is not None and _whole(number) == disk:
            raise WriteRefused(f"{path}: is behind {backing.parent.parent.name}")


def _check_open(path: str, disk: int) -> None:
    """Any process that has the disk or a part of it open (a database, a virtual machine): neither holds it exclusively."""
    for process in _processes():
        if process.name == str(os.getpid()):
            continue
        try:
            handles = list((process / "fd").iterdir())
        except OSError as error:
            if error.errno in _PASSED_OVER:
                continue
            raise
        for handle in handles:
            # Only what looks like a device: asking for the state of a file on a dead network mount would hang.
            if "/dev/" not in (_read_link(handle) or ""):
                continue
            try:
                state = handle.stat()
            except OSError as error:
                if error.errno in _PASSED_OVER:
                    continue
                raise
            if stat.S_ISBLK(state.st_mode) and _whole(state.st_rdev) == disk:
                name = (process / "comm").read_text().strip()
                raise WriteRefused(f"{path}: is open in process {process.name} ({name})")


def _read_link(path: Path) -> str | None:
    try:
        return str(path.readlink())
    except OSError as error:
        if error.errno in _PASSED_OVER:
            return None
        raise


def _processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _number(path: str) -> int | None:
    """Device number of a block device's path, None for anything else (whose state is not asked: it could hang)."""
    if not path.startswith("/dev/"):
        return None
    try:
        state = Path(path).stat()
    except OSError:
        return None
    return state.st_rdev if stat.S_ISBLK(state.st_mode) else None


def _plain(field: str) -> str:
    """``/proc`` writes spaces in paths as \\040."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)
