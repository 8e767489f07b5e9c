"""Which files of the unpacked tree a program needs: its libraries, and their libraries, to the end.

The search is the dynamic loader's (``ld.so(8)``): RUNPATH or RPATH with ``$ORIGIN``, then Debian's folders. ``missing`` is
the proof: it walks over every ELF file of a finished image and names what the loader would not find there.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable
from pathlib import Path

from ramdisk.elf import Dynamic, Elf
from ramdisk.errors import BuildError, ImageIncomplete
from ramdisk.image import Image

LIBRARY_FOLDERS = ("usr/lib/x86_64-linux-gnu", "usr/lib")


def add_program(
    image: Image, tree: Path, path: str, part: str, instead: dict[str, Path] | None = None
) -> None:
    """Add a program or library of the tree with everything that it is linked with.

    ``instead`` gives files to take in place of libraries of that name (see ``standins``).

    Raises BuildError when a library is nowhere in the tree.
    """
    at = image.from_tree(tree, path, part)
    add_libraries(image, tree, at, instead or {})


def add_libraries(image: Image, tree: Path, at: str, instead: dict[str, Path]) -> None:
    """Add what one file that is already in the image is linked with."""
    source = image.entries[at].source
    elf = Elf.open(source) if source is not None else None
    if elf is None:
        return
    dynamic = elf.dynamic()
    if dynamic.interpreter and dynamic.interpreter.lstrip("/") not in image.entries:
        image.from_tree(tree, dynamic.interpreter, "libraries")
    for name in dynamic.needed:
        if any(place in image.entries for place in _places(dynamic, at, name)):
            continue
        if name in instead:
            image.file(f"{LIBRARY_FOLDERS[0]}/{name}", instead[name], "libraries", 0o644)
            continue
        found = next((p for p in _places(dynamic, at, name) if (tree / p).exists()), None)
        if found is None:
            raise BuildError(f"/{at} needs {name}, which no package of the image brings")
        add_libraries(image, tree, image.from_tree(tree, found, "libraries"), instead)


def missing(image: Image) -> list[str]:
    """One line for each library that the loader would not find in the image."""
    found = []
    for path, entry in image.packed():
        if not stat.S_ISREG(entry.mode) or entry.source is None or path.endswith(".ko"):
            continue
        elf = Elf.open(entry.source)
        dynamic = elf.dynamic() if elf is not None else Dynamic()
        wanted: Iterable[str] = dynamic.needed
        found += [
            f"/{path} needs {name}"
            for name in wanted
            if not any(_there(image, place) for place in _places(dynamic, path, name))
        ]
        if dynamic.interpreter and not _there(image, dynamic.interpreter.lstrip("/")):
            found.append(f"/{path} needs {dynamic.interpreter}")
    return found


def check(image: Image) -> None:
    """Raises ImageIncomplete when a library is missing."""
    lines = missing(image)
    if lines:
        raise ImageIncomplete("the image would not run, libraries are missing: " + "; ".join(lines))


def _there(image: Image, path: str) -> bool:
    return image.resolved(path) in image.entries


def _places(dynamic: Dynamic, at: str, name: str) -> list[str]:
    origin = posixpath.dirname(at)
    if "/" in name:
        return [name.lstrip("/")]
    own = [
        posixpath.normpath(folder.replace("$ORIGIN", f"/{origin}").replace("${ORIGIN}", f"/{origin}"))
        for folder in dynamic.search
    ]
    return [f"{folder.lstrip('/')}/{name}" for folder in (*own, *LIBRARY_FOLDERS)]
