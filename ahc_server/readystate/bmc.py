"""Settings of the BMC, as far as the machine itself sees them: its address and its LAN channel."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from ahc_agent.facts import Bmc, Inventory
from ahc_server.profiles.model import Yields
from ahc_server.readystate.model import Want, told


def _address(bmc: Bmc, expected: str) -> tuple[str | None, bool]:
    """In a network, or the very address; other text (a name) is compared as text."""
    if bmc.address is None:
        return None, False
    try:
        return bmc.address, ip_address(bmc.address) in ip_network(expected, strict=False)
    except ValueError:
        return bmc.address, bmc.address == expected


def _channel(bmc: Bmc, expected: str) -> tuple[str | None, bool]:
    return (None, False) if bmc.channel is None else (str(bmc.channel), str(bmc.channel) == expected.strip())


_SETTINGS = {"address": _address, "channel": _channel}


def look(yields: Yields, inventory: Inventory) -> Iterable[Want]:
    """One wish for each setting."""
    for name, expected in yields.bmc.items():
        setting = _SETTINGS.get(name)
        if setting is None:
            yield Want("bmc", name, expected, None, "unknown", f"known: {', '.join(_SETTINGS)}")
        else:
            found, met = setting(inventory.bmc or Bmc(), expected)
            yield told("bmc", name, expected, found, met)
