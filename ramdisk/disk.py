"""A disk or USB stick that boots the image, on machines with BIOS and with UEFI, and takes results where there is no network.

Two partitions (MBR, so that old firmware boots it as well): one to boot from, an EFI system partition with SYSLINUX for BIOS, and
shim and GRUB as Debian signed them for UEFI, Secure Boot included; and one, ``AHCEXPORT``, where the agent leaves its results.
Everything is written into a file by mtools and the like: no loop device, no mount.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ahc_agent.programs import run
from ramdisk import loaders, manifest
from ramdisk.errors import BuildError, RecipeError
from ramdisk.loaders import LoaderLine
from ramdisk.manifest import Manifest, PackageLine
from ramdisk.recipe import Recipe, fingerprint

BOOT_LABEL, EXPORT_LABEL = "AHCBOOT", "AHCEXPORT"
CONSOLES = "loglevel=6 panic=30 console=ttyS0,115200 console=tty0"
#: Measure without a server; the results are found on the second partition.
DEFAULT_ARGUMENTS = "ahc.plan=standard"

_MIB = 1024 * 1024
_SECTOR = 512
_START_MIB = 1
#: FAT32 wants 65,525 clusters at least; of the smallest, of one sector, these are 32 MiB. The rest is for file tables.
_SMALLEST_MIB = 36
_TIME_LIMIT_S = 300.0
_COPIED = ("EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi")
MANIFEST = "manifest.json"
SCHEMA = "ahc.ramdisk-disk/1"

#: What GRUB takes as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_.,:/=+@%\-]+")

_SYSLINUX_CONFIGURATION = """\
# BIOS. The same arguments stand in EFI/debian/grub.cfg for UEFI. Caps Lock brings a prompt, which goes on by itself:
# tenths of a second without a key, and in all.
SERIAL 0 115200
DEFAULT ahc
PROMPT 0
TIMEOUT 100
TOTALTIMEOUT 3000
LABEL ahc
  LINUX /vmlinuz
  INITRD /initramfs
  APPEND {arguments}
"""
_GRUB_CONFIGURATION = """\
# UEFI. The same arguments stand in syslinux/syslinux.cfg for BIOS.
set timeout=0
menuentry "Automatic Health Check" {{
    search --no-floppy --set=root --label {label}
    linux /vmlinuz {words}
    initrd /initramfs
}}
"""


@dataclass(frozen=True, slots=True)
class Disk:
    """What was asked for. ``arguments`` are the kernel's, ``export_mib`` the size of the partition for results."""

    arguments: str = DEFAULT_ARGUMENTS
    export_mib: int = 64


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What a disk is made of: ``ahc.ramdisk-disk/1``. ``packages`` are those of the ``loaders``; ``image`` tells its own."""

    schema: str = SCHEMA
    arguments: str
    image: Manifest
    loaders: tuple[LoaderLine, ...]
    packages: tuple[PackageLine, ...]


def make(recipe: Recipe, disk: Disk, target: Path) -> Path:
    """Write the disk of a flavour that was built, and its manifest beside it (``manifest_of``).

    The same image and arguments give the same bytes.

    Raises BuildError when that flavour was not built, RecipeError when the arguments cannot stand in one line, or where the
    target is there and no file.
    """
    if any(not character.isprintable() or character in "\"'\\" for character in disk.arguments):
        raise RecipeError("--arguments must be one line, without quotes and backslashes")
    if target.exists() and not target.is_file():
        raise RecipeError(f"{target} is no file: write into a file, and that to a stick by dd")
    image = recipe.target.resolve()  # a build beside this one swaps the link, not what is in the folder
    about = manifest.load(image / "manifest.json")
    if about is None:
        raise BuildError(
            f"there is no {recipe.flavour} image yet: python -m ramdisk build --flavour {recipe.flavour}"
        )
    found = loaders.get(recipe.cache)
    told = Whole(image=about, arguments=disk.arguments, loaders=found.files, packages=found.packages)
    with tempfile.TemporaryDirectory(dir=recipe.cache, prefix="disk-") as folder:
        work, date = Path(folder), about.source_date_unix_s
        boot = _boot_partition(image, found.root, told, work, date)
        export = _partition(
            work / "export.img", EXPORT_LABEL, max(disk.export_mib, _SMALLEST_MIB), _size_mib(boot)
        )
        whole = _assemble(work / "disk.img", found.root, boot, export)
        shutil.move(whole, target)
        manifest_of(target).write_bytes(_text(told))
    return target


def manifest_of(target: Path) -> Path:
    """Where a disk's manifest stands beside it; the same is on its first partition."""
    return target.with_name(f"{target.name}.{MANIFEST}")


