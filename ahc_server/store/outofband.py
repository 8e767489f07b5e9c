"""What the BMCs of a session's machines said when they were asked: one row a machine, the last answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from ahc_server.bmc.model import OutOfBand

#: Made where it is not there; a store without it has nothing of BMCs.
TABLE = """
CREATE TABLE IF NOT EXISTS out_of_band (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    machine TEXT NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (session, machine)
) STRICT;
"""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(OutOfBand).decode


def write(db: sqlite3.Connection, session: int, said: Mapping[str, OutOfBand]) -> None:
    """Machine → what its BMC said; what it said before is replaced. Call inside a transaction."""
    db.executemany(
        "INSERT OR REPLACE INTO out_of_band (session, machine, payload) VALUES (?,?,?)",
        [(session, machine, _pack(each)) for machine, each in said.items()],
    )


def read(db: sqlite3.Connection, session: int) -> dict[str, OutOfBand]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'out_of_band'").fetchone():
        return {}
    rows = db.execute("SELECT machine, payload FROM out_of_band WHERE session = ?", (session,))
    return {machine: _unpack(payload) for machine, payload in rows}
