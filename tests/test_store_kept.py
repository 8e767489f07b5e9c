"""How results are kept: measurements as columns, samples beside them, and stores of the schema before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ahc_agent.errors import CannotAnswer
from ahc_agent.measure import Measurement, Sample
from ahc_agent.wire.messages import Hello, Identity, TaskOutcome
from ahc_server.store import Store
from ahc_server.store.records import ResultCame, StepStarted, TaskRow

#: Schema 1, as AHC 0.1 wrote it first.
SCHEMA_1 = """
PRAGMA application_id = 0x41484301; PRAGMA user_version = 1;
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
    session INTEGER NOT NULL, received_s REAL NOT NULL, payload BLOB NOT NULL
) STRICT;
CREATE INDEX results_of_session ON results (session);
"""

pack = msgspec.msgpack.encode


def outcome(value: float, *, samples: bool) -> TaskOutcome:
    taken = [
        Measurement(
            component="cpu",
            part=part,
            quantity="events_per_s",
            unit="1/s",
            value=value,
            samples=[Sample(value=value, at_s=0.5)] * (3 if samples else 0),
        )
        for part in ("all", "core0")
    ]
    return TaskOutcome(status="ok", started_at_unix_s=5.0, measurements=taken)


def old_store(path: Path, kept: TaskOutcome) -> Path:
    """A store of schema 1 with one result."""
    hello = Hello(identity=Identity(name="a"), instance="i", agent_version="1")
    with sqlite3.connect(path) as database:
        database.executescript(SCHEMA_1)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("INSERT INTO sessions VALUES (1, 's', 'u', 'p', 't', 'done', NULL, 1.0, 2.0)")
        database.execute("INSERT INTO participants VALUES (1, 'a', 0, ?, NULL)", (pack(hello),))
        database.execute(
            "INSERT INTO steps VALUES (1, 0, 'cpu', 'cpu', 1, ?, 'done', 1.0, 2.0, NULL)", (pack(["a"]),)
        )
        database.execute("INSERT INTO tasks VALUES ('u-a', 1, 0, 0, 'a', 'u-a', 'solo', 1, 'assigned', NULL)")
        database.execute("INSERT INTO results VALUES ('u-a', 1, 1.5, ?)", (pack(kept),))
    database.close()
    return path


def new_store(path: Path, kept: TaskOutcome, machines: tuple[str, ...] = ("a",)) -> Path:
    hellos = [
        (name, Hello(identity=Identity(name=name), instance="i", agent_version="1")) for name in machines
    ]
    with Store(path, write=True) as store, store.transaction():
        number = store.create_session("s", "u", "p", "t", hellos, 1.0)
        store.apply(number, [StepStarted(0, "cpu", "cpu", 1, machines, 1.0)])
        for name in machines:
            store.apply(number, [TaskRow(name, 0, 0, name, name, "solo", 1, "assigned")])
            store.apply(number, [ResultCame(name, name, kept, "done", 1.5)])
    return path


@pytest.mark.parametrize("samples", [True, False])
@pytest.mark.parametrize("made_by", [old_store, new_store])
def test_a_session_holds_the_same_as_columns_and_in_full(
    tmp_path: Path, made_by: Callable[[Path, TaskOutcome], Path], samples: bool
) -> None:
    kept = outcome(7.0, samples=samples)
    with Store(made_by(tmp_path / "ahc.db", kept)) as store:
        (whole,) = store.load_session(whole=True).outcomes
        (light,) = store.load_session().outcomes
    assert whole.outcome == kept
    assert light.outcome.measurements == []
    assert (light.outcome.status, light.outcome.started_at_unix_s) == ("ok", 5.0)
    assert light.columns == whole.columns
    assert light.columns.known == 2


def test_a_store_of_the_schema_before_is_taken_over_when_it_is_written_to(tmp_path: Path) -> None:
    path = old_store(tmp_path / "ahc.db", outcome(7.0, samples=True))
    with Store(path) as reader:
        assert len(reader.load_session().outcomes) == 1, "reading leaves it as it is"
        for _ in range(2):
            with Store(path, write=True) as store, store.transaction():
                store.apply(1, [ResultCame("u-b", "a", outcome(8.0, samples=True), "done", 3.0)])
        assert len(reader.load_session().outcomes) == 1, "a reader that was there before goes on"
    with Store(path, write=True) as store, store.transaction():
        store.apply(1, [TaskRow("u-c", 0, 0, "a", "u-c", "solo", 1, "assigned")])
        store.apply(1, [ResultCame("u-c", "a", outcome(9.0, samples=True), "done", 3.0)])
    with Store(path) as store:
        whole = store.load_session(whole=True).outcomes
    assert [each.outcome for each in whole] == [outcome(7.0, samples=True), outcome(9.0, samples=True)]
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (3,)


def test_names_that_machines_share_stand_once(tmp_path: Path) -> None:
    path = new_store(tmp_path / "ahc.db", outcome(7.0, samples=False), machines=("a", "b", "c"))
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM layouts").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM results WHERE details IS NOT NULL").fetchone() == (0,)
    with Store(path) as store:
        one, *others = store.load_session().outcomes
    assert all(each.columns.names is one.columns.names for each in others)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM layouts",
        "UPDATE layouts SET names = x'90'",
        "UPDATE layouts SET names = x'ff'",
        "UPDATE results SET columns = x'c1'",
    ],
)
def test_measurements_that_do_not_fit_are_said_and_not_judged(tmp_path: Path, damage: str) -> None:
    path = new_store(tmp_path / "ahc.db", outcome(7.0, samples=False))
    with sqlite3.connect(path) as database:
        database.execute(damage)
    with pytest.raises(CannotAnswer, match="holds a value that cannot be read"), Store(path) as store:
        store.load_session()
