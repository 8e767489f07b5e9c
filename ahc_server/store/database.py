"""One SQLite file: opened, checked, made. Nothing else in AHC knows how it is opened.

WAL, so that ``ahc report`` reads while the server writes; ``synchronous=FULL``, so that a committed result is on the disk
before it is acknowledged (SQLite's WAL documentation: with NORMAL a power cut may take back the last commits).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from ahc_agent.errors import CannotAnswer, NoData
from ahc_server.store import flows, outofband, repeats

#: "AHC\1" as SQLite's application id: tells our files from others.
APPLICATION_ID = 0x41484301
SCHEMA_VERSION = 3
#: Schema 1 kept measurements in the payload and nowhere else; before 3 a step did not say how many units it had. Both are
#: readable as they are.
OLDEST_VERSION = 1
BUSY_TIMEOUT_S = 10.0
#: A result takes 10 to 200 kB: pages larger than usual, and the log taken over only every 64 MiB.
PAGE_BYTES = 16384
CHECKPOINT_PAGES = 4096

SCHEMA = """
CREATE TABLE sessions (
    session INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, uid TEXT NOT NULL UNIQUE,
    plan_name TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL, reason TEXT,
    created_s REAL NOT NULL, ended_s REAL
) STRICT;

CREATE TABLE participants (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    machine TEXT NOT NULL, position INTEGER NOT NULL, hello BLOB NOT NULL, lost TEXT,
    PRIMARY KEY (session, machine)
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    step INTEGER NOT NULL, job TEXT NOT NULL, component TEXT NOT NULL, hosts INTEGER NOT NULL,
    machines BLOB NOT NULL, state TEXT NOT NULL, started_s REAL, ended_s REAL, start_jitter_s REAL,
    units INTEGER,
    PRIMARY KEY (session, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    task_id TEXT PRIMARY KEY, session INTEGER NOT NULL, step INTEGER NOT NULL, wave INTEGER NOT NULL,
    machine TEXT NOT NULL, unit TEXT NOT NULL, role TEXT NOT NULL, attempt INTEGER NOT NULL,
    state TEXT NOT NULL, reason TEXT,
    FOREIGN KEY (session, step) REFERENCES steps ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_of_step ON tasks (session, step, wave);

CREATE TABLE results (
    task_id TEXT PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    session INTEGER NOT NULL, received_s REAL NOT NULL, payload BLOB NOT NULL,
    layout BLOB, columns BLOB, details BLOB
) STRICT;
CREATE INDEX results_of_session ON results (session);

CREATE TABLE layouts (layout BLOB PRIMARY KEY, names BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""

#: From each older schema to the next.
MIGRATIONS = {
    1: """
ALTER TABLE results ADD COLUMN layout BLOB;
ALTER TABLE results ADD COLUMN columns BLOB;
ALTER TABLE results ADD COLUMN details BLOB;
CREATE TABLE layouts (layout BLOB PRIMARY KEY, names BLOB NOT NULL) STRICT, WITHOUT ROWID;
""",
    2: "ALTER TABLE steps ADD COLUMN units INTEGER",
}


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open, or make where it is not there, with its folder (mode 0700). Raises CannotAnswer."""
    if path.is_dir():
        raise CannotAnswer(f"{path}: is a folder (name the store's file with --store)")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise CannotAnswer(f"{path}: the store cannot be opened: {error}") from error
    try:
        fresh = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not fresh:
            version(database, path)
        if fresh:
            database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        if fresh:
            database.executescript(
                f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {SCHEMA_VERSION}; {SCHEMA} COMMIT;"
            )
        else:
            _migrate(database, path)
        database.execute(repeats.TABLE)
        database.execute(flows.TABLE)
        database.execute(outofband.TABLE)
    except sqlite3.Error as error:
        database.close()
        raise broken(path, error) from error
    except CannotAnswer:
        database.close()
        raise
    return database


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open without the right to write, beside a server that writes. Raises NoData where there is no file, CannotAnswer."""
    try:
        there = path.exists()
    except OSError as error:
        raise CannotAnswer(
            f"{path}: {error.strerror} (check the rights of its folder, or use sudo)"
        ) from error
    if path.is_dir():
        raise CannotAnswer(f"{path}: is a folder (name the store's file with --store)")
    if not there:
        raise NoData(
            f"{path}: there is no store yet (start `ahc serve` and run a plan, or name one with --store)"
        )
    try:
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        database = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise broken(path, error) from error
    try:
        version(database, path)
    except sqlite3.Error as error:
        database.close()
        raise broken(path, error) from error
    except CannotAnswer:
        database.close()
        raise
    return database


def version(database: sqlite3.Connection, path: Path) -> int:
    """The schema of a store. Raises CannotAnswer for a file that is none, or of a schema that this AHC cannot read."""
    application, schema = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
    )
    if application != APPLICATION_ID:
        raise CannotAnswer(f"{path}: not a store of AHC (name another file with --store)")
    if not OLDEST_VERSION <= schema <= SCHEMA_VERSION:
        raise CannotAnswer(
            f"{path}: a store of schema {schema}, this is AHC with schema {SCHEMA_VERSION}"
            " (use the AHC that wrote it, or another file with --store)"
        )
    return schema


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    """Bring an older store to today's schema. What is in it stays as it is."""
    if version(database, path) == SCHEMA_VERSION:
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        # Asked again: another program may have done it while this one waited for the lock.
        for schema in range(version(database, path), SCHEMA_VERSION):
            for statement in MIGRATIONS[schema].split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def broken(path: Path, error: sqlite3.Error) -> CannotAnswer:
    """What SQLite says, with what to do about it."""
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return CannotAnswer(f"{path}: another program keeps the store locked (wait for it, or end it)")
    if isinstance(error, sqlite3.OperationalError):
        return CannotAnswer(
            f"{path}: the store cannot be used: {error} (check its folder's rights and free space)"
        )
    return CannotAnswer(
        f"{path}: not a store of AHC, or a damaged one: {error} (restore a copy, or name another file with --store)"
    )
