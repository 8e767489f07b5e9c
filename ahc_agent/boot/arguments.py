"""What the kernel's command line tells the agent of a discovery ramdisk: ``ahc.*=`` and ``BOOTIF=``.

A machine that boots from the network has nobody at its keyboard: a mistake in one argument is told (``Arguments.mistakes``) and
the default is taken. Nothing in a command line makes ``read`` raise.

Words are split as the kernel does (``lib/cmdline.c``, ``next_arg``): at white space, except between double quotes, for which
there is no escape.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ahc_agent.errors import UsageError

PATH = Path("/proc/cmdline")

Then = Literal["halt", "reboot", "poweroff", "shell", "wait"]
THENS: tuple[Then, ...] = ("halt", "reboot", "poweroff", "shell", "wait")

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_CARD = re.compile(r"[A-Za-z0-9_.\-@]{1,15}")
_MAC = re.compile(r"([0-9a-f]{2}[:\-]){5}[0-9a-f]{2}")
_HOST = re.compile(r"([\w.\-]{1,253}|\[[0-9a-fA-F:.]+(%[\w.\-]+)?\]):(\d{1,5})", re.ASCII)
_URL = re.compile(r"https?://[^\s/]+(/\S*)?")
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Static:
    """An address of the operator's choice. ``card``: an interface's name or MAC address; "": the next card in their order."""

    address: Interface
    gateway: Address | None = None
    dns: tuple[Address, ...] = ()
    card: str = ""


@dataclass(frozen=True, slots=True)
class Cards:
    """Which cards ask for an address by DHCP: ``which`` "dhcp" (those with a carrier), "all" (waiting for a carrier counts as
    trouble), or one by name or MAC address. ``static``: these instead."""

    which: str = "dhcp"
    static: tuple[Static, ...] = ()


@dataclass(frozen=True, slots=True)
class Arguments:
    """``boot_card``: the MAC address of the card that the machine booted from. ``mistakes``: sentences for the operator."""

    server: str | None = None
    key: str | None = None
    session: str | None = None
    plan: str | None = None
    upload: str | None = None
    on_success: Then = "wait"
    on_failure: Then = "wait"
    cards: Cards = Cards()
    boot_card: str | None = None
    patience_s: float = 600.0
    debug: bool = False
    mistakes: tuple[str, ...] = field(default=())


def words(line: str) -> list[tuple[str, str | None]]:
    """``name=value`` and bare words (value None) of a command line, in its order; quotes are taken off as the kernel does."""
    found = []
    for word in re.findall(r'(?:[^\s"]|"[^"]*(?:"|$))+', line):
        whole = word[1:-1] if word[0] == '"' and word[-1] == '"' and len(word) > 1 else word
        name, equals, value = whole.partition("=")
        found.append((name, value.replace('"', "") if equals else None))
    return found


def values(line: str) -> dict[str, str]:
    """The last value of each name."""
    return {name: value for name, value in words(line) if value is not None}


def read(line: str) -> Arguments:
    """From a kernel command line. Never raises."""
    taken: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, value in words(line):
        if name in _READERS:
            where, reader = _READERS[name]
            try:
                if value is None or not value.strip():
                    raise UsageError("a value is missing")
                if len(value) > 2000 or not value.isprintable():
                    raise UsageError("longer than 2,000 characters, or not printable")
                taken[where] = reader(value)
            except UsageError as error:
                mistakes.append(f"{name}={_show(value)}: {error}; left aside")
        elif name.startswith("ahc."):
            known = ", ".join(sorted(known for known in _READERS if known.startswith("ahc.")))
            mistakes.append(f"{_show(name)}: no such argument ({known})")
    return Arguments(**taken, mistakes=tuple(mistakes[:50]))


def endpoint(text: str) -> str:
    """``tcp://HOST:PORT``, or the same without its scheme; raises UsageError."""
    found = _HOST.fullmatch(text.removeprefix("tcp://"))
    if not found or not 0 < int(found[3]) < 65536:
        raise UsageError("tcp://HOST:PORT is meant, tcp://10.0.0.1:5570 for example")
    return f"tcp://{found[0]}"


