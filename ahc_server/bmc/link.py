"""What one BMC can be asked, whatever it speaks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from ahc_server.bmc.model import Event, Fru, Power, Reading
from ahc_server.bmc.target import Target

#: What a person can ask for, and what power states follow (None: on before, on after).
BOOT_DEVICES = ("network", "disk", "cd", "setup", "default")
POWER_ACTIONS = ("on", "off", "cycle", "reset")


class Bmc(Protocol):
    """A session with one BMC. All methods raise BmcError."""

    def power(self) -> Power: ...

    def ask_power(self, action: str) -> None:
        """ "on", "off" (at once), "soft" (asks the operating system), "cycle" or "reset"; does not wait."""

    def boot_device(self) -> str: ...

    def set_boot_device(self, device: str, *, always: bool) -> None:
        """One of BOOT_DEVICES, for the next start or for all."""

    def sensors(self) -> list[Reading]: ...

    def events(self, *, clear: bool) -> list[Event]: ...

    def identify(self, *, on: bool, seconds: int | None) -> None: ...

    def frus(self) -> list[Fru]: ...

    def about(self) -> tuple[str | None, str | None]:
        """The machine's UUID and the BMC's firmware version, where it tells them."""


def connect(target: Target) -> AbstractContextManager[Bmc]:
    """Log in. Raises BmcError."""
    if target.speaks == "redfish":
        from ahc_server.bmc.redfish import connected as by_redfish

        return by_redfish(target)
    from ahc_server.bmc.ipmi import connected as by_ipmi

    return by_ipmi(target)


def load(targets: list[Target]) -> None:
    """Import the libraries that these targets need: once, before any process is forked. Raises CannotAnswer."""
    if any(target.speaks == "ipmi" for target in targets):
        import pyghmi.ipmi.command  # noqa: F401
    if any(target.speaks == "redfish" for target in targets):
        import ahc_server.bmc.redfish  # noqa: F401
