"""Capabilities and traits in Ironic's own syntax.

Capabilities are one text, ``key:value,key:value`` (Ironic's ``properties/capabilities``; TripleO's nodes.json has the same).
Traits are upper-case words; those that an operator makes up begin with ``CUSTOM_`` (OpenStack's placement service, os-traits).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Pairs = tuple[tuple[str, str], ...]

_KEY = re.compile(r"[^\s:,]{1,255}\Z")
_VALUE = re.compile(r"[^\s,](?:[^,\n]{0,253}[^\s,])?\Z")
_TRAIT = re.compile(r"[A-Z][A-Z0-9_]{0,254}\Z")
#: Name spaces of os-traits; a trait with one of these is a standard one and is left as it is.
_STANDARD = ("CUSTOM_", "COMPUTE_", "HW_", "MISC_", "OWNER_", "STORAGE_")


def parse(text: object) -> Pairs | None:
    """``k:v,k:v`` as pairs in their order; none for None and "". None where it is something else.

    Ironic takes a mapping in the place of the text too, and so does this. A key may stand twice: see ``doubled``.
    """
    if text is None or text == "":
        return ()
    if isinstance(text, dict):
        return tuple((str(key), str(value)) for key, value in text.items())
    if not isinstance(text, str):
        return None
    pairs = [part.partition(":") for part in text.split(",")]
    if any(not key.strip() or not colon for key, colon, _ in pairs):
        return None
    return tuple((key.strip(), value) for key, _, value in pairs)


def merge(there: Pairs, wanted: Mapping[str, str]) -> Pairs:
    """What is there, in its order, with the wanted values put in, each once. All else stays, also what stands twice."""
    merged, left = [], dict(wanted)
    for key, value in there:
        if key not in wanted:
            merged.append((key, value))
        elif key in left:
            merged.append((key, left.pop(key)))
    return (*merged, *left.items())


def text_of(pairs: Pairs) -> str:
    return ",".join(f"{key}:{value}" for key, value in pairs)


def doubled(there: Pairs) -> dict[str, list[str]]:
    """Keys that stand there with several values, and these in their order.

    Ironic does not agree with itself about them: ``drivers.utils.get_node_capability`` takes the first, whoever makes a mapping
    of the text takes the last. So nobody but their operator can say which one is meant.
    """
    values: dict[str, dict[str, None]] = {}
    for key, value in there:
        values.setdefault(key, {})[value] = None
    return {key: list(each) for key, each in values.items() if len(each) > 1}


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
