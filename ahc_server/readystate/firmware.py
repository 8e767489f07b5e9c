"""Versions of firmware: ``bios``, ``bmc``, ``nic:DRIVER``, ``disk:MODEL``.

A version is wanted as it is (``2.19.1``) or at least (``>=2.19.1``). Drivers append what is no version
(``14.27.1016 (MT_2420110034)``, ``0x8000a4c1, 1.2684.0``): the whole text or one of its words has to be the wanted one; for "at
least" the first word that is a version counts.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from ahc_agent.facts import Inventory
from ahc_server.profiles.model import Yields
from ahc_server.readystate.model import Want

_WORDS = re.compile(r"[\s,()/]+")
_VERSION = re.compile(r"[vV]?\d+(?:[.\-_]\w+)*\Z")
_NUMBERS = re.compile(r"\d+")


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
    """Whether a version, as firmware or driver words it, is the wanted one, or at least it after ``>=``.

    None where no version is told, or none that could be compared.
    """
    words = [word for word in (found.strip(), *_WORDS.split(found)) if word]
    expected = expected.strip()
    if not expected.startswith(">=") or not words:
        return expected.lower() in {word.lower() for word in words} if words else None
    least = _numbers(expected[2:])
    version = next((word for word in words if _VERSION.match(word)), None)
    return _numbers(version) >= least if version is not None and least else None


def _numbers(version: str) -> list[int]:
    """Digits of bounded length: a node may say what it likes."""
    numbers = [int(number[:18]) for number in _NUMBERS.findall(version[:128])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


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
