"""On which interface machines may be booted: a DHCP server on the wrong network takes other people's machines down.

Read from the kernel (getifaddrs(3), ``/proc/net/route``); nothing is guessed.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from ahc_agent.errors import UsageError

#: Destination and mask of the default route in ``/proc/net/route``, and the mask of a half of everything.
_NOWHERE, _HALF = "00000000", "00000080"


@dataclass(frozen=True, slots=True)
class Interface:
    """``address``: its first IPv4 address, by which it is served. ``ipv6``: it has an IPv6 address that is not link-local."""

    name: str
    address: ipaddress.IPv4Address
    network: ipaddress.IPv4Network
    mac: bytes
    ipv6: bool
    default_route: bool


def read(name: str) -> Interface:
    """The interface; raises UsageError where there is none of that name, it is down, loopback, or has no IPv4 address."""
    import psutil

    status = psutil.net_if_stats().get(name)
    if status is None:
        raise UsageError(f"--interface {name}: there is none of that name (there are: {', '.join(_names())})")
    flags = status.flags.split(",")
    if "loopback" in flags or "pointopoint" in flags:
        raise UsageError(f"--interface {name}: no machine can boot over it")
    # Not ``isup``: a bridge without machines has no carrier yet.
    if "up" not in flags:
        raise UsageError(f"--interface {name}: it is down (ip link set {name} up)")
    entries = psutil.net_if_addrs()[name]
    ipv4 = [each for each in entries if each.family == socket.AF_INET and each.netmask]
    if not ipv4:
        raise UsageError(
            f"--interface {name}: it has no IPv4 address; give it one (ip address add 192.168.77.1/24 dev {name})"
        )
    own = ipaddress.IPv4Interface(f"{ipv4[0].address}/{ipv4[0].netmask}")
    macs = [each.address for each in entries if each.family == socket.AF_PACKET]
    return Interface(
        name=name,
        address=own.ip,
        network=own.network,
        mac=bytes.fromhex(macs[0].replace(":", "")) if macs else bytes(6),
        ipv6=any(each.family == socket.AF_INET6 and "%" not in each.address for each in entries),
        default_route=name in default_routes(Path("/proc/net/route").read_text()),
    )


def _names() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex())


def default_routes(table: str) -> set[str]:
    """Interfaces of default routes in the form of ``/proc/net/route``; a half of everything (a VPN's 0.0.0.0/1) is one too."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {row[0] for row in rows if len(row) > 7 and row[1] == _NOWHERE and row[7] in (_NOWHERE, _HALF)}
