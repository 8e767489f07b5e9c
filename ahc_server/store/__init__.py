"""The store: what is known, on disk. One file, one writer (the server), any number of readers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from ahc_agent.errors import CannotAnswer, NoData
from ahc_agent.wire.messages import Hello, TaskOutcome
from ahc_server.bmc.model import OutOfBand
from ahc_server.collector import no_collector
from ahc_server.flows import FlowTable
from ahc_server.ids import Prefer, assign_ids
from ahc_server.session import NodeRecord, OutcomeRecord, Session, StepRecord
from ahc_server.store import database, flows, outofband, records, repeats
from ahc_server.store.ends import is_own, no_result
from ahc_server.store.kept import Reader
from ahc_server.store.moments import with_sound_times
from ahc_server.store.saved import Members, SavedSession, SessionSummary, Standing
from ahc_server.store.writers import WRITERS

__all__ = ["Store"]

_pack = msgspec.msgpack.Encoder().encode
_unpack_hello = msgspec.msgpack.Decoder(Hello).decode
_unpack_outcome = msgspec.msgpack.Decoder(TaskOutcome).decode
_unpack_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class Store:
    """A store, open for reading; for writing with ``write=True`` (made where it is not there).

    Methods raise NoData (no such session) or CannotAnswer (the file is not usable; the text says what to do).
    """

    def __init__(self, path: str | Path, *, write: bool = False) -> None:
        self.path = Path(path)
        opened = database.open_for_writing if write else database.open_for_reading
        self._db = opened(self.path)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is on the disk together, or not at all."""
        with self._typed():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """All that is read inside is as it was at one moment, whatever the server writes meanwhile."""
        within = self._db.in_transaction
        if not within:
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            # An error may have ended it.
            if not within and self._db.in_transaction:
                self._db.execute("ROLLBACK")

    @contextmanager
    def _typed(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise database.broken(self.path, error) from error
        except msgspec.MsgspecError as error:
            raise CannotAnswer(
                f"{self.path}: holds a value that cannot be read: {error} (restore a copy of the store)"
            ) from error

    # ── writing ────────────────────────────────────────────────────────────────────────────────────

    def create_session(
        self,
        name: str,
        uid: str,
        plan_name: str,
        plan: str,
        participants: Iterable[tuple[str, Hello]],
        at_s: float,
        state: str = "running",
    ) -> int:
        """A new session with its participants (machine, hello) in order; answers its number. Call inside a transaction.

        ``uid`` begins its task ids. Raises ValueError for a name that is taken.
        """
        try:
            number = self._db.execute(
                "INSERT INTO sessions (name, uid, plan_name, plan, state, created_s) VALUES (?,?,?,?,?,?)",
                (name, uid, plan_name, plan, state, at_s),
            ).lastrowid
        except sqlite3.IntegrityError as error:
            raise ValueError(f"there is a session {name!r} already") from error
        assert number is not None
        self._db.executemany(
            "INSERT INTO participants (session, machine, position, hello) VALUES (?,?,?,?)",
            [(number, machine, place, _pack(hello)) for place, (machine, hello) in enumerate(participants)],
        )
        return number

    def apply(self, session: int | None, changes: Sequence[records.Record]) -> None:
        """Write what the conductor asks for, in order. Call inside a transaction."""
        for change in changes:
            WRITERS[type(change)](self._db, session, change)

    def add_out_of_band(self, session: int, said: Mapping[str, OutOfBand]) -> None:
        """What BMCs said, by machine. Call inside a transaction."""
        outofband.write(self._db, session, said)

    # ── reading ────────────────────────────────────────────────────────────────────────────────────

    def sessions(self) -> list[SessionSummary]:
        """All sessions, newest first: in the order in which they came in, whatever the clock said."""
        with self._typed():
            rows = self._db.execute(
                "SELECT name, plan_name, state, created_s, ended_s,"
                " (SELECT count(*) FROM participants p WHERE p.session = s.session),"
                " (SELECT count(*) FROM participants p WHERE p.session = s.session AND lost IS NOT NULL),"
                " (SELECT count(*) FROM results r WHERE r.session = s.session)"
                " FROM sessions s ORDER BY session DESC"
            ).fetchall()
        return [SessionSummary(*row) for row in rows]

    def has_session(self, name: str) -> bool:
        with self._typed():
            return self._db.execute("SELECT 1 FROM sessions WHERE name = ?", (name,)).fetchone() is not None

    def standing(self, name: str) -> Standing:
        """How a session stands as far as the store knows. Raises NoData."""
        with self._typed():
            row = self._db.execute("SELECT session, state FROM sessions WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise NoData(f"{self.path}: no session {name!r} (`ahc sessions` lists them)")
            lost = self._db.execute(
                "SELECT machine, lost FROM participants WHERE session = ? ORDER BY position", (row[0],)
            ).fetchall()
        return Standing(
            session=name,
            state=row[1],
            nodes=len(lost),
            lost={machine: reason for machine, reason in lost if reason is not None},
        )

    def members(self, name: str) -> Members:
        """The machines of a session and their tasks. Raises NoData."""
        with self._typed():
            row = self._db.execute(
                "SELECT session, plan_name, (SELECT max(ended_s) FROM steps st WHERE st.session = s.session)"
                " FROM sessions s WHERE name = ?",
                (name,),
            ).fetchone()
            if row is None:
                raise NoData(f"{self.path}: no session {name!r} (`ahc sessions` lists them)")
            tasks = self._db.execute(
                "SELECT p.machine, coalesce(max(t.task_id), '') FROM participants p"
                " LEFT JOIN tasks t ON t.session = p.session AND t.machine = p.machine"
                " WHERE p.session = ? GROUP BY p.machine",
                (row[0],),
            )
            return Members(
                number=row[0], plan_name=row[1], ended_s=row[2] or 0.0, task_of=dict(tasks.fetchall())
            )

    def unfinished(self) -> SavedSession | None:
        """The session that a server left running, for going on with it."""
        with self._typed():
            row = self._db.execute(
                "SELECT session FROM sessions WHERE state IN ('running', 'stopping') ORDER BY session LIMIT 1"
            ).fetchone()
            return None if row is None else self._saved(row[0])

    def saved(self, name: str) -> SavedSession:
        """A session as a server goes on with it. Raises NoData."""
        with self._typed():
            return self._saved(self.members(name).number)

    def plan_repeat(self, session: int, planned: Iterable[repeats.RepeatPlanned]) -> None:
        """Steps of a session that is over are to run again. Call inside a transaction."""
        repeats.write(self._db, session, planned)

    def add_flows(self, session: int, tables: Iterable[FlowTable]) -> None:
        """Rounds of flows that came as a whole. Call inside a transaction."""
        flows.write(self._db, session, tables)

    def load_session(
        self, name: str | None = None, prefer: Prefer = "serial", *, whole: bool = False
    ) -> Session:
        """A session with everything that is judged; the newest where no name is given. Raises NoData, CannotAnswer.

        Measurements come as columns (``OutcomeRecord.columns``); with ``whole`` as they were sent, with all their samples: for
        thousands of nodes that takes gigabytes. A task that ended without a result (its machine was lost, its time limit
        passed) has an outcome that says so. ``prefer`` chooses the kind of the nodes' ids.
        """
        with self._typed(), self._one_moment(), no_collector():
            where, values = ("WHERE name = ?", (name,)) if name is not None else ("", ())
            row = self._db.execute(
                "SELECT session, name, plan, state, created_s FROM sessions"
                f" {where} ORDER BY session DESC LIMIT 1",
                values,
            ).fetchone()
            if row is None:
                raise NoData(
                    f"{self.path}: no session {name!r} (`ahc sessions` lists them)"
                    if name is not None
                    else f"{self.path}: no session yet (run a plan: `ahc run quick`)"
                )
            number, name, plan, state, created_s = row
            steps = self._steps(number)
            by_number = {step.step: step for step in steps}
            outcomes, inventories = self._outcomes(number, by_number, whole)
            session = Session(
                name=str(name),
                plan=plan,
                state=state,
                created_at_s=created_s,
                nodes=self._nodes(number, inventories, prefer),
                outcomes=outcomes,
                steps=steps,
                flows=flows.read(self._db, number, by_number),
            )
            return with_sound_times(session, self.path)

    def _steps(self, session: int) -> list[StepRecord]:
        units = "units" if database.version(self._db, self.path) >= 3 else "NULL"
        rows = self._db.execute(
            f"SELECT step, job, component, hosts, state, started_s, ended_s, start_jitter_s, 0, NULL, {units} FROM steps"
            " WHERE session = ? ORDER BY step",
            (session,),
        )
        steps = [StepRecord(*row) for row in rows]
        again = {each.step: each for each in repeats.read(self._db, session)}
        return [
            replace(step, repeat=again[step.step].repeat, of_step=again[step.step].of_step)
            if step.step in again
            else step
            for step in steps
        ]

    def _outcomes(
        self, session: int, steps: dict[int, StepRecord], whole: bool
    ) -> tuple[list[OutcomeRecord], dict[str, Any]]:
        ends: dict[str, list[str]] = {}
        for unit, machine in self._db.execute(
            "SELECT unit, machine FROM tasks WHERE session = ? AND role != 'solo'", (session,)
        ):
            ends.setdefault(unit, []).append(machine)
        reader = Reader(self._db)
        # Schema 1 has measurements in the payload alone; details are large, and not asked for unless all is wanted.
        apart = f"r.layout, r.columns, {'r.details' if whole else 'NULL'}"
        if database.version(self._db, self.path) == 1:
            apart = "NULL, NULL, NULL"
        rows = self._db.execute(
            f"SELECT t.task_id, t.machine, t.step, t.state, t.reason, t.unit, t.role, t.wave, r.payload, {apart}"
            " FROM tasks t LEFT JOIN results r ON r.task_id = t.task_id"
            " WHERE t.session = ? AND t.state != 'again' ORDER BY t.task_id",
            (session,),
        )
        outcomes = []
        inventories = {}
        for task_id, machine, number, state, reason, unit, role, wave, payload, *kept in rows:
            step = flows.step_of(number, steps)
            if payload is None and state in records.OPEN_STATES:
                continue
            measured = None
            if payload is None:
                outcome = no_result(state, reason)
            elif whole:
                outcome = reader.read_whole(payload, *kept)
            else:
                outcome, measured = reader.read(payload, *kept[:2])
            if outcome.inventory is not None:
                inventories[machine] = outcome.inventory
            if outcome.pair is not None and not is_own(outcome.pair, machine, unit, role, ends.get(unit, [])):
                outcome = TaskOutcome(status="failed", error="it told of another pair than its own")
                measured = None
            where = step.job, step.component, number, step.hosts
            outcomes.append(OutcomeRecord(task_id, machine, *where, outcome, measured, wave, unit))
        return outcomes, inventories

    def _nodes(self, session: int, inventories: dict[str, Any], prefer: Prefer) -> list[NodeRecord]:
        rows = self._db.execute(
            "SELECT machine, hello, lost FROM participants WHERE session = ? ORDER BY position", (session,)
        ).fetchall()
        hellos = {machine: _unpack_hello(hello) for machine, hello, _ in rows}
        identities = {machine: hello.identity for machine, hello in hellos.items()}
        names = assign_ids(identities, prefer)
        said = outofband.read(self._db, session)
        nodes = [
            NodeRecord(
                machine=machine,
                node=names[machine][0],
                identity=identities[machine],
                inventory=inventories.get(machine),
                lost=lost,
                id_note=names[machine][1],
                out_of_band=said.get(machine),
                troubles=tuple(hellos[machine].troubles),
            )
            for machine, _, lost in rows
        ]
        return sorted(nodes, key=lambda node: node.node)

    def _saved(self, session: int) -> SavedSession:
        name, uid, plan, state = self._db.execute(
            "SELECT name, uid, plan, state FROM sessions WHERE session = ?", (session,)
        ).fetchone()
        participants = [
            (machine, _unpack_hello(hello), lost)
            for machine, hello, lost in self._db.execute(
                "SELECT machine, hello, lost FROM participants WHERE session = ? ORDER BY position",
                (session,),
            )
        ]
        steps = [
            records.StepStarted(step, job, component, hosts, _unpack_names(machines), started_s)
            for step, job, component, hosts, machines, started_s in self._db.execute(
                "SELECT step, job, component, hosts, machines, started_s FROM steps WHERE session = ? ORDER BY step",
                (session,),
            )
        ]
        ended = [
            row[0]
            for row in self._db.execute(
                "SELECT step FROM steps WHERE session = ? AND state = 'done' ORDER BY step", (session,)
            )
        ]
        tasks = [
            records.TaskRow(*row)
            for row in self._db.execute(
                "SELECT task_id, step, wave, machine, unit, role, attempt, state, reason FROM tasks"
                " WHERE session = ? AND step = (SELECT max(step) FROM steps WHERE session = ?) ORDER BY task_id",
                (session, session),
            )
        ]
        inventories = {
            machine: inventory
            for machine, payload in self._db.execute(
                "SELECT t.machine, r.payload FROM tasks t JOIN results r ON r.task_id = t.task_id"
                " JOIN steps s ON s.session = t.session AND s.step = t.step"
                " WHERE t.session = ? AND s.component = 'inventory'",
                (session,),
            )
            if (inventory := _unpack_outcome(payload).inventory) is not None
        }
        pairs = {
            task_id: pair
            for task_id, payload in self._db.execute(
                "SELECT t.task_id, r.payload FROM tasks t JOIN results r ON r.task_id = t.task_id"
                " WHERE t.session = ? AND t.role != 'solo' AND t.step = (SELECT max(step) FROM steps WHERE session = ?)",
                (session, session),
            )
            if (pair := _unpack_outcome(payload).pair) is not None
        }
        again = repeats.read(self._db, session)
        lost = [(row.task_id,) for row in tasks if row.state == "lost"]
        said = "SELECT 1 FROM results WHERE task_id = ?"
        heard = frozenset(task[0] for task in lost if self._db.execute(said, task).fetchone() is not None)
        return SavedSession(
            session,
            name,
            uid,
            plan,
            state,
            participants,
            steps,
            ended,
            tasks,
            inventories,
            again,
            pairs,
            heard,
        )
