"""Whom to ask: an address, what it speaks, and the name and password for it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from ahc_agent.errors import UsageError
from ahc_server.bmc.secret import Secret

IPMI_PORT, REDFISH_PORT = 623, 443
Speaks = Literal["ipmi", "redfish"]

_HOST_PORT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]/\s]+))(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """One BMC. ``macs`` (lower case), ``uuid`` and ``serial``: of the machine behind it, where the nodes file tells.

    ``host`` and ``port``; over Redfish ``url`` is the service's root and ``system`` the path of the machine in it, if told.
    """

    node: str
    host: str
    port: int
    login: Login
    speaks: Speaks = "ipmi"
    url: str = ""
    system: str | None = None
    verify: bool | str = True
    macs: tuple[str, ...] = ()
    uuid: str | None = None
    serial: str | None = None

    @property
    def address(self) -> str:
        """As a person writes it: without the port where it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host and self.port != IPMI_PORT else self.host
        usual = REDFISH_PORT if self.speaks == "redfish" else IPMI_PORT
        return host if self.port == usual else f"{host}:{self.port}"


def host_and_port(text: str, default: int) -> tuple[str, int]:
    """ "10.0.0.1", "bmc7:1623", "[fd00::1]:623", "fd00::1". Raises UsageError."""
    if "@" in text:
        raise UsageError(
            "an address of a BMC holds no user and no password (HOST, HOST:PORT or [IPv6]:PORT is meant)"
        )
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    found = _HOST_PORT.fullmatch(text.strip())
    port = int(found["port"]) if found and found["port"] else default
    if found is None or not 0 < port < 65536 or len(text) > 256:
        raise UsageError(f"{text[:80]!r} is no address of a BMC (HOST, HOST:PORT or [IPv6]:PORT is meant)")
    return found["six"] or found["host"], port
