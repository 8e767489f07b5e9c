"""How each kind of record gets into the tables: one small function for each, and the table of them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

from ahc_server.store import records
from ahc_server.store.kept import Kept, keep

log = logging.getLogger(__name__)

_pack = msgspec.msgpack.Encoder().encode


def _seen(db: sqlite3.Connection, session: int | None, it: records.ParticipantSeen) -> None:
    db.execute(
        "UPDATE participants SET hello = ? WHERE session = ? AND machine = ?",
        (_pack(it.hello), session, it.machine),
    )


def _participant(db: sqlite3.Connection, session: int | None, it: records.ParticipantState) -> None:
    db.execute(
        "UPDATE participants SET lost = ? WHERE session = ? AND machine = ?", (it.lost, session, it.machine)
    )


def _participant_added(db: sqlite3.Connection, session: int | None, it: records.ParticipantAdded) -> None:
    db.execute(
        "INSERT INTO participants (session, machine, position, hello)"
        " SELECT ?, ?, coalesce(max(position) + 1, 0), ? FROM participants WHERE session = ?",
        (session, it.machine, _pack(it.hello), session),
    )


def _step_started(db: sqlite3.Connection, session: int | None, it: records.StepStarted) -> None:
    db.execute(
        "INSERT INTO steps (session, step, job, component, hosts, machines, state, started_s)"
        " VALUES (?,?,?,?,?,?,'running',?)",
        (session, it.step, it.job, it.component, it.hosts, _pack(it.machines), it.at_s),
    )


def _step_ended(db: sqlite3.Connection, session: int | None, it: records.StepEnded) -> None:
    db.execute(
        "UPDATE steps SET state = 'done', ended_s = ?, start_jitter_s = ?, units = ? WHERE session = ? AND step = ?",
        (it.at_s, it.start_jitter_s, it.units, session, it.step),
    )


def _task(db: sqlite3.Connection, session: int | None, it: records.TaskRow) -> None:
    db.execute(
        "INSERT INTO tasks (task_id, session, step, wave, machine, unit, role, attempt, state, reason)"
        " VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            it.task_id,
            session,
            it.step,
            it.wave,
            it.machine,
            it.unit,
            it.role,
            it.attempt,
            it.state,
            it.reason,
        ),
    )


def _task_changed(db: sqlite3.Connection, session: int | None, it: records.TaskChanged) -> None:
    db.execute("UPDATE tasks SET state = ?, reason = ? WHERE task_id = ?", (it.state, it.reason, it.task_id))


def _result(db: sqlite3.Connection, session: int | None, it: records.ResultCame) -> None:
    """Once, whatever is sent twice; a task given to another machine is none of the sender's."""
    mine = db.execute(
        "SELECT session FROM tasks WHERE task_id = ? AND machine = ?", (it.task_id, it.machine)
    ).fetchone()
    written = 0 if mine is None else _write(db, it.task_id, mine[0], it.at_s, keep(it.outcome))
    if written:
        db.execute(
            "UPDATE tasks SET state = ?, reason = ? WHERE task_id = ? AND state != 'again'",
            (it.state, it.outcome.error, it.task_id),
        )
    elif db.execute("SELECT 1 FROM results WHERE task_id = ?", (it.task_id,)).fetchone() is None:
        # At any rate that a peer likes, and honest where an agent's spool outlived the store: not worth a warning.
        log.info("%s sent a result of %s, no task of its own: dropped", it.machine, ascii(it.task_id))


def _result_kept(db: sqlite3.Connection, session: int | None, it: records.ResultKept) -> None:
    assert session is not None
    _write(db, it.task_id, session, it.at_s, it.kept)


def _write(db: sqlite3.Connection, task_id: str, session: int, at_s: float, kept: Kept) -> int:
    """How many rows were written: 0 where the result is there already."""
    written = db.execute(
        "INSERT OR IGNORE INTO results (task_id, session, received_s, payload, layout, columns, details)"
        " VALUES (?,?,?,?,?,?,?)",
        (task_id, session, at_s, kept.payload, kept.layout, kept.columns, kept.details),
    ).rowcount
    if written and kept.layout is not None:
        db.execute("INSERT OR IGNORE INTO layouts (layout, names) VALUES (?,?)", (kept.layout, kept.names))
    return written


def _session(db: sqlite3.Connection, session: int | None, it: records.SessionChanged) -> None:
    ended = it.at_s if it.state in ("done", "stopped") else None
    db.execute(
        "UPDATE sessions SET state = ?, reason = ?, ended_s = ? WHERE session = ?",
        (it.state, it.reason, ended, session),
    )


WRITERS: dict[type, Callable[[sqlite3.Connection, int | None, Any], None]] = {
    records.ParticipantSeen: _seen,
    records.ParticipantState: _participant,
    records.ParticipantAdded: _participant_added,
    records.StepStarted: _step_started,
    records.StepEnded: _step_ended,
    records.TaskRow: _task,
    records.TaskChanged: _task_changed,
    records.ResultCame: _result,
    records.ResultKept: _result_kept,
    records.SessionChanged: _session,
}
