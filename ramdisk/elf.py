"""Reads from an ELF file what a closure needs: libraries, undefined symbols with versions, one section.

Only 64-bit little-endian files, which is what Debian's amd64 and arm64 have. Format: System V ABI, chapters 4 and 5;
versions: "ELF Symbol Versioning" (Drepper), structures ``Elf64_Verneed`` and ``Elf64_Vernaux``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ramdisk.errors import BuildError

_MAGIC = b"\x7fELF\x02\x01"
_PT_DYNAMIC, _PT_INTERP, _PT_LOAD = 2, 3, 1
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 5, 14, 15, 29
_SHT_DYNSYM, _SHT_VERNEED, _SHT_VERSYM = 11, 0x6FFFFFFE, 0x6FFFFFFF
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_DYNAMIC = struct.Struct("<QQ")
_VERNEED = struct.Struct("<HHIII")
_VERNAUX = struct.Struct("<IHHII")
_NUMBER = struct.Struct("<H")
_SIZE_AND_COUNT = struct.Struct("<HH")
_ADDRESS = struct.Struct("<Q")
#: The bit above says that the version is not the default one.
_VERSION_BITS = 0x7FFF


class _Section(NamedTuple):
    """``Elf64_Shdr``: for tables, ``link`` is the section of their strings, ``info`` (of versions) how many there are."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


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
                pairs = (self._take(_DYNAMIC, at) for at in range(offset, offset + size - 15, 16))
                entries = [(tag, value) for tag, value in pairs]
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
        sections = self._sections()
        versions = dict(self._needed_versions(sections))
        numbers = _first(sections, _SHT_VERSYM)
        found = []
        for index, name, section in self._symbols(sections):
            if section == 0:
                number = self._take(_NUMBER, numbers.offset + 2 * index)[0] & _VERSION_BITS if numbers else 0
                found.append(Undefined(name, *versions.get(number, ("", ""))))
        return found

    def defined(self) -> set[str]:
        """Names of the symbols that other files may take from this one."""
        return {name for _, name, section in self._symbols(self._sections()) if section != 0}

    def section(self, name: str) -> bytes:
        """Bytes of one section; empty when there is none of that name."""
        sections = self._sections()
        names = self._strings_of(sections, self._take(_NUMBER, 62)[0]) if sections else 0
        for section in sections:
            if self._string(names + section.name) == name:
                return self.data[section.offset : section.offset + section.size]
        return b""

    def _segments(self) -> Iterator[tuple[int, int, int, int]]:
        """Kind, offset in the file, address and size in the file of each segment."""
        (start,) = self._take(_ADDRESS, 32)
        size, count = self._take(_SIZE_AND_COUNT, 54)
        for index in range(count):
            kind, _, offset, address, _, length, _, _ = self._take(_PROGRAM_HEADER, start + index * size)
            yield kind, offset, address, length

    def _sections(self) -> list[_Section]:
        (start,) = self._take(_ADDRESS, 40)
        size, count = self._take(_SIZE_AND_COUNT, 58)
        return [
            _Section(*self._take(_SECTION_HEADER, start + index * size))
            for index in range(count if start else 0)
        ]

    def _symbols(self, sections: list[_Section]) -> Iterator[tuple[int, str, int]]:
        """Index, name and section of each dynamic symbol; section 0 means that it is defined elsewhere."""
        table = _first(sections, _SHT_DYNSYM)
        if table is None:
            return
        strings = self._strings_of(sections, table.link)
        for index in range(1, table.size // _SYMBOL.size):
            name, _, _, section, _, _ = self._take(_SYMBOL, table.offset + index * _SYMBOL.size)
            yield index, self._string(strings + name), section

    def _needed_versions(self, sections: list[_Section]) -> Iterator[tuple[int, tuple[str, str]]]:
        """Number of a version in this file → the library that has it, and its name there."""
        table = _first(sections, _SHT_VERNEED)
        if table is None:
            return
        strings, at = self._strings_of(sections, table.link), table.offset
        for _ in range(table.info):
            _, count, file, first, following = self._take(_VERNEED, at)
            library, inner = self._string(strings + file), at + first
            for _ in range(count):
                _, _, number, name, further = self._take(_VERNAUX, inner)
                yield number & _VERSION_BITS, (library, self._string(strings + name))
                inner += further
            if not following:
                return
            at += following

    def _strings_of(self, sections: list[_Section], index: int) -> int:
        if index >= len(sections):
            raise BuildError(f"{self.path}: the ELF file names a section that it does not have")
        return sections[index].offset

    def _take(self, form: struct.Struct, at: int) -> tuple[int, ...]:
        if at + form.size > len(self.data):
            raise BuildError(f"{self.path}: the ELF file is cut short; delete the cache and build anew")
        return form.unpack_from(self.data, at)

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


def _first(sections: list[_Section], kind: int) -> _Section | None:
    return next((section for section in sections if section.kind == kind), None)
