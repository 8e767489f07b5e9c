"""The unpacked tree: Debian's packages (no maintainer script is run) and the agent's wheels, compiled.

It holds far more than the image; ``build`` takes from it what is needed. A tree is made once for a set of packages and kept;
``newest`` asks the mirror for newer versions. The mirror is the one that apt on this machine is configured with.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ahc_agent.programs import run
from ramdisk import debian, wheels
from ramdisk.contents import FLAVOURS, LIBRARY, PACKAGES, PYTHON, SITE, SSH_PACKAGE, SUITE
from ramdisk.errors import BuildError
from ramdisk.recipe import Recipe, fingerprint

_UNPACK_TIME_LIMIT_S = 900.0
_COMPILE_TIME_LIMIT_S = 300.0
#: Folder of the packages, beside the tree.
DEBS = "debs"

_ARCHIVES = "var/cache/apt/archives"
_SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d")
_DONE = "tree.json"
_WAY = ("Acquire::http::Proxy", "Acquire::https::", "Acquire::Retries")
#: Trees of one flavour that are kept, of half a gigabyte each: with and without options, say.
_TREES_KEPT = 2


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a tree was made from."""

    key: str
    packages: tuple[debian.Package, ...]
    wheels: tuple[wheels.Wheel, ...]


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree on disk and what it was made from."""

    path: Path
    contents: Contents

    @property
    def made_unix_s(self) -> int:
        """When the newest of the packages was built by Debian."""
        return max(package.made_unix_s for package in self.contents.packages)


def place(recipe: Recipe) -> Path:
    """The folder of a recipe's tree: another one for other packages or wheels."""
    key = fingerprint(SUITE, _packages(recipe), wheels.requirements(recipe.pip))
    return recipe.cache / f"tree-{recipe.flavour}-{key}"


def unpack(recipe: Recipe, *, newest: bool = False) -> Tree:
    """The tree of a recipe, from the cache where it is there.

    Raises BuildError when this machine cannot make it (not root, no mirror).
    """
    folder = place(recipe)
    done = folder / _DONE
    known = _notes(done)
    if known is not None and not newest:
        return Tree(folder / "root", known)
    if os.geteuid() != 0:
        raise BuildError("unpacking packages with their owners takes root: run this as root")
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    root = fresh / "root"
    fresh.mkdir(parents=True)
    debs = fetch(root, _packages(recipe), fresh / DEBS)
    found = wheels.install(wheels.requirements(recipe.pip), recipe.cache / "wheels", root / SITE)
    compile_python(root, [f"/{SITE}", f"/{LIBRARY}"])
    version = fingerprint(folder.name, sorted(p.sha256 for p in debs), sorted(w.sha256 for w in found))
    contents = Contents(key=version, packages=tuple(debs), wheels=tuple(found))
    (fresh / _DONE).write_bytes(msgspec.json.encode(contents))
    for old in _superfluous(recipe, folder):
        shutil.rmtree(old)
    fresh.rename(folder)
    return Tree(folder / "root", contents)


def compile_python(root: Path, paths: list[str], *, prefix: tuple[str, str] | None = None) -> None:
    """Compile with the tree's own Python, in the tree; ``prefix`` (from, to) changes the paths noted in the files.

    ``unchecked-hash``: the import neither looks at the source's time nor hashes it. The hash seed is fixed, since the order of
    sets in the compiled files hangs on it.
    """
    moved = ["-s", prefix[0], "-p", prefix[1]] if prefix is not None else []
    argv = ["chroot", str(root), f"/usr/bin/python{PYTHON}", "-m", "compileall", "-q", "-f", *moved]
    argv += ["--invalidation-mode", "unchecked-hash", "-x", r"/(lib2to3/tests|test)/", *paths]
    env = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    run(argv, time_limit_s=_COMPILE_TIME_LIMIT_S, env=env)


def _packages(recipe: Recipe) -> list[str]:
    asked = {*recipe.packages, *recipe.firmware, *([SSH_PACKAGE] if recipe.ssh_key is not None else ())}
    return sorted({*PACKAGES, FLAVOURS[recipe.flavour].kernel_package, *asked})


def _notes(path: Path) -> Contents | None:
    """What a finished tree was made from; None when it is not there, not finished, or of another form."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Contents)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _superfluous(recipe: Recipe, folder: Path) -> list[Path]:
    """Trees to delete before ``folder`` is made: it itself, and all but the newest of other options."""
    others = [
        path
        for path in recipe.cache.glob(f"tree-{recipe.flavour}-*")
        if path != folder and path.suffix != ".new"
    ]
    others.sort(key=lambda path: path.stat().st_mtime)
    return [*others[: -(_TREES_KEPT - 1)], *([folder] if folder.exists() else [])]


def fetch(root: Path, packages: list[str], debs: Path) -> list[debian.Package]:
    """Fetch and unpack; the packages themselves are kept in ``debs``, exactly those that were unpacked."""
    argv = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", "--format=directory"]
    argv += [
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        "--skip=download/empty,essential/unlink,cleanup/apt",
    ]
    argv += [
        f"--aptopt={line}"
        for line in way_to_the_mirror(run(["apt-config", "dump"], time_limit_s=60.0).text())
    ]
    argv += [f"--include={','.join(packages)}", SUITE, str(root), *sources()]
    run(argv, time_limit_s=_UNPACK_TIME_LIMIT_S)
    debs.mkdir()
    return [debian.read(deb.rename(debs / deb.name)) for deb in sorted((root / _ARCHIVES).glob("*.deb"))]


def way_to_the_mirror(settings: str) -> list[str]:
    """Of all settings of apt (``apt-config dump``) those that say how a mirror is reached: proxies, certificates."""
    lines = (line.strip() for line in settings.splitlines())
    return [line for line in lines if line.startswith(_WAY) and not line.endswith('"";')]


def sources() -> list[str]:
    """The files in which apt on this machine is told its mirror, those that speak of Debian's suite."""
    files = []
    for place in _SOURCES:
        path = Path(place)
        files += sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    known = [
        p for p in files if p.suffix in (".list", ".sources") and _speaks_of(p.read_text("utf-8", "replace"))
    ]
    if not known:
        raise BuildError(
            f"apt on this machine knows no mirror of Debian {SUITE}: the build takes its packages from there"
        )
    return [str(path) for path in known]


def _speaks_of(text: str) -> bool:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return any(
        word in (SUITE, f"{SUITE}-updates", f"{SUITE}-security") for line in lines for word in line.split()
    )
