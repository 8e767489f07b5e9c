"""What was asked of one build, and the folders that it works in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ramdisk.errors import RecipeError

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
OUT = HERE / "out"

#: zstd: an eighth larger than with 19, packed in a fifteenth of the time, unpacked as fast.
LEVEL = 12


@dataclass(frozen=True, slots=True)
class Recipe:
    """Options of ``python -m ramdisk build``. ``files`` are (source, path in the image)."""

    flavour: str = "full"
    level: int = LEVEL
    packages: tuple[str, ...] = ()
    files: tuple[tuple[Path, str], ...] = ()
    pip: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    ssh_key: Path | None = None
    root_password: Path | None = None
    out: Path = OUT

    @property
    def target(self) -> Path:
        """Where vmlinuz, initramfs and manifest.json go."""
        return self.out / self.flavour

    @property
    def cache(self) -> Path:
        """Packages, unpacked trees and packed base archives of earlier builds."""
        return self.out / ".cache"


def fingerprint(*parts: object) -> str:
    """Short hash that names what a cached thing was made from."""
    digest = hashlib.sha256()
    for part in parts:
        text = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(b"%d:" % len(text) + text)
    return digest.hexdigest()[:16]


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pair(text: str) -> tuple[Path, str]:
    """``SRC=DEST`` of ``--file``. Raises RecipeError when it is not of that form, or leads outside of the image."""
    source, equals, place = text.partition("=")
    if not (source and equals and place.startswith("/")) or ".." in place.split("/"):
        raise RecipeError(f"--file {text}: write it as SRC=/PATH/IN/THE/IMAGE")
    return Path(source), place
