"""When an image is packed anew, and which packages its manifest names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ramdisk import manifest, upper
from ramdisk.build import base_key
from ramdisk.contents import PACKAGES
from ramdisk.debian import Package
from ramdisk.image import Image
from ramdisk.recipe import Recipe
from tests.ramdisk_helpers import tree


def test_a_whole_package_is_another_image_even_where_the_tree_has_it_anyway(tmp_path: Path) -> None:
    usual = Recipe(out=tmp_path)
    one = tree(tmp_path / "tree")
    others = [
        replace(usual, packages=PACKAGES[:1]),
        replace(usual, firmware=PACKAGES[:1]),
        replace(usual, ssh_key=tmp_path / "key.pub"),
        replace(usual, level=1),
    ]
    assert len({base_key(each, one, 0) for each in (usual, *others)}) == 5
    assert base_key(replace(usual, out=tmp_path / "other"), one, 0) == base_key(usual, one, 0)


def test_a_file_that_moved_inside_a_folder_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a/x").write_text("x")
    recipe = Recipe(files=((tmp_path, "/opt"),))
    before = upper.inputs(recipe)
    assert upper.inputs(recipe) == before
    (tmp_path / "a/x").rename(tmp_path / "b/x")
    assert upper.inputs(recipe) != before


def test_a_change_of_what_gathers_the_upper_archive_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = upper.inputs(Recipe())
    changed = tmp_path / "upper.py"
    changed.write_bytes(Path(upper.__file__).read_bytes() + b"# changed\n")
    monkeypatch.setattr(upper, "__file__", str(changed))
    assert upper.inputs(Recipe()) != before


def test_the_manifest_names_packages_of_which_there_are_only_settings_or_ingredients(tmp_path: Path) -> None:
    image = Image()
    for name in ("usr/bin/tool", "etc/services", "usr/share/authority.crt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    image.from_tree(tmp_path, "usr/bin/tool", "tools")
    image.from_tree(tmp_path, "etc/services", "system")
    image.ingredients.append(tmp_path / "usr/share/authority.crt")
    packages = [
        package("tool", files=("bin/tool",)),
        package("netbase", settings=("etc/services",)),
        package("authorities", files=("usr/share/authority.crt",)),
        package("unused", files=("usr/bin/other",)),
        package("linux", files=("boot/vmlinuz-6.1",)),
    ]
    named = [line.name for line in manifest.used_packages(image, tmp_path, packages, "6.1")]
    assert named == ["authorities", "linux", "netbase", "tool"]


def package(name: str, *, files: tuple[str, ...] = (), settings: tuple[str, ...] = ()) -> Package:
    return Package(
        name=name,
        deb=f"{name}.deb",
        version="1",
        source=name,
        sha256="0" * 64,
        made_unix_s=0,
        files=files,
        settings=settings,
    )
