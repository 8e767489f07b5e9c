"""A TFTP server for one interface, read-only (RFC 1350, with the options of RFC 2347 to 2349: block size and size).

Like the web server, and unlike dnsmasq's TFTP, it gets nothing that comes in by another interface (``SO_BINDTODEVICE``). Each
transfer has a socket, and so a port, of its own, connected to whom it serves.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import BinaryIO

PORT = 69

_READ, _WRITE, _DATA, _ACK, _ERROR, _OPTIONS = 1, 2, 3, 4, 5, 6
_NOT_FOUND, _ILLEGAL = 1, 4
_USUAL_BLOCK, _SMALLEST_BLOCK, _LARGEST_BLOCK = 512, 8, 1468  # what an Ethernet frame carries
_AGAIN_AFTER_S = 1.0
_TRIES = 6
_MOST_TRANSFERS = 256
_REQUEST_LIMIT = 512


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants to read. ``options``: name in lower case → value, as sent."""

    name: str
    options: Mapping[str, str]


def request_of(packet: bytes) -> Request | None:
    """A read request; None for whatever else comes."""
    if len(packet) < 4 or int.from_bytes(packet[:2], "big") != _READ or packet[-1] != 0:
        return None
    words = packet[2:-1].split(b"\0")
    if len(words) < 2 or len(words) % 2 or words[1].lower() not in (b"octet", b"netascii"):
        return None
    name, _, *rest = [word.decode("ascii", "backslashreplace") for word in words]
    return Request(
        name.lstrip("/"), {key.lower(): value for key, value in zip(rest[::2], rest[1::2], strict=True)}
    )


def granted(options: Mapping[str, str], size: int) -> dict[str, int]:
    """The options that are taken, with their values; others are passed over in silence (RFC 2347)."""
    taken = {}
    block = options.get("blksize", "")
    if block.isascii() and block.isdigit() and int(block[:9]) >= _SMALLEST_BLOCK:
        taken["blksize"] = min(int(block[:9]), _LARGEST_BLOCK)
    if "tsize" in options:
        taken["tsize"] = size
    return taken


class Server:
    """``serve`` answers until ``close`` is called; ``say`` gets a sentence for each transfer, from any thread."""

    def __init__(
        self,
        interface: str,
        address: str,
        files: Mapping[str, Path],
        say: Callable[[str], None],
        port: int = PORT,
    ) -> None:
        """Raises OSError where the address cannot be bound."""
        self._interface, self._address = interface, address
        self._files, self._say = files, say
        self._places = threading.BoundedSemaphore(_MOST_TRANSFERS)
        self._line = self._bound(port)
        self._closed = False

    def serve(self) -> None:
        while not self._closed:
            try:
                packet, peer = self._line.recvfrom(_REQUEST_LIMIT)
            except OSError:
                continue  # the socket was shut down, or an ICMP error came for somebody who went away
            if self._closed or not packet or not self._places.acquire(blocking=False):
                continue  # they will ask again
            threading.Thread(target=self._serve_one, args=(packet, peer), daemon=True).start()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)  # a thread that waits in recvfrom wakes up
        self._line.close()

    def _bound(self, port: int) -> socket.socket:
        line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
            line.bind((self._address, port))
        except OSError:
            line.close()
            raise
        return line

    def _serve_one(self, packet: bytes, peer: tuple[str, int]) -> None:
        try:
            with self._bound(0) as line:
                line.connect(peer)
                line.settimeout(_AGAIN_AFTER_S)
                self._answer(line, packet, peer[0])
        except OSError as error:
            self._say(f"{peer[0]}: {error.strerror or error} (TFTP)")
        finally:
            self._places.release()

    def _answer(self, line: socket.socket, packet: bytes, host: str) -> None:
        request = request_of(packet)
        if request is None:
            line.send(_error(_ILLEGAL, "only reading is possible here"))
            return
        shown = request.name[:100].encode("ascii", "backslashreplace").decode()
        path = self._files.get(request.name)
        try:
            if path is None:
                raise FileNotFoundError(ENOENT, "there is no such file")
            file = path.open("rb")
        except OSError as error:
            self._say(f"{host}: asked by TFTP for {shown!r}: {error.strerror}")
            line.send(_error(_NOT_FOUND, "there is no such file"))
            return
        with file:
            begun = time.monotonic()
            sent = _send(line, file, request.options)
        if sent is None:
            self._say(f"{host}: stopped in the middle of {shown} (TFTP)")
        elif sent:
            self._say(f"{host}: fetched {shown} ({sent} bytes, {time.monotonic() - begun:.1f} s, TFTP)")


def _send(line: socket.socket, file: BinaryIO, options: Mapping[str, str]) -> int | None:
    """Bytes that were sent; 0 where the other side only wanted to know the size; None where it went away."""
    taken = granted(options, os.fstat(file.fileno()).st_size)
    if taken:
        words = b"".join(f"{key}\0{value}\0".encode() for key, value in taken.items())
        if not _acknowledged(line, struct.pack("!H", _OPTIONS) + words, 0):
            return 0
    block, number, sent = taken.get("blksize", _USUAL_BLOCK), 0, 0
    while True:
        data = file.read(block)
        number = (number + 1) & 0xFFFF  # clients that fetch more than 65,535 blocks go on with 0
        if not _acknowledged(line, struct.pack("!HH", _DATA, number) + data, number):
            return None
        sent += len(data)
        if len(data) < block:
            return sent


def _acknowledged(line: socket.socket, packet: bytes, number: int) -> bool:
    """Send until the answer comes. An acknowledgement of an earlier block is no reason to send again (the Sorcerer's
    Apprentice, RFC 1123, 4.2.3.1)."""
    for _ in range(_TRIES):
        line.send(packet)
        deadline = time.monotonic() + _AGAIN_AFTER_S
        while (left_s := deadline - time.monotonic()) > 0:
            line.settimeout(left_s)
            try:
                answer = line.recv(_REQUEST_LIMIT)
            except TimeoutError:
                break
            except ConnectionRefusedError:
                return False
            if len(answer) < 4:
                continue
            code, said = struct.unpack_from("!HH", answer)
            if code == _ERROR:
                return False
            if code == _ACK and said == number:
                return True
    return False


def _error(code: int, text: str) -> bytes:
    return struct.pack("!HH", _ERROR, code) + text.encode() + b"\0"
