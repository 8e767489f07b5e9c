"""Capabilities and traits in Ironic's own syntax.

Capabilities are one text, ``key:value,key:value`` (Ironic's ``properties/capabilities``; TripleO's nodes.json has the same).
Traits are upper-case words; those that an operator makes up begin with ``CUSTOM_`` (OpenStack's placement service, os-traits).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_KEY = re.compile(r"[^\s:,]{1,255}\Z")
_VALUE = re.compile(r"[^\s,](?:[^,\n]{0,253}[^\s,])?\Z")
_TRAIT = re.compile(r"[A-Z][A-Z0-9_]{0,254}\Z")
#: Name spaces of os-traits; a trait with one of these is a standard one and is left as it is.
_STANDARD = ("CUSTOM_", "COMPUTE_", "HW_", "MISC_", "OWNER_", "STORAGE_")


def parse(text: object) -> dict[str, str] | None:
    """``k:v,k:v`` as a mapping in its order; empty for None and "". None where it is something else.

    Ironic takes a mapping in the place of the text too, and so does this.
    """
    if text is None or text == "":
        return {}
    if isinstance(text, dict):
        return {str(key): str(value) for key, value in text.items()}
    if not isinstance(text, str):
        return None
    pairs = [part.partition(":") for part in text.split(",")]
    if any(not key.strip() or not colon for key, colon, _ in pairs):
        return None
    return {key.strip(): value for key, _, value in pairs}


def merge(there: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """What is there, in its order, with the wanted values put in."""
    return ",".join(f"{key}:{value}" for key, value in {**there, **wanted}.items())


def fit(key: str, value: str) -> bool:
    """Whether a pair can be written in this syntax without becoming two pairs, or another."""
    return bool(_KEY.match(key) and _VALUE.match(value))


def trait(name: str) -> str | None:
    """A name as a trait: ``fast-disk`` is ``CUSTOM_FAST_DISK``. None where nothing of it can be one."""
    word = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    if not word:
        return None
    full = word if word.startswith(_STANDARD) else f"CUSTOM_{word}"
    return full if _TRAIT.match(full) else None
