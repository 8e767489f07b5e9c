"""Is there a DHCP server on this network already? A DISCOVER (RFC 2131) is sent, and whoever makes an offer is named."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import time

from ahc_agent.errors import CannotAnswer
from ahc_server.netboot.interface import Interface

_SERVER_PORT, _CLIENT_PORT = 67, 68
#: op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, magic cookie.
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128sI")
_COOKIE = 0x63825363
_BROADCAST = 0x8000
_OPTION_END, _OPTION_PAD, _MESSAGE_TYPE, _SERVER_ID, _WANTED = 255, 0, 53, 54, 55
_DISCOVER, _OFFER = 1, 2

#: A DISCOVER goes out at the start and again after the first of these; the last is the end. Servers that ping an address before
#: they offer it take their time.
_LISTEN_UNTIL_S = (1.0, 2.5)


def other_servers(interface: Interface) -> list[str]:
    """Addresses of the DHCP servers that answer on the interface within 2.5 s. Raises CannotAnswer where it cannot be asked."""
    number = int.from_bytes(os.urandom(4), "big")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.name.encode())
            line.bind(("", _CLIENT_PORT))
            return _ask(line, discover(number, interface.mac), number)
    except OSError as error:
        raise CannotAnswer(
            f"{interface.name}: cannot ask for other DHCP servers there: {error.strerror or error} (root is needed)"
        ) from error


def _ask(line: socket.socket, packet: bytes, number: int) -> list[str]:
    found: list[str] = []
    begun = time.monotonic()
    for until_s in _LISTEN_UNTIL_S:
        line.sendto(packet, ("255.255.255.255", _SERVER_PORT))
        while (left_s := begun + until_s - time.monotonic()) > 0:
            line.settimeout(left_s)
            try:
                answer, (sender, _) = line.recvfrom(4096)
            except TimeoutError:
                break
            server = offer_of(answer, number)
            if server is not None:
                found.append(server or sender)
    return list(dict.fromkeys(found))


def discover(number: int, mac: bytes) -> bytes:
    """A DHCPDISCOVER that asks for a broadcast answer. ``number``: 32 bits by which the answer is known."""
    nothing = bytes(4)
    header = _HEADER.pack(
        1, 1, 6, 0, number, 0, _BROADCAST, nothing, nothing, nothing, nothing, mac, b"", b"", _COOKIE
    )
    options = bytes([_MESSAGE_TYPE, 1, _DISCOVER, _WANTED, 2, 1, 3, _OPTION_END])
    return (header + options).ljust(300, b"\0")


def offer_of(packet: bytes, number: int) -> str | None:
    """The server that a DHCPOFFER names ("" where it names none); None for whatever else comes."""
    if len(packet) < _HEADER.size:
        return None
    fields = _HEADER.unpack_from(packet)
    options = _options(packet[_HEADER.size :])
    if fields[0] != 2 or fields[4] != number or fields[-1] != _COOKIE:
        return None
    if options.get(_MESSAGE_TYPE) != bytes([_OFFER]):
        return None
    server = options.get(_SERVER_ID, b"")
    return str(ipaddress.IPv4Address(server)) if len(server) == 4 else ""


def _options(data: bytes) -> dict[int, bytes]:
    """Options of a packet as far as they are whole."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _OPTION_END:
        if data[at] == _OPTION_PAD:
            at += 1
        elif at + 1 < len(data) and at + 2 + data[at + 1] <= len(data):
            found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
            at += 2 + data[at + 1]
        else:
            break
    return found
