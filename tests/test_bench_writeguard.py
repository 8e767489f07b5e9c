"""Nothing that could hold data is ever written to: each reason to refuse, on real loop devices."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ahc_agent import programs
from ahc_agent.bench import inuse, writeguard
from ahc_agent.errors import WriteRefused
from tests.bench_helpers import MIB, Loop, attached, loop_device, tool

pytestmark = pytest.mark.root


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    with loop_device(tmp_path) as device:
        yield device


def refusal(path: str) -> str:
    with pytest.raises(WriteRefused) as refused:
        writeguard.refuse_if_in_use(path)
    return str(refused.value)


def test_a_clean_disk_is_accepted(loop: Loop) -> None:
    writeguard.refuse_if_in_use(loop.path)


def test_a_disk_with_data_but_no_signature_is_accepted(loop: Loop) -> None:
    """As a disk is after a write benchmark; it could not be run twice otherwise."""
    loop.write(4 * MIB, b"\xa5" * MIB)
    writeguard.refuse_if_in_use(loop.path)


# ── what is on it ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("mkfs.ext4", "-q"), "ext4"),
        (("mkfs.minix",), "minix"),
        (("mkswap", "-q"), "swap"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_file_system_is_refused(loop: Loop, command: tuple[str, ...], named: str) -> None:
    if programs.find(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    tool(*command, loop.path)
    assert named in refusal(loop.path)


def lvm_label() -> bytes:
    """The label of an LVM physical volume (lib/format_text/layout.h of LVM2), with its checksum."""
    sector = bytearray(512)
    sector[0:8] = b"LABELONE"
    sector[8:16] = struct.pack("<Q", 1)
    sector[20:24] = struct.pack("<I", 32)
    sector[24:32] = b"LVM2 001"
    sector[32:64] = b"abcdefghijklmnopqrstuvwxyz012345"
    sector[64:72] = struct.pack("<Q", 64 * MIB)
    checksum = 0xF597A6CF
    for byte in sector[20:]:
        checksum ^= byte
        for _ in range(8):
            checksum = (checksum >> 1) ^ (0xEDB88320 if checksum & 1 else 0)
    sector[16:20] = struct.pack("<I", checksum)
    return bytes(sector)


def md_superblock() -> bytes:
    """A superblock of Linux software RAID, version 1.2 (struct mdp_superblock_1 in raid/md_p.h)."""
    block = bytearray(4096)
    block[0:8] = struct.pack("<II", 0xA92B4EFC, 1)
    block[16:32] = bytes(range(1, 17))
    block[144:152] = struct.pack("<Q", 8)
    return bytes(block)


@pytest.mark.parametrize(
    ("offset", "signature", "named"),
    [
        (512, lvm_label(), "LVM2_member"),
        (4096, md_superblock(), "linux_raid_member"),
        (0, b"LUKS\xba\xbe\0\1" + b"aes" + b"\0" * 500, "crypto_LUKS"),
        (65536 + 64, b"_BHRfS_M", "btrfs"),
    ],
    ids=["lvm", "raid", "luks", "btrfs"],
)
def test_a_member_of_raid_lvm_or_encryption_is_refused(
    loop: Loop, offset: int, signature: bytes, named: str
) -> None:
    loop.write(offset, signature)
    said = refusal(loop.path)
    assert named in said or named in tool("wipefs", "--no-act", loop.path)


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_a_partition_table_is_refused(loop: Loop, label: str) -> None:
    tool("sfdisk", "-q", "--no-tell-kernel", loop.path, stdin=f"label: {label}\n,16M\n")
    assert "boot signature" in refusal(loop.path)


def test_a_gpt_without_its_protective_mbr_is_refused(loop: Loop) -> None:
    tool("sfdisk", "-q", "--no-tell-kernel", loop.path, stdin="label: gpt\n,16M\n")
    loop.write(0, bytes(512))
    assert "GPT" in refusal(loop.path)


def test_a_gpt_of_which_only_the_backup_is_left_is_refused(loop: Loop) -> None:
    tool("sfdisk", "-q", "--no-tell-kernel", loop.path, stdin="label: gpt\n,16M\n")
    loop.write(0, bytes(MIB))
    assert "backup of a GPT" in refusal(loop.path)


# ── who uses it ────────────────────────────────────────────────────────────────────────────────────


def test_a_mounted_disk_is_refused(loop: Loop, tmp_path: Path) -> None:
    tool("mkfs.ext4", "-q", loop.path)
    folder = tmp_path / "with a space"
    folder.mkdir()
    tool("mount", loop.path, str(folder))
    try:
        assert refusal(loop.path).endswith(f"is mounted on {folder}")
    finally:
        tool("umount", str(folder))


def test_a_disk_mounted_in_another_mount_namespace_is_refused(loop: Loop, tmp_path: Path) -> None:
    tool("mkfs.ext4", "-q", loop.path)
    script = f"mount {loop.path} {tmp_path} && echo mounted && read line"
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None and other.stdout.readline().strip() == "mounted"
            assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
            assert f"is mounted on {tmp_path}" in refusal(loop.path)
            assert not os.path.ismount(tmp_path)
        finally:
            other.communicate("\n", timeout=30)


def test_a_disk_in_use_that_nobody_can_be_seen_to_use_is_refused_by_the_kernel(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounted in a namespace whose processes cannot be looked at: exclusive opening fails all the same."""
    tool("mkfs.ext4", "-q", loop.path)
    tool("mount", loop.path, str(tmp_path))
    try:
        monkeypatch.setattr(inuse, "_processes", lambda: [])
        assert "the kernel says that it is in use" in refusal(loop.path)
    finally:
        tool("umount", str(tmp_path))


