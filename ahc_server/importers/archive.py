"""A tar archive of results, compressed or not: its files one after the other, bounded, never unpacked to the disk.

What an archive says of owners, rights, links and devices is ignored: only regular files count, and their names are only names.
"""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from ahc_agent.errors import FileFormatError

MAX_FILE_BYTES = 16 * 2**20
MAX_FILES = 100_000
#: Everything unpacked, headers and padding too.
MAX_UNPACKED_BYTES = 512 * 2**20
#: What a decompressor may reserve: xz lets a file ask for gigabytes.
_XZ_MEMORY_BYTES = 256 * 2**20
_CHUNK_BYTES = 64 * 1024
_BLOCK_BYTES = 512
#: An archive ends with two blocks of zeros; what was cut short between two files has none.
_END_BYTES = 2 * _BLOCK_BYTES
#: Where the mark "ustar" stands in the header of the first file (POSIX.1-1988; GNU tar's "ustar " as well).
_MARK_AT, _MARK = 257, b"ustar"


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file. ``path``: its name in the archive, without "." and empty parts; ``at_unix_s``: last written."""

    path: PurePosixPath
    data: bytes
    at_unix_s: float


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...


class _Gzip:
    """zlib's object under the interface of the other two."""

    def __init__(self) -> None:
        self._of = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._of.decompress(self._of.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._of.eof

    @property
    def needs_input(self) -> bool:
        return not self._of.unconsumed_tail


#: How each compression begins, and what undoes it.
_PACKINGS: tuple[tuple[bytes, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b", _Gzip),
    (b"\xfd7zXZ", lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)),
    (b"BZh", bz2.BZ2Decompressor),
)


class _Unpacked(io.RawIOBase):
    """A file as a stream of what is packed in it; as it is where nothing is. Raises FileFormatError beyond the bound."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._left = MAX_UNPACKED_BYTES
        self.tail = b""
        start = file.read(8)
        file.seek(0)
        self._made = next((made() for begins, made in _PACKINGS if start.startswith(begins)), None)

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview, /) -> int:  # type: ignore[override]
        data = self._file.read(len(into)) if self._made is None else self._unpack(self._made, len(into))
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._name)
        self.tail = (self.tail + data)[-_END_BYTES:]
        into[: len(data)] = data
        return len(data)

    def _unpack(self, made: _Decompressor, size: int) -> bytes:
        while not made.eof:
            chunk = self._file.read(_CHUNK_BYTES) if made.needs_input else b""
            data = made.decompress(chunk, size)
            if data:
                return data
            if not chunk and made.needs_input:
                raise EOFError("it ends in the middle")
        return b""


def _too_large(name: str) -> FileFormatError:
    return FileFormatError(
        name,
        f"holds more than {MAX_UNPACKED_BYTES // 2**20} MiB",
        remedy="unpack it and import it in parts",
    )


def is_archive(path: Path) -> bool:
    """Whether a regular file is a tar archive, by its content. What cannot be read is none."""
    try:
        with path.open("rb") as file:
            start = io.BufferedReader(_Unpacked(file, str(path)), _CHUNK_BYTES).read(_BLOCK_BYTES)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError):
        return False
    return start[_MARK_AT : _MARK_AT + len(_MARK)] == _MARK


def members(path: Path, name: str) -> Iterator[Member]:
    """All regular files of an archive but hidden ones. ``name``: how errors call it. Raises FileFormatError."""
    try:
        with path.open("rb") as file:
            yield from _members(file, name)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, ValueError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise FileFormatError(name, f"cannot be read: {error.strerror}") from error
        raise FileFormatError(
            name,
            f"a broken archive: {error or type(error).__name__}",
            remedy="it is incomplete: copy it again",
        ) from error


def _members(file: BinaryIO, name: str) -> Iterator[Member]:
    count, left = 0, MAX_UNPACKED_BYTES
    unpacked = _Unpacked(file, name)
    stream = io.BufferedReader(unpacked, _CHUNK_BYTES)
    with tarfile.open(fileobj=stream, mode="r|", errorlevel=0) as tar:
        for each in tar:
            count += 1
            if count > MAX_FILES:
                raise FileFormatError(name, f"holds more than {MAX_FILES:,} files")
            path = PurePosixPath(*(part for part in each.name.split("/") if part not in ("", ".")))
            if not each.isreg() or any(part.startswith(".") for part in path.parts) or not path.parts:
                continue
            if each.size > MAX_FILE_BYTES:
                raise FileFormatError(
                    name, f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB, which no machine's results are"
                )
            left -= each.size  # a sparse file is larger than what stands of it in the archive
            if left < 0:
                raise _too_large(name)
            content = tar.extractfile(each)
            if content is not None:
                yield Member(path, content.read(), max(0.0, float(each.mtime)))
    while stream.read(_CHUNK_BYTES):
        pass
    if unpacked.tail != bytes(_END_BYTES):
        raise EOFError("it ends in the middle")
