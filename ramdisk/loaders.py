"""The boot loaders of a disk: where each stands on it, and the Debian package that it comes from, unpacked and not installed (the
packages' scripts would set up this machine's own boot)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import msgspec

from ramdisk import debian
from ramdisk.contents import BOOT_PACKAGES
from ramdisk.errors import BuildError
from ramdisk.manifest import PackageLine, package_line
from ramdisk.recipe import fingerprint, sha256
from ramdisk.tree import fetch

SHIM, GRUB = "usr/lib/shim/shimx64.efi.signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
SYSLINUX, MBR = "usr/bin/syslinux", "usr/lib/syslinux/mbr/mbr.bin"

#: Place on the disk → file of a package, and what of it is there.
FILES = MappingProxyType(
    {
        "EFI/BOOT/BOOTX64.EFI": (SHIM, "the file"),
        "EFI/BOOT/grubx64.efi": (GRUB, "the file"),
        "syslinux/": (SYSLINUX, "what this program installs"),
        "master boot record": (MBR, "the file"),
    }
)


class LoaderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One loader. ``sha256`` is that of the package's ``source``; ``taken`` says what of it is at ``place``."""

    place: str
    package: str
    source: str
    sha256: str
    taken: str


@dataclass(frozen=True, slots=True)
class Loaders:
    """``root``: the unpacked packages."""

    root: Path
    files: tuple[LoaderLine, ...]
    packages: tuple[PackageLine, ...]


def get(cache: Path) -> Loaders:
    """From the cache, else from Debian's mirror. Raises BuildError where a package does not bring what is wanted of it."""
    folder = cache / f"loaders-{fingerprint(BOOT_PACKAGES)}"
    if not folder.is_dir():
        fresh = folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        fetch(fresh / "root", list(BOOT_PACKAGES), fresh / "debs")
        fresh.rename(folder)
    return describe(folder / "root", _packages(folder / "debs"))


def describe(root: Path, packages: list[debian.Package]) -> Loaders:
    """What stands on the disk and where it is from; only packages of which something does are told."""
    owners = {file: package for package in packages for file in package.files}
    lines = []
    for place, (source, taken) in FILES.items():
        if source not in owners:
            raise BuildError(f"{source} is in none of {', '.join(BOOT_PACKAGES)}")
        owner = owners[source]
        told = LoaderLine(
            place=place, package=owner.name, source=source, sha256=sha256(root / source), taken=taken
        )
        lines.append(told)
    used = {owners[line.source].name: owners[line.source] for line in lines}
    return Loaders(
        root,
        tuple(lines),
        tuple(package_line(root, package) for _, package in sorted(used.items())),
    )


def _packages(debs: Path) -> list[debian.Package]:
    return [debian.read(deb) for name in BOOT_PACKAGES for deb in sorted(debs.glob(f"{name}_*.deb"))]
