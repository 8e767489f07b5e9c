"""Python in the image: the interpreter's library as far as it is imported, the wheels, and the agent."""

from __future__ import annotations

import ast
import modulefinder
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from ahc_agent import __version__
from ramdisk.closure import add_libraries
from ramdisk.contents import (
    LIBRARY,
    PYTHON,
    PYTHON_ALWAYS,
    PYTHON_LEFT_OUT,
    PYTHON_NEVER,
    SITE,
    SITE_LEFT_OUT,
)
from ramdisk.image import Image
from ramdisk.recipe import CHECKOUT
from ramdisk.tree import compile_python

#: The folder in which the agent's package stands.
SOURCES = CHECKOUT

_TAG = f"cpython-{PYTHON.replace('.', '')}"


def agent_modules() -> list[str]:
    """Names of all modules of the agent."""
    files = sorted((SOURCES / "ahc_agent").rglob("*.py"))
    return [".".join(p.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__") for p in files]


def outside_imports() -> set[str]:
    """Modules that the agent imports and that are not its own."""
    found: set[str] = set()
    for path in sorted((SOURCES / "ahc_agent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] != "ahc_agent"}


def add_library(image: Image, tree: Path, *, whole: bool) -> None:
    """Add the modules of Python's library that the agent and its wheels lead to; ``whole`` adds all that is of use to anybody."""
    library = tree / LIBRARY
    chosen = _all(library) if whole else _imported(library, tree / SITE)
    for path in sorted(chosen):
        add_module(image, tree, path.relative_to(tree).as_posix(), path, "python")


def add_wheels(image: Image, tree: Path) -> None:
    """Add the unpacked wheels without their tests, and the libraries that they are linked with."""
    site = tree / SITE
    for path in sorted(p for p in site.rglob("*") if p.is_file() and not p.is_symlink()):
        name = path.relative_to(site)
        if not any(part in SITE_LEFT_OUT or Path(part).suffix in SITE_LEFT_OUT for part in name.parts):
            add_module(image, tree, f"{SITE}/{name}", path, "wheels")


def add_agent(image: Image, tree: Path, work: Path) -> None:
    """Compile and add the agent. ``work`` is an empty folder below the tree."""
    shutil.copytree(SOURCES / "ahc_agent", work / "ahc_agent", ignore=shutil.ignore_patterns("__pycache__"))
    inside = f"/{work.relative_to(tree)}"
    compile_python(tree, [f"{inside}/ahc_agent"], prefix=(inside, f"/{SITE}"))
    for path in sorted(p for p in (work / "ahc_agent").rglob("*") if p.is_file()):
        image.file(f"{SITE}/{path.relative_to(work)}", path, "agent", 0o644)


def add_description(image: Image) -> None:
    """Add what an installer would note of the agent: its version, and where other programs find its parts (entry points)."""
    points = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"].get("entry-points", {})
    groups = (
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in table.items()) for group, table in points.items()
    )
    folder = f"{SITE}/ahc-{__version__}.dist-info"
    image.data(
        f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: ahc\nVersion: {__version__}\n".encode(), "agent"
    )
    image.data(f"{folder}/entry_points.txt", "\n".join(groups).encode(), "agent")


def add_module(image: Image, tree: Path, at: str, path: Path, part: str) -> None:
    """Add a source file with what it was compiled to, or an extension with its libraries."""
    if path.is_symlink():
        return
    image.file(at, path, part, 0o644)
    compiled = path.parent / "__pycache__" / f"{path.stem}.{_TAG}.pyc"
    if path.suffix == ".py" and compiled.is_file():
        image.file(f"{at.rpartition('/')[0]}/__pycache__/{compiled.name}", compiled, part, 0o644)
    elif ".so" in path.suffixes:
        add_libraries(image, tree, at, {})


def _imported(library: Path, site: Path) -> Iterator[Path]:
    search = [str(SOURCES), str(library), str(library / "lib-dynload"), str(site)]
    finder = modulefinder.ModuleFinder(search, excludes=list(PYTHON_LEFT_OUT))
    for name in (*PYTHON_ALWAYS, *agent_modules()):
        finder.import_hook(name)
    for module in finder.modules.values():
        file: str | None = getattr(module, "__file__", None)
        if file is not None and Path(file).is_relative_to(library):
            yield Path(file)


def _all(library: Path) -> Iterator[Path]:
    for path in library.rglob("*"):
        name = path.relative_to(library)
        left_out = name.parts[0].split(".")[0] in PYTHON_NEVER or "__pycache__" in name.parts
        if not left_out and path.suffix in (".py", ".so") and "_test" not in name.name:
            yield path
