"""Debian packages as files: what each is, brings, was made when, and under which licences.

Format: ``deb(5)``, ``deb-control(5)``; licences: "Machine-readable debian/copyright file" (DEP-5), version 1.0.
"""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import msgspec

from ahc_agent.programs import run
from ramdisk.errors import BuildError
from ramdisk.recipe import sha256

SEE_COPYRIGHT = "see copyright"

_READ_TIME_LIMIT_S = 60.0
_DEP5 = re.compile(r"^Format:\s*\S*copyright-format", re.MULTILINE | re.IGNORECASE)
_LICENCE = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE)


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One package. ``deb`` is its file's name, ``files`` are the paths of its regular files, but for ``settings``, those that
    an administrator may change (conffiles); ``made_unix_s`` is when Debian built it."""

    name: str
    deb: str
    version: str
    source: str
    sha256: str
    made_unix_s: int
    files: tuple[str, ...]
    settings: tuple[str, ...]


def read(deb: Path) -> Package:
    """Read a package's control archive. Raises BuildError when it is not a package."""
    done = run(["dpkg-deb", "--ctrl-tarfile", str(deb)], time_limit_s=_READ_TIME_LIMIT_S)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        members = {member.name.removeprefix("./"): member for member in tar.getmembers()}
        text = {
            name: _text(tar, members[name]) for name in ("control", "md5sums", "conffiles") if name in members
        }
        made = int(members["control"].mtime) if "control" in members else 0
    fields: dict[str, str] = dict(
        re.findall(r"^([A-Za-z0-9-]+):[ \t]*(.*)$", text.get("control", ""), re.MULTILINE)
    )
    if not {"Package", "Version"} <= fields.keys():
        raise BuildError(f"{deb.name} is not a Debian package; delete it and build anew")
    return Package(
        name=fields["Package"],
        deb=deb.name,
        version=fields["Version"],
        source=(fields.get("Source") or fields["Package"]).split(" ")[0],
        sha256=sha256(deb),
        made_unix_s=made,
        files=tuple(line.split("  ", 1)[1] for line in text.get("md5sums", "").splitlines() if "  " in line),
        settings=tuple(
            line.strip().lstrip("/")
            for line in text.get("conffiles", "").splitlines()
            if line.startswith("/")
        ),
    )


def licences(tree: Path, package: str) -> tuple[str, ...]:
    """Short names of the licences in a package's copyright file, sorted; ``see copyright`` where it is not in DEP-5's form."""
    path = tree / "usr/share/doc" / package / "copyright"
    if not path.is_file():
        return (SEE_COPYRIGHT,)
    text = path.read_text("utf-8", "replace")
    names = {name.strip() for name in _LICENCE.findall(text)} if _DEP5.search(text) else set()
    return tuple(sorted(names)) or (SEE_COPYRIGHT,)


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = tar.extractfile(member)
    return file.read().decode("utf-8", "replace") if file is not None else ""
