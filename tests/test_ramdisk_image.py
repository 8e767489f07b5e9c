"""The table of an image's entries and the archive that it becomes, read back by another program."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramdisk import archive
from ramdisk.errors import BuildError
from ramdisk.image import Image
from tests.ramdisk_helpers import needs_busybox, needs_zstd, run

names = st.text(
    st.characters(codec="ascii", categories=["L", "N"], include_characters="._-"), min_size=1, max_size=8
)
paths = st.lists(names.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map("/".join)


def cpio(image: Image, date: int = 1_700_000_000) -> bytes:
    out = io.BytesIO()
    archive.write_cpio(image, out, date)
    return out.getvalue()


def test_parents_are_made_and_merged_folders_lead_into_usr() -> None:
    image = Image()
    assert image.data("/sbin/tool", b"x", "tools", 0o755) == "usr/sbin/tool"
    assert stat.S_ISDIR(image.entries["usr"].mode)
    assert stat.S_ISDIR(image.entries["usr/sbin"].mode)
    assert "sbin" not in image.entries


def test_paths_follow_links_that_are_in_the_image() -> None:
    image = Image()
    image.link("var/run", "/run")
    image.link("usr/lib64/loader", "../../lib/real/loader")
    assert image.data("var/run/ahc/x", b"", "agent") == "run/ahc/x"
    assert image.resolved("/lib64/loader") == "usr/lib/real/loader"


def test_links_in_a_circle_are_refused() -> None:
    image = Image()
    image.link("a", "b")
    image.link("b", "/a")
    with pytest.raises(BuildError, match="too many links"):
        image.resolved("b/x")


def test_a_path_cannot_leave_the_image() -> None:
    with pytest.raises(BuildError, match="without"):
        Image().data("etc/../../x", b"", "agent")


def test_a_file_of_a_tree_brings_the_links_on_the_way_to_it(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/real").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib/short.so").symlink_to("real/long.so.1")
    (tmp_path / "usr/lib/real/long.so.1").write_text("library")
    image = Image()
    assert image.from_tree(tmp_path, "/lib/short.so", "libraries") == "usr/lib/real/long.so.1"
    assert image.entries["usr/lib/short.so"].content == b"real/long.so.1"
    assert image.sizes()["libraries"] == len("library") + len("real/long.so.1")


def test_a_file_that_no_package_brings_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="/usr/bin/nothing is needed in the image, but no package brings it"):
        Image().from_tree(tmp_path, "/usr/bin/nothing", "tools")


def test_files_can_be_held_after_their_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    image = Image()
    image.file("opt/x", tmp_path / "x", "agent")
    image.hold()
    (tmp_path / "x").unlink()
    assert image.entries["opt/x"].read() == b"content"


@needs_busybox
def test_another_program_unpacks_what_was_packed(tmp_path: Path) -> None:
    image = Image()
    image.directory("tmp", 0o1777)
    image.data("etc/secret", b"key\n", "agent", 0o600)
    image.data("usr/bin/tool", b"#!/bin/sh\n", "tools", 0o755)
    image.link("usr/bin/other", "tool")
    subprocess.run(
        ["busybox", "cpio", "-idm"],
        input=cpio(image),
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert stat.S_IMODE((tmp_path / "tmp").stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / "etc/secret").stat().st_mode) == 0o600
    assert (tmp_path / "etc/secret").stat().st_mtime == 1_700_000_000
    assert str((tmp_path / "usr/bin/other").readlink()) == "tool"
    assert os.access(tmp_path / "usr/bin/tool", os.X_OK)


@needs_busybox
@given(st.dictionaries(paths, st.binary(max_size=40), max_size=6))
def test_every_name_and_length_comes_back(files: dict[str, bytes]) -> None:
    kept = {
        path: content for path, content in files.items() if not any(o.startswith(f"{path}/") for o in files)
    }
    image = Image(links={})
    for path, content in kept.items():
        image.data(path, content, "agent")
    listed = subprocess.run(
        ["busybox", "cpio", "-t"], input=cpio(image), capture_output=True, check=True, timeout=60
    )
    assert listed.stdout.decode().split() == [path for path, _ in image.packed()]


def test_a_time_that_the_archive_cannot_tell_is_refused() -> None:
    """As SOURCE_DATE_EPOCH in milliseconds is one: written, it would shift all that follows."""
    image = Image()
    image.data("x", b"", "agent")
    assert cpio(image, 2**32 - 1).startswith(b"070701")
    with pytest.raises(BuildError, match="32 bits"):
        cpio(image, 1_700_000_000_000)


def test_device_nodes_have_their_numbers() -> None:
    image = Image()
    image.node("dev/console", 5, 1, 0o600)
    header = cpio(image).split(b"070701")[2]
    fields = [int(header[at : at + 8], 16) for at in range(0, 104, 8)]
    assert fields[1] == stat.S_IFCHR | 0o600
    assert fields[9:11] == [5, 1]


def test_the_order_in_which_entries_were_added_does_not_matter() -> None:
    one, other = Image(), Image()
    for image, order in ((one, ("a", "b/c", "b")), (other, ("b", "b/c", "a"))):
        for path in order:
            image.directory(path) if path == "b" else image.data(path, b"x", "agent")
    assert cpio(one) == cpio(other)


@needs_zstd
def test_packed_archives_can_stand_one_after_the_other(tmp_path: Path) -> None:
    first, second = Image(), Image()
    first.data("one", b"1" * 1001, "agent")
    second.data("two", b"2", "agent")
    for image, name in ((first, "first.zst"), (second, "second.zst")):
        archive.pack(image, tmp_path / name, modified_unix_s=0, level=1)
    both = (tmp_path / "first.zst").read_bytes() + (tmp_path / "second.zst").read_bytes()
    (tmp_path / "both").write_bytes(both)
    run("zstd", "-q", "-d", tmp_path / "both", "-o", tmp_path / "plain")
    assert (tmp_path / "plain").read_bytes() == cpio(first, 0) + cpio(second, 0)
    assert not list(tmp_path.glob("*.cpio"))
