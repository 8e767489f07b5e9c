"""SMBIOS tables (DSP0134): what they say, and that hostile ones say nothing worse than nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.facts import Dimm
from ahc_agent.inventory.smbios import (
    entry_version,
    meaningful,
    meaningful_uuid,
    parse_tables,
    read_tables,
)
from tests.inventory_helpers import (
    build,
    dimm,
    entry_point,
    memory_array,
    server_table,
    smbios_files,
    structure,
)

BOARD = server_table(
    dimm(0x1100, size=0x7FFF, extended_size=65536, speed=3200, configured=2933, ranks=2, locator="DIMM_A1"),
    dimm(0x1101, size=0, locator="DIMM_A2", texts=("NO DIMM", "NO DIMM", "NO DIMM")),
    bmc=True,
)


def test_a_full_slot() -> None:
    assert parse_tables(BOARD).dimms()[0] == Dimm(
        locator="DIMM_A1",
        bank="BANK of DIMM_A1",
        size_bytes=64 * 1024**3,
        type="DDR4",
        speed_mtps=3200,
        configured_speed_mtps=2933,
        ranks=2,
        manufacturer="Samsung",
        part_number="M393A4K40DB3-CWE",
        serial="39F2E1A0",
    )


def test_an_empty_slot_is_listed_with_size_0_and_nothing_else() -> None:
    assert parse_tables(BOARD).dimms()[1] == Dimm(locator="DIMM_A2", bank="BANK of DIMM_A2", size_bytes=0)


@pytest.mark.parametrize(
    ("raw", "extended", "size_bytes"),
    [
        (16384, 0, 16 * 1024**3),
        (0x8000 | 512, 0, 512 * 1024),
        (0xFFFF, 0, None),
        (0x7FFF, 131072, 128 * 1024**3),
        (0x7FFF, 0, None),
        (0, 0, 0),
    ],
    ids=["MiB", "KiB", "unknown", "extended", "extended but absent", "empty"],
)
def test_sizes(raw: int, extended: int, size_bytes: int | None) -> None:
    (found,) = parse_tables(dimm(1, size=raw, extended_size=extended, locator="A")).dimms()
    assert found.size_bytes == size_bytes


def test_speeds_over_65534_are_in_the_extended_fields() -> None:
    device = bytearray(dimm(1, size=16384, speed=0xFFFF, configured=0xFFFF, locator="A", length=0x5C))
    device[0x54:0x58] = (70000).to_bytes(4, "little")
    device[0x58:0x5C] = (68000).to_bytes(4, "little")
    (found,) = parse_tables(bytes(device)).dimms()
    assert (found.speed_mtps, found.configured_speed_mtps) == (70000, 68000)


def test_structures_of_old_versions_end_before_the_newer_fields() -> None:
    (found,) = parse_tables(dimm(1, size=2048, locator="DIMM0", memory_type=0x12, length=0x1B)).dimms()
    assert (found.size_bytes, found.type, found.part_number) == (2 * 1024**3, "DDR", "M393A4K40DB3-CWE")
    assert (found.ranks, found.speed_mtps, found.configured_speed_mtps) == (None, None, None)


def test_only_system_memory_has_dimms() -> None:
    """A BIOS flash chip is a type 17 in an array whose use is 5."""
    table = memory_array(0x1000, use=3) + memory_array(0x2000, use=5)
    table += dimm(1, size=8, locator="FLASH", array=0x2000) + dimm(2, size=8192, locator="A1", array=0x1000)
    assert [one.locator for one in parse_tables(table).dimms()] == ["A1"]


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ((3, 3), "13121110-1514-1716-1819-1a1b1c1d1e1f"),
        ((2, 6), "13121110-1514-1716-1819-1a1b1c1d1e1f"),
        ((2, 5), "10111213-1415-1617-1819-1a1b1c1d1e1f"),
        (None, "13121110-1514-1716-1819-1a1b1c1d1e1f"),
    ],
)
def test_the_uuids_byte_order_changed_with_version_2_6(version: tuple[int, int] | None, text: str) -> None:
    assert parse_tables(server_table(), version).system_uuid() == text


@pytest.mark.parametrize(
    "value",
    [
        uuid.UUID(int=0),
        uuid.UUID(int=2**128 - 1),
        uuid.UUID("03000200-0400-0500-0006-000700080009"),
        uuid.UUID("12345678-1234-5678-90ab-cddeefaabbcc"),
    ],
    ids=str,
)
def test_uuids_that_many_machines_share_are_none(value: uuid.UUID) -> None:
    assert parse_tables(server_table(uuid_bytes=value.bytes_le)).system_uuid() is None
    assert meaningful_uuid(str(value).upper()) is None


@pytest.mark.parametrize(
    "text",
    [
        "To Be Filled By O.E.M.",
        "to be filled by O.E.M. ",
        "Not Specified",
        "Default string",
        "System Serial Number",
        "0123456789",
        "00000000",
        "0x00000000",
        "FFFFFFFF",
        "xxxxxxxx",
        "..............",
        "------",
        "None",
        "N/A",
        "Unknown",
        "NO DIMM",
        "A1_SerNum00",
        "Manufacturer01",
        "ModulePartNumber02",
        "   ",
        "\x00\x01",
    ],
)
def test_placeholders_are_none(text: str) -> None:
    assert meaningful(text) is None


@pytest.mark.parametrize(
    "text",
    ["Dell Inc.", "7XK42B3", "DIMM_A1", "CPU1_DIMM_A1", "0", "00CE000000CE", "1.0", "BANK 0", "None-such 1"],
)
def test_real_values_are_kept(text: str) -> None:
    assert meaningful(f" {text} ") == (None if text == "0" else text)


def test_unprintable_characters_become_spaces() -> None:
    assert meaningful("Kingston\x07\x1b[2J") == "Kingston  [2J"


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        (entry_point(BOARD), (3, 3)),
        (b"_SM_\x00\x1f\x02\x05" + bytes(23), (2, 5)),
        (b"_SM", None),
        (b"", None),
        (b"_SM3_", None),
    ],
)
def test_entry_points(entry: bytes, version: tuple[int, int] | None) -> None:
    assert entry_version(entry) == version


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (BOARD + b"\x01\x02\x03\x04\x05", None),
        (BOARD[:10], "structure 0 at byte 0 has a length of 26"),
        (structure(1, 1, {}, 8, ("a",))[:-1], "the strings of structure 0 at byte 0 do not end"),
        (b"\x01\x03\x00\x00\x00\x00", "structure 0 at byte 0 has a length of 3"),
        (b"\x01\xff\x00\x00\x00\x00", "structure 0 at byte 0 has a length of 255"),
        (b"", None),
    ],
    ids=["after the end", "cut in a structure", "cut in strings", "too short", "too long", "empty"],
)
def test_what_is_malformed_ends_the_table_with_a_word(table: bytes, problem: str | None) -> None:
    assert parse_tables(table).problem == problem


def test_what_came_before_the_malformed_part_is_kept(tmp_path: Path) -> None:
    root = build(tmp_path, smbios_files(BOARD[:-6] + b"\x01\x03\x00\x00\x00\x00"))
    tables = read_tables(root)
    assert tables is not None
    assert len(tables.dimms()) == 2
    assert len(root.trouble) == 1
    assert "/sys/firmware/dmi/tables/DMI" in root.trouble[0]


@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_a_crash(table: bytes) -> None:
    tables = parse_tables(table)
    tables.dimms()
    tables.system_uuid()


@given(data=st.data())
def test_a_damaged_table_is_read_without_a_crash(data: st.DataObject) -> None:
    table = bytearray(BOARD)
    for _ in range(data.draw(st.integers(1, 8))):
        table[data.draw(st.integers(0, len(table) - 1))] = data.draw(st.integers(0, 255))
    for found in parse_tables(bytes(table), (3, 3)).dimms():
        assert found.size_bytes is None or 0 <= found.size_bytes < 2**63
        assert all(character.isprintable() for character in found.locator or "")


def test_dmidecode_reads_the_same(tmp_path: Path) -> None:
    program = shutil.which("dmidecode", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        pytest.skip("dmidecode is not installed")
    dump = tmp_path / "dump"
    dump.write_bytes(entry_point(BOARD).ljust(0x20, b"\0") + BOARD)
    said = subprocess.run(
        [program, "--from-dump", str(dump)], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    tables = parse_tables(BOARD, (3, 3))
    assert re.findall(r"UUID: (\S+)", said) == [tables.system_uuid()]
    assert re.findall(r"^\tSize: (.*)$", said, re.M) == ["64 GB", "No Module Installed"]
    first = tables.dimms()[0]
    assert f"Speed: {first.speed_mtps} MT/s" in said
    assert f"Configured Memory Speed: {first.configured_speed_mtps} MT/s" in said
    for value in (first.locator, first.bank, first.type, first.manufacturer, first.serial, first.part_number):
        assert f": {value}\n" in said
    assert "IPMI Device Information" in said
