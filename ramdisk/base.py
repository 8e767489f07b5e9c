"""The lower of the two archives: everything of Debian's, Python and the wheels. It changes rarely and is kept packed."""

from __future__ import annotations

from pathlib import Path

from ramdisk import closure, extras, modules, python, standins, wheels
from ramdisk.contents import (
    APPLETS_IN_BIN,
    APPLETS_IN_SBIN,
    COPIES,
    DATA,
    FLAVOURS,
    LINKS,
    PLACES,
    PROGRAMS,
    SITE,
    SMALL_FILES,
    STANDINS,
)
from ramdisk.image import MERGED, Image
from ramdisk.recipe import Recipe
from ramdisk.tree import Tree

_CERTIFICATES = "usr/share/ca-certificates/mozilla"


def assemble(recipe: Recipe, tree: Tree, work: Path) -> tuple[Image, str]:
    """Gather the image's lower archive; ``work`` is an empty folder. Returns it with the kernel's version.

    Raises ImageIncomplete when a library is missing.
    """
    root = tree.path
    image = Image()
    add_layout(image)
    extras.add_packages(image, recipe, tree)
    instead = {
        name: standins.make(root, name, [root / user.lstrip("/") for user in users], work)
        for name, users in STANDINS.items()
    }
    for part, programs in PROGRAMS.items():
        for path in programs:
            closure.add_program(image, root, path, part, instead)
    for part, files in DATA.items():
        for path in files:
            image.from_tree(root, path, part)
    for path, place in COPIES.items():
        image.file(path, root / place, "tools")
    _certificates(image, root)
    _applets(image)
    python.add_library(image, root, whole=bool(recipe.pip))
    python.add_wheels(image, root)
    for name, text in wheels.scripts(root / SITE).items() if recipe.pip else ():
        image.data(f"usr/bin/{name}", text.encode(), "wheels", 0o755)
    version = modules.add(image, root, FLAVOURS[recipe.flavour], work)
    closure.check(image)
    return image, version


def add_layout(image: Image) -> None:
    """Add empty places, links, and the small files that every Linux has."""
    for path, mode in PLACES.items():
        image.directory(path, mode)
    for link, target in MERGED.items():
        image.directory(target)
        image.top_link(link, target)
    for link, target in LINKS.items():
        image.link(link, target)
    for path, text in SMALL_FILES.items():
        image.data(path, text.encode(), "system", 0o600 if path == "etc/shadow" else 0o644)
    image.node("dev/console", 5, 1, 0o600)
    image.node("dev/null", 1, 3, 0o666)


def _certificates(image: Image, tree: Path) -> None:
    """One file of all authorities, as ``update-ca-certificates`` makes it."""
    authorities = sorted((tree / _CERTIFICATES).glob("*.crt"))
    image.ingredients += authorities
    texts = [path.read_text().rstrip() + "\n" for path in authorities]
    image.data("etc/ssl/certs/ca-certificates.crt", "".join(texts).encode(), "system")


def _applets(image: Image) -> None:
    for folder, names in (("usr/bin", APPLETS_IN_BIN), ("usr/sbin", APPLETS_IN_SBIN)):
        for name in names:
            if f"{folder}/{name}" not in image.entries:
                image.link(f"{folder}/{name}", "/usr/bin/busybox")
