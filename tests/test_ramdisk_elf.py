"""What the build reads from ELF files, held to what the linker wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramdisk.elf import Elf, Undefined
from ramdisk.errors import BuildError
from tests.ramdisk_helpers import kernel_module, library, needs_binutils

pytestmark = needs_binutils


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Elf:
    folder = tmp_path_factory.mktemp("elf")
    old = library(folder / "libold.so.1", defines=["alpha", "beta"], version="OLD_1.0")
    plain = library(folder / "libplain.so", defines=["gamma"])
    path = library(
        folder / "libuser.so.2",
        calls=["alpha", "gamma"],
        needs=[old, plain],
        runpath="$ORIGIN/../private:/opt/x",
    )
    elf = Elf.open(path)
    assert elf is not None
    return elf


def test_libraries_are_named_with_where_to_look_for_them(user: Elf) -> None:
    dynamic = user.dynamic()
    assert dynamic.needed == ("libold.so.1", "libplain.so")
    assert dynamic.soname == "libuser.so.2"
    assert dynamic.search == ("$ORIGIN/../private", "/opt/x")


def test_undefined_symbols_have_library_and_version_where_the_linker_noted_them(user: Elf) -> None:
    assert set(user.undefined()) == {Undefined("alpha", "libold.so.1", "OLD_1.0"), Undefined("gamma", "", "")}


def test_defined_symbols_are_those_that_others_may_take(tmp_path: Path) -> None:
    elf = Elf.open(library(tmp_path / "libx.so", defines=["one", "two"], version="X_1"))
    assert elf is not None
    assert {"one", "two"} <= elf.defined()
    assert "caller" not in elf.defined()


def test_a_section_is_found_by_name(tmp_path: Path) -> None:
    elf = Elf.open(kernel_module(tmp_path / "x.ko", license="GPL", depends="a,b"))
    assert elf is not None
    assert elf.section(".modinfo") == b"license=GPL\0depends=a,b\0"
    assert elf.section(".nothing") == b""


def test_a_program_names_its_loader() -> None:
    elf = Elf.open(Path("/bin/sh").resolve())
    assert elf is not None
    assert elf.dynamic().interpreter.startswith("/lib64/ld-linux")


def test_other_files_are_no_elf_files(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert Elf.open(script) is None


@settings(max_examples=400)
@given(st.data())
def test_a_file_that_is_cut_or_changed_is_refused_or_read_but_never_trips_the_reader(
    user: Elf, data: st.DataObject
) -> None:
    content = bytearray(user.data[: data.draw(st.integers(16, len(user.data)))])
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(16, len(content) - 1)) if len(content) > 16 else 0] = data.draw(
            st.integers(0, 255)
        )
    elf = Elf(user.path, bytes(content))
    for ask in (elf.dynamic, elf.undefined, elf.defined, lambda: elf.section(".text")):
        try:
            ask()
        except BuildError as error:
            assert "libuser.so.2" in str(error)
