"""The voice of the lab's leaf switches: each port tells by LLDP (IEEE Std 802.1AB-2016) which switch and port it is.

``python -m ahc_server.lab.announce``, run in the switches' network namespace. Which leaf a port belongs to is looked up
each time: cables may be plugged elsewhere while it runs.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from ahc_agent.inventory.lldp import ETHERTYPE, MULTICAST

#: Far oftener than a real switch does: a lab is not to wait for it.
INTERVAL_S = 0.4
_TTL_S = 10
_CARDS = Path("/sys/class/net")


def frame(chassis: bytes, source: bytes, port: str, system: str) -> bytes:
    """An announcement: chassis id (subtype 4, a MAC address), port id (subtype 5, a name), time to live, system name."""
    told = (
        (1, b"\x04" + chassis),
        (2, b"\x05" + port.encode()),
        (3, _TTL_S.to_bytes(2, "big")),
        (5, system.encode()),
        (0, b""),
    )
    elements = b"".join((kind << 9 | len(value)).to_bytes(2, "big") + value for kind, value in told)
    return (MULTICAST + source + ETHERTYPE.to_bytes(2, "big") + elements).ljust(60, b"\0")


def announce(voice: socket.socket) -> None:
    """Let every port that belongs to a leaf announce itself once."""
    for card in sorted(_CARDS.glob("port*")):
        try:
            leaf = (card / "master").readlink().name
            announcement = frame(_mac(leaf), _mac(card.name), card.name, leaf)
            voice.sendto(announcement, (card.name, ETHERTYPE))
        except OSError:  # the port is down or was unplugged just now: nobody would hear it
            continue


def _mac(card: str) -> bytes:
    return bytes.fromhex((_CARDS / card / "address").read_text().strip().replace(":", ""))


def main() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as voice:
        while True:
            announce(voice)
            time.sleep(INTERVAL_S)


if __name__ == "__main__":
    main()
