"""IPv6 addresses that the kernel makes by itself of what routers advertise (SLAAC, RFC 4862), and the router that did.

Both are read from procfs (the kernel's ``net/ipv6/addrconf.c``, ``if6_seq_show``, and ``net/ipv6/ip6_fib.c``,
``ipv6_route_native_seq_show``). The kernel renews and ends them. Name servers in advertisements (RFC 8106) it leaves to
others, and so does this.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

_ADDRESSES, _ROUTES = Path("/proc/net/if_inet6"), Path("/proc/net/ipv6_route")
_GLOBAL = 0
#: ``IFA_F_`` of if_addr.h: TEMPORARY, DADFAILED, DEPRECATED, TENTATIVE, and PERMANENT (somebody's own word, not a router's).
_NOT_USABLE = 0x01 | 0x08 | 0x20 | 0x40 | 0x80
#: ``RTF_`` of ipv6_route.h: GATEWAY, and ADDRCONF (by an advertisement).
_BY_ROUTER = 0x2 | 0x40000


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


def _lines(listed: Path) -> list[list[str]]:
    try:
        return [line.split() for line in listed.read_text().splitlines()]
    except FileNotFoundError:
        return []  # a kernel without IPv6