def key(text: str) -> str:
    """The server's public key; raises UsageError."""
    from ahc_agent.wire.keys import public_key

    return public_key(text, "the server's key")


def mac(text: str) -> str:
    """A MAC address in lower case with colons; raises UsageError."""
    plain = text.lower()
    if not _MAC.fullmatch(plain):
        raise UsageError("a MAC address is meant, 52:54:00:12:34:56 for example")
    return plain.replace("-", ":")


def _boot_card(text: str) -> str:
    """As pxelinux writes it: a hardware type (01 is Ethernet, RFC 1700) and the address, with dashes."""
    plain = text.lower().replace(":", "-")
    return mac(plain[3:] if len(plain) == 20 else plain)


def _session(text: str) -> str:
    if len(text) > 128 or text != text.strip() or {"/", "\\"} & set(text):
        raise UsageError("1 to 128 characters are meant, without slashes")
    return text


def _plan(text: str) -> str:
    if not (_URL.fullmatch(text) or Path(text).is_absolute() or re.fullmatch(r"[\w.\-]{1,64}", text)):
        raise UsageError(
            "a plan's name (quick, standard), an http:// or https:// address, or a path is meant"
        )
    return text


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise UsageError("an http:// or https:// address is meant")
    return text


def _then(text: str) -> Then:
    for known in THENS:
        if text == known:
            return known
    raise UsageError(f"one of {', '.join(THENS)} is meant")


def _debug(text: str) -> bool:
    if text not in ("0", "1"):
        raise UsageError("0 or 1 is meant")
    return text == "1"


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not int(text):
        raise UsageError("a whole number of seconds is meant, 600 for example")
    return float(text)


def _cards(text: str) -> Cards:
    if ";" in text or "/" in text:
        static = tuple(_static(part) for part in text.split(";") if part)
        if not static:
            raise UsageError("no address is there")
        return Cards("static", static)
    if text == "static" or _is_address(text):
        raise UsageError("a static address is meant as ADDRESS/PREFIX, 10.0.0.7/24 for example")
    return Cards(_card(text))


def _card(text: str) -> str:
    if _MAC.fullmatch(text.lower()):
        return mac(text)
    if not _CARD.fullmatch(text):
        raise UsageError("dhcp, all, an interface, a MAC address or ADDRESS/PREFIX is meant")
    return text


def _static(text: str) -> Static:
    first, *more = text.split(",")
    address = _as(ipaddress.ip_interface, first)
    if "/" not in first or not address.network.prefixlen:
        raise UsageError(f"{_show(first)}: a prefix is missing, 10.0.0.7/24 for example")
    found: dict[str, Any] = {}
    dns: list[Address] = []
    for word in more:
        name, _, value = word.partition("=")
        if name == "gateway":
            found["gateway"] = _as(ipaddress.ip_address, value)
        elif name == "dns":
            dns.append(_as(ipaddress.ip_address, value))
        elif name == "interface":
            found["card"] = _card(value)
        else:
            raise UsageError(f"{_show(word)}: gateway=, dns= or interface= is meant")
    gateway = found.get("gateway")
    if gateway is not None and gateway.version != address.version:
        raise UsageError("address and gateway are of two families")
    return Static(address, dns=tuple(dns), **found)


def _as(kind: Callable[[str], Any], text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{_show(text)} is no IP address") from None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _show(text: str | None) -> str:
    return "" if text is None else ascii(text)[1:-1][:_SHOWN]


_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "ahc.server": ("server", endpoint),
    "ahc.key": ("key", key),
    "ahc.session": ("session", _session),
    "ahc.plan": ("plan", _plan),
    "ahc.upload": ("upload", _url),
    "ahc.onsuccess": ("on_success", _then),
    "ahc.onfailure": ("on_failure", _then),
    "ahc.ip": ("cards", _cards),
    "ahc.patience": ("patience_s", _seconds),
    "ahc.debug": ("debug", _debug),
    "BOOTIF": ("boot_card", _boot_card),
}
