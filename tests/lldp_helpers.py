"""Announcements of a switch by LLDP: their bytes, and sending them."""

from __future__ import annotations

from ahc_agent.inventory import lldp
from tests.device_helpers import Namespace

CHASSIS_MAC = bytes([4]) + bytes.fromhex("001122334455")
PORT_NAME = b"\x05Ethernet1/7"


def tlv(kind: int, value: bytes) -> bytes:
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


def frame(*elements: bytes, ttl: int = 120, chassis: bytes = CHASSIS_MAC, port: bytes = PORT_NAME) -> bytes:
    header = lldp.MULTICAST + bytes.fromhex("001122334455") + b"\x88\xcc"
    mandatory = tlv(1, chassis) + tlv(2, port) + tlv(3, ttl.to_bytes(2, "big"))
    return header + mandatory + b"".join(elements) + tlv(0, b"")


def send(end: Namespace, data: bytes, times: int = 1) -> None:
    end.python(
        "import socket\n"
        "out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n"
        f"out.bind(('{end.interface}', 0))\n"
        f"for _ in range({times}):\n"
        f"    out.send(bytes.fromhex('{data.hex()}'))\n"
    )
