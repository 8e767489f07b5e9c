"""The upper of the two archives: the agent, ``rootfs/``, plans, and what lets people in. Packed anew at every change."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ahc_server.netboot.tasks import compile_plan
from ramdisk import extras, python
from ramdisk.contents import PLANS
from ramdisk.image import Image
from ramdisk.recipe import CHECKOUT, HERE, Recipe

ROOTFS = HERE / "rootfs"

_LAUNCHER = "#!/usr/bin/python3 -I\nfrom ahc_agent.cli import main\n\nmain()\n"


def assemble(recipe: Recipe, tree: Path, modified_unix_s: int) -> Image:
    """Gather the image's upper archive; all content is read when this returns.

    ``built-at`` is for machines whose clock has lost its battery: it cannot be earlier than that.
    """
    image = Image()
    with tempfile.TemporaryDirectory(dir=tree / "tmp") as folder:
        python.add_agent(image, tree, Path(folder))
        image.hold()
    python.add_description(image)
    image.data("usr/bin/ahc-agent", _LAUNCHER.encode(), "agent", 0o755)
    for name, content in plans().items():
        image.data(f"usr/share/ahc/plans/{name}.json", content, "agent")
    image.data("usr/share/ahc/built-at", f"{modified_unix_s}\n".encode(), "agent")
    for path in files(ROOTFS):
        image.file(path.relative_to(ROOTFS).as_posix(), path, "agent")
    extras.add_files(image, recipe)
    extras.add_logins(image, recipe)
    return image


def inputs(recipe: Recipe) -> list[bytes]:
    """Everything that the upper archive is made from, for telling whether it has changed."""
    project, own = (CHECKOUT / "pyproject.toml").read_bytes(), Path(__file__).read_bytes()
    folders = ((python.SOURCES / "ahc_agent", python.SOURCES), (ROOTFS, ROOTFS))
    named = [(str(path.relative_to(start)), path) for folder, start in folders for path in files(folder)]
    for source, place in recipe.files:
        inside = files(source) if source.is_dir() else [source]
        named += [(f"{place} {path.relative_to(source)}", path) for path in inside]
    logins = (("key", recipe.ssh_key), ("password", recipe.root_password))
    named += [(name, path) for name, path in logins if path is not None]
    return [project, own, *plans().values(), *(_described(name, path) for name, path in named)]


def plans() -> dict[str, bytes]:
    """The plans that a machine without a server can be told by name, compiled."""
    return {name: compile_plan(name) for name in PLANS}


def files(folder: Path) -> list[Path]:
    """All files below a folder, sorted, without what Python leaves behind."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _described(name: str, path: Path) -> bytes:
    return f"{name} {path.stat().st_mode & 0o777:o}".encode() + b"\0" + path.read_bytes()
