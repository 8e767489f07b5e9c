"""The image as a table of entries, before it is packed: path → what stands there and where it comes from."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ramdisk.errors import BuildError

#: ``/bin`` and its like are links into ``/usr``, as on every Debian since 12.
MERGED = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}

_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, link, directory or device node. ``part`` is the heading under which its size is counted."""

    mode: int
    part: str
    source: Path | None = None
    content: bytes = b""
    device: tuple[int, int] = (0, 0)

    def size_bytes(self) -> int:
        """Bytes of content (for a link: of its target)."""
        return self.source.stat().st_size if self.source is not None else len(self.content)

    def read(self) -> bytes:
        """The content."""
        return self.source.read_bytes() if self.source is not None else self.content


@dataclass(slots=True)
class Image:
    """Entries by their path without the leading slash. Parents are made as they are needed.

    Paths that lead through a link (``/bin``) are filed under the place that the link names. ``ingredients``: files of the tree
    that are in the image as a part of another only.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=lambda: dict(MERGED))
    ingredients: list[Path] = field(default_factory=list)

    def directory(self, path: str, mode: int = 0o755, part: str = "system") -> str:
        """Add a directory; an existing one keeps its part."""
        at = self._place(path)
        if at and at not in self.entries:
            self._parents(at, part)
            self.entries[at] = Entry(stat.S_IFDIR | mode, part)
        return at

    def data(self, path: str, content: bytes, part: str, mode: int = 0o644) -> str:
        """Add a file with this content."""
        at = self._place(path)
        self._parents(at, part)
        self.entries[at] = Entry(stat.S_IFREG | mode, part, content=content)
        return at

    def file(self, path: str, source: Path, part: str, mode: int | None = None) -> str:
        """Add a file that is read from ``source`` when the image is packed."""
        if not source.is_file():
            raise BuildError(f"{source} is not a file, so it cannot become /{path.lstrip('/')} of the image")
        at = self._place(path)
        if at in self.entries and stat.S_ISDIR(self.entries[at].mode):
            raise BuildError(f"/{at} is a folder of the image, so {source} cannot stand there")
        self._parents(at, part)
        kept = (0o755 if os.access(source, os.X_OK) else 0o644) if mode is None else mode
        self.entries[at] = Entry(stat.S_IFREG | kept, part, source=source)
        return at

    def link(self, path: str, target: str, part: str = "system") -> str:
        """Add a symbolic link."""
        parent, _, name = path.strip("/").rpartition("/")
        at = f"{self._place(parent)}/{name}".lstrip("/")
        self._parents(at, part)
        self.entries[at] = Entry(stat.S_IFLNK | 0o777, part, content=target.encode())
        self.links[at] = posixpath.normpath(posixpath.join("/", posixpath.dirname(at), target)).lstrip("/")
        return at

    def top_link(self, name: str, target: str) -> None:
        """Add one of the links of the merged ``/usr``."""
        self.entries[name] = Entry(stat.S_IFLNK | 0o777, "system", content=target.encode())

    def hold(self) -> None:
        """Read all files now: their folder goes away before the image is packed."""
        for path, entry in self.entries.items():
            if entry.source is not None:
                self.entries[path] = Entry(entry.mode, entry.part, content=entry.source.read_bytes())

    def node(self, path: str, major: int, minor: int, mode: int) -> str:
        """Add a character device."""
        at = self._place(path)
        self._parents(at, "system")
        self.entries[at] = Entry(stat.S_IFCHR | mode, "system", device=(major, minor))
        return at

    def from_tree(self, tree: Path, path: str, part: str) -> str:
        """Add one file of an unpacked tree, and the links on the way to it. Returns the path of the file itself.

        Raises BuildError when the tree has no such file.
        """
        rest, at = path.strip("/").split("/"), ""
        for _ in range(_MOST_LINKS):
            while rest:
                step = f"{at}/{rest[0]}".lstrip("/")
                real = tree / step
                if real.is_symlink():
                    break
                if real.is_dir():
                    self.directory(step, part="system")
                elif real.is_file():
                    self.file(step, real, part)
                else:
                    raise BuildError(f"/{path.lstrip('/')} is needed in the image, but no package brings it")
                at, rest = step, rest[1:]
            if not rest:
                return at
            target = str(real.readlink())
            if step not in MERGED:
                self.link(step, target, part)
            whole = posixpath.normpath(posixpath.join("/", at, target))
            rest = [*whole.strip("/").split("/"), *rest[1:]]
            at = ""
        raise BuildError(f"/{path.lstrip('/')} leads through too many links")

    def packed(self) -> Iterator[tuple[str, Entry]]:
        """All entries, parents before what is in them."""
        yield from sorted(self.entries.items())

    def resolved(self, path: str) -> str:
        """Where a path leads, all links followed."""
        return self._place(path)

    def sizes(self) -> dict[str, int]:
        """Bytes by part."""
        found: dict[str, int] = {}
        for entry in self.entries.values():
            found[entry.part] = found.get(entry.part, 0) + entry.size_bytes()
        return dict(sorted(found.items()))

    def _place(self, path: str, links: int = 0) -> str:
        at = ""
        for name in path.strip("/").split("/"):
            if name in ("", "."):
                continue
            if name == "..":
                raise BuildError(f"{path}: a path of the image is written without ..")
            at = f"{at}/{name}".lstrip("/")
            if at in self.links:
                if links == _MOST_LINKS:
                    raise BuildError(f"{path} leads through too many links")
                at = self._place(self.links[at], links + 1)
        return at

    def _parents(self, at: str, part: str) -> None:
        parent = posixpath.dirname(at)
        if parent and parent not in self.entries:
            self._parents(parent, part)
            self.entries[parent] = Entry(stat.S_IFDIR | 0o755, "system")
