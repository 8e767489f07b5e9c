"""Flows between pairs of machines as columns: a round of a thousand pairs without an object for each.

Without numpy, so that what writes and reads sessions does not carry it; the judge reads the columns as arrays.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

#: Bytes of one entry: numbers of machines are 4-byte integers, rates and times 8-byte floats, little-endian.
_WIDTH = {"i": 4, "d": 8}
_N = TypeVar("_N", int, float)


@dataclass(frozen=True, slots=True)
class FlowTable:
    """The k flows of one round of a step: they ran at the same time.

    ``wave`` counts the rounds of a step; ``machines``: who takes part in the step, shared by its rounds. ``source`` and
    ``destination``: places in ``machines``, k little-endian 4-byte integers. ``bytes_per_s`` (0: nothing came through) and
    ``rtt_us``: k little-endian 8-byte floats, NaN where not measured.
    """

    job: str
    step: int
    hosts: int
    wave: int
    machines: tuple[str, ...]
    source: bytes
    destination: bytes
    bytes_per_s: bytes
    rtt_us: bytes

    def __len__(self) -> int:
        return len(self.source) // _WIDTH["i"]

    @property
    def is_sound(self) -> bool:
        """Whether the columns are of one length, and all machines are there."""
        count = len(self)
        whole = len(self.source) == len(self.destination) == count * _WIDTH["i"]
        if not whole or not len(self.bytes_per_s) == len(self.rtt_us) == count * _WIDTH["d"]:
            return False
        places = [*integers(self.source), *integers(self.destination)]
        return not places or (min(places) >= 0 and max(places) < len(self.machines))


def packed_integers(values: Iterable[int]) -> bytes:
    return _little(array("i", values)).tobytes()


def packed_floats(values: Iterable[float]) -> bytes:
    return _little(array("d", values)).tobytes()


def integers(packed: bytes) -> array[int]:
    return _little(array("i", packed))


def floats(packed: bytes) -> array[float]:
    return _little(array("d", packed))


def _little(values: array[_N]) -> array[_N]:
    if sys.byteorder == "big":
        values.byteswap()
    return values
