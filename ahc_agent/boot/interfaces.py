"""The machine's network cards, as far as the boot is concerned: which there are, up or not, with a carrier or not."""

from __future__ import annotations

import fcntl
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

NET = Path("/sys/class/net")
_ETHERNET, _INFINIBAND = "1", "32"
#: What is made of other cards, or of nothing (``DEVTYPE`` in sysfs).
_MADE = {"bridge", "bond", "vlan", "vxlan", "wlan", "gretap"}
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914  # netdevice(7)
_IFF_UP = 1
_RTMGRP_LINK, _RTMGRP_IPV6_IFADDR = 1, 0x100  # rtnetlink(7)


@dataclass(frozen=True, slots=True)
class Card:
    """``carrier``: something answers at the other end of the cable. ``index``: the kernel's number; a card that was away and came
    back has another."""

    name: str
    mac: str
    driver: str
    carrier: bool
    index: str = ""
    infiniband: bool = False

    def is_called(self, name: str) -> bool:
        """Whether a person means this card by its name or MAC address."""
        return name in (self.name, self.mac)


def cards(first: str | None = None, net: Path = NET) -> list[Card]:
    """All cards in the order of their names; that with the MAC address ``first`` before them."""
    from ahc_agent.order import natural_order

    found = [
        Card(
            folder.name,
            _text(folder / "address").lower(),
            _driver(folder),
            _text(folder / "carrier") == "1",
            _text(folder / "ifindex"),
            _text(folder / "type") == _INFINIBAND,
        )
        for folder in sorted(net.iterdir(), key=lambda path: natural_order(path.name))
        if _text(folder / "type") in (_ETHERNET, _INFINIBAND) and not _is_made(folder)
    ]
    return sorted(found, key=lambda card: card.mac != first)


def bring_up(name: str) -> None:
    """``ip link set NAME up``, without a process for it. Raises OSError (a card without firmware cannot be brought up)."""
    request = struct.Struct("16sh14x")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request.pack(name.encode(), 0))
        flags = request.unpack(answer)[1]
        if not flags & _IFF_UP:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request.pack(name.encode(), flags | _IFF_UP))


class Watch:
    """Becomes readable when a card comes, goes, or gains or loses its carrier or an IPv6 address."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, _RTMGRP_LINK | _RTMGRP_IPV6_IFADDR))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def happened(self) -> bool:
        """Whether anything did since the last look; what it was is read in sysfs."""
        seen = False
        while True:
            try:
                self._socket.recv(65536)
            except BlockingIOError:
                return seen
            except OSError:
                return True  # more than fits: something did
            seen = True

    def close(self) -> None:
        self._socket.close()


def _is_made(folder: Path) -> bool:
    kinds = {line[8:] for line in _text(folder / "uevent").splitlines() if line.startswith("DEVTYPE=")}
    return bool(kinds & _MADE) or (folder / "bonding_slave").exists()


def _driver(folder: Path) -> str:
    try:
        return (folder / "device/driver").resolve(strict=True).name
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # a card that is down does not tell of its carrier