def _text(told: Whole) -> bytes:
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def _boot_partition(built: Path, root: Path, told: Whole, work: Path, date: int) -> Path:
    tree = work / "boot"
    arguments = f"{CONSOLES} {told.arguments}"
    for place in _COPIED:
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / loaders.FILES[place][0], tree / place)
    (tree / MANIFEST).write_bytes(_text(told))
    texts = {
        "syslinux/syslinux.cfg": _SYSLINUX_CONFIGURATION.format(arguments=arguments),
        "EFI/debian/grub.cfg": grub_configuration(arguments),
    }
    for place, text in texts.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        (tree / place).write_text(text)
    for name in ("vmlinuz", "initramfs"):
        shutil.copyfile(built / name, tree / name)
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    image = _partition(work / "boot.img", BOOT_LABEL, max(size * 105 // 100 // _MIB + 4, _SMALLEST_MIB), 0)
    env = _environment(date)
    run(
        ["mcopy", "-i", str(image), "-s", "-Q", *sorted(map(str, tree.iterdir())), "::"],
        time_limit_s=_TIME_LIMIT_S,
        env=env,
    )
    argv = [str(root / loaders.SYSLINUX), "--directory", "/syslinux", "--install", str(image)]
    run(argv, time_limit_s=_TIME_LIMIT_S, env=env)
    return image


def grub_configuration(arguments: str) -> str:
    """For UEFI. ``&`` or ``;`` in an address would end GRUB's command; between single quotes nothing means anything to it."""
    words = " ".join(word if _PLAIN.fullmatch(word) else f"'{word}'" for word in arguments.split())
    return _GRUB_CONFIGURATION.format(words=words, label=BOOT_LABEL)


def _partition(image: Path, label: str, size_mib: int, before_mib: int) -> Path:
    """An empty FAT32 file system; ``before_mib`` is what stands before it on the disk besides the first MiB."""
    with image.open("wb") as file:
        file.truncate(size_mib * _MIB)
    hidden = (_START_MIB + before_mib) * _MIB // _SECTOR
    # --invariant fixes the label's time and a serial number, which -i overrides: the order matters
    argv = ["mkfs.vfat", "--invariant", "-i", fingerprint(label)[:8], "-F", "32", "-s", "1", "-n", label]
    run([*argv, "-h", str(hidden), str(image)], time_limit_s=_TIME_LIMIT_S)
    return image


def _assemble(whole: Path, root: Path, boot: Path, export: Path) -> Path:
    starts = (_START_MIB, _START_MIB + _size_mib(boot))
    with whole.open("wb") as file:
        file.truncate((starts[1] + _size_mib(export) + 1) * _MIB)
    table = (
        f"label: dos\nlabel-id: 0x{fingerprint('disk')[:8]}\n"
        f"start={starts[0]}MiB, size={_size_mib(boot)}MiB, type=ef, bootable\n"
        f"start={starts[1]}MiB, size={_size_mib(export)}MiB, type=c\n"
    )
    run(["sfdisk", "--quiet", str(whole)], time_limit_s=_TIME_LIMIT_S, stdin=table.encode())
    with whole.open("r+b") as file:
        file.write((root / loaders.MBR).read_bytes())
        for start, image in zip(starts, (boot, export), strict=True):
            file.seek(start * _MIB)
            with image.open("rb") as source:
                shutil.copyfileobj(source, file, _MIB)
    return whole


def _size_mib(image: Path) -> int:
    return image.stat().st_size // _MIB


def _environment(date: int) -> dict[str, str]:
    """mtools takes the times that it writes from ``SOURCE_DATE_EPOCH``."""
    return {
        "SOURCE_DATE_EPOCH": str(date),
        "TZ": "UTC",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "MTOOLS_SKIP_CHECK": "1",
    }
