"""The order of things: tree, lower archive (kept), upper archive (the agent), kernel, manifest.

The initramfs is two archives one after the other, each compressed on its own; the kernel unpacks both. A change of the agent
packs the upper one anew, which takes a second or two.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ahc_agent import __version__
from ramdisk import archive, base, manifest, python
from ramdisk.contents import FLAVOURS
from ramdisk.errors import BuildError, RecipeError
from ramdisk.image import Image
from ramdisk.manifest import Manifest, PackageLine
from ramdisk.recipe import CHECKOUT, HERE, Recipe, fingerprint
from ramdisk.tree import Tree, unpack

_AGENT_LEVEL = 12
_LAUNCHER = "#!/usr/bin/python3 -I\nfrom ahc_agent.cli import main\n\nmain()\n"

Say = Callable[[str], None]


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a packed lower archive besides its bytes."""

    kernel_version: str
    unpacked_bytes: dict[str, int]
    packages: tuple[PackageLine, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """The result: where it is, what it is, and whether anything was done."""

    folder: Path
    manifest: Manifest
    changed: bool
    seconds: float


def build(recipe: Recipe, say: Say, *, fresh: bool = False) -> Built:
    """Build an image. ``say`` is told what runs. ``fresh`` asks the mirror for newer packages.

    Raises RecipeError for an unknown flavour, BuildError when the machine or the tree lacks something.
    """
    if recipe.flavour not in FLAVOURS:
        raise RecipeError(f"there is no flavour {recipe.flavour!r}: {', '.join(FLAVOURS)}")
    started = time.monotonic()
    recipe.cache.mkdir(parents=True, exist_ok=True)
    with _alone(recipe.cache / "lock"):
        say("packages: unpacking, or taking from the cache")
        tree = unpack(recipe, fresh=fresh)
        date, source = _source_date(tree)
        key = _base_key(recipe, tree, date)
        whole_key = fingerprint(key, *_agent_inputs())
        before = manifest.load(recipe.target / "manifest.json")
        if before is not None and before.key == whole_key and _still_there(recipe.target, before):
            return Built(recipe.target, before, False, time.monotonic() - started)
        with tempfile.TemporaryDirectory(dir=recipe.cache, prefix="work-") as work:
            lower, about = _base(recipe, tree, key, date, Path(work), say)
            say("agent: packing")
            upper = Path(work) / "agent.zst"
            image = _upper(tree.path, date)
            archive.pack(image, upper, modified_unix_s=date, level=min(_AGENT_LEVEL, recipe.level))
            made = _finish(recipe, tree, lower, upper, about)
        sizes = {**about.unpacked_bytes}
        for part, size in image.sizes().items():
            sizes[part] = sizes.get(part, 0) + size
        result = Manifest(
            flavour=recipe.flavour,
            key=whole_key,
            agent_version=__version__,
            kernel_version=about.kernel_version,
            source_date_unix_s=date,
            source_date_from=source,
            vmlinuz=manifest.artefact(made / "vmlinuz"),
            initramfs=manifest.artefact(made / "initramfs"),
            unpacked_bytes=dict(sorted(sizes.items())),
            packages=about.packages,
            wheels=tree.contents.wheels,
        )
        manifest.save(recipe.target / "manifest.json", result)
    return Built(recipe.target, result, True, time.monotonic() - started)


def _base(recipe: Recipe, tree: Tree, key: str, date: int, work: Path, say: Say) -> tuple[Path, Base]:
    packed = recipe.cache / f"base-{recipe.flavour}-{key}.zst"
    notes = packed.with_suffix(".json")
    if packed.is_file() and notes.is_file():
        return packed, msgspec.json.decode(notes.read_bytes(), type=Base)
    say("base: choosing files and modules")
    folder = work / "base"
    folder.mkdir()
    image, version = base.assemble(recipe, tree.path, folder)
    say(f"base: packing {sum(image.sizes().values()) / 1e6:.0f} MB with zstd -{recipe.level}")
    fresh = work / "base.zst"
    archive.pack(image, fresh, modified_unix_s=date, level=recipe.level)
    about = Base(
        kernel_version=version,
        unpacked_bytes=image.sizes(),
        packages=manifest.used_packages(image, tree.path, tree.contents.packages, version),
    )
    for old in recipe.cache.glob(f"base-{recipe.flavour}-*"):
        old.unlink()
    notes.write_bytes(msgspec.json.encode(about))
    fresh.rename(packed)
    return packed, about


def _upper(tree: Path, date: int) -> Image:
    image = Image()
    with tempfile.TemporaryDirectory(dir=tree / "tmp") as folder:
        python.add_agent(image, tree, Path(folder))
        image.hold()
    image.data("usr/bin/ahc-agent", _LAUNCHER.encode(), "agent", 0o755)
    image.data("usr/share/ahc/built-at", f"{date}\n".encode(), "agent")
    for path in sorted(p for p in (HERE / "rootfs").rglob("*") if p.is_file()):
        image.file(path.relative_to(HERE / "rootfs").as_posix(), path, "agent")
    return image


def _finish(recipe: Recipe, tree: Tree, lower: Path, upper: Path, about: Base) -> Path:
    recipe.target.mkdir(parents=True, exist_ok=True)
    kernel = tree.path / f"boot/vmlinuz-{about.kernel_version}"
    if not kernel.is_file():
        raise BuildError(f"{kernel} is missing from the tree; delete {tree.path.parent} and build anew")
    fresh = recipe.target / ".initramfs"
    with fresh.open("wb") as out:
        for part in (lower, upper):
            with part.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
    fresh.rename(recipe.target / "initramfs")
    shutil.copyfile(kernel, recipe.target / ".vmlinuz")
    (recipe.target / ".vmlinuz").rename(recipe.target / "vmlinuz")
    return recipe.target


def _source_date(tree: Tree) -> tuple[int, str]:
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    if stated:
        if not stated.isdecimal():
            raise RecipeError(f"SOURCE_DATE_EPOCH is a number of seconds, not {stated!r}")
        return int(stated), "SOURCE_DATE_EPOCH"
    return tree.made_unix_s, "newest package"


def _base_key(recipe: Recipe, tree: Tree, date: int) -> str:
    own = [path.read_bytes() for path in sorted(HERE.glob("*.py"))]
    return fingerprint(recipe.flavour, recipe.level, tree.contents.key, date, _outside_imports(), *own)


def _outside_imports() -> list[str]:
    """What the agent imports that is not its own: the lower archive hangs on it."""
    return sorted(python.outside_imports())


def _agent_inputs() -> list[bytes]:
    folders = (CHECKOUT / "ahc_agent", HERE / "rootfs")
    files = sorted(p for f in folders for p in f.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return [
        f"{p.relative_to(CHECKOUT)} {p.stat().st_mode & 0o111:o}".encode() + b"\0" + p.read_bytes()
        for p in files
    ]


def _still_there(folder: Path, before: Manifest) -> bool:
    parts = (before.vmlinuz, before.initramfs)
    return all(
        (folder / p.file).is_file() and (folder / p.file).stat().st_size == p.size_bytes for p in parts
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two builds at once would tread on each other's trees; the second waits."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
