"""What is in an image only when it was asked for: packages, files, firmware, a key for SSH, a password of root.

Without these options nobody can log in and nothing listens.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ahc_agent.programs import run
from ramdisk import debian
from ramdisk.closure import add_libraries
from ramdisk.contents import SSH_PACKAGE
from ramdisk.errors import BuildError, RecipeError
from ramdisk.image import Image
from ramdisk.recipe import Recipe
from ramdisk.tree import DEBS, Tree

_PAPER = (
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/bug",
)
_LIST_TIME_LIMIT_S = 60.0
_HASH_TIME_LIMIT_S = 30.0
#: ``crypt(5)``: yescrypt, SHA-512, SHA-256.
_HASHED = re.compile(r"\$(y|6|5)\$\S+")
_KEY = re.compile(r"(\S+ )?(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-\S+) [A-Za-z0-9+/=]+( .*)?")
#: Keys only (-s), no forwarding (-j -k), host keys made when first asked for (-R), in the foreground (-F).
_SSH_LINE = "::respawn:/usr/sbin/dropbear -F -s -j -k -R\n"
_LOGIN_LINE = "tty2::respawn:/usr/sbin/getty -L 115200 tty2 linux\n"


def add_packages(image: Image, recipe: Recipe, tree: Tree) -> None:
    """Add whole packages (without manuals and translations), the libraries of their programs, and firmware.

    Programs of other packages that they call are not found out: name these packages as well.
    """
    by_name = {package.name: package for package in tree.contents.packages}
    for name in recipe.packages:
        _add_package(image, tree, by_name, name, "extra packages")
    for name in recipe.firmware:
        _add_package(image, tree, by_name, name, "firmware")
    if recipe.ssh_key is not None:
        _add_package(image, tree, by_name, SSH_PACKAGE, "extra packages")


def add_files(image: Image, recipe: Recipe) -> None:
    """Add files and folders of the one who builds, with the modes that they have. A link is followed."""
    for source, place in recipe.files:
        if source.is_dir():
            for path in sorted(p for p in source.rglob("*") if p.is_file()):
                image.file(f"{place}/{path.relative_to(source)}", path, "extra files")
        elif source.is_file() and place.endswith("/"):
            raise RecipeError(
                f"--file: {source} is a file, and {place} names a folder: say {place}{source.name}"
            )
        elif source.is_file():
            image.file(place, source, "extra files")
        else:
            raise RecipeError(f"--file: {source} is neither a file nor a folder")


def add_logins(image: Image, recipe: Recipe) -> None:
    """Add what lets a person in: lines for init, the key, the password's hash. The image holds rootfs already."""
    lines = ""
    if recipe.ssh_key is not None:
        image.directory("root/.ssh", 0o700)
        image.data("root/.ssh/authorized_keys", _keys(recipe.ssh_key).encode(), "extra files", 0o600)
        image.directory("etc/dropbear", 0o700)
        lines += _SSH_LINE
    if recipe.root_password is not None:
        line = f"root:{_hash(recipe.root_password)}:1::::::\nnobody:!:1::::::\n"
        image.data("etc/shadow", line.encode(), "extra files", 0o600)
        lines += _LOGIN_LINE
    if lines:
        table = image.entries["etc/inittab"]
        image.data("etc/inittab", table.read().rstrip(b"\n") + b"\n" + lines.encode(), "agent")


def _add_package(image: Image, tree: Tree, by_name: dict[str, debian.Package], name: str, part: str) -> None:
    if name not in by_name:
        raise BuildError(
            f"{name} is a name for other packages, not a package itself: name the one that is meant"
        )
    for path in _files(tree.path.parent / DEBS / by_name[name].deb):
        if path.startswith(_PAPER):
            continue
        try:
            at = image.from_tree(tree.path, path, part)
        except BuildError:
            if not (tree.path / path).is_symlink():
                raise
            continue  # as on Debian a link may lead to /dev/null, or to what another package would bring
        if at in image.entries and stat.S_ISREG(image.entries[at].mode):
            add_libraries(image, tree.path, at, {})


def _files(deb: Path) -> Iterator[str]:
    """Files and links that a package brings. Line of ``dpkg-deb -c``: mode, owner, size, day, time, ./path [-> target]."""
    for line in run(["dpkg-deb", "-c", str(deb)], time_limit_s=_LIST_TIME_LIMIT_S).text().splitlines():
        mode, name = line[:1], line.split(None, 5)[5].removeprefix("./")
        if mode in "-lh":
            yield re.split(r" -> | link to ", name)[0]


def _keys(path: Path) -> str:
    lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or not all(_KEY.fullmatch(key) for key in keys):
        raise RecipeError(
            f"--ssh-key: {path} does not hold public keys, one in a line (as ~/.ssh/id_ed25519.pub does)"
        )
    return "".join(f"{key}\n" for key in keys)


def _hash(path: Path) -> str:
    """The password as ``crypt(5)`` has it; a file that holds such a hash already is taken as it is."""
    lines = path.read_text("utf-8", "replace").splitlines()
    if len(lines) != 1 or not lines[0]:
        raise RecipeError(f"--root-password-file: {path} must hold one line, the password or its hash")
    if _HASHED.fullmatch(lines[0]):
        return lines[0]
    argv = ["openssl", "passwd", "-6", "-stdin"]
    return run(argv, time_limit_s=_HASH_TIME_LIMIT_S, stdin=lines[0].encode() + b"\n").text().strip()
