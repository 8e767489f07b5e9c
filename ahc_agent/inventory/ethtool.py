"""What only the driver knows of a network card: asked through the ``SIOCETHTOOL`` ioctl.

Layouts from ``linux/ethtool.h`` and ``linux/if.h``. Reading needs no rights. The buffers are of fixed size, so a driver
cannot answer more than fits.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from dataclasses import dataclass

_SIOCETHTOOL = 0x8946
_SIOCGIFMTU = 0x8921
_GDRVINFO = 0x03
_GPERMADDR = 0x20
_GSTRINGS, _GSTATS, _GSSET_INFO = 0x1B, 0x1D, 0x37
#: The set of strings that names a card's statistics (enum ethtool_stringset).
_SS_STATS = 1
_STRING_BYTES = 32
#: More statistics than any card has (mlx5 with 128 queues: some 3,000).
_MOST_STATISTICS = 16384
#: The kernel writes as much as the card has at that moment, which may be more than it had when the room was made.
_SPARE_BYTES = 65536

_IFNAMSIZ = 16
_IFREQ_BYTES = 40

#: struct ethtool_drvinfo: cmd; driver, version, fw_version, bus_info, erom_version; reserved; five counts.
_DRVINFO = struct.Struct("=I32s32s32s32s32s12x5I")
#: struct ethtool_perm_addr: cmd, size, and room for MAX_ADDR_LEN bytes.
_PERMADDR = struct.Struct("=II32s")
_MAX_ADDR_LEN = 32

#: The card does not know the command, or has vanished.
_NO_ANSWER = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.ENOTTY}


@dataclass(frozen=True, slots=True)
class DriverInfo:
    """``ethtool -i``: None where the driver leaves a text empty or answers "N/A"."""

    driver: str | None
    firmware: str | None
    bus: str | None


class Ethtool:
    """A socket to ask through; use it in a ``with`` block."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def __enter__(self) -> Ethtool:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def driver_info(self, interface: str) -> DriverInfo | None:
        """Driver, firmware and bus address. Raises OSError for what is neither an answer nor "not supported"."""
        answer = self._ask(interface, _DRVINFO.pack(_GDRVINFO, b"", b"", b"", b"", b"", 0, 0, 0, 0, 0))
        if answer is None:
            return None
        _, driver, _, firmware, bus, *_ = _DRVINFO.unpack(answer)
        return DriverInfo(_text(driver), _text(firmware), _text(bus))

    def permanent_address(self, interface: str) -> str | None:
        """The address burnt into the card, "52:54:00:12:34:56", whatever is set now. None where there is none."""
        answer = self._ask(interface, _PERMADDR.pack(_GPERMADDR, _MAX_ADDR_LEN, b""))
        if answer is None:
            return None
        _, size, address = _PERMADDR.unpack(answer)
        address = address[: min(size, _MAX_ADDR_LEN)]
        return address.hex(":") if any(address) else None

    def statistic_names(self, interface: str) -> list[str]:
        """Names of the driver's own statistics (``ethtool -S``), in their order; empty where it has none. Raises OSError."""
        count = self._statistics_count(interface)
        room = struct.pack("=III", _GSTRINGS, _SS_STATS, count) + bytes(count * _STRING_BYTES + _SPARE_BYTES)
        told = self._ask(interface, room) if count else None
        if told is None:
            return []
        texts = told[12 : 12 + count * _STRING_BYTES]
        return [_text(texts[at : at + _STRING_BYTES]) or "" for at in range(0, len(texts), _STRING_BYTES)]

    def statistics(self, interface: str, count: int) -> list[int]:
        """The values of as many statistics as there were names; empty where the card now has another number of them
        (its queues were changed), or tells none. Raises OSError."""
        if not count or self._statistics_count(interface) != count:
            return []
        answer = self._ask(interface, struct.pack("=II", _GSTATS, count) + bytes(8 * count + _SPARE_BYTES))
        return [] if answer is None else list(struct.unpack_from(f"={count}Q", answer, 8))

    def _statistics_count(self, interface: str) -> int:
        answer = self._ask(interface, struct.pack("=IIQI", _GSSET_INFO, 0, 1 << _SS_STATS, 0))
        if answer is None:
            return 0
        _, _, sets, count = struct.unpack("=IIQI", answer)
        return count if sets and count <= _MOST_STATISTICS else 0

    def mtu(self, interface: str) -> int | None:
        """The interface's MTU in bytes; None where it is gone. Raises OSError."""
        request = struct.pack("16s24x", interface.encode())
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFMTU, request)
        except OSError as error:
            if error.errno in _NO_ANSWER:
                return None
            raise
        (mtu,) = struct.unpack_from("@i", answer, _IFNAMSIZ)
        assert isinstance(mtu, int)
        return mtu

    def _ask(self, interface: str, command: bytes) -> bytes | None:
        name = interface.encode()
        if len(name) >= _IFNAMSIZ:
            return None
        buffer = ctypes.create_string_buffer(command, len(command))
        request = struct.pack("16sP", name, ctypes.addressof(buffer)).ljust(_IFREQ_BYTES, b"\0")
        try:
            fcntl.ioctl(self._socket, _SIOCETHTOOL, request)
        except OSError as error:
            if error.errno in _NO_ANSWER:
                return None
            raise
        return buffer.raw


def _text(field: bytes) -> str | None:
    text = field.split(b"\0")[0].decode("ascii", "replace").strip()
    return text if text not in ("", "N/A") else None
