"""Addresses by DHCP: one busybox ``udhcpc`` per card, all at once, each for as long as the agent lives (leases are renewed).

udhcpc calls a hook with what the server said in its environment; ours (``ramdisk/rootfs/usr/share/ahc/udhcpc``) only prints it,
and here it is read. Whatever a DHCP server says is checked: it could be anybody.

Options 224 and 225 (for private use, RFC 3942) are the server's endpoint and key, as text.
"""

from __future__ import annotations

import ctypes
import ipaddress
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ahc_agent import programs
from ahc_agent.boot.arguments import Address
from ahc_agent.errors import ProgramFailed, ProgramMissing

HOOK = Path("/usr/share/ahc/udhcpc")
SERVER_OPTION, KEY_OPTION = 224, 225
_ROUTES_OPTION, _SEARCH_OPTION, _MTU_OPTION = 121, 119, 26
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_\-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_\-]*[A-Za-z0-9_])?)*"
)
_MOST_DOMAINS = 6  # resolv.conf(5)
#: Asks after 0, 2 and 4 seconds, then rests: a switch port that learns its topology (STP) passes nothing for 30 seconds.
_ASKS, _APART_S, _REST_S = 3, 2, 4
#: A lease without an end (RFC 2131, 3.3).
_FOR_EVER = 2**32 - 1
_LONGEST_LINE = 8192
_PREFIX = "ahc "


@dataclass(frozen=True, slots=True)
class Lease:
    """What a DHCP server gave. ``search``: domains in which short names are looked for. ``options``: those that we asked for by
    number, as bytes."""

    address: ipaddress.IPv4Interface
    gateway: ipaddress.IPv4Address | None = None
    dns: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    server: str = ""
    mtu: int | None = None
    lease_s: int | None = None
    options: dict[int, bytes] = field(default_factory=dict)

    def text(self, number: int) -> str | None:
        """An option that holds printable text; None where it is absent or holds something else."""
        text = self.options.get(number, b"").rstrip(b"\0").decode("utf-8", "replace").strip()
        return text if text and text.isprintable() else None


