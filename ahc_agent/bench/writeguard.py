"""The guard before every write to a disk: it refuses whatever could hold data, and whatever it cannot be sure of.

A disk passes only if all of these hold (each refusal says which did not):

- it is a whole block device, not a partition, not built of others (dm, md), not read-only;
- nothing was mounted from it or a part of it, in any mount namespace that can be seen; it is no swap; the kernel did not
  boot from it; no other device (LVM, md, dm-crypt, bcache, a loop device) stands on it; no process has it open;
- the kernel itself grants it exclusively (``O_EXCL`` on a block device, man 2 open: fails with EBUSY while it is in use by the
  system, whatever name or namespace it is used under);
- the kernel knows no partitions on it, its first sector carries no boot signature (0x55AA), and neither its second sector nor
  its last is a GPT header (UEFI specification, chapter 5: the backup header is in the last block);
- ``blkid --probe`` finds nothing, and ``wipefs --no-act`` finds nothing either. Both, because ``blkid`` also ends with status 2,
  "nothing", where it could not read, and says only the strongest of several signatures.

It does not look for data without a signature: a raw database or a plain dm-crypt volume that is closed looks like a disk
that was overwritten at random. That is what the two keys are for, ``destructive`` in the plan and ``--allow-destructive``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from ahc_agent import programs
from ahc_agent.bench import inuse
from ahc_agent.errors import ProgramError, WriteRefused

_PROBE_TIME_LIMIT_S = 30.0
_BLKID_NOTHING = 2
_BLKSSZGET = 0x1268
_BLKGETSIZE64 = 0x80081272
_GPT = b"EFI PART"
_BOOT_SIGNATURE = b"\x55\xaa"


def refuse_if_in_use(path: str) -> None:
    """Raise WriteRefused, with the reason, unless the disk at ``path`` may be overwritten."""
    with hold(path):
        pass


@contextlib.contextmanager
def hold(path: str) -> Iterator[None]:
    """Check the disk and keep it: while the block runs, nobody can mount it, swap on it or build on it.

    Raises WriteRefused before the block. Programs that open the disk without ``O_EXCL``, as fio does, are not kept out.
    """
    try:
        number = _device_number(path)
        inuse.check(path, number)
        handle = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        busy = f"the kernel says that it is in use ({error.strerror})"
        raise WriteRefused(f"{path}: {busy if error.errno == errno.EBUSY else error.strerror}") from error
    try:
        if os.fstat(handle).st_rdev != number:
            raise WriteRefused(f"{path}: another device came under this name during the check")
        for check in _CHECKS:
            _sure(path, handle, check)
        yield
    finally:
        os.close(handle)


def _sure(path: str, handle: int, check: Callable[[str, int], None]) -> None:
    """Whatever goes wrong in a check is a refusal."""
    try:
        check(path, handle)
    except (OSError, ProgramError, ValueError, KeyError, TypeError) as error:
        raise WriteRefused(f"{path}: cannot tell whether it holds data: {error}") from error


def _device_number(path: str) -> int:
    state = Path(path).stat()
    if not stat.S_ISBLK(state.st_mode):
        raise WriteRefused(f"{path}: is not a block device; benchmarks write to whole disks only")
    return state.st_rdev


def _tables(path: str, handle: int) -> None:
    """Partition tables by their own signatures, the backup of a GPT too."""
    sector = struct.unpack("I", fcntl.ioctl(handle, _BLKSSZGET, b"\0" * 4))[0]
    size = struct.unpack("Q", fcntl.ioctl(handle, _BLKGETSIZE64, b"\0" * 8))[0]
    if size < 2 * 4096:
        raise WriteRefused(f"{path}: has no room ({size} bytes)")
    start = _read(handle, 0, 2 * 4096)
    if start[510:512] == _BOOT_SIGNATURE:
        raise WriteRefused(
            f"{path}: its first sector has a boot signature (a partition table or a boot loader)"
        )
    if any(start.startswith(_GPT, at) for at in (512, 4096)):
        raise WriteRefused(f"{path}: holds a GPT partition table")
    end = _read(handle, size - 4096, 4096)
    if any(end.startswith(_GPT, 4096 - length) for length in {512, 4096, sector} if length <= 4096):
        raise WriteRefused(f"{path}: holds the backup of a GPT partition table in its last sector")


def _read(handle: int, offset: int, count: int) -> bytes:
    data = os.pread(handle, count, offset)
    if len(data) != count:
        raise OSError(errno.EIO, f"only {len(data)} of {count} bytes could be read at {offset}")
    return data


def _blkid(path: str, handle: int) -> None:
    """Low-level probe, cache bypassed (man 8 blkid): status 2 nothing found, 0 found, 8 several that contradict."""
    found = programs.run(["blkid", "-p", path], time_limit_s=_PROBE_TIME_LIMIT_S, ok_statuses=None)
    said = found.text().strip()
    if found.exit_status != _BLKID_NOTHING or said or found.stderr.strip():
        said = (
            said.partition(": ")[2] or found.stderr.decode("utf-8", "replace").strip() or "no single answer"
        )
        raise WriteRefused(f"{path}: blkid finds on it: {said[:300]}")


def _wipefs(path: str, handle: int) -> None:
    found = programs.run(["wipefs", "--no-act", "--json", path], time_limit_s=_PROBE_TIME_LIMIT_S)
    # util-linux before 2.39 prints an empty list, later ones may print nothing.
    signatures = json.loads(found.text())["signatures"] if found.text().strip() else []
    if signatures:
        kinds = ", ".join(str(each.get("type")) for each in signatures)
        raise WriteRefused(f"{path}: wipefs finds on it: {kinds[:300]}")


_CHECKS: tuple[Callable[[str, int], None], ...] = (_tables, _blkid, _wipefs)
