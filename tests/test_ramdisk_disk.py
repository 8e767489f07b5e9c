"""A disk that boots the image and takes the results: its bytes, its partitions, a machine that starts from it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ramdisk import loaders
from ramdisk.debian import Package
from ramdisk.disk import BOOT_LABEL, EXPORT_LABEL, Disk, grub_configuration, make, manifest_of
from ramdisk.errors import BuildError, RecipeError
from ramdisk.recipe import Recipe
from tests.machines_helpers import image
from tests.ramdisk_helpers import run

_BOOT_TIME_LIMIT_S = 300.0
_SECTOR = 512
#: UEFI firmware for QEMU, of Debian's package ovmf.
_FIRMWARE = Path("/usr/share/qemu/OVMF.fd")
_SECURE = Path("/usr/share/OVMF")

ARGUMENTS = "ahc.plan=quick ahc.onsuccess=poweroff ahc.onfailure=poweroff"


def test_a_disk_of_an_image_that_was_not_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="there is no full image yet"):
        make(Recipe(out=tmp_path), Disk(), tmp_path / "disk.img")


@pytest.mark.parametrize("arguments", ["a\nb", 'a="b"', "a='b'", "a\\b", "a\x1b"])
def test_arguments_that_the_boot_loaders_would_read_otherwise_are_refused(
    arguments: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="--arguments"):
        make(Recipe(out=tmp_path), Disk(arguments=arguments), tmp_path / "disk.img")


@pytest.mark.skipif(shutil.which("grub-script-check") is None, reason="needs grub-script-check")
def test_grub_takes_addresses_and_keys_as_they_are(tmp_path: Path) -> None:
    arguments = "ahc.key=ab&cd<e>f;g$hij|k#{l} ahc.upload=https://x/in?a=1&b=2 ahc.plan=quick"
    script = tmp_path / "grub.cfg"
    script.write_text(grub_configuration(arguments))
    run("grub-script-check", script)
    (line,) = [line for line in script.read_text().splitlines() if line.split()[:1] == ["linux"]]
    assert shlex.split(line, comments=False) == ["linux", "/vmlinuz", *arguments.split()]


def test_what_is_no_file_is_never_written_to(tmp_path: Path) -> None:
    device = tmp_path / "sdx"
    os.mkfifo(device)
    with pytest.raises(RecipeError, match="no file"):
        make(Recipe(out=tmp_path), Disk(), device)


def package(name: str, *files: str) -> Package:
    return Package(
        name=name, deb="", version="1", source=name, sha256="0" * 64, made_unix_s=0, files=files, settings=()
    )


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image("virtual")
    return make(
        Recipe(flavour="virtual"), Disk(arguments=ARGUMENTS), tmp_path_factory.mktemp("disk") / "ahc.img"
    )


def partition(disk: Path, number: int) -> str:
    """The partition's name for mtools: the file and where it starts."""
    table = json.loads(run("sfdisk", "--json", disk))["partitiontable"]["partitions"]
    return f"{disk}@@{table[number - 1]['start'] * _SECTOR}"


