"""Small libraries in place of large ones: bound like the real ones, and clear when one is called after all."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from ramdisk import standins
from ramdisk.elf import Elf
from tests.ramdisk_helpers import LIBRARIES, library, needs_binutils, run

pytestmark = [
    needs_binutils,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="stand-ins are written for x86-64"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    real = library(
        tmp_path / LIBRARIES / "libbig.so.7",
        defines=["big_open", "big_read", "big_unused"],
        version="BIG_2.1",
    )
    plain = library(tmp_path / LIBRARIES / "libplain.so.0", defines=["plain_open"])
    library(
        tmp_path / "usr/bin/user",
        defines=["go"],
        calls=["big_open", "big_read", "plain_open"],
        needs=[real, plain],
    )
    return tmp_path


@pytest.mark.parametrize(
    ("name", "symbols"),
    [
        ("libbig.so.7", [("big_open", "BIG_2.1"), ("big_read", "BIG_2.1")]),
        ("libplain.so.0", [("plain_open", "")]),
    ],
)
def test_a_stand_in_has_the_symbols_that_are_used_with_their_versions(
    tree: Path, name: str, symbols: list[tuple[str, str]], tmp_path: Path
) -> None:
    users = [tree / "usr/bin/user"]
    assert standins.wanted(tree, name, users) == symbols
    elf = Elf.open(standins.make(tree, name, users, tmp_path))
    assert elf is not None
    assert {symbol for symbol, _ in symbols} <= elf.defined()
    assert "big_unused" not in elf.defined()
    assert elf.dynamic().soname == name
    assert elf.dynamic().needed == ()


def test_the_loader_binds_a_user_to_stand_ins_with_versions(tree: Path, tmp_path: Path) -> None:
    """BIND_NOW, as Debian links its programs: every symbol must be found when the program starts."""
    users = [tree / "usr/bin/user"]
    folder = tmp_path / "standins"
    folder.mkdir()
    for name in ("libbig.so.7", "libplain.so.0"):
        standins.make(tree, name, users, folder).rename(folder / name)
    argv = ["/usr/bin/env", f"LD_LIBRARY_PATH={folder}", "LD_BIND_NOW=1", sys.executable, "-c"]
    run(*argv, "import ctypes, sys; ctypes.CDLL(sys.argv[1])", users[0])


def test_what_is_called_says_so_and_ends_the_program_with_status_1(tree: Path, tmp_path: Path) -> None:
    made = standins.make(tree, "libbig.so.7", [tree / "usr/bin/user"], tmp_path)
    said = run(
        sys.executable, "-c", "import ctypes, sys; ctypes.CDLL(sys.argv[1]).big_read()", made, status=1
    )
    assert (
        said
        == "libbig.so.7 is not part of this image, and big_read of it was called: what needs it cannot run here\n"
    )


def test_two_builds_of_a_stand_in_are_the_same_to_the_bit(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    made = [
        standins.make(tree, "libbig.so.7", [tree / "usr/bin/user"], tmp_path / name).read_bytes()
        for name in "ab"
    ]
    assert made[0] == made[1]
