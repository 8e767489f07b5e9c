"""SMBIOS tables, read from the copy that the kernel keeps in ``/sys/firmware/dmi/tables``.

Source: DMTF DSP0134, "System Management BIOS Reference Specification" 3.7; the offsets below are its. A table is a
chain of structures: type (1 byte), length of the formatted part (1), handle (2, little-endian), the formatted part,
then NUL-ended strings, then one more NUL. Strings are referred to by number from 1.

A table is hostile until read: it comes from firmware, or from a saved tree. Whatever is malformed ends the chain with
a word in ``Tables.problem``; a field beyond a structure's length is None. Nothing here raises for bad bytes.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from ahc_agent.facts import Dimm
from ahc_agent.inventory.root import Root

TABLE_FILE = "/sys/firmware/dmi/tables/DMI"
ENTRY_FILE = "/sys/firmware/dmi/tables/smbios_entry_point"

#: Handles are 16 bits and unique, so no table has more structures.
STRUCTURE_LIMIT = 65536
STRING_LIMIT = 1024

BIOS, SYSTEM, BASEBOARD, CHASSIS = 0, 1, 2, 3
MEMORY_ARRAY, MEMORY_DEVICE, IPMI_DEVICE, END_OF_TABLE = 16, 17, 38, 127

#: Values that boards carry because nobody filled them in. Compared in lower case.
PLACEHOLDERS = frozenset(
    {
        "", "..", "...", "0123456789", "1234567890", "123456789", "01234567", "12345678", "asset tag", "base board",
        "base board serial number", "board serial number", "board version", "chassis serial number",
        "chassis manufacture", "chassis version", "default string", "default", "empty", "filled by oem", "invalid",
        "n/a", "na", "no asset tag", "no dimm", "no module installed", "none", "not applicable", "not available",
        "not installed", "not present", "not settable", "not specified", "null", "o.e.m.", "oem", "oem chassis manufacturer",
        "product name", "serial number", "system manufacturer", "system product name", "system serial number",
        "system version", "tbd", "tbd by oem", "to be filled", "to be filled by o.e.m.", "to be filled by oem",
        "type1productconfigid", "undefined", "unknown", "unspecified", "version", "<out of spec>", "[empty]",
    }
)  # fmt: skip

#: The same, by form: all one character, and what AMI's firmware leaves in DIMM fields ("A1_SerNum00").
_PLACEHOLDER_FORM = re.compile(
    r"(?:0x)?0+|f{4,}|x+|-+|\.+|\*+|#+|\?+|"
    r"(?:\w+_)?(?:manufacturer|sernum|serialnum|partnum|partnumber|assettagnum|modulepartnumber|modulemanufacturer)\d*",
)

#: UUIDs that many boards share.
_SHARED_UUIDS = frozenset(
    {
        "00020003-0004-0005-0006-000700080009",
        "03000200-0400-0500-0006-000700080009",
        "03020100-0504-0706-0809-0a0b0c0d0e0f",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
    }
)

#: Memory type, DSP0134 7.18.2 (table 77).
_MEMORY_TYPES = {
    0x03: "DRAM", 0x04: "EDRAM", 0x05: "VRAM", 0x06: "SRAM", 0x07: "RAM", 0x08: "ROM", 0x09: "Flash", 0x0A: "EEPROM",
    0x0B: "FEPROM", 0x0C: "EPROM", 0x0D: "CDRAM", 0x0E: "3DRAM", 0x0F: "SDRAM", 0x10: "SGRAM", 0x11: "RDRAM",
    0x12: "DDR", 0x13: "DDR2", 0x14: "DDR2 FB-DIMM", 0x18: "DDR3", 0x19: "FBD2", 0x1A: "DDR4", 0x1B: "LPDDR",
    0x1C: "LPDDR2", 0x1D: "LPDDR3", 0x1E: "LPDDR4", 0x1F: "Logical non-volatile device", 0x20: "HBM", 0x21: "HBM2",
    0x22: "DDR5", 0x23: "LPDDR5", 0x24: "HBM3", 0x25: "MRDIMM",
}  # fmt: skip

_SYSTEM_MEMORY = 3
_SIZE_UNKNOWN = 0xFFFF
_SIZE_IS_EXTENDED = 0x7FFF
_SIZE_IN_KILOBYTES = 0x8000
_SPEED_IS_EXTENDED = 0xFFFF
_RANKS = 0x0F
_UUID_LITTLE_ENDIAN_SINCE = (2, 6)


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure: ``data`` is its formatted part, header included, so that the specification's offsets hold."""

    type: int
    handle: int
    data: bytes
    strings: tuple[bytes, ...] = ()

    def number(self, offset: int, size: int) -> int | None:
        """A little-endian field of ``size`` bytes, None where the structure ends before it."""
        return (
            int.from_bytes(self.data[offset : offset + size], "little")
            if offset + size <= len(self.data)
            else None
        )

    def text(self, offset: int) -> str | None:
        """The string that the byte at ``offset`` refers to, None where it is absent or a placeholder."""
        index = self.number(offset, 1)
        if not index or index > len(self.strings):
            return None
        return meaningful(self.strings[index - 1].decode("ascii", "replace"))


