"""Versions of firmware: ``bios``, ``bmc``, ``nic:DRIVER``, ``disk:MODEL``.

A version is wanted as it is (``2.19.1``) or in an order (``>=2.19.1``, also ``>``, ``<=``, ``<``: see ``profiles.versions``).
Drivers append what is no version (``14.27.1016 (MT_2420110034)``, ``0x8000a4c1, 1.2684.0``): where it is wanted as it is, the
whole text or one of its words has to be it.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from ahc_agent.facts import Inventory
from ahc_server.profiles import versions
from ahc_server.profiles.model import Yields
from ahc_server.readystate.model import Want

_WORDS = re.compile(r"[\s,()/]+")


def look(yields: Yields, inventory: Inventory) -> list[Want]:
    """One wish for each part: a machine with two cards of a driver has two to hold against it, told as one."""
    wants = []
    for name, expected in yields.firmware.items():
        parts = _versions(name, inventory)
        if parts is None:
            wants.append(
                Want(
                    "firmware",
                    name,
                    expected,
                    None,
                    "unknown",
                    "not one of bios, bmc, nic:DRIVER, disk:MODEL",
                )
            )
        elif not parts:
            wants.append(Want("firmware", name, expected, None, "unknown", "the machine has no such part"))
        else:
            wants.append(_hold(name, expected, parts))
    return wants


def _hold(name: str, expected: str, parts: dict[str, str | None]) -> Want:
    """The worst part speaks: a drift before what is not told before what is met."""
    many = len(parts) > 1
    stand = {part: meets(version or "", expected) for part, version in parts.items()}
    other = [part for part, met in stand.items() if met is False]
    silent = [part for part, met in stand.items() if met is None]
    if other:
        found = ", ".join(f"{part} {parts[part]}" if many else str(parts[part]) for part in other)
        return Want("firmware", name, expected, found, "drift")
    if silent:
        return Want(
            "firmware", name, expected, None, "unknown", f"not told by {', '.join(silent)}" if many else None
        )
    return Want("firmware", name, expected, next(iter(parts.values())), "met")


def meets(found: str, expected: str) -> bool | None:
    """Whether a version, as firmware or driver words it, is the wanted one, or in the wanted order.

    None where no version is told, or none that could be compared.
    """
    words = {word.lower() for word in (found.strip(), *_WORDS.split(found)) if word}
    if not words:
        return None
    if not versions.has_sign(expected):
        return expected.strip().lower() in words
    wanted = versions.wanted_order(expected)
    return None if wanted is None else versions.meets(found, wanted)


def _versions(name: str, inventory: Inventory) -> dict[str, str | None] | None:
    """The parts that a name means and their versions; None for a name that means nothing."""
    kind, _, which = name.partition(":")
    if name == "bios":
        return {"bios": inventory.system.bios.version}
    if name == "bmc":
        return {"bmc": inventory.bmc.firmware if inventory.bmc else None}
    if kind == "nic" and which:
        return {nic.name: nic.firmware for nic in inventory.nics if nic.driver == which}
    if kind == "disk" and which:
        return {
            disk.name: disk.firmware
            for disk in inventory.disks
            if disk.model and fnmatchcase(disk.model.lower(), which.lower())
        }
    return None
