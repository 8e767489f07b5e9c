"""What is to be measured again: planned as a whole when it is asked for, so that a killed server still knows of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

#: Made where it is not there; a store without it has no repeats.
TABLE = """
CREATE TABLE IF NOT EXISTS repeats (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    step INTEGER NOT NULL, repeat INTEGER NOT NULL, of_step INTEGER NOT NULL,
    machines BLOB NOT NULL, apart BLOB NOT NULL,
    PRIMARY KEY (session, step)
) STRICT, WITHOUT ROWID;
"""

_pack = msgspec.msgpack.Encoder().encode
_unpack_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode


@dataclass(frozen=True, slots=True)
class RepeatPlanned:
    """``step`` will measure again what ``of_step`` did, on these machines; those ``apart`` do not meet each other in pairs.

    ``repeat`` counts from 1: what was asked for together has the same.
    """

    step: int
    repeat: int
    of_step: int
    machines: tuple[str, ...]
    apart: tuple[str, ...] = ()


def write(db: sqlite3.Connection, session: int, planned: Iterable[RepeatPlanned]) -> None:
    """Plan these; what was planned and never begun is given up. Call inside a transaction."""
    db.execute(
        "DELETE FROM repeats WHERE session = ? AND step NOT IN (SELECT step FROM steps WHERE session = ?)",
        (session, session),
    )
    db.executemany(
        "INSERT INTO repeats (session, step, repeat, of_step, machines, apart) VALUES (?,?,?,?,?,?)",
        [(session, it.step, it.repeat, it.of_step, _pack(it.machines), _pack(it.apart)) for it in planned],
    )


def read(db: sqlite3.Connection, session: int) -> list[RepeatPlanned]:
    """What was planned for a session, in the order of the steps."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'repeats'").fetchone():
        return []
    rows = db.execute(
        "SELECT step, repeat, of_step, machines, apart FROM repeats WHERE session = ? ORDER BY step",
        (session,),
    )
    return [
        RepeatPlanned(step, repeat, of_step, _unpack_names(machines), _unpack_names(apart))
        for step, repeat, of_step, machines, apart in rows
    ]
