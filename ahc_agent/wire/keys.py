"""CURVE key pairs (RFC 26, CurveZMQ) and the files that hold them.

Keys are 32 bytes written in Z85 (RFC 32): 40 printable characters. A secret key stands alone in a file of mode 0600;
the public key is computed from it. The list of admitted agents is a file with one public key a line, a comment after it.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from ahc_agent.errors import FileFormatError, UsageError

KEY_CHARACTERS = 40

_Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
#: Characters that a shell, GRUB's and iPXE's scripts take for themselves, and a leading dash.
_AWKWARD = re.compile(r"[!*?&<>()\[\]{}$#^=]|^-")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair in Z85; the secret one never shows in a ``repr``."""

    public: str
    secret: str = field(repr=False)

    @classmethod
    def of_secret(cls, secret: str) -> KeyPair:
        return cls(zmq.curve_public(secret.encode()).decode(), secret)


def new_pair(*, easy: bool = False) -> KeyPair:
    """A new key pair.

    ``easy``: one whose public key can be pasted into a shell, a GRUB or an iPXE script without quotes. It is found by
    trying (1,400 pairs on average, a fraction of a second); the secret key loses 10 of its 255 bits by it.
    """
    while True:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        if not (easy and _AWKWARD.search(public)):
            return KeyPair(public, secret)


def load_or_create(path: Path, *, public_path: Path | None = None, easy: bool = False) -> KeyPair:
    """The key pair whose secret key stands in ``path``; made there (mode 0600) when there is none.

    ``public_path`` gets the public key (mode 0644). Raises FileFormatError for a file that holds no key, UsageError for
    one that others may read, or that cannot be read or written.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, new_pair(easy=easy).secret + "\n", 0o600)
        pair = _load(path)
        if public_path is not None and not (
            public_path.exists() and public_path.read_text().strip() == pair.public
        ):
            public_path.unlink(missing_ok=True)
            _write_new(public_path, pair.public + "\n", 0o644)
    except OSError as error:
        raise UsageError(f"key file {path}: {error.strerror or error}") from error
    return pair


def public_key(text: str, where: str = "--server-key") -> str:
    """A public key as somebody typed it; raises UsageError for what cannot be one."""
    key = text.strip()
    if not is_key(key):
        raise UsageError(
            f"{where}: {key!r} is not a CURVE public key: {KEY_CHARACTERS} characters of Z85, as `ahc serve` prints it"
            + ("" if len(key) == KEY_CHARACTERS else f"; this has {len(key)}")
        )
    return key


def is_key(text: str) -> bool:
    """Whether a text is 32 bytes in Z85."""
    if not _Z85.fullmatch(text):
        return False
    try:
        z85.decode(text)
    except struct.error:  # five characters that mean more than 32 bits
        return False
    return True


def fingerprint(key: str) -> str:
    """A public key in short, for people to compare: the first 64 bits of the SHA-256 of its text, "1f3a-9c02-77de-40b1"."""
    import hashlib  # loads OpenSSL: only who shows a fingerprint pays for it

    digest = hashlib.sha256(key.encode()).hexdigest()
    return "-".join(digest[at : at + 4] for at in range(0, 16, 4))


def read_authorized_keys(path: Path) -> frozenset[str]:
    """The public keys that a file lists: one a line, anything after it is a comment.

    A line that starts with ``#`` is a comment (Z85 has that character, but no key of 32 bytes starts with it).
    Raises FileFormatError with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--authorized-keys {path}: {error}") from error
    keys = set()
    for number, line in enumerate(lines, 1):
        word = line.split(maxsplit=1)[0] if line.strip() else ""
        if is_key(word):
            keys.add(word)
        elif word and not word.startswith("#"):
            raise FileFormatError(
                str(path),
                f"{word[:60]!r} is not a public key",
                line=number,
                remedy=f"a line is a key of {KEY_CHARACTERS} characters, a space and a comment, or starts with #",
            )
    return frozenset(keys)


def _load(path: Path) -> KeyPair:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"key file {path}: others may read it (mode {stat.S_IMODE(mode):04o}); chmod 600 it, or remove it for a new one"
        )
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not is_key(text):
        raise FileFormatError(
            str(path),
            "holds no CURVE secret key",
            remedy=f"{KEY_CHARACTERS} characters of Z85; remove the file for a new one",
        )
    return KeyPair.of_secret(text)


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that appears whole; where another process was faster, its file stays."""
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
