"""IPv6 by router advertisements: the addresses that the kernel makes of them (SLAAC, RFC 4862), the router, and name servers.

Addresses and router are read from procfs (the kernel's ``net/ipv6/addrconf.c``, ``if6_seq_show``, and ``net/ipv6/ip6_fib.c``,
``ipv6_route_native_seq_show``); the kernel renews and ends them. Name servers (RFC 8106) it only hands on, to whoever listens for
``RTM_NEWNDUSEROPT`` (rtnetlink.h).
"""

from __future__ import annotations

import ipaddress
import math
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

_ADDRESSES, _ROUTES = Path("/proc/net/if_inet6"), Path("/proc/net/ipv6_route")
_GLOBAL = 0
#: ``IFA_F_`` of if_addr.h: TEMPORARY, DADFAILED, DEPRECATED, TENTATIVE, and PERMANENT (somebody's own word, not a router's).
_NOT_USABLE = 0x01 | 0x08 | 0x20 | 0x40 | 0x80
#: ``RTF_`` of ipv6_route.h: GATEWAY, and ADDRCONF (by an advertisement).
_BY_ROUTER = 0x2 | 0x40000
#: ``RTNLGRP_ND_USEROPT``; struct nlmsghdr (length, type, flags, sequence, sender), struct nduseroptmsg (family, length, card).
_GROUP, _NEW_USER_OPTION = 20, 68
_HEADER, _USER_OPTION = struct.Struct("=IHHII"), struct.Struct("=BxHi8x")
#: RFC 8106, 5.1.
_RDNSS, _FOR_EVER = 25, 2**32 - 1
_MOST_SERVERS = 8


def addresses(card: str, listed: Path = _ADDRESSES) -> list[ipaddress.IPv6Interface]:
    """Those of a card that can be used now, in the kernel's order."""
    found = []
    for words in _lines(listed):
        if len(words) == 6 and words[5] == card:
            prefix, scope, flags = (int(word, 16) for word in words[2:5])
            if scope == _GLOBAL and not flags & _NOT_USABLE:
                found.append(ipaddress.IPv6Interface((int(words[0], 16), prefix)))
    return found


def gateway(card: str, listed: Path = _ROUTES) -> ipaddress.IPv6Address | None:
    """The router that a card's advertisements name for everything else."""
    for words in _lines(listed):
        is_default = len(words) == 10 and words[9] == card and words[1] == "00"
        if is_default and int(words[8], 16) & _BY_ROUTER == _BY_ROUTER:
            return ipaddress.IPv6Address(int(words[4], 16))
    return None


def is_on_link(card: str, network: ipaddress.IPv6Network, listed: Path = _ROUTES) -> bool:
    """Whether the others of a network are reached without a router: an advertisement may leave that out (RFC 4861, 4.6.2)."""
    wanted = [f"{int(network.network_address):032x}", f"{network.prefixlen:02x}"]
    return any(
        len(words) == 10 and words[9] == card and words[:2] == wanted and not int(words[4], 16)
        for words in _lines(listed)
    )


class NameServers:
    """Those of all advertisements since this was made. Readable (``fileno``) when there may be others. ``clock``: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at_s: dict[str, float] = {}
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 1 << (_GROUP - 1)))

    def fileno(self) -> int:
        return self._socket.fileno()

    def now(self) -> tuple[str, ...]:
        """Their addresses, those that were heard first before the others."""
        while True:
            try:
                data, sender = self._socket.recvfrom(65536)
            except OSError:
                break  # nothing more; or more than fits, but routers advertise again
            if sender[0] == 0:  # from the kernel, not from another program
                self._take(data)
        now = self._clock()
        self._ends_at_s = {each: ends for each, ends in self._ends_at_s.items() if now < ends}
        return tuple(self._ends_at_s)

    def _take(self, data: bytes) -> None:
        for address, lifetime_s in name_servers(data):
            if lifetime_s and (address in self._ends_at_s or len(self._ends_at_s) < _MOST_SERVERS):
                self._ends_at_s[address] = self._clock() + lifetime_s
            elif not lifetime_s:
                self._ends_at_s.pop(address, None)

    def close(self) -> None:
        self._socket.close()


def name_servers(message: bytes) -> list[tuple[str, float]]:
    """Addresses and lifetimes (seconds) in a message of the kernel; none where it is about something else. That of a link has its
    card behind it: "fe80::1%eth0"."""
    if len(message) < _HEADER.size + _USER_OPTION.size or _HEADER.unpack_from(message)[1] != _NEW_USER_OPTION:
        return []
    _, length, card = _USER_OPTION.unpack_from(message, _HEADER.size)
    options = message[_HEADER.size + _USER_OPTION.size :][:length]
    found: list[tuple[str, float]] = []
    while len(options) >= 8 and (size := 8 * options[1]):
        if options[0] == _RDNSS and size <= len(options):
            lifetime = int.from_bytes(options[4:8], "big")
            for start in range(8, size - 15, 16):
                address = ipaddress.IPv6Address(options[start : start + 16])
                if name := _on_its_link(address, card):
                    found.append((name, math.inf if lifetime == _FOR_EVER else float(lifetime)))
        options = options[size:]
    return found


def _on_its_link(address: ipaddress.IPv6Address, card: int) -> str | None:
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        return None
    try:
        return f"{address}%{socket.if_indextoname(card)}" if address.is_link_local else str(address)
    except OSError:
        return None  # the card is gone


def _lines(listed: Path) -> list[list[str]]:
    try:
        return [line.split() for line in listed.read_text().splitlines()]
    except FileNotFoundError:
        return []  # a kernel without IPv6
