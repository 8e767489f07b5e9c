"""The one door to ``/proc`` and ``/sys``, of this machine or of a saved tree.

Collectors name files as the kernel does (``"/sys/devices/system/cpu/online"``) and never learn where the
tree lies. A saved tree is hostile until read: symbolic links are resolved *inside* it and cannot leave it,
only regular files are read, and never more than ``READ_LIMIT_BYTES`` of one.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ahc_agent.order import natural_order

#: No file that a collector reads is larger; the largest are ``/proc/cpuinfo`` of machines with thousands of CPUs.
READ_LIMIT_BYTES = 16 * 1024 * 1024

#: No number that a collector reads is larger (bytes of memory, counters); multiplied by 1024 it still fits 64 bits.
NUMBER_LIMIT = 2**53

_LINK_LIMIT = 40

#: How the kernel says "no such thing here". ENODEV, ENXIO and EINVAL come from attributes that a driver offers but the
#: device does not have (``speed`` of a network card without a link, ``power`` of a sensor that is asleep).
_ABSENT = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENODEV,
    errno.ENXIO,
    errno.EINVAL,
    errno.ENODATA,
    errno.EOPNOTSUPP,
}


class Root:
    """A machine's file tree. ``trouble`` gathers, for the inventory's ``errors``, what is there but cannot be read."""

    def __init__(self, path: str | Path = "/") -> None:
        self.path = os.path.realpath(path)
        self.live = self.path == "/"
        self.trouble: list[str] = []
        self._folders: dict[str, str | None] = {"/": "/"}

    def text(self, path: str) -> str | None:
        """A file's text without the white space and NULs around it; None where it is absent, empty or unreadable."""
        data = self.data(path)
        return data.decode("utf-8", "replace").strip(" \t\r\n\0") or None if data is not None else None

    def integer(self, path: str, base: int = 10) -> int | None:
        """A file that holds one whole number; None where it is absent, unreadable or something else."""
        return whole_number(self.text(path), base)

    def data(self, path: str) -> bytes | None:
        """A file's bytes; None where it is absent, or unreadable (then ``trouble`` says why)."""
        place = self._place(path)
        if place is None:
            return None
        try:
            return _read(place)
        except OSError as error:
            if error.errno not in _ABSENT:
                self.trouble.append(f"{path}: {error.strerror or error}")
            return None

    def names(self, folder: str) -> list[str]:
        """What a folder holds, in natural order (cpu2 before cpu10); [] where it is absent."""
        place = self._place(folder)
        if place is None:
            return []
        try:
            with os.scandir(place) as entries:
                found = [entry.name for entry in entries]
        except OSError as error:
            if error.errno not in _ABSENT:
                self.trouble.append(f"{folder}: {error.strerror or error}")
            return []
        return sorted((name for name in found if _is_text(name)), key=natural_order)

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there (and reachable)."""
        place = self._place(path)
        return place is not None and os.path.lexists(place)

    def real(self, path: str) -> str:
        """The path with every symbolic link resolved inside the root: "/sys/devices/pci0000:00/...".

        What is absent, or lies behind links that run in circles, comes back as it was given.
        """
        return self._resolve(path) or path

    def _place(self, path: str) -> str | None:
        """Where a file of the tree lies on this machine."""
        if self.live:
            return path
        inside = self._resolve(path)
        return self.path + inside if inside is not None else None

    def _resolve(self, path: str) -> str | None:
        if self.live:
            return os.path.realpath(path)
        folder, _, name = path.rstrip("/").rpartition("/")
        start = self._folder(folder or "/")
        return self._step(start, name, [_LINK_LIMIT]) if start is not None else None

    def _folder(self, path: str) -> str | None:
        """``path`` resolved and remembered: collectors read many files of few folders."""
        if path not in self._folders:
            self._folders[path] = self._walk("/", path, [_LINK_LIMIT])
        return self._folders[path]

    def _walk(self, at: str, path: str, links_left: list[int]) -> str | None:
        where: str | None = at
        for part in path.split("/"):
            if where is None:
                return None
            where = self._step(where, part, links_left)
        return where

    def _step(self, at: str, part: str, links_left: list[int]) -> str | None:
        """One component further. ``at`` is a resolved path inside the root; ".." stops at the root, as in a chroot."""
        if part in ("", "."):
            return at
        if part == "..":
            return at.rpartition("/")[0] or "/"
        there = f"{at.rstrip('/')}/{part}"
        try:
            target = str(Path(self.path + there).readlink())
        except OSError as error:
            # EINVAL: it is there and no link. Whatever else goes wrong is said by whoever reads the file.
            return there if error.errno in (errno.EINVAL, errno.EACCES) else None
        except ValueError:
            return None
        links_left[0] -= 1
        if links_left[0] < 0:
            return None
        return self._walk("/" if target.startswith("/") else at, target, links_left)


def whole_number(text: str | None, base: int = 10) -> int | None:
    """``text`` as a whole number of at most 2^53 in size, else None."""
    if text is None or len(text) > 64 or "_" in text:
        return None
    try:
        number = int(text, base)
    except ValueError:
        return None
    return number if abs(number) <= NUMBER_LIMIT else None


def _read(place: str) -> bytes:
    """Read a regular file. Not blocking: a FIFO in a saved tree must not hold the inventory."""
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.ENOENT, "not a regular file", place)
        parts: list[bytes] = []
        left = READ_LIMIT_BYTES
        while left > 0 and (part := os.read(handle, min(left, 65536))):
            parts.append(part)
            left -= len(part)
        if left <= 0 and os.read(handle, 1):
            raise OSError(errno.EFBIG, f"larger than {READ_LIMIT_BYTES} bytes", place)
        return b"".join(parts)
    finally:
        os.close(handle)


def _is_text(name: str) -> bool:
    """Whether a file name is UTF-8: the kernel's are, and others could not be told in JSON."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
