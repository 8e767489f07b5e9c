"""Files and folders that an operator names: found, bounded, read as text."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import FileFormatError, UsageError
from ahc_server.importers import archive
from ahc_server.importers.archive import MAX_FILE_BYTES, MAX_FILES
from ahc_server.importers.model import Unrecognised

#: Files of these names are meant to be results: what cannot be read of them is a loss, in a folder too.
RESULTS = frozenset({".hw", ".json"})
#: Ways in which compressed files begin.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
}
#: What a text of ASCII may hold as it is.
_PLAIN = bytes([*b"\n\t\r", *range(0x20, 0x7F)])


@dataclass(frozen=True, slots=True)
class Candidate:
    """One file. ``named``: the operator named it and not only its folder. ``packed``: its content and when it was last
    written, where it is a file of an archive; its path then begins with the archive's."""

    path: Path
    named: bool
    packed: tuple[bytes, float] | None = None


def find(paths: Sequence[str]) -> list[Candidate]:
    """All regular files of the paths, each once; those of folders by name, hidden ones left out. Of an archive that is named
    its files.

    Raises UsageError where a path is not there, or is neither file nor folder; FileFormatError for a broken archive.
    """
    found: dict[str, Candidate] = {}
    for name in paths:
        path = Path(name)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise UsageError(f"{name}: {error.strerror or error}") from error
        if stat.S_ISDIR(mode):
            files = _files_of(path)
        elif stat.S_ISREG(mode):
            files = _packed(path) if archive.is_archive(path) else iter([Candidate(path, named=True)])
        else:
            raise UsageError(f"{name}: neither a file nor a folder")
        for candidate in files:
            found.setdefault(os.path.realpath(candidate.path), candidate)
            if len(found) > MAX_FILES:
                raise UsageError(f"{name}: more than {MAX_FILES:,} files; import them in parts, with --add")
    return list(found.values())


def _files_of(folder: Path) -> Iterator[Candidate]:
    """Links to folders are not followed. Raises UsageError where a folder may not be read."""

    def refuse(error: OSError) -> None:
        raise UsageError(f"{error.filename}: {error.strerror}") from error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where, name)
            if not name.startswith(".") and (path.suffix in RESULTS or path.is_file()):
                yield Candidate(path, named=False)


def _packed(path: Path) -> Iterator[Candidate]:
    for each in archive.members(path, shown(path)):
        yield Candidate(path / each.path, named=False, packed=(each.data, each.at_unix_s))


def read_candidate(candidate: Candidate) -> tuple[str, float]:
    """As ``read_text``, of files of archives too."""
    if candidate.packed is None:
        return read_text(candidate.path)
    data, at_unix_s = candidate.packed
    return _text(shown(candidate.path), data), at_unix_s


def read_text(path: Path) -> tuple[str, float]:
    """The file's text and when it was last written. Raises FileFormatError, Unrecognised.

    Opened without waiting, so that a pipe that took a file's place cannot hold us up. What is no UTF-8 becomes U+FFFD, what
    cannot be printed a space.
    """
    name = shown(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(descriptor, "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileFormatError(name, "is no regular file")
            data = file.read(status.st_size + 1) if status.st_size <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise FileFormatError(name, f"cannot be read: {error.strerror or error}") from error
    if status.st_size > MAX_FILE_BYTES or len(data) > MAX_FILE_BYTES:
        raise FileFormatError(
            name, f"larger than {MAX_FILE_BYTES // 2**20} MiB, which no machine's results are"
        )
    return _text(name, data), max(0.0, status.st_mtime)


def _text(name: str, data: bytes) -> str:
    packed = next((kind for start, kind in _PACKED.items() if data.startswith(start)), None)
    if packed is not None:
        raise Unrecognised(name, f"compressed ({packed})", remedy="unpack it first")
    if b"\0" in data:
        raise Unrecognised(name, "holds NUL bytes: no text")
    if data.isascii() and not data.translate(None, _PLAIN):
        return data.decode("ascii")
    text = data.decode("utf-8-sig", errors="replace")
    if not text.replace("\n", " ").replace("\t", " ").replace("\r", " ").isprintable():
        text = "".join(c if c.isprintable() or c in "\n\t\r" else " " for c in text)
    return text


def shown(path: Path) -> str:
    """A file's name that is fit for a terminal."""
    name = str(path)
    return name if name.isprintable() else ascii(name)
