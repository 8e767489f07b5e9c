"""Text and numbers of files from anywhere: bounded, printable, None where there is nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

TEXT_LIMIT = 4096
_LARGEST_WHOLE = 2**62
_LARGEST = 1e18
#: Words that tools write where there is no value.
_NOTHING = frozenset({"", "none", "null", "nan", "n/a", "na", "-", "unknown"})
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_PCI = re.compile(r"(?:pci@)?((?:[0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7])")

Fact = TypeVar("Fact", bound=msgspec.Struct)


def printable(text: str) -> str:
    """Without control characters, which could do mischief on a terminal; as it is where there are none."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def text_of(value: Any) -> str | None:
    """A word of at most 4,096 printable characters; None where it is empty or says that there is none."""
    if value is None or isinstance(value, dict | list):
        return None
    word = printable(str(value)[:TEXT_LIMIT]).strip()
    return None if word.lower() in _NOTHING else word


def number_of(value: Any) -> float | None:
    """A finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) <= _LARGEST else None


def whole_of(value: Any, scale: float = 1) -> int | None:
    """A number that is not negative, times ``scale``, rounded; exact where both are whole."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        number: float | None = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        number = number_of(value)
    if number is None or not 0 <= number * scale <= _LARGEST_WHOLE:
        return None
    return round(number * scale)


def switch_of(value: Any) -> bool | None:
    """yes, on, enabled, 1, True and their opposites."""
    word = str(value).strip().lower()
    if word in ("yes", "on", "enabled", "1", "1.0", "true"):
        return True
    if word in ("no", "off", "disabled", "0", "0.0", "false"):
        return False
    return None


def mac_of(value: Any) -> str | None:
    """A MAC address in lower case, of InfiniBand's 20 bytes the last eight; None where unset or none."""
    word = str(value).strip().lower().replace("-", ":")
    if len(word) == 59:
        return word if re.fullmatch(r"([0-9a-f]{2}:){19}[0-9a-f]{2}", word) else None
    if not _MAC.fullmatch(word) or word in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"):
        return None
    return word


def pci_address_of(value: Any) -> str | None:
    """ "0000:15:00.0" from lshw's "pci@0000:15:00.0"."""
    found = _PCI.fullmatch(str(value).strip())
    if found is None:
        return None
    address = found[1].lower()
    return address if address.count(":") == 2 else f"0000:{address}"


def filled(first: Fact, second: Fact | None) -> Fact:
    """``first``, with what it does not tell taken from ``second``."""
    if second is None:
        return first
    changes: dict[str, Any] = {}
    for each in msgspec.structs.fields(first):
        mine, other = getattr(first, each.name), getattr(second, each.name)
        if isinstance(mine, msgspec.Struct) and isinstance(other, msgspec.Struct):
            changes[each.name] = filled(mine, other)
        elif mine is None or (not mine and isinstance(mine, list | dict)):
            changes[each.name] = other
    return msgspec.structs.replace(first, **changes)


def scalars(tree: Mapping[str, Any], prefix: str, depth: int = 4) -> dict[str, str]:
    """The leaves of a JSON object as "prefix/key/key" → text; lists are numbered."""
    found: dict[str, str] = {}
    for key, value in tree.items():
        name = f"{prefix}/{printable(str(key))}"[:256]
        if isinstance(value, list):
            value = {str(number): each for number, each in enumerate(value)}
        if isinstance(value, dict):
            if depth > 1:
                found.update(scalars(value, name, depth - 1))
        elif (word := text_of(value)) is not None:
            found[name] = word
    return found


def lost_values(count: int) -> str:
    """ "2 values are missing or no numbers"."""
    return "1 value is missing or no number" if count == 1 else f"{count:,} values are missing or no numbers"


def utc(unix_s: float) -> str:
    """A moment as "2024-05-01T10:00:00Z"; one beyond the calendar is its end."""
    return datetime.fromtimestamp(min(max(unix_s, 0.0), 253402300799.0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
