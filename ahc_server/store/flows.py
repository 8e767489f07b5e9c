"""Rounds of flows that came as a whole, from files: one row a round, with its columns packed.

What agents measure stays what it is, one result for each end of a pair.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from ahc_server.flows import FlowTable
from ahc_server.session import StepRecord

#: Made where it is not there; a store without it has no such rounds.
TABLE = """
CREATE TABLE IF NOT EXISTS flows (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    step INTEGER NOT NULL, wave INTEGER NOT NULL,
    source BLOB NOT NULL, destination BLOB NOT NULL, bytes_per_s BLOB NOT NULL, rtt_us BLOB NOT NULL,
    PRIMARY KEY (session, step, wave)
) STRICT;
"""

_unpack_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode


def write(db: sqlite3.Connection, session: int, tables: Iterable[FlowTable]) -> None:
    """Rounds of steps that are there; places are those in the step's machines. Call inside a transaction."""
    db.executemany(
        "INSERT INTO flows (session, step, wave, source, destination, bytes_per_s, rtt_us) VALUES (?,?,?,?,?,?,?)",
        ((session, it.step, it.wave, it.source, it.destination, it.bytes_per_s, it.rtt_us) for it in tables),
    )


def step_of(number: int, steps: Mapping[int, StepRecord]) -> StepRecord:
    """Raises msgspec.ValidationError where something is of a step that the store does not have."""
    try:
        return steps[number]
    except KeyError:
        raise msgspec.ValidationError(f"something is of step {number}, which is not there") from None


def read(db: sqlite3.Connection, session: int, steps: Mapping[int, StepRecord]) -> list[FlowTable]:
    """All rounds of a session in their order. Raises msgspec.ValidationError for columns that do not fit each other."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'flows'").fetchone():
        return []
    machines = {
        number: _unpack_names(packed)
        for number, packed in db.execute(
            "SELECT step, machines FROM steps WHERE session = ? AND step IN (SELECT step FROM flows WHERE session = ?)",
            (session, session),
        )
    }
    tables = [
        FlowTable(step_of(step, steps).job, step, steps[step].hosts, wave, machines[step], *columns)
        for step, wave, *columns in db.execute(
            "SELECT step, wave, source, destination, bytes_per_s, rtt_us FROM flows WHERE session = ?"
            " ORDER BY step, wave",
            (session,),
        )
    ]
    if not all(table.is_sound for table in tables):
        raise msgspec.ValidationError("rounds of flows whose columns do not fit each other")
    return tables
