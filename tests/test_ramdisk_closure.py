"""Which libraries come with a program, and that none is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramdisk import closure
from ramdisk.errors import BuildError, ImageIncomplete
from ramdisk.image import Image
from tests.ramdisk_helpers import LIBRARIES, library, needs_binutils

pytestmark = needs_binutils


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """app → libfirst → libsecond, and libprivate beside the app, found by $ORIGIN."""
    second = library(tmp_path / LIBRARIES / "libsecond.so.1", defines=["second"])
    first = library(
        tmp_path / LIBRARIES / "libfirst.so.1", defines=["first"], calls=["second"], needs=[second]
    )
    private = library(tmp_path / "usr/lib/app/libprivate.so", defines=["private"])
    library(
        tmp_path / "usr/lib/app/app", calls=["first", "private"], needs=[first, private], runpath="$ORIGIN"
    )
    return tmp_path


def test_libraries_of_libraries_come_along(tree: Path) -> None:
    image = Image()
    closure.add_program(image, tree, "usr/lib/app/app", "tools")
    assert f"{LIBRARIES}/libsecond.so.1" in image.entries
    assert "usr/lib/app/libprivate.so" in image.entries
    assert closure.missing(image) == []


def test_a_library_that_is_missing_from_the_tree_is_named(tree: Path) -> None:
    (tree / LIBRARIES / "libsecond.so.1").unlink()
    with pytest.raises(BuildError, match=r"libfirst\.so\.1 needs libsecond\.so\.1, which no package"):
        closure.add_program(Image(), tree, "usr/lib/app/app", "tools")


def test_a_library_that_is_missing_from_the_image_is_named(tree: Path) -> None:
    image = Image()
    closure.add_program(image, tree, "usr/lib/app/app", "tools")
    del image.entries[f"{LIBRARIES}/libsecond.so.1"]
    with pytest.raises(ImageIncomplete, match=r"libfirst\.so\.1 needs libsecond\.so\.1"):
        closure.check(image)


def test_a_stand_in_takes_a_library_s_place_and_its_needs_stay_away(tree: Path, tmp_path: Path) -> None:
    image = Image()
    small = library(tmp_path / "made/libfirst.so.1", defines=["first"])
    closure.add_program(image, tree, "usr/lib/app/app", "tools", {"libfirst.so.1": small})
    assert image.entries[f"{LIBRARIES}/libfirst.so.1"].source == small
    assert f"{LIBRARIES}/libsecond.so.1" not in image.entries


def test_a_library_that_an_extra_package_brought_is_not_replaced(tree: Path, tmp_path: Path) -> None:
    image = Image()
    real = image.from_tree(tree, f"{LIBRARIES}/libfirst.so.1", "extra packages")
    closure.add_libraries(image, tree, real, {})
    small = library(tmp_path / "made/libfirst.so.1", defines=["first"])
    closure.add_program(image, tree, "usr/lib/app/app", "tools", {"libfirst.so.1": small})
    assert image.entries[real].source == tree / LIBRARIES / "libfirst.so.1"
