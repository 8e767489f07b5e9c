"""A partition labelled AHCEXPORT, and nothing else, gets results: real file systems on loop devices."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ahc_agent.boot.export import LABEL, ExportError, export, partitions

# All partitions of this label on the machine count: one test at a time.
pytestmark = [pytest.mark.root, pytest.mark.alone]

MAKE = {
    "vfat": ["mkfs.vfat", "-n", LABEL],
    "ext4": ["mkfs.ext4", "-q", "-L", LABEL],
    "ext2": ["mkfs.ext2", "-q", "-L", LABEL],
    "other label": ["mkfs.ext4", "-q", "-L", "DATA"],
    "longer label": ["mkfs.ext4", "-q", "-L", f"{LABEL}2"],
}
Disk = Callable[..., str]


def run(*argv: str | Path) -> str:
    return subprocess.run(
        [*map(str, argv)], check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Makes a disk with a file system of a kind of MAKE; answers with its device."""
    made: list[str] = []

    def make(kind: str, size: int = 8 << 20) -> str:
        image = tmp_path / f"disk{len(made)}"
        with image.open("wb") as file:
            file.truncate(size)
        run(*MAKE[kind], image)
        made.append(run("losetup", "--find", "--show", image))
        return made[-1]

    yield make
    for device in made:
        run("losetup", "--detach", device)


def content(device: str, tmp_path: Path) -> dict[str, bytes]:
    """What is on a disk, by another way."""
    at = tmp_path / "look"
    at.mkdir(exist_ok=True)
    run("mount", "-o", "ro", device, at)
    try:
        return {path.name: path.read_bytes() for path in at.iterdir() if path.is_file()}
    finally:
        run("umount", at)


@pytest.mark.parametrize("kind", ["vfat", "ext4", "ext2"])
def test_several_results_stand_on_one_stick(kind: str, disk: Disk, tmp_path: Path) -> None:
    if f"\t{kind}\n" not in Path("/proc/filesystems").read_text():
        pytest.skip(f"this kernel has no {kind}")
    device = disk(kind)
    places = [export(data, "SN1.json", tmp_path / "at") for data in (b"first", b"second")]
    assert places == [f"SN1.json on {device}", f"SN1-2.json on {device}"]
    assert content(device, tmp_path) == {"SN1.json": b"first", "SN1-2.json": b"second"}
    assert str(tmp_path / "at") not in Path("/proc/mounts").read_text()


@pytest.mark.parametrize("kind", ["other label", "longer label"])
def test_no_other_partition_is_touched(kind: str, disk: Disk, tmp_path: Path) -> None:
    device = disk(kind)
    before = Path(device).read_bytes()
    with pytest.raises(ExportError, match="no partition labelled AHCEXPORT"):
        export(b"data", "SN1.json", tmp_path / "at")
    assert Path(device).read_bytes() == before


def test_a_stick_that_is_full_is_told_and_the_next_one_taken(disk: Disk, tmp_path: Path) -> None:
    small, large = disk("ext2", 1 << 20), disk("ext4", 16 << 20)
    data = bytes(4 << 20)
    assert export(data, "SN1.json", tmp_path / "at") == f"SN1.json on {large}"
    assert content(small, tmp_path) == {}, "nothing half written is left"


def test_a_partition_is_known_by_what_is_on_it(disk: Disk) -> None:
    device = disk("vfat")
    disk("other label")
    assert partitions() == [(Path(device), "vfat")]
