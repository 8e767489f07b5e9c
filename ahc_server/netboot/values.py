"""What goes into boot scripts: each value checked once for every format that it is written to.

=============  ======================================================================================================
kernel         splits its command line at white space, takes ``"`` for itself; at most 2,047 characters (x86, ``setup.h``)
iPXE           splits at white space, expands ``${...}`` anywhere, takes words that start with ``#`` for a comment
GRUB           words stand between single quotes here, and nothing but ``'`` means anything there
pxelinux       takes the rest of an ``APPEND`` line as it is
dnsmasq        values stand between double quotes here
=============  ======================================================================================================

So printable ASCII without white space, quotes and backslashes is safe in all of them, ``${`` excepted. What is not is
refused, with the way out: a server's key can be made anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ahc_agent.errors import UsageError

COMMAND_LINE_LIMIT = 2047

_UNSAFE = re.compile(r"[^\x21-\x7e]|[\"'\\`]|\$\{")
_ARGUMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(=.*)?")
_ENDPOINT = re.compile(r"(?:tcp://)?([A-Za-z0-9_.\-]{1,253}|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")
_URL = re.compile(
    r"(https?)://([A-Za-z0-9_.\-]{1,253}|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?((?:/[A-Za-z0-9_.~%\-]+)*)/?"
)
_CONSOLE = re.compile(r"[A-Za-z][A-Za-z0-9]{0,15}(,[0-9]{1,7}[noe]?[0-9]?r?)?")
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,127}")


@dataclass(frozen=True, slots=True)
class Url:
    """Where machines fetch files from. ``path`` is empty or starts with a slash."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        usual = {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{self.host}{'' if self.port == usual else f':{self.port}'}{self.path}"


def safe(text: str, what: str) -> str:
    """A text that means itself in all of the formats above; raises UsageError."""
    found = _UNSAFE.search(text)
    if found:
        raise UsageError(f"{what}: {found[0]!r} cannot be written safely into every boot script")
    return text


def endpoint(text: str, what: str = "--server") -> str:
    """``tcp://HOST:PORT`` from that or ``HOST:PORT``; raises UsageError."""
    found = _ENDPOINT.fullmatch(text)
    if not found or not 0 < int(found[2]) < 65536:
        raise UsageError(f"{what} {text!r}: tcp://HOST:PORT is meant, tcp://10.0.0.1:5570 for example")
    return f"tcp://{found[1]}:{int(found[2])}"


def url(text: str, what: str = "--http") -> Url:
    """A folder on a web server; raises UsageError."""
    found = _URL.fullmatch(text)
    if not found:
        raise UsageError(f"{what} {text!r}: http://HOST:PORT or http://HOST/FOLDER is meant")
    try:
        port = urlsplit(text).port
    except ValueError:
        port = 0
    if port == 0:
        raise UsageError(f"{what} {text!r}: ports are 1 to 65535")
    return Url(found[1], found[2], port or {"http": 80, "https": 443}[found[1]], found[4])


def key(text: str) -> str:
    """The server's public key; raises UsageError where it is none, or one that a script would change."""
    from ahc_agent.wire.keys import public_key

    found = public_key(text, "--key")
    try:
        return safe(found, "--key")
    except UsageError as error:
        raise UsageError(
            f"{error}; stop the server, remove its key files and start it again: it makes a key that can be"
        ) from error


def session(text: str) -> str:
    if not _SESSION.fullmatch(text):
        raise UsageError(f"--session {text!r}: letters, digits, dots, dashes and underscores are meant")
    return text


def console(text: str) -> str:
    """``ttyS0`` or ``ttyS0,115200n8``; raises UsageError."""
    if not _CONSOLE.fullmatch(text):
        raise UsageError(f"--console {text!r}: ttyS0 or ttyS0,115200 is meant")
    return text


def argument(text: str) -> str:
    """A kernel argument, ``NAME=VALUE`` or a word; raises UsageError."""
    if not _ARGUMENT.fullmatch(text):
        raise UsageError(f"--arg {text!r}: NAME=VALUE or a word is meant")
    return safe(text, f"--arg {text.partition('=')[0]}")


def command_line(arguments: list[str]) -> str:
    """Kernel arguments as one line; raises UsageError where a kernel would cut it."""
    line = " ".join(arguments)
    # Boot loaders add their own: initrd=, BOOTIF=, BOOT_IMAGE=.
    if len(line) > COMMAND_LINE_LIMIT - 200:
        raise UsageError(
            f"the kernel's command line would be {len(line)} characters long; {COMMAND_LINE_LIMIT - 200} are"
            " left of what a kernel takes"
        )
    return line
