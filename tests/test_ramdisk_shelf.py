"""Where finished images stand: a reader sees one image or the other, whole, while they are swapped."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

from ahc_agent.errors import UsageError
from ahc_server.netboot import folder, values
from ramdisk import shelf
from ramdisk.errors import BuildError
from tests.netboot_helpers import HTTP, KEY, SERVER


def made(folder: Path, content: str) -> Path:
    """An image whose files all say the same."""
    folder.mkdir()
    for name in shelf.FILES:
        (folder / name).write_text(content)
    return folder


def put(out: Path, key: str, flavour: str = "full") -> None:
    shelf.put(made(out / f"made-{flavour}-{key}", key), out, flavour, key)


def told(place: Path) -> list[str]:
    return [(place / name).read_text() for name in shelf.FILES]


def test_the_newest_of_each_flavour_and_the_one_built_last_are_found(tmp_path: Path) -> None:
    put(tmp_path, "a")
    put(tmp_path, "b", "virtual")
    assert told(tmp_path / "full") == ["a"] * 3
    assert told(tmp_path / "virtual") == told(tmp_path) == told(tmp_path / "latest") == ["b"] * 3
    shelf.show(tmp_path, "full", "full-a")
    assert told(tmp_path) == ["a"] * 3
    assert not any(
        path.is_absolute() for path in map(Path.readlink, filter(Path.is_symlink, tmp_path.iterdir()))
    )


def test_one_image_before_the_newest_is_kept_for_those_who_read_it(tmp_path: Path) -> None:
    put(tmp_path, "v", "virtual")
    for number, key in enumerate("abcd"):
        put(tmp_path, key)
        os.utime((tmp_path / "full").resolve(), (number, number))
    assert {path.name for path in (tmp_path / ".images").iterdir()} == {"virtual-v", "full-c", "full-d"}


def test_an_image_that_was_damaged_is_replaced(tmp_path: Path) -> None:
    put(tmp_path, "a")
    (tmp_path / "full/initramfs").write_text("damaged")
    put(tmp_path, "a")
    assert told(tmp_path / "full") == ["a"] * 3
    assert [path.name for path in (tmp_path / ".images").iterdir()] == ["full-a"]


def test_an_image_that_was_made_on_another_file_system_is_copied(tmp_path: Path) -> None:
    """As with a cache that is a link; no reader sees half a copy."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    with tempfile.TemporaryDirectory(dir=memory) as elsewhere:
        shelf.put(made(Path(elsewhere) / "made", "a"), tmp_path, "full", "a")
    assert told(tmp_path) == ["a"] * 3
    assert [path.name for path in (tmp_path / ".images").iterdir()] == ["full-a"]


def test_folders_and_files_of_a_build_before_there_were_links_give_way(tmp_path: Path) -> None:
    made(tmp_path / "full", "old")
    for name in shelf.FILES:
        (tmp_path / name).hardlink_to(tmp_path / "full" / name)
    put(tmp_path, "new")
    assert told(tmp_path) == told(tmp_path / "full") == ["new"] * 3


@pytest.mark.parametrize("name", ["full", "latest"])
def test_a_folder_of_somebody_elses_is_never_deleted(tmp_path: Path, name: str) -> None:
    """``--out`` may be a folder that has others."""
    put(tmp_path, "v", "virtual")
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    (tmp_path / name / "backup.tar").touch()
    with pytest.raises(
        BuildError, match=rf"{name} is in the way, and has what no build made \(backup\.tar\)"
    ):
        put(tmp_path, "a")
    assert [path.name for path in (tmp_path / name).iterdir()] == ["backup.tar"]
    assert told(tmp_path / "virtual") == ["v"] * 3


def test_a_reader_that_resolves_the_folder_gets_files_that_belong_together(tmp_path: Path) -> None:
    put(tmp_path, "0")
    over = threading.Event()

    def build() -> None:
        for number in range(1, 200):
            put(tmp_path, str(number))
        over.set()

    builder = threading.Thread(target=build)
    builder.start()
    seen = set()
    while not over.is_set():
        place = (tmp_path / "full").resolve()
        try:
            read = told(place)
        except FileNotFoundError:
            continue  # two builds later: only the one before the newest is kept
        assert len(set(read)) == 1
        assert (tmp_path / "vmlinuz").read_text(), "each single path leads to a file at any time"
        seen.add(read[0])
    builder.join()
    assert len(seen) > 1


def test_netboot_takes_both_files_of_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that ends while the kernel is being copied."""
    out = tmp_path / "out"
    out.mkdir()
    for key in "ba":
        put(out, key)
        (out / "full/manifest.json").unlink()
    real = shutil.copyfile

    def copy(source: Path, target: Path) -> object:
        shelf.show(out, "full", "full-b")
        return real(source, target)

    monkeypatch.setattr(shutil, "copyfile", copy)
    wanted = folder.Wanted(out, values.url(HTTP), SERVER, KEY, loaders=tmp_path / "none")
    folder.write(tmp_path / "www", wanted)
    assert [(tmp_path / "www" / name).read_text() for name in ("vmlinuz", "initramfs")] == ["a", "a"]


def test_netboot_refuses_files_that_do_not_belong_together(tmp_path: Path) -> None:
    image = made(tmp_path / "image", "x")
    # printf x | sha256sum; printf y | sha256sum
    x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    y = "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"
    wanted = folder.Wanted(image, values.url(HTTP), SERVER, KEY, loaders=tmp_path / "none")
    (image / "manifest.json").write_text(
        f'{{"vmlinuz": {{"sha256": "{x}"}}, "initramfs": {{"sha256": "{x}"}}}}'
    )
    folder.write(tmp_path / "www", wanted)
    (image / "manifest.json").write_text(
        f'{{"vmlinuz": {{"sha256": "{x}"}}, "initramfs": {{"sha256": "{y}"}}}}'
    )
    (image / "vmlinuz").touch()
    before = (tmp_path / "www/vmlinuz").stat().st_ino
    with pytest.raises(UsageError, match=r"initramfs is not the one of .*manifest\.json"):
        folder.write(tmp_path / "www", wanted)
    assert (tmp_path / "www/vmlinuz").stat().st_ino == before, "neither is replaced"
    (image / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="build the image anew"):
        folder.write(tmp_path / "www", wanted)