def started(disk: Path, *firmware: str) -> str:
    """Let a machine without network run from the disk until it switches itself off; what its console said."""
    argv = [
        "qemu-system-x86_64",
        "-accel",
        "tcg",
        "-m",
        "1024",
        "-nographic",
        "-no-reboot",
        "-nic",
        "none",
        *firmware,
    ]
    try:
        done = subprocess.run(
            [*argv, "-drive", f"file={disk},format=raw,if=virtio"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_BOOT_TIME_LIMIT_S,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode("utf-8", "replace")
        pytest.fail(f"still on after {_BOOT_TIME_LIMIT_S:.0f} s; its console ends with\n{said[-4000:]}")
    return done.stdout.decode("utf-8", "replace")


@pytest.mark.machines
@pytest.mark.timeout(900)
def test_two_disks_of_the_same_image_are_the_same_to_the_bit(disk: Path, tmp_path: Path) -> None:
    again = make(Recipe(flavour="virtual"), Disk(arguments=ARGUMENTS), tmp_path / "again.img")
    assert run("cmp", disk, again) == ""


@pytest.mark.machines
def test_both_partitions_are_sound_and_labelled(disk: Path, tmp_path: Path) -> None:
    for number, label in ((1, BOOT_LABEL), (2, EXPORT_LABEL)):
        table = json.loads(run("sfdisk", "--json", disk))["partitiontable"]["partitions"][number - 1]
        alone = tmp_path / label
        run(
            "dd",
            f"if={disk}",
            f"of={alone}",
            "bs=512",
            f"skip={table['start']}",
            f"count={table['size']}",
            "status=none",
        )
        assert f'LABEL="{label}"' in run("blkid", "-p", alone)
        run("fsck.vfat", "-n", alone)
        assert int.from_bytes(alone.read_bytes()[28:32], "little") == table["start"], "hidden sectors"


def test_loaders_are_told_with_package_licence_and_sum(tmp_path: Path) -> None:
    packages = []
    for place, (source, _) in loaders.FILES.items():
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).write_text(place)
        packages.append(package(source.split("/")[2], source))
    copyright = tmp_path / "usr/share/doc/shim/copyright"
    copyright.parent.mkdir(parents=True)
    copyright.write_text(
        "Format: https://www.debian.org/doc/copyright-format/1.0/\n\nLicense: BSD-2-Clause\n"
    )
    found = loaders.describe(tmp_path, [*packages, package("unused", "usr/bin/unused")])
    assert {line.place for line in found.files} == set(loaders.FILES)
    [shim] = [line for line in found.files if line.place == "EFI/BOOT/BOOTX64.EFI"]
    assert (shim.package, run("sha256sum", tmp_path / shim.source).split()[0]) == ("shim", shim.sha256)
    assert {line.name: line.licences for line in found.packages} == {
        "grub": ("see copyright",),
        "shim": ("BSD-2-Clause",),
        "syslinux": ("see copyright",),
    }
    with pytest.raises(BuildError, match="shimx64"):
        loaders.describe(tmp_path, packages[1:])


@pytest.mark.machines
def test_the_manifest_beside_the_disk_and_on_it_tells_image_and_loaders(disk: Path) -> None:
    beside = manifest_of(disk).read_text()
    assert run("mtype", "-i", partition(disk, 1), "::/manifest.json") == beside
    told = json.loads(beside)
    assert (told["schema"], told["image"]["schema"]) == ("ahc.ramdisk-disk/1", "ahc.ramdisk/1")
    assert told["arguments"] == ARGUMENTS
    names = {line["name"] for line in told["packages"]}
    assert names == {"grub-efi-amd64-signed", "shim-signed", "syslinux", "syslinux-common"}
    assert all(
        line["version"] and line["licences"] and len(line["sha256"]) == 64 for line in told["packages"]
    )
    [grub] = [line for line in told["loaders"] if line["place"] == "EFI/BOOT/grubx64.efi"]
    on_disk = subprocess.run(
        ["mtype", "-i", partition(disk, 1), "::/EFI/BOOT/grubx64.efi"], capture_output=True, check=True
    ).stdout
    assert hashlib.sha256(on_disk).hexdigest() == grub["sha256"]


@pytest.mark.machines
def test_the_arguments_stand_where_a_person_can_change_them(disk: Path) -> None:
    for place in ("::/syslinux/syslinux.cfg", "::/EFI/debian/grub.cfg"):
        text = run("mtype", "-i", partition(disk, 1), place)
        assert ARGUMENTS in text
        assert "console=ttyS0" in text


def firmware(kind: str, folder: Path) -> list[str]:
    """QEMU's arguments for a kind of firmware; that of Secure Boot trusts whom real machines trust, and no one else."""
    if kind == "BIOS":
        return []
    if not _FIRMWARE.exists():
        pytest.skip("needs the Debian package ovmf")
    if kind == "UEFI":
        return ["-bios", str(_FIRMWARE)]
    variables = shutil.copyfile(_SECURE / "OVMF_VARS_4M.ms.fd", folder / "variables.fd")
    code = f"if=pflash,unit=0,format=raw,readonly=on,file={_SECURE / 'OVMF_CODE_4M.secboot.fd'}"
    secure = ["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on"]
    return [*secure, "-drive", code, "-drive", f"if=pflash,unit=1,format=raw,file={variables}"]


@pytest.mark.machines
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["BIOS", "UEFI", "Secure Boot"])
def test_a_machine_without_a_network_leaves_its_results_on_the_disk(
    disk: Path, kind: str, tmp_path: Path
) -> None:
    stick = shutil.copyfile(disk, tmp_path / "stick.img")
    console = started(stick, *firmware(kind, tmp_path))
    assert "plan quick" in console, console[-2000:]
    assert ("Kernel is locked down from EFI Secure Boot" in console) == (kind == "Secure Boot")
    names = run("mdir", "-b", "-i", partition(stick, 2), "::").split()
    assert len(names) == 1, console[-2000:]
    result = tmp_path / "result.json"
    run("mcopy", "-i", partition(stick, 2), names[0], result)
    assert json.loads(result.read_text())["schema"] == "ahc.bench/1"
    taken = subprocess.run(
        [sys.executable, "-m", "ahc_server", "import", str(result), "--session", "sticks"],
        env={**os.environ, "AHC_STORE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert taken.returncode == 0, taken.stderr
