"""The order in which people expect names: eth2 before eth10, n9 before n10."""

from __future__ import annotations

import re

#: Only ASCII digits count as numbers (a machine may call itself "²"), and no more of them than a file can make costly.
_NUMBERS = re.compile(r"([0-9]{1,18})")


def natural_order(name: str) -> tuple[tuple[int, str], ...]:
    """A sorting key under which numbers inside names count as numbers. Different names have different keys."""
    parts = _NUMBERS.split(name)  # text and numbers in turn, so that like is compared with like
    return tuple((int(part), part) if place % 2 else (-1, part) for place, part in enumerate(parts))
