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
_GDRVINFO = 0x03
_GPERMADDR = 0x20

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
