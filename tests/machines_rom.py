"""A card whose ROM is no iPXE, as far as anybody on the wire can tell.

QEMU's ROMs are all iPXE, which a boot server knows by DHCP option 175. Between such a ROM and the bridge stands a relay that
gives the option another number, until the loader that the server hands out has been fetched: from then on the card is
on the bridge itself, and what was loaded speaks for itself.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterator

from ahc_server.lab import kernel
from ahc_server.lab.space import ip_batch, run_in
from ramdisk.machines.wire import BRIDGE, Wire

_ALL_PROTOCOLS = 3  # ETH_P_ALL
_IPXE, _NOBODY_S = 175, 231  # private use (RFC 3942), which nobody asks about
_OPTIONS_AT = 14 + 20 + 8 + 240  # Ethernet, IPv4 without options, UDP, BOOTP with its magic (RFC 2131)
_PAD, _END = 0, 255


@contextlib.contextmanager
def plain_rom(wire: Wire, tap: str) -> Iterator[None]:
    """Within the block what boots behind ``tap`` does not say that it is iPXE; after it the tap is a port of the bridge."""
    ip_batch(
        wire.space,
        [
            f"link set {tap} nomaster",
            "link add rom type veth peer name romport",
            f"link set romport master {BRIDGE} up",
            "link set rom up",
        ],
    )
    # What is relayed goes through no card that would add the checksum.
    run_in(wire.space, ["ethtool", "-K", BRIDGE, "tx", "off"])
    machine, network = _sockets(wire.space, tap, "rom")
    ends, end = socket.socketpair()
    thread = threading.Thread(target=_relay, args=(machine, network, ends), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.close()
        thread.join()
        for each in (machine, network, ends):
            each.close()
        ip_batch(wire.space, ["link del rom", f"link set {tap} master {BRIDGE}"])
        run_in(wire.space, ["ethtool", "-K", BRIDGE, "tx", "on"])


def _sockets(space: int, *devices: str) -> list[socket.socket]:
    """A socket on each device. Sockets stay in the namespace in which they were made."""
    made: list[socket.socket] = []

    def make() -> None:
        kernel.set_namespace(space, kernel.CLONE_NEWNET)
        for device in devices:
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS))
            made.append(one)
            one.bind((device, 0))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert len(made) == len(devices)
    return made


def _relay(machine: socket.socket, network: socket.socket, ends: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([machine, network, ends], [], [])
        if ends in ready:
            return
        for source in ready:
            frame, where = source.recvfrom(65536)
            if where[2] == socket.PACKET_OUTGOING:
                continue
            target = network if source is machine else machine
            with contextlib.suppress(OSError):  # a full queue: networks lose packets
                target.send(without_ipxe(frame) if source is machine else frame)


def without_ipxe(frame: bytes) -> bytes:
    """The frame; one of a DHCP client without the option by which iPXE tells what it is."""
    if frame[12:15] != b"\x08\x00\x45" or frame[23] != socket.IPPROTO_UDP or frame[36:38] != b"\x00\x43":
        return frame
    told = bytearray(frame)
    place = _OPTIONS_AT
    while place + 1 < len(told) and told[place] != _END:
        if told[place] == _IPXE:
            told[place] = _NOBODY_S
            told[40:42] = struct.pack("!H", 0)  # no checksum (RFC 768)
        place += 1 if told[place] == _PAD else 2 + told[place + 1]
    return bytes(told)
