"""Kernel modules: chosen by folder, with what they depend on, and the index that ``modprobe`` reads.

A module tells in its section ``.modinfo`` what it depends on (``depends=``) and what it would like to have (``softdep=``),
see the kernel's ``include/linux/module.h`` and ``modules.dep(5)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ahc_agent.programs import run
from ramdisk.contents import Flavour
from ramdisk.elf import Elf
from ramdisk.errors import BuildError
from ramdisk.image import Image

#: Lists of the kernel that ``depmod`` reads.
_LISTS = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
#: Text forms of what the image has as ``.bin`` already, and what nobody asks for.
_INDEX_LEFT_OUT = ("modules.symbols", "modules.symbols.bin", "modules.order", "modules.builtin.modinfo")
_DEPMOD_TIME_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a module needs and would like: names with ``_`` for ``-``."""

    needs: tuple[str, ...]
    likes: tuple[str, ...]


def kernel_version(tree: Path) -> str:
    """Version of the one kernel in the tree. Raises BuildError when there is none, or more than one."""
    found = sorted(path.name for path in (tree / "usr/lib/modules").iterdir() if (path / "kernel").is_dir())
    if len(found) != 1:
        raise BuildError(f"the tree must hold exactly one kernel, it holds {', '.join(found) or 'none'}")
    return found[0]


def choose(kernel: Path, flavour: Flavour) -> list[Path]:
    """Modules of a flavour below ``kernel``, with everything that they need, sorted."""
    everything = {_name(path): path for path in sorted(kernel.rglob("*.ko"))}
    todo = [path for path in everything.values() if _wanted(path.relative_to(kernel).as_posix(), flavour)]
    chosen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in chosen:
            continue
        chosen.add(path)
        todo += _partners(path, everything)
    return sorted(chosen)


def add(image: Image, tree: Path, flavour: Flavour, work: Path) -> str:
    """Add the modules and their index; ``work`` is an empty folder for it. Returns the kernel's version."""
    version = kernel_version(tree)
    source = tree / "usr/lib/modules" / version
    folder = work / "lib/modules" / version
    for path in choose(source / "kernel", flavour):
        name = path.relative_to(source)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).hardlink_to(path)
        image.file(f"usr/lib/modules/{version}/{name}", path, "kernel modules", 0o644)
    for index in _LISTS:
        (folder / index).write_bytes((source / index).read_bytes())
    run(["depmod", "-b", str(work), version], time_limit_s=_DEPMOD_TIME_LIMIT_S)
    for path in sorted(folder.glob("modules.*")):
        if path.name not in _INDEX_LEFT_OUT:
            image.file(f"usr/lib/modules/{version}/{path.name}", path, "kernel modules", 0o644)
    return version


def wishes(module: Path) -> Wish:
    """What one module needs and would like. Raises BuildError when it is no kernel module."""
    elf = Elf.open(module)
    if elf is None:
        raise BuildError(f"{module} is not a kernel module")
    info = elf.section(".modinfo").decode("utf-8", "replace").split("\0")
    return Wish(
        needs=tuple(_plain(n) for line in _values(info, "depends") for n in line.split(",") if n),
        likes=tuple(
            _plain(n)
            for line in _values(info, "softdep")
            for n in re.split(r"\s+", line)
            if n not in ("pre:", "post:", "")
        ),
    )


def _partners(path: Path, everything: dict[str, Path]) -> Iterator[Path]:
    wish = wishes(path)
    for name in wish.needs:
        if name not in everything:
            raise BuildError(f"{path} needs the module {name}, which this kernel does not have")
        yield everything[name]
    yield from (everything[name] for name in wish.likes if name in everything)


def _wanted(path: str, flavour: Flavour) -> bool:
    return _matches(path, flavour.modules) and not _matches(path, flavour.left_out)


def _matches(path: str, table: Iterable[str]) -> bool:
    return any(path.startswith(f"{row}/") or fnmatchcase(path, row) for row in table)


def _values(info: Iterable[str], key: str) -> Iterator[str]:
    return (line.removeprefix(f"{key}=") for line in info if line.startswith(f"{key}="))


def _name(path: Path) -> str:
    return _plain(path.stem)


def _plain(name: str) -> str:
    return name.replace("-", "_")
