"""Packs an image: cpio in the ``newc`` form, then zstd. The same entries give the same bytes.

Format: the kernel's ``Documentation/driver-api/early-userspace/buffer-format.rst``. Inode numbers count up, owner and
group are root, every time is the one given; nothing of the file system on which the image is built gets in.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import IO

from ahc_agent.programs import run
from ramdisk.errors import BuildError
from ramdisk.image import Image

_COMPRESS_TIME_LIMIT_S = 1800.0
_TRAILER = "TRAILER!!!"
#: Eight hexadecimal digits.
_LARGEST_FIELD = 0xFFFFFFFF


def write_cpio(image: Image, out: IO[bytes], modified_unix_s: int) -> None:
    """Write the archive of an image, with one modification time for all entries. Raises BuildError for one after 2106."""
    for inode, (path, entry) in enumerate(image.packed(), start=1):
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        _write(out, path, entry.read(), inode, entry.mode, links, modified_unix_s, entry.device)
    _write(out, _TRAILER, b"", 0, 0, 1, 0, (0, 0))


def _write(
    out: IO[bytes],
    path: str,
    content: bytes,
    inode: int,
    mode: int,
    links: int,
    mtime: int,
    device: tuple[int, int],
) -> None:
    name = path.encode() + b"\0"
    fields = (inode, mode, 0, 0, links, mtime, len(content), 0, 0, *device, len(name), 0)
    if max(fields) > _LARGEST_FIELD:
        raise BuildError(
            f"/{path}: a size or a time of more than 32 bits has no place in an archive for the kernel"
        )
    header = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    out.write(header + b"\0" * (-len(header) % 4))
    out.write(content + b"\0" * (-len(content) % 4))


def compress(source: Path, target: Path, level: int) -> None:
    """Compress with zstd on all cores; how many there are does not change the bytes.

    Another archive can follow right behind: the kernel goes on where a frame ends (``init/initramfs.c``), as ``zstd -dc`` does.
    """
    argv = ["zstd", "-q", "-f", "-T0", f"-{level}", "--no-check", str(source), "-o", str(target)]
    run(argv, time_limit_s=_COMPRESS_TIME_LIMIT_S)


def pack(image: Image, target: Path, *, modified_unix_s: int, level: int) -> None:
    """Write and compress; the uncompressed archive stands beside the target for the while."""
    plain = target.with_suffix(".cpio")
    with plain.open("wb") as out:
        write_cpio(image, out, modified_unix_s)
    compress(plain, target, level)
    plain.unlink()
