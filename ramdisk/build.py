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
from ramdisk import archive, base, manifest, python, shelf, upper
from ramdisk.contents import FLAVOURS
from ramdisk.errors import BuildError, RecipeError
from ramdisk.image import Image
from ramdisk.manifest import Manifest, PackageLine
from ramdisk.recipe import HERE, Recipe, fingerprint
from ramdisk.tree import Tree, unpack

#: Packed lower archives of one flavour that are kept: with and without options, say.
_BASES_KEPT = 3
#: Files here that have no part in the lower archive.
_NOT_OF_BASE = ("__main__.py", "disk.py", "loaders.py", "shelf.py", "upper.py")

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
        tree = unpack(recipe, newest=fresh)
        date, source = _source_date(tree)
        key = base_key(recipe, tree, date)
        whole_key = fingerprint(key, *upper.inputs(recipe))
        there = recipe.target.resolve()
        before = manifest.load(there / "manifest.json")
        unchanged = before is not None and before.key == whole_key and _still_there(there, before)
        if before is not None and unchanged and recipe.target.is_symlink():
            shelf.show(recipe.out, recipe.flavour, there.name)
            return Built(recipe.target, before, False, time.monotonic() - started)
        with tempfile.TemporaryDirectory(dir=recipe.cache, prefix="work-") as work:
            lower, about = _base(recipe, tree, key, date, Path(work), say)
            say("agent: packing")
            agent = Path(work) / "agent.zst"
            image = upper.assemble(recipe, tree.path, date)
            archive.pack(image, agent, modified_unix_s=date, level=recipe.level)
            made = _finish(Path(work) / "made", tree, (lower, agent), about)
            result = Manifest(
                flavour=recipe.flavour,
                key=whole_key,
                agent_version=__version__,
                kernel_version=about.kernel_version,
                source_date_unix_s=date,
                source_date_from=source,
                vmlinuz=manifest.artefact(made / "vmlinuz"),
                initramfs=manifest.artefact(made / "initramfs"),
                unpacked_bytes=_sizes(about, image),
                packages=about.packages,
                wheels=tree.contents.wheels,
            )
            manifest.save(made / "manifest.json", result)
            shelf.put(made, recipe.out, recipe.flavour, whole_key)
    return Built(recipe.target, result, True, time.monotonic() - started)


def _base(recipe: Recipe, tree: Tree, key: str, date: int, work: Path, say: Say) -> tuple[Path, Base]:
    packed = recipe.cache / f"base-{recipe.flavour}-{key}.zst"
    notes = packed.with_suffix(".json")
    if packed.is_file() and notes.is_file():  # of this form: this file is part of the key
        return packed, msgspec.json.decode(notes.read_bytes(), type=Base)
    say("base: choosing files and modules")
    folder = work / "base"
    folder.mkdir()
    image, version = base.assemble(recipe, tree, folder)
    say(f"base: packing {sum(image.sizes().values()) / 1e6:.0f} MB with zstd -{recipe.level}")
    fresh = work / "base.zst"
    archive.pack(image, fresh, modified_unix_s=date, level=recipe.level)
    about = Base(
        kernel_version=version,
        unpacked_bytes=image.sizes(),
        packages=manifest.used_packages(image, tree.path, tree.contents.packages, version),
    )
    olds = sorted(recipe.cache.glob(f"base-{recipe.flavour}-*.zst"), key=lambda path: path.stat().st_mtime)
    for old in olds[: -(_BASES_KEPT - 1)]:
        old.unlink()
        old.with_suffix(".json").unlink(missing_ok=True)
    notes.write_bytes(msgspec.json.encode(about))
    fresh.rename(packed)
    return packed, about


def _finish(made: Path, tree: Tree, archives: tuple[Path, Path], about: Base) -> Path:
    made.mkdir()
    kernel = tree.path / f"boot/vmlinuz-{about.kernel_version}"
    if not kernel.is_file():
        raise BuildError(f"{kernel} is missing from the tree; delete {tree.path.parent} and build anew")
    with (made / "initramfs").open("wb") as out:
        for part in archives:
            with part.open("rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
    shutil.copyfile(kernel, made / "vmlinuz")
    return made


def _sizes(about: Base, upper_image: Image) -> dict[str, int]:
    """By part, of both archives."""
    sizes = {**about.unpacked_bytes}
    for part, size in upper_image.sizes().items():
        sizes[part] = sizes.get(part, 0) + size
    return dict(sorted(sizes.items()))


def _source_date(tree: Tree) -> tuple[int, str]:
    stated = os.environ.get("SOURCE_DATE_EPOCH", "")
    if stated:
        if not stated.isdecimal():
            raise RecipeError(f"SOURCE_DATE_EPOCH is a number of seconds, not {stated!r}")
        return int(stated), "SOURCE_DATE_EPOCH"
    return tree.made_unix_s, "newest package"


def base_key(recipe: Recipe, tree: Tree, date: int) -> str:
    """Tells lower archives of other contents apart; ``date`` is that of all their files."""
    own = [path.read_bytes() for path in sorted(HERE.glob("*.py")) if path.name not in _NOT_OF_BASE]
    imports = sorted(python.outside_imports())
    # A package that is in the tree anyway can be asked for as a whole: the same tree, another image.
    asked = (recipe.pip, recipe.packages, recipe.firmware, recipe.ssh_key is not None)
    return fingerprint(recipe.flavour, recipe.level, asked, tree.contents.key, date, imports, *own)


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
