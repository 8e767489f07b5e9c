"""What dnsmasq hands out by TFTP: the files of a boot folder once more, where a user without rights can read them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

#: Inode, size, time of change and rights: what tells a file from the one that took its place.
_Version = tuple[int, int, int, int]


class Mirror:
    """``files``: name as it is asked for → file. They stand below ``root`` under these names, as links where the file system is
    the same one and everybody may read the file, else as copies."""

    def __init__(self, files: Mapping[str, Path], root: Path) -> None:
        self._files, self._root = files, root
        self._have: dict[str, _Version | None] = {}
        for folder in sorted({root, *((root / name).parent for name in files)}):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)  # whatever our umask is

    def refresh(self) -> Iterator[str]:
        """Follow what changed since the last call; yields a sentence for each file that cannot be followed."""
        for name, source in self._files.items():
            version = _version(source)
            if name in self._have and self._have[name] == version:
                continue
            self._have[name] = version
            try:
                self._follow(source, self._root / name, version)
            except OSError as error:
                yield f"{source}: cannot be handed out by TFTP: {error.strerror or error}"

    @staticmethod
    def _follow(source: Path, target: Path, version: _Version | None) -> None:
        """One rename: whoever fetches the earlier one gets the whole of it."""
        if version is None:
            target.unlink(missing_ok=True)
            return
        temporary = target.with_name(f".{target.name}.new")
        temporary.unlink(missing_ok=True)
        if not (version[-1] & stat.S_IROTH and _linked(source, temporary)):
            shutil.copyfile(source, temporary)
            temporary.chmod(0o644)
        temporary.replace(target)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _version(path: Path) -> _Version | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode
