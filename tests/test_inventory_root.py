"""The door to /proc and /sys: what it reads, and what it refuses."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from ahc_agent.inventory import root as root_module
from ahc_agent.inventory.root import whole_number
from ahc_agent.order import natural_order
from tests.inventory_helpers import build


def test_texts_lose_the_white_space_and_nuls_around_them(tmp_path: Path) -> None:
    root = build(tmp_path, {"/sys/a": b"  PowerEdge R650 \n\0", "/sys/empty": b"\n"})
    assert root.text("/sys/a") == "PowerEdge R650"
    assert root.text("/sys/empty") is None


def test_what_is_absent_is_none_and_no_trouble(tmp_path: Path) -> None:
    root = build(tmp_path, {"/sys/file": "1"})
    assert root.text("/sys/nothing") is None
    assert root.data("/sys/file/below") is None
    assert root.names("/sys/nothing") == []
    assert not root.exists("/sys/nothing")
    assert root.trouble == []


def test_names_come_in_natural_order(tmp_path: Path) -> None:
    root = build(tmp_path, {f"/sys/class/net/eth{number}/mtu": "1500" for number in (10, 2, 1)})
    assert root.names("/sys/class/net") == ["eth1", "eth2", "eth10"]
    assert sorted(["cpu10", "cpufreq", "cpu2"], key=natural_order) == ["cpu2", "cpu10", "cpufreq"]


@pytest.mark.parametrize(
    ("text", "base", "number"),
    [
        ("42", 10, 42),
        ("-1", 10, -1),
        ("0x1f", 16, 31),
        ("0x1f", 0, 31),
        ("1f", 16, 31),
        ("1_000", 10, None),
        ("4.2", 10, None),
        ("", 10, None),
        ("9" * 60, 10, None),
        ("9" * 5000, 10, None),
        (None, 10, None),
    ],
)
def test_whole_numbers(text: str | None, base: int, number: int | None) -> None:
    assert whole_number(text, base) == number


def test_links_are_followed_inside_the_tree_and_real_names_their_end(tmp_path: Path) -> None:
    root = build(tmp_path, {"/sys/devices/pci0000:00/0000:00:1f.2/ata1/block/sda/size": "100"})
    for place, target in {
        "sys/class/block/sda": "../../devices/pci0000:00/0000:00:1f.2/ata1/block/sda",
        "sys/absolute": "/sys/devices/pci0000:00/0000:00:1f.2/ata1/block/sda",
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).symlink_to(target)
    for path in ("/sys/class/block/sda", "/sys/absolute"):
        assert root.integer(f"{path}/size") == 100
        assert root.real(path) == "/sys/devices/pci0000:00/0000:00:1f.2/ata1/block/sda"
    assert root.real("/sys/nothing") == "/sys/nothing"


@pytest.mark.parametrize(
    "target", ["/secret", "../../../../../../../../secret", "../../../../../../../../{outside}/secret"]
)
def test_no_link_leaves_the_tree(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_text("outside")
    root = build(tmp_path / "tree", {"/sys/devices/inside": "1"})
    (tmp_path / "tree/sys/escape").symlink_to(target.format(outside=str(tmp_path).lstrip("/")))
    assert root.text("/sys/escape") is None
    assert not root.exists("/sys/escape")
    assert root.text("/sys/../../secret") is None


def test_a_link_to_the_top_of_the_tree_is_the_trees_own_top(tmp_path: Path) -> None:
    root = build(tmp_path / "tree", {"/proc/version": "Linux version 6.1.0"})
    (tmp_path / "tree/sys").symlink_to("../../../../../proc")
    assert root.text("/sys/version") == "Linux version 6.1.0"


def test_links_in_a_circle_are_absent(tmp_path: Path) -> None:
    root = build(tmp_path, {"/sys/file": "1"})
    (tmp_path / "sys/a").symlink_to("b")
    (tmp_path / "sys/b").symlink_to("a")
    assert root.text("/sys/a") is None
    assert root.real("/sys/a") == "/sys/a"


def test_a_fifo_does_not_hold_the_inventory(tmp_path: Path) -> None:
    root = build(tmp_path, {"/sys/file": "1"})
    os.mkfifo(tmp_path / "sys/pipe")
    assert root.text("/sys/pipe") is None


def test_a_file_over_the_limit_is_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_module, "READ_LIMIT_BYTES", 10)
    root = build(tmp_path, {"/sys/fits": b"0123456789", "/sys/large": b"0123456789a"})
    assert root.data("/sys/fits") == b"0123456789"
    assert root.data("/sys/large") is None
    assert root.trouble == ["/sys/large: larger than 10 bytes"]


def test_names_that_are_not_text_are_left_out(tmp_path: Path) -> None:
    root = build(tmp_path, {"/sys/good": "1"})
    (tmp_path / os.fsdecode(b"sys/bad\xff")).write_text("1")
    assert root.names("/sys") == ["good"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up root's rights")
def test_what_may_not_be_read_is_trouble() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = build(Path(folder), {"/sys/serial": "secret"})
        (Path(folder) / "sys/serial").chmod(0o000)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            os.write(writer, repr((root.text("/sys/serial"), root.trouble)).encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        assert os.read(reader, 4096).decode() == repr((None, ["/sys/serial: Permission denied"]))
        os.close(reader)