def test_swap_is_refused(loop: Loop) -> None:
    tool("mkswap", "-q", loop.path)
    tool("swapon", loop.path)
    try:
        assert "is in use as swap" in refusal(loop.path)
    finally:
        tool("swapoff", loop.path)


def test_a_disk_with_partitions_and_the_partition_itself_are_refused(loop: Loop) -> None:
    """The kernel's own knowledge: there is no table on the disk here."""
    tool("addpart", loop.path, "1", "2048", "8192")
    try:
        assert "has partitions" in refusal(loop.path)
        assert "is a partition" in refusal(f"{loop.path}p1")
    finally:
        tool("delpart", loop.path, "1")
    writeguard.refuse_if_in_use(loop.path)


def test_a_disk_behind_a_loop_device_is_refused(loop: Loop) -> None:
    with attached(loop.path) as above:
        assert f"is behind {above.removeprefix('/dev/')}" in refusal(loop.path)


def test_a_disk_that_a_process_has_open_is_refused(loop: Loop) -> None:
    script = f"handle = open({loop.path!r}, 'rb'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None and other.stdout.readline().strip() == "open"
            assert f"is open in process {other.pid}" in refusal(loop.path)
        finally:
            other.communicate("\n", timeout=30)


def test_a_disk_that_is_held_exclusively_is_refused(loop: Loop) -> None:
    handle = os.open(loop.path, os.O_RDONLY | os.O_EXCL)
    try:
        assert "the kernel says that it is in use" in refusal(loop.path)
    finally:
        os.close(handle)


def test_the_disk_that_this_system_runs_from_is_refused() -> None:
    device = Path("/").stat().st_dev
    folder = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not folder.exists():
        pytest.skip("the root file system is on no block device")
    disk = folder.resolve().parent if (folder / "partition").exists() else folder.resolve()
    assert "partitions" in (said := refusal(f"/dev/{disk.name}")) or "runs from it" in said


def test_the_disk_that_the_machine_booted_from_is_refused(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = tmp_path / "cmdline"
    arguments.write_text(f"BOOT_IMAGE=/vmlinuz root={loop.path} ro quiet\n")
    monkeypatch.setattr(inuse, "_KERNEL_ARGUMENTS", arguments)
    assert "booted from it" in refusal(loop.path)


@pytest.mark.parametrize(("kind", "named"), [("holders", "is part of dm-3"), ("slaves", "is built of dm-3")])
def test_a_disk_below_or_above_other_devices_is_refused(tmp_path: Path, kind: str, named: str) -> None:
    for folder in ("holders", "slaves"):
        (tmp_path / folder).mkdir()
    (tmp_path / "ro").write_text("0\n")
    (tmp_path / "size").write_text("2048\n")
    inuse._check_kind("/dev/sdx", tmp_path)
    (tmp_path / kind / "dm-3").mkdir()
    with pytest.raises(WriteRefused, match=named):
        inuse._check_kind("/dev/sdx", tmp_path)


# ── what it is ─────────────────────────────────────────────────────────────────────────────────────


def test_a_read_only_disk_is_refused(tmp_path: Path) -> None:
    with loop_device(tmp_path, "ro.img", MIB, "--read-only") as device:
        assert "is read-only" in refusal(device.path)


def test_what_is_no_block_device_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(MIB))
    for path in (str(file), "/dev/null", str(tmp_path)):
        assert "is not a block device" in refusal(path)
    assert "No such file" in refusal(str(tmp_path / "absent"))


def test_a_disk_without_medium_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ro").write_text("0\n")
    (tmp_path / "size").write_text("0\n")
    with pytest.raises(WriteRefused, match="has no medium"):
        inuse._check_kind("/dev/sr0", tmp_path)


# ── what cannot be told ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("missing", ["blkid", "wipefs"])
def test_without_a_program_that_looks_for_signatures_it_is_refused(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    found = programs.find
    monkeypatch.setattr(programs, "find", lambda name: None if name == missing else found(name))
    assert "cannot tell whether it holds data" in (said := refusal(loop.path)) and missing in said


def test_a_disk_that_cannot_be_read_is_refused(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """blkid says "nothing found" about what it cannot read: our own reading must not agree."""

    def failing(handle: int, count: int, offset: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", failing)
    assert "cannot tell whether it holds data" in refusal(loop.path)


def test_while_it_is_held_nobody_can_take_it(loop: Loop, tmp_path: Path) -> None:
    tool("mkfs.ext4", "-q", "-F", str(tmp_path / "other.img"), "8M")
    with writeguard.hold(loop.path):
        with pytest.raises(OSError) as busy:
            os.open(loop.path, os.O_RDONLY | os.O_EXCL)
        assert busy.value.errno == errno.EBUSY
        done = subprocess.run(["mkfs.ext4", "-q", loop.path], capture_output=True, text=True, check=False)
        assert done.returncode != 0 and "in use" in done.stderr + done.stdout
    writeguard.refuse_if_in_use(loop.path)