class Client:
    """One card's client. Readable (``fileno``) when it has something to say.

    ``lease``: None while there is none; it counts until ``lease_ends_at_s``; ``asked_at_s``: when it began to ask (both
    CLOCK_MONOTONIC). ``wish``: the address to ask for. Raises ProgramMissing, or ProgramFailed where it cannot be started.
    """

    def __init__(self, card: str, hook: Path = HOOK, wish: str | None = None) -> None:
        self.card = card
        self.lease: Lease | None = None
        self.lease_ends_at_s = math.inf
        self.asked_at_s = time.monotonic()
        self.wrong: str | None = None
        self._rest = b""
        busybox = programs.find("busybox")
        if busybox is None:
            raise ProgramMissing("busybox")
        asked = (SERVER_OPTION, KEY_OPTION, _ROUTES_OPTION, _SEARCH_OPTION, _MTU_OPTION)
        options = [word for number in asked for word in ("-O", str(number))]
        timing = ["-t", str(_ASKS), "-T", str(_APART_S), "-A", str(_REST_S)]
        wishes = ["-r", wish] if wish is not None else []
        try:
            self._child = subprocess.Popen(
                [
                    busybox,
                    "udhcpc",
                    "-f",
                    "-i",
                    card,
                    "-s",
                    str(hook),
                    "-V",
                    "ahc",
                    *timing,
                    *options,
                    *wishes,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ProgramFailed("udhcpc", f"cannot be started: {error}") from error
        assert self._child.stdout is not None
        self._output: int = self._child.stdout.fileno()
        os.set_blocking(self._output, False)

    def fileno(self) -> int:
        return self._output

    def alive(self) -> bool:
        return self._child.poll() is None

    def heard(self) -> bool:
        """Take in what it said; whether the lease is another one than before."""
        before = self.lease
        try:
            while data := os.read(self._output, 65536):
                self._rest += data
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        self._rest = self._rest[-_LONGEST_LINE:]
        for line in lines:
            text = line.decode("utf-8", "replace")
            if text.startswith(_PREFIX):
                self._take(read_words(text.removeprefix(_PREFIX)))
        return self.lease != before

    def _take(self, said: dict[str, str]) -> None:
        event = said.get("event")
        if event in ("bound", "renew"):
            self.lease, self.wrong = read_lease(said)
            lasts_s = self.lease.lease_s if self.lease is not None else None
            self.lease_ends_at_s = math.inf if lasts_s in (None, _FOR_EVER) else time.monotonic() + lasts_s
        elif event in ("nak", "leasefail"):
            self.wrong = {"nak": "the DHCP server says no"}.get(event)
        elif event == "deconfig":
            self.lease = None

    def close(self) -> None:
        """End it, by its process group: the hook as well."""
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()


def read_words(line: str) -> dict[str, str]:
    """``name='value' name='value' …``, as the hook prints it: values without quotes inside."""
    found = {}
    for part in line.split("' "):
        name, equals, value = part.partition("='")
        if equals:
            found[name.strip()] = value.removesuffix("'")
    return found


def read_lease(said: dict[str, str]) -> tuple[Lease | None, str | None]:
    """A lease from the hook's words, or why it cannot be one."""
    try:
        address = ipaddress.IPv4Interface(
            f"{said.get('ip', '')}/{said.get('subnet') or said.get('mask') or 24}"
        )
    except ValueError:
        return None, f"the DHCP server gave no address that can be used ({said.get('ip', '')[:40]!a})"
    if not address.network.prefixlen:
        return None, "the DHCP server gave a network mask that takes in the whole world"
    if not _usable(address.ip):
        return None, f"the DHCP server gave {address.ip}, which no machine can have"
    gateways = [
        each for each in _addresses(said.get("router", "")) if isinstance(each, ipaddress.IPv4Address)
    ]
    options = {
        number: data
        for number in (SERVER_OPTION, KEY_OPTION)
        if (data := _bytes(said.get(f"opt{number}", ""))) is not None
    }
    lease = Lease(
        address,
        gateway=gateways[0] if gateways else _default_route(said.get("staticroutes", "")),
        dns=_addresses(said.get("dns", ""))[:3],
        search=_domains(f"{said.get('search', '')} {said.get('domain', '')}"),
        server=said.get("serverid", "")[:40],
        mtu=_number(said.get("mtu", ""), 576, 65535),
        lease_s=_number(said.get("lease", ""), 1, 2**32 - 1),
        options=options,
    )
    return lease, None


def _usable(address: ipaddress.IPv4Address) -> bool:
    return not (address.is_multicast or address.is_unspecified or address.is_loopback or address.is_reserved)


def _addresses(text: str) -> tuple[Address, ...]:
    found: list[Address] = []
    for word in text.split():
        try:
            found.append(ipaddress.ip_address(word))
        except ValueError:
            continue  # the others may be good
    return tuple(found)


def _domains(text: str) -> tuple[str, ...]:
    found = (word.rstrip(".") for word in text.split())
    return tuple(dict.fromkeys(word for word in found if _DOMAIN.fullmatch(word)))[:_MOST_DOMAINS]


def _default_route(text: str) -> ipaddress.IPv4Address | None:
    """Of classless static routes (RFC 3442: destination and router in turn) the one that leads everywhere."""
    words = text.split()
    for destination, router in zip(words[::2], words[1::2], strict=False):
        if destination == "0.0.0.0/0":
            found = _addresses(router)
            if found and isinstance(found[0], ipaddress.IPv4Address):
                return found[0]
    return None


def _number(text: str, low: int, high: int) -> int | None:
    return (
        int(text)
        if text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high
        else None
    )


def _bytes(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) or None
    except ValueError:
        return None


def _die_with_parent(parent: int) -> Callable[[], None]:
    library = ctypes.CDLL(None)

    def prepare() -> None:
        library.prctl(
            1, signal.SIGKILL, 0, 0, 0
        )  # PR_SET_PDEATHSIG: an agent that is started anew starts new ones
        if os.getppid() != parent:
            os._exit(1)

    return prepare
