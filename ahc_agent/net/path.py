"""The way between two ends as this one knows it: its own card, what was counted there, who answers at the peer's address."""

from __future__ import annotations

import ipaddress
import logging
import pathlib
import socket

from ahc_agent.inventory.ethtool import Ethtool
from ahc_agent.net.counters import Meters
from ahc_agent.wire.messages import PathFacts, PathMtu

log = logging.getLogger(__name__)

#: ``/proc/net/arp``: IP address, hardware type, flags, hardware address, mask, device (arp(7)).
_NEIGHBOURS = pathlib.Path("/proc/net/arp")
_COMPLETE = 0x2
#: Any port does: nothing is sent.
_DISCARD = 9


class Way:
    """``begin`` before the test, ``end`` after it; ``mtu`` is set in between. What fails here is logged, and fails no test."""

    def __init__(self, address: str, peer_address: str) -> None:
        self._peer = peer_address
        self._address = address or _source_towards(peer_address)
        self._interface = _interface_with(self._address)
        self._meters: Meters | None = None
        self.mtu: PathMtu | None = None

    def card_mtu(self) -> int | None:
        """MTU in bytes of the interface that has the own address; None where that is not known."""
        if self._interface is None:
            return None
        try:
            with Ethtool() as cards:
                return cards.mtu(self._interface)
        except OSError as error:
            log.warning("%s: its MTU cannot be read: %s", self._interface, error.strerror)
            return None

    def begin(self) -> None:
        try:
            self._meters = Meters(self._interface)
        except OSError as error:
            log.warning("the cards' counters cannot be read: %s", error.strerror)

    def end(self) -> PathFacts | None:
        """What is known now; None where the test never began."""
        if self._meters is None:
            return None
        try:
            links, stack_rises = self._meters.rises()
            peer_mac = _neighbour(self._peer)
        except OSError as error:
            log.warning("the cards' counters cannot be read: %s", error.strerror)
            return None
        return PathFacts(
            address=self._address,
            peer_address=self._peer,
            peer_mac=peer_mac,
            links=links,
            stack_rises=stack_rises,
            mtu=self.mtu,
        )


def _source_towards(peer: str) -> str:
    """The own address that the kernel takes towards a peer; "" where there is no way, or no peer is named."""
    if not peer:
        return ""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((peer, _DISCARD))
        except OSError:
            return ""  # no route: the test itself will say so
        address: str = sock.getsockname()[0]
        return address


def _interface_with(address: str) -> str | None:
    """The interface that has an address; of 127.0.0.0/8 all are the loopback's."""
    import psutil  # imported by the agent anyway, but not by its command line

    if not address:
        return None
    wanted = ipaddress.ip_address(address)
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                has = ipaddress.ip_address(entry.address.partition("%")[0])
                if has == wanted or (has.is_loopback and wanted.is_loopback):
                    return str(name)
    return None


def _neighbour(address: str) -> str | None:
    """The hardware address that answered for an IPv4 address of the same network."""
    for line in _NEIGHBOURS.read_text(encoding="ascii", errors="replace").splitlines()[1:]:
        row = line.split()
        if len(row) == 6 and row[0] == address and int(row[2], 16) & _COMPLETE:
            return row[3].lower()
    return None
