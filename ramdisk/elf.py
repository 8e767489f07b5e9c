"""Reads from an ELF file what a closure needs: libraries, undefined symbols with versions, one section.

Only 64-bit little-endian files, which is what Debian's amd64 and arm64 have. Format: System V ABI, chapters 4 and 5;
versions: "ELF Symbol Versioning" (Drepper), structures ``Elf64_Verneed`` and ``Elf64_Vernaux``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ramdisk.errors import BuildError

_MAGIC = b"\x7fELF\x02\x01"
_PT_DYNAMIC, _PT_INTERP, _PT_LOAD = 2, 3, 1
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 14, 15, 29
_SHT_DYNSYM, _SHT_VERNEED, _SHT_VERSYM = 11, 0x6FFFFFFE, 0x6FFFFFFF
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


@dataclass(frozen=True, slots=True)
class Undefined:
    """A symbol that another file must define. ``library`` and ``version`` are empty where the file names none."""

    name: str
    library: str
    version: str


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What the dynamic loader reads. ``search`` is RUNPATH (or RPATH), ``interpreter`` the loader's path."""

    needed: tuple[str, ...] = ()
    soname: str = ""
    search: tuple[str, ...] = ()
    interpreter: str = ""


@dataclass(slots=True)
class Elf:
    """One ELF file, held in memory. Raises BuildError when the file is cut short or not what it says."""

    path: Path
    data: bytes = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Elf | None:
        """None when the file is no 64-bit little-endian ELF file."""
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return None
            file.seek(0)
            return cls(path, file.read())

    def dynamic(self) -> Dynamic:
        """Needed libraries and where to look for them; all empty for a static program."""
        segments = list(self._segments())
        loads = [(address, offset, size) for kind, offset, address, size in segments if kind == _PT_LOAD]
        entries: list[tuple[int, int]] = []
        interpreter = ""
        for kind, offset, _, size in segments:
            if kind == _PT_INTERP:
                interpreter = self.data[offset : offset + size].rstrip(b"\0").decode("ascii", "replace")
            elif kind == _PT_DYNAMIC:
                entries = [
                    struct.unpack_from("<QQ", self.data, at) for at in range(offset, offset + size - 15, 16)
                ]
        values = dict(entries)
        if _DT_STRTAB not in values:
            return Dynamic(interpreter=interpreter)
        strings = self._offset(values[_DT_STRTAB], loads)
        search = values.get(_DT_RUNPATH, values.get(_DT_RPATH))
        return Dynamic(
            needed=tuple(self._string(strings + value) for tag, value in entries if tag == _DT_NEEDED),
            soname=self._string(strings + values[_DT_SONAME]) if _DT_SONAME in values else "",
            search=tuple(self._string(strings + search).split(":")) if search is not None else (),
            interpreter=interpreter,
        )

    def undefined(self) -> list[Undefined]:
        """Symbols that other files must define, with the library and version that the linker noted."""
        sections = list(self._sections())
        versions = dict(self._needed_versions(sections))
        versym = next((s for s in sections if s[1] == _SHT_VERSYM), None)
        found = []
        for index, name, section in self._symbols(sections):
            if section == 0:
                version = (
                    struct.unpack_from("<H", self.data, versym[4] + 2 * index)[0] & 0x7FFF if versym else 0
                )
                found.append(Undefined(name, *versions.get(version, ("", ""))))
        return found

    def defined(self) -> set[str]:
        """Names of the symbols that other files may take from this one."""
        return {name for _, name, section in self._symbols(list(self._sections())) if section != 0}

    def section(self, name: str) -> bytes:
        """Bytes of one section; empty when there is none of that name."""
        sections = list(self._sections())
        names = sections[struct.unpack_from("<H", self.data, 62)[0]][4] if sections else 0
        for section in sections:
            if self._string(names + section[0]) == name:
                return self.data[section[4] : section[4] + section[5]]
        return b""

    def _segments(self) -> Iterator[tuple[int, int, int, int]]:
        start = struct.unpack_from("<Q", self.data, 32)[0]
        size, count = struct.unpack_from("<HH", self.data, 54)
        for index in range(count):
            try:
                kind, _, offset, address, _, length, _, _ = _PROGRAM_HEADER.unpack_from(
                    self.data, start + index * size
                )
            except struct.error as error:
                raise BuildError(
                    f"{self.path}: the ELF file is cut short; delete the cache and build anew"
                ) from error
            yield kind, offset, address, length

    def _sections(self) -> Iterator[tuple[int, ...]]:
        start = struct.unpack_from("<Q", self.data, 40)[0]
        size, count = struct.unpack_from("<HH", self.data, 58)
        for index in range(count if start else 0):
            try:
                yield _SECTION_HEADER.unpack_from(self.data, start + index * size)
            except struct.error as error:
                raise BuildError(
                    f"{self.path}: the ELF file is cut short; delete the cache and build anew"
                ) from error

    def _symbols(self, sections: list[tuple[int, ...]]) -> Iterator[tuple[int, str, int]]:
        """Index, name and section of each dynamic symbol; section 0 means that it is defined elsewhere."""
        table = next((s for s in sections if s[1] == _SHT_DYNSYM), None)
        if table is None:
            return
        strings = sections[table[6]][4]
        for index in range(1, table[5] // _SYMBOL.size):
            name, _, _, section, _, _ = _SYMBOL.unpack_from(self.data, table[4] + index * _SYMBOL.size)
            yield index, self._string(strings + name), section

    def _needed_versions(self, sections: list[tuple[int, ...]]) -> Iterator[tuple[int, tuple[str, str]]]:
        table = next((s for s in sections if s[1] == _SHT_VERNEED), None)
        if table is None:
            return
        strings, at = sections[table[6]][4], table[4]
        for _ in range(table[7]):
            _, count, file, first, following = struct.unpack_from("<HHIII", self.data, at)
            library, inner = self._string(strings + file), at + first
            for _ in range(count):
                _, _, index, name, further = struct.unpack_from("<IHHII", self.data, inner)
                yield index & 0x7FFF, (library, self._string(strings + name))
                inner += further
            at += following

    def _offset(self, address: int, loads: list[tuple[int, int, int]]) -> int:
        for start, offset, size in loads:
            if start <= address < start + size:
                return offset + address - start
        raise BuildError(f"{self.path}: its string table lies outside of the file")

    def _string(self, at: int) -> str:
        end = self.data.find(b"\0", at)
        if not 0 <= at <= end:
            raise BuildError(f"{self.path}: a name in the ELF file has no end")
        return self.data[at:end].decode("utf-8", "replace")
