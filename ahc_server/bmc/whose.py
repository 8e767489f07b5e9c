"""Which machine a BMC belongs to: by what the nodes file says of it, and by what the BMC itself says.

A BMC's GUID is meant to be the SMBIOS UUID of its machine (IPMI 2.0, 22.14); bytes come in either order, and some BMCs give a
GUID of their own, so that a GUID proves something only where it is that of a machine that is known.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from ahc_agent.wire.messages import Identity
from ahc_server.bmc.target import Target

GUID, ADDRESS = "GUID of its BMC", "address of its BMC"


@dataclass(frozen=True, slots=True)
class Known:
    """A machine that could be the one: who it says it is, and the address that it says its BMC has."""

    identity: Identity
    bmc_address: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """``machine`` None: none of them. ``by``: what it was known by, each sign that names it. ``conflict``: why none, where two
    signs name two machines."""

    machine: str | None = None
    by: tuple[str, ...] = ()
    conflict: str | None = None


def spellings(text: str | None) -> frozenset[str]:
    """A UUID in the orders of bytes in which BMCs and SMBIOS write the same one; empty for what is none."""
    try:
        raw = uuid.UUID(text or "").bytes
    except ValueError:
        return frozenset()
    if raw in (bytes(16), b"\xff" * 16):
        return frozenset()
    return frozenset(
        str(each)
        for order in (raw, raw[::-1])
        for each in (uuid.UUID(bytes=order), uuid.UUID(bytes_le=order))
    )


def machine_of(target: Target, guid: str | None, machines: Mapping[str, Known]) -> Found:
    """The machine behind a BMC. ``guid``: what the BMC said, None where it was not asked or does not tell."""
    signs = {
        "MAC address": _those(machines, lambda known: bool(set(target.macs) & {mac.lower() for mac in known.identity.macs})),
        "serial": _those(machines, lambda known: target.serial is not None and target.serial == known.identity.serial),
        "UUID": _by_uuid(machines, target.uuid),
        GUID: _by_uuid(machines, guid),
        ADDRESS: _those(machines, lambda known: _same_address(target.host, known.bmc_address) is True),
        "name": _those(machines, lambda known: target.node == known.identity.name),
    }  # fmt: skip
    named = {sign: next(iter(found)) for sign, found in signs.items() if len(found) == 1}
    if len(set(named.values())) > 1:
        told = ", ".join(f"{sign}: {machine}" for sign, machine in named.items())
        return Found(conflict=f"its signs name different machines ({told})")
    return Found(next(iter(named.values())), tuple(named)) if named else Found()


def _by_uuid(machines: Mapping[str, Known], text: str | None) -> set[str]:
    wanted = spellings(text)
    return _those(machines, lambda known: bool(wanted) and (known.identity.uuid or "").lower() in wanted)


def _those(machines: Mapping[str, Known], fits: Callable[[Known], bool]) -> set[str]:
    return {machine for machine, known in machines.items() if fits(known)}


def is_address(host: str) -> bool:
    """Whether a machine could say of its BMC that it is here: no name, and no port of loopback that somebody forwards."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return False


def _same_address(host: str, told: str | None) -> bool | None:
    """Whether a machine says of its BMC the address that was asked. None: that cannot be told (a BMC may have one address of
    each version of IP)."""
    if not (told and is_address(host) and is_address(told)):
        return None
    asked, said = ip_address(host), ip_address(told)
    return None if asked.version != said.version else asked == said


def mismatch(target: Target, identity: Identity, by: Collection[str] = ()) -> str | None:
    """What the nodes file says of a machine that this one does not have; None where all that both tell agrees. ``by``: what it is
    known by. Where the BMC itself named it, the BMC may have another address besides, or be behind one that is translated."""
    macs = {mac.lower() for mac in identity.macs}
    if target.macs and macs and not macs & set(target.macs):
        return f"it has none of the MAC addresses {', '.join(target.macs)}"
    if target.serial is not None and identity.serial is not None and target.serial != identity.serial:
        return f"its serial is {identity.serial}, not {target.serial}"
    if target.uuid is not None and identity.uuid and identity.uuid.lower() not in spellings(target.uuid):
        return f"its UUID is {identity.uuid}, not {target.uuid}"
    if GUID not in by and _same_address(target.host, identity.bmc_address) is False:
        return f"its BMC says that it is at {identity.bmc_address}, not at {target.host}"
    return None
