"""Where the packages of an image come from."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from ramdisk import tree
from ramdisk.errors import BuildError
from ramdisk.recipe import Recipe
from tests.ramdisk_helpers import tree as small_tree

DUMP = """\
APT "";
APT::Architecture "amd64";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::https::CaInfo "/etc/ssl/own.pem";
Acquire::Languages:: "en";
Acquire::https::Verify-Peer "";
"""


def test_proxies_and_certificates_of_this_machine_s_apt_are_handed_on() -> None:
    assert tree.way_to_the_mirror(DUMP) == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::http::Proxy::mirror.example "DIRECT";',
        'Acquire::https::CaInfo "/etc/ssl/own.pem";',
    ]


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("deb http://mirror.example/debian bookworm main\n", True),
        ("Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\n", True),
        ("deb http://mirror.example/security bookworm-security main\n", True),
        ("# deb http://mirror.example/debian bookworm main\n", False),
        ("deb http://other.example/node nodistro main\n", False),
        ("deb http://mirror.example/debian bookworm-backports main\n", False),
    ],
)
def test_sources_of_other_archives_are_left_alone(
    text: str, ours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.list").write_text(text)
    monkeypatch.setattr(tree, "_SOURCES", (str(tmp_path),))
    if ours:
        assert tree.sources() == [str(tmp_path / "x.list")]
    else:
        with pytest.raises(BuildError, match="knows no mirror of Debian bookworm"):
            tree.sources()


def test_a_finished_tree_is_taken_from_the_cache_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(flavour="virtual", out=tmp_path)
    folder = tree.place(recipe)
    folder.mkdir(parents=True)
    contents = small_tree(tmp_path / "none").contents
    (folder / "tree.json").write_bytes(msgspec.json.encode(contents))
    assert tree.unpack(recipe) == tree.Tree(folder / "root", contents)
    (folder / "tree.json").write_bytes(b'{"key": "0"')
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BuildError, match="run this as root"):
        tree.unpack(recipe)


def test_other_packages_make_another_tree(tmp_path: Path) -> None:
    places = {
        tree.place(recipe)
        for recipe in (
            Recipe(out=tmp_path),
            Recipe(out=tmp_path, flavour="virtual"),
            Recipe(out=tmp_path, packages=("tcpdump",)),
            Recipe(out=tmp_path, firmware=("firmware-linux-free",)),
            Recipe(out=tmp_path, pip=("PyYAML",)),
            Recipe(out=tmp_path, ssh_key=Path("key.pub")),
        )
    }
    assert len(places) == 6
    assert tree.place(Recipe(out=tmp_path, level=3)) == tree.place(Recipe(out=tmp_path))
