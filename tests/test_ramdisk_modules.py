"""Kernel modules by tables of folders, with everything that they depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ramdisk import modules
from ramdisk.contents import FLAVOURS, Flavour
from ramdisk.errors import BuildError
from ramdisk.image import Image
from tests.ramdisk_helpers import kernel_module, needs_binutils, needs_depmod

pytestmark = needs_binutils

VERSION = "6.1.0-1-test"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "usr/lib/modules" / VERSION
    kernel = folder / "kernel"
    kernel_module(
        kernel / "drivers/net/ethernet/fast/fast-nic.ko", depends="mdio_core,helper", softdep="pre: crc-x"
    )
    kernel_module(kernel / "drivers/net/ethernet/slow/slow_cs.ko", depends="")
    kernel_module(kernel / "drivers/net/mdio/mdio-core.ko", depends="deep")
    kernel_module(kernel / "lib/deep.ko", depends="")
    kernel_module(kernel / "drivers/misc/helper.ko", depends="")
    kernel_module(kernel / "crypto/crc-x.ko", depends="")
    kernel_module(kernel / "sound/loud.ko", depends="")
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (folder / name).write_bytes(b"")
    return tmp_path


def flavour(*chosen: str, left_out: tuple[str, ...] = ()) -> Flavour:
    return replace(FLAVOURS["full"], modules=chosen, left_out=left_out)


def names(tree: Path, which: Flavour) -> list[str]:
    return sorted(path.stem for path in modules.choose(tree / "usr/lib/modules" / VERSION / "kernel", which))


def test_a_folder_is_taken_with_what_its_modules_need_and_would_like(tree: Path) -> None:
    assert names(tree, flavour("drivers/net/ethernet/fast")) == [
        "crc-x",
        "deep",
        "fast-nic",
        "helper",
        "mdio-core",
    ]


def test_files_and_patterns_are_taken(tree: Path) -> None:
    assert names(tree, flavour("sound/loud.ko", "crypto/crc*")) == ["crc-x", "loud"]


def test_what_is_left_out_stays_away_unless_another_module_needs_it(tree: Path) -> None:
    table = flavour("drivers/net/ethernet", "lib", left_out=("*_cs.ko", "lib/deep.ko"))
    assert names(tree, table) == ["crc-x", "deep", "fast-nic", "helper", "mdio-core"]


def test_a_folder_s_name_is_not_a_prefix(tree: Path) -> None:
    assert names(tree, flavour("drivers/net/eth")) == []


def test_a_module_whose_partner_is_missing_is_named(tree: Path) -> None:
    (tree / "usr/lib/modules" / VERSION / "kernel/lib/deep.ko").unlink()
    with pytest.raises(BuildError, match=r"mdio-core\.ko needs the module deep"):
        names(tree, flavour("drivers/net/mdio"))


@needs_depmod
def test_the_image_has_the_index_that_modprobe_reads(tree: Path, tmp_path: Path) -> None:
    image = Image()
    work = tmp_path / "work"
    assert modules.add(image, tree, flavour("drivers/net"), work) == VERSION
    folder = f"usr/lib/modules/{VERSION}"
    assert f"{folder}/kernel/drivers/net/mdio/mdio-core.ko" in image.entries
    index = image.entries[f"{folder}/modules.dep"].read().decode()
    assert "kernel/drivers/net/ethernet/fast/fast-nic.ko:" in index
    assert "loud" not in index
    assert f"{folder}/modules.alias.bin" in image.entries


def test_a_tree_with_two_kernels_is_refused(tree: Path) -> None:
    (tree / "usr/lib/modules/6.2/kernel").mkdir(parents=True)
    with pytest.raises(BuildError, match="exactly one kernel"):
        modules.kernel_version(tree)


def test_a_file_that_is_no_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ko").write_text("text")
    with pytest.raises(BuildError, match="not a kernel module"):
        modules.wishes(tmp_path / "x.ko")
