"""How a result is kept: the outcome without its measurements, those as columns, and their samples beside them.

A report of 10,000 nodes reads the first two; samples and conditions in full (``details``) are read by those who ask for a whole
session. Names of measurements, the same on most nodes, stand once in ``layouts``, under a digest of theirs, so that no
lookup is needed to write them.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import TaskOutcome
from ahc_server.measured import FIELDS, Measured, Names, is_told, measured_of, measurements_of

_pack = msgspec.msgpack.Encoder().encode
_unpack_outcome = msgspec.msgpack.Decoder(TaskOutcome).decode
_unpack_names = msgspec.msgpack.Decoder(Names).decode
_unpack_details = msgspec.msgpack.Decoder(list[Measurement]).decode

_DIGEST_BYTES = 16


class _Columns(msgspec.Struct, frozen=True, omit_defaults=True):
    """``Measured`` without its names."""

    fields: tuple[str, ...]
    numbers: bytes
    errors: dict[int, str] = {}


_unpack_columns = msgspec.msgpack.Decoder(_Columns).decode


@dataclass(frozen=True, slots=True)
class Kept:
    """A result, packed. ``layout`` names the row of ``layouts`` that holds ``names``. ``details``: the measurements in full, None
    where the columns tell all."""

    payload: bytes
    layout: bytes | None
    names: bytes
    columns: bytes | None
    details: bytes | None


def keep(outcome: TaskOutcome) -> Kept:
    """An outcome as it is written."""
    taken = outcome.measurements
    if not taken:
        return Kept(_pack(outcome), None, b"", None, None)
    details = None if is_told(taken) else _pack(taken)
    return keep_columns(replace(outcome, measurements=[]), measured_of(taken), details)


def keep_columns(outcome: TaskOutcome, measured: Measured, details: bytes | None = None) -> Kept:
    """An outcome without measurements of its own, and these beside it."""
    layout, names = _layout(measured.names)
    columns = _pack(_Columns(measured.fields, measured.numbers, measured.errors))
    return Kept(_pack(outcome), layout, names, columns, details)


@lru_cache(maxsize=256)
def _layout(names: Names) -> tuple[bytes, bytes]:
    packed = _pack(names)
    return sha256(packed).digest()[:_DIGEST_BYTES], packed


class Reader:
    """Results of one store as they were before they were kept."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        self._names: dict[bytes, Names] = {}

    def read(
        self, payload: bytes, layout: bytes | None, columns: bytes | None
    ) -> tuple[TaskOutcome, Measured | None]:
        """An outcome without measurements, and these as columns; None where it has none."""
        outcome = _unpack_outcome(payload)
        if layout is not None and columns is not None:
            return outcome, self._measured(layout, columns)
        if outcome.measurements:
            return replace(outcome, measurements=[]), measured_of(outcome.measurements)
        return outcome, None

    def read_whole(
        self, payload: bytes, layout: bytes | None, columns: bytes | None, details: bytes | None
    ) -> TaskOutcome:
        """An outcome with its measurements in full."""
        outcome = _unpack_outcome(payload)
        if details is not None:
            return replace(outcome, measurements=_unpack_details(details))
        if layout is not None and columns is not None:
            return replace(outcome, measurements=measurements_of(self._measured(layout, columns)))
        return outcome

    def _measured(self, layout: bytes, packed: bytes) -> Measured:
        names = self._names.get(layout)
        if names is None:
            found = self._db.execute("SELECT names FROM layouts WHERE layout = ?", (layout,)).fetchone()
            if found is None:
                raise msgspec.ValidationError("measurements without names")
            names = self._names[layout] = _unpack_names(found[0])
        columns = _unpack_columns(packed)
        fits = len(columns.numbers) == 8 * len(names) * len(columns.fields)
        if not fits or columns.fields[:1] != FIELDS[:1]:
            raise msgspec.ValidationError("measurements that do not fit their names")
        return Measured(names, columns.fields, columns.numbers, columns.errors)