@dataclass(frozen=True, slots=True)
class Tables:
    """All structures up to the end of the table, or up to what could not be read (``problem``)."""

    structures: tuple[Structure, ...]
    version: tuple[int, int] | None = None
    problem: str | None = None

    def of_type(self, kind: int) -> Iterator[Structure]:
        return (structure for structure in self.structures if structure.type == kind)

    def first(self, kind: int) -> Structure | None:
        return next(self.of_type(kind), None)

    def system_uuid(self) -> str | None:
        """UUID of type 1; since SMBIOS 2.6 its first three fields are little-endian (DSP0134 7.2.1)."""
        system = self.first(SYSTEM)
        if system is None or len(system.data) < 0x18:
            return None
        raw = system.data[0x08:0x18]
        little = self.version is None or self.version >= _UUID_LITTLE_ENDIAN_SINCE
        return meaningful_uuid(str(uuid.UUID(bytes_le=raw) if little else uuid.UUID(bytes=raw)))

    def dimms(self) -> list[Dimm]:
        """The slots of system memory (types 16 and 17), the empty ones too, in the table's order."""
        uses = {array.handle: array.number(0x05, 1) for array in self.of_type(MEMORY_ARRAY)}
        return [
            _dimm(device)
            for device in self.of_type(MEMORY_DEVICE)
            if uses.get(device.number(0x04, 2) or 0, _SYSTEM_MEMORY) == _SYSTEM_MEMORY
        ]


def read_tables(root: Root) -> Tables | None:
    """The machine's tables, None where it has none or they may not be read (``root.trouble`` then says so)."""
    data = root.data(TABLE_FILE)
    if not data:
        return None
    tables = parse_tables(data, entry_version(root.data(ENTRY_FILE) or b""))
    if tables.problem:
        root.trouble.append(f"{TABLE_FILE}: {tables.problem}")
    return tables


def entry_version(entry: bytes) -> tuple[int, int] | None:
    """The SMBIOS version that an entry point (32-bit ``_SM_`` or 64-bit ``_SM3_``) tells; None where it is neither."""
    if entry.startswith(b"_SM3_") and len(entry) >= 9:
        return entry[7], entry[8]
    if entry.startswith(b"_SM_") and len(entry) >= 8:
        return entry[6], entry[7]
    return None


def parse_tables(data: bytes, version: tuple[int, int] | None = None) -> Tables:
    """Walk the chain of structures. Never raises: see ``Tables.problem``."""
    structures: list[Structure] = []
    at = 0
    problem = None
    while at + 4 <= len(data):
        kind, length = data[at], data[at + 1]
        if kind == END_OF_TABLE:
            break
        if length < 4 or at + length > len(data):
            problem = f"structure {len(structures)} at byte {at} has a length of {length}"
            break
        end = data.find(b"\0\0", at + length)
        if end < 0:
            problem = f"the strings of structure {len(structures)} at byte {at} do not end"
            break
        if len(structures) >= STRUCTURE_LIMIT:
            problem = f"more than {STRUCTURE_LIMIT} structures"
            break
        handle = int.from_bytes(data[at + 2 : at + 4], "little")
        strings = tuple(data[at + length : end].split(b"\0")) if end > at + length else ()
        structures.append(Structure(kind, handle, data[at : at + length], strings))
        at = end + 2
    return Tables(tuple(structures), version, problem)


def meaningful(text: str | None) -> str | None:
    """A string of SMBIOS without its padding; None where it is a placeholder that nobody filled in."""
    if text is None:
        return None
    clean = "".join(
        character if character.isprintable() else " " for character in text[:STRING_LIMIT]
    ).strip()
    folded = clean.lower()
    return None if folded in PLACEHOLDERS or _PLACEHOLDER_FORM.fullmatch(folded) else clean


def meaningful_uuid(text: str | None) -> str | None:
    """A UUID in lower case; None where it is no UUID, unset (all zeros or ones) or one that many boards share."""
    try:
        number = uuid.UUID((text or "").strip())
    except ValueError:
        return None
    return None if number.int in (0, 2**128 - 1) or str(number) in _SHARED_UUIDS else str(number)


def _dimm(device: Structure) -> Dimm:
    size = _size_bytes(device)
    locator, bank = device.text(0x10), device.text(0x11)
    if size == 0:
        return Dimm(locator=locator, bank=bank, size_bytes=0)
    attributes = device.number(0x1B, 1)
    return Dimm(
        locator=locator,
        bank=bank,
        size_bytes=size,
        type=_MEMORY_TYPES.get(device.number(0x12, 1) or 0),
        speed_mtps=_speed(device, 0x15, 0x54),
        configured_speed_mtps=_speed(device, 0x20, 0x58),
        ranks=(attributes & _RANKS) or None if attributes is not None else None,
        manufacturer=device.text(0x17),
        part_number=device.text(0x1A),
        serial=device.text(0x18),
    )


def _size_bytes(device: Structure) -> int | None:
    """DSP0134 7.18.1: MiB, or KiB with bit 15; 0x7FFF refers to the extended size in MiB; 0 is an empty slot."""
    size = device.number(0x0C, 2)
    if size is None or size == _SIZE_UNKNOWN:
        return None
    if size == _SIZE_IS_EXTENDED:
        extended = device.number(0x1C, 4)
        return (extended & 0x7FFFFFFF) * 1024**2 if extended else None
    return (size & 0x7FFF) * 1024 if size & _SIZE_IN_KILOBYTES else size * 1024**2


def _speed(device: Structure, offset: int, extended_offset: int) -> int | None:
    """MT/s; 0 is unknown, 0xFFFF refers to the extended field (since SMBIOS 3.3)."""
    speed = device.number(offset, 2)
    if speed == _SPEED_IS_EXTENDED:
        extended = device.number(extended_offset, 4)
        return (extended & 0x7FFFFFFF) or None if extended is not None else None
    return speed or None
