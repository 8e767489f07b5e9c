"""What an image is made of, as a file beside it: ``ahc.ramdisk/1``."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ramdisk import debian
from ramdisk.image import Image
from ramdisk.recipe import sha256
from ramdisk.wheels import Wheel

SCHEMA = "ahc.ramdisk/1"


class PackageLine(msgspec.Struct, frozen=True, kw_only=True):
    """A Debian package of which something is in the image."""

    name: str
    version: str
    source: str
    licences: tuple[str, ...]
    sha256: str


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two files that are booted."""

    file: str
    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it. ``unpacked_bytes`` is by part, before compression; ``key`` tells builds of other inputs apart."""

    schema: str = SCHEMA
    flavour: str
    key: str
    agent_version: str
    kernel_version: str
    source_date_unix_s: int
    source_date_from: str
    vmlinuz: Artefact
    initramfs: Artefact
    unpacked_bytes: dict[str, int]
    packages: tuple[PackageLine, ...]
    wheels: tuple[Wheel, ...]


def artefact(path: Path) -> Artefact:
    """Describe a file."""
    return Artefact(file=path.name, size_bytes=path.stat().st_size, sha256=sha256(path))


def package_line(tree: Path, package: debian.Package) -> PackageLine:
    """A package that is unpacked in ``tree``."""
    return PackageLine(
        name=package.name,
        version=package.version,
        source=package.source,
        licences=debian.licences(tree, package.name),
        sha256=package.sha256,
    )


def used_packages(
    image: Image, tree: Path, packages: Iterable[debian.Package], kernel: str
) -> tuple[PackageLine, ...]:
    """The packages of which at least one file is in the image, or is the kernel itself."""
    there = {
        entry.source.relative_to(tree).as_posix()
        for entry in image.entries.values()
        if stat.S_ISREG(entry.mode) and entry.source is not None and entry.source.is_relative_to(tree)
    }
    there |= {source.relative_to(tree).as_posix() for source in image.ingredients} | {
        f"boot/vmlinuz-{kernel}"
    }
    return tuple(
        package_line(tree, package)
        for package in sorted(packages, key=lambda p: p.name)
        if any(name in there or _merged(name) in there for name in (*package.files, *package.settings))
    )


def load(path: Path) -> Manifest | None:
    """Read a manifest; None when there is none, or one of another form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def save(path: Path, manifest: Manifest) -> None:
    """Write a manifest, readable by people, in place of the one before."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    fresh.rename(path)


def _merged(name: str) -> str:
    return f"usr/{name}" if name.split("/", 1)[0] in ("bin", "sbin", "lib", "lib64") else name
