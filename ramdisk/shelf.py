"""Finished images: each in a folder of its own that never changes, found by links that are swapped in one step.

::

    out/.images/full-3f2a…/{vmlinuz,initramfs,manifest.json}
    out/full      -> .images/full-3f2a…      the newest of a flavour
    out/latest    -> .images/full-3f2a…      the image that was built last
    out/vmlinuz   -> latest/vmlinuz          and initramfs, manifest.json: these links stay

Whoever opens one path sees the old image or the new one, never something between. Whoever opens two (a kernel and its initramfs)
resolves the folder first: the image before is kept for those who are at it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ramdisk.errors import BuildError

FILES = ("vmlinuz", "initramfs", "manifest.json")

_IMAGES, _LATEST = ".images", "latest"
#: What a build before there were links wrote into a flavour's folder.
_OLD = {*FILES, ".vmlinuz", ".initramfs"}
#: Images of one flavour that no link leads to any more.
_KEPT = 1


def put(made: Path, out: Path, flavour: str, key: str) -> None:
    """Move a finished image, the folder ``made``, to its place and have the links lead there.

    Raises BuildError where a folder that is no image stands where a link belongs.
    """
    images = out / _IMAGES
    images.mkdir(parents=True, exist_ok=True)
    place = images / f"{flavour}-{key}"
    with tempfile.TemporaryDirectory(dir=images, prefix=".away-") as away:
        # The cache may be a link to another file system.
        here = Path(shutil.move(made, Path(away) / "made"))
        if place.exists():  # damaged, or no longer the newest: the same bytes come again
            place.rename(Path(away) / "before")
        here.rename(place)
    show(out, flavour, place.name)
    _sweep(out, flavour)


def show(out: Path, flavour: str, image: str) -> None:
    """Have the links lead to an image that is in its place, by its folder's name. Raises BuildError as ``put`` does."""
    target = f"{_IMAGES}/{image}"
    for name in (flavour, _LATEST, *FILES):
        _look(out / name)
    _link(out / flavour, target)
    _link(out / _LATEST, target)
    for name in FILES:
        _link(out / name, f"{_LATEST}/{name}")


def _link(link: Path, target: str) -> None:
    if link.is_symlink() and str(link.readlink()) == target:
        return
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    if _is_folder(link):
        shutil.rmtree(link)
    fresh.replace(link)


def _look(place: Path) -> None:
    """Folders of a build before there were links give way; whatever else is there is somebody's own. Raises BuildError."""
    others = sorted({path.name for path in place.iterdir()} - _OLD) if _is_folder(place) else []
    if others:
        raise BuildError(
            f"{place} is in the way, and has what no build made ({others[0]}): move it, or build into another folder (--out)"
        )


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _sweep(out: Path, flavour: str) -> None:
    shown = {(out / name).resolve() for name in (flavour, _LATEST)}
    images = sorted((out / _IMAGES).glob(f"{flavour}-*"), key=lambda path: path.stat().st_mtime)
    for old in [path for path in images if path.resolve() not in shown][:-_KEPT]:
        shutil.rmtree(old)
