"""The store: exactly once, one file, readers beside the writer, and plain words for files that are not ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ahc_agent.errors import AhcError, CannotAnswer, NoData
from ahc_agent.facts import Cpu, Inventory
from ahc_agent.measure import Measurement, Sample
from ahc_agent.wire.messages import Flow, Hello, Identity, PairOutcome, TaskOutcome
from ahc_server.session import StepRecord
from ahc_server.store import Store
from ahc_server.store.records import (
    ParticipantSeen,
    ParticipantState,
    ResultCame,
    SessionChanged,
    StepEnded,
    StepStarted,
    TaskChanged,
    TaskRow,
)


def hello(name: str | None, **identity: object) -> Hello:
    return Hello(identity=Identity(name=name, **identity), instance="i", agent_version="1")  # type: ignore[arg-type]


def outcome(value: float) -> TaskOutcome:
    measurement = Measurement(
        component="disk",
        part="sda",
        quantity="read_1M_bytes_per_s",
        unit="B/s",
        value=value,
        samples=[Sample(value=value, at_s=1.5, disturbed="steal 0.12")],
    )
    return TaskOutcome(status="ok", measurements=[measurement], start_delay_s=0.25)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "state" / "ahc.db", write=True) as store:
        yield store


def begin(store: Store, name: str = "s", machines: tuple[str, ...] = ("b", "a")) -> int:
    with store.transaction():
        number = store.create_session(
            name, f"uid-{name}", "plan", "text", [(m, hello(m)) for m in machines], 100.0
        )
        store.apply(number, [StepStarted(0, "disks", "storage", len(machines), machines, 101.0)])
        store.apply(
            number, [TaskRow(f"{name}-{m}", 0, 0, m, f"{name}-{m}", "solo", 1, "assigned") for m in machines]
        )
    return number


def keep(store: Store, number: int, *records: object) -> None:
    with store.transaction():
        store.apply(number, list(records))  # type: ignore[arg-type]


def test_what_goes_in_comes_out(store: Store) -> None:
    number = begin(store)
    keep(
        store,
        number,
        ResultCame("s-a", "a", outcome(5.0), "done", 102.0),
        TaskChanged("s-b", "lost", "silent"),
        ParticipantState("b", "silent"),
        StepEnded(0, 103.0, 0.125, 2),
        SessionChanged("done", 104.0),
    )
    session = store.load_session(whole=True)
    assert (session.name, session.plan, session.state, session.created_at_s) == ("s", "text", "done", 100.0)
    assert [(node.node, node.lost) for node in session.nodes] == [("a", None), ("b", "silent")]
    step = session.steps[0]
    assert (step.started_at_s, step.ended_at_s, step.start_jitter_s) == (101.0, 103.0, 0.125)
    assert (step.state, step.units) == ("done", 2)
    first, second = session.outcomes
    assert first.outcome == outcome(5.0)
    assert (first.job, first.component, first.hosts) == ("disks", "storage", 2)
    assert (second.outcome.status, second.outcome.error) == ("failed", "silent")


def test_tasks_of_a_step_that_is_gone_are_a_damaged_store(store: Store) -> None:
    begin(store)
    store._db.executescript("PRAGMA foreign_keys = OFF; DELETE FROM steps;")
    with pytest.raises(CannotAnswer, match=r"of step 0, which is not there \(restore a copy"):
        store.load_session()


def test_a_result_counts_once(store: Store) -> None:
    number = begin(store)
    for value in (1.0, 2.0, 3.0):
        keep(store, number, ResultCame("s-a", "a", outcome(value), "done", 102.0))
    assert [record.outcome for record in store.load_session(whole=True).outcomes] == [outcome(1.0)]


def test_a_result_of_anothers_task_is_dropped(store: Store) -> None:
    number = begin(store)
    keep(store, number, ResultCame("s-a", "b", outcome(1.0), "done", 102.0))
    keep(store, number, ResultCame("unknown", "b", outcome(1.0), "done", 102.0))
    assert store.load_session().outcomes == []


def flow(source: str, destination: str) -> Flow:
    return Flow(source=source, destination=destination, bytes_per_s=1.0)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        (PairOutcome(pair_id="p1", role="connect", peer="b", connected=True, flows=[flow("b", "a")]), True),
        (PairOutcome(pair_id="p2", role="connect", peer="b", connected=False), False),
        (PairOutcome(pair_id="p1", role="connect", peer="c", connected=False), False),
        (PairOutcome(pair_id="p1", role="connect", peer="a", connected=False), False),
        (PairOutcome(pair_id="p1", role="listen", peer="b", connected=True), False),
        (PairOutcome(pair_id="p1", role="connect", peer="b", connected=True, flows=[flow("b", "c")]), False),
    ],
)
def test_a_machine_can_speak_of_its_own_pair_only(store: Store, told: PairOutcome, counts: bool) -> None:
    number = begin(store, machines=("a", "b", "c", "d"))
    rows = [
        TaskRow(f"{pair}-{role}", 0, 0, machine, pair, role, 1, "assigned")  # type: ignore[arg-type]
        for pair, machines in (("p1", "ab"), ("p2", "cd"))
        for role, machine in zip(("connect", "listen"), machines, strict=True)
    ]
    result = ResultCame("p1-connect", "a", TaskOutcome(status="ok", pair=told), "done", 102.0)
    keep(store, number, *rows, result)
    (record,) = store.load_session().outcomes
    assert (record.outcome.pair == told, record.outcome.status == "ok") == (counts, counts)


def test_a_task_that_was_done_again_counts_no_more_even_with_a_late_result(store: Store) -> None:
    number = begin(store)
    keep(store, number, TaskChanged("s-a", "again", "lost on the way"))
    keep(store, number, TaskRow("s-a2", 0, 1, "a", "s-a2", "solo", 2, "assigned"))
    keep(store, number, ResultCame("s-a2", "a", outcome(2.0), "done", 103.0))
    keep(store, number, ResultCame("s-a", "a", outcome(1.0), "done", 104.0))
    assert [record.task_id for record in store.load_session().outcomes] == ["s-a2"]


def test_the_inventory_joins_its_node_and_shared_serials_are_said(store: Store) -> None:
    same = [(key, hello(None, serial="S", uuid=key)) for key in ("u1", "u2")]
    with store.transaction():
        number = store.create_session("vms", "v", "plan", "text", same, 1.0)
        store.apply(number, [StepStarted(0, "inventory", "inventory", 2, ("u1", "u2"), 1.0)])
        store.apply(number, [TaskRow("t1", 0, 0, "u1", "t1", "solo", 1, "assigned")])
        inventory = Inventory(collected_at="x", cpu=Cpu(cores=4))
        store.apply(
            number, [ResultCame("t1", "u1", TaskOutcome(status="ok", inventory=inventory), "done", 2.0)]
        )
    one, two = store.load_session("vms").nodes
    assert (one.node, two.node) == ("u1", "u2")
    assert "shared by 2 machines" in str(one.id_note)
    assert one.inventory is not None and one.inventory.cpu.cores == 4
    assert two.inventory is None
    assert {node.node for node in store.load_session("vms", prefer="uuid").nodes} == {"u1", "u2"}


def test_the_newest_session_is_meant_where_none_is_named(store: Store) -> None:
    begin(store, "one")
    begin(store, "two")
    assert store.load_session().name == "two"
    assert store.load_session("one").name == "one"
    assert [one.name for one in store.sessions()] == ["two", "one"]
    assert store.sessions()[0].nodes == 2
    with pytest.raises(NoData, match="no session 'three'"):
        store.load_session("three")


def test_a_clock_that_was_set_back_makes_no_session_older(store: Store) -> None:
    with store.transaction():
        for name, at_s in (("before", 2e9), ("after", 1e9)):
            store.create_session(name, name, "plan", "text", [], at_s)
    assert store.load_session().name == "after"
    assert [one.name for one in store.sessions()] == ["after", "before"]


def test_names_are_taken_once(store: Store) -> None:
    begin(store)
    with pytest.raises(ValueError, match="'s' already"), store.transaction():
        store.create_session("s", "other", "plan", "text", [], 1.0)


def test_half_a_session_is_not_kept_even_if_its_failure_is_taken_for_an_answer(store: Store) -> None:
    with pytest.raises(CannotAnswer), store.transaction(), suppress(AhcError):
        store.create_session("s", "u", "plan", "text", [("a", hello("a")), ("a", hello("a"))], 1.0)
    assert store.sessions() == []


def test_a_transaction_is_whole_or_not_at_all(store: Store) -> None:
    number = begin(store)
    with pytest.raises(RuntimeError), store.transaction():
        store.apply(number, [ResultCame("s-a", "a", outcome(1.0), "done", 102.0)])
        raise RuntimeError
    assert store.load_session().outcomes == []


def test_readers_read_while_the_server_writes(store: Store) -> None:
    number = begin(store)
    with Store(store.path) as reader, store.transaction():
        store.apply(number, [ResultCame("s-a", "a", outcome(1.0), "done", 102.0)])
        assert reader.load_session().outcomes == [], "not committed yet"
    with Store(store.path) as reader:
        assert len(reader.load_session().outcomes) == 1
        with pytest.raises(CannotAnswer, match="cannot be used"), reader.transaction():
            reader.apply(number, [SessionChanged("done", 1.0)])


def test_a_session_is_read_as_it_was_at_one_moment(store: Store) -> None:
    """The server starts a step while a report reads: its tasks are not there without it."""
    number = begin(store)

    class Interrupted(Store):
        def _steps(self, session: int) -> list[StepRecord]:
            steps = super()._steps(session)
            with store.transaction():
                store.apply(number, [StepStarted(1, "again", "storage", 1, ("a",), 105.0)])
                store.apply(number, [TaskRow("s-a-1", 1, 0, "a", "s-a-1", "solo", 1, "assigned")])
                store.apply(number, [ResultCame("s-a-1", "a", outcome(1.0), "done", 106.0)])
            return steps

    with Interrupted(store.path) as reader:
        session = reader.load_session()
    assert (len(session.steps), session.outcomes) == (1, [])
    session = store.load_session()
    assert (len(session.steps), len(session.outcomes)) == (2, 1)


def test_a_greeting_of_a_participant_takes_the_place_of_the_one_before(store: Store) -> None:
    number = begin(store)
    anew = Hello(identity=Identity(name="a"), instance="i2", agent_version="2", addresses=["10.0.0.2/24"])
    keep(store, number, ParticipantSeen("a", anew), ParticipantSeen("stranger", hello("stranger")))
    saved = store.unfinished()
    assert saved is not None
    assert [(machine, told) for machine, told, _ in saved.participants] == [("b", hello("b")), ("a", anew)]


def test_what_is_committed_is_on_the_disk(store: Store) -> None:
    """synchronous=FULL in WAL mode: SQLite syncs the log at every commit."""
    assert store._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert store._db.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_no_file_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(NoData, match="ahc serve"):
        Store(tmp_path / "ahc.db")
    with Store(tmp_path / "ahc.db", write=True) as store, pytest.raises(NoData, match="run a plan"):
        store.load_session()


@pytest.mark.parametrize("write", [True, False])
def test_a_file_that_is_no_store_is_named_with_what_to_do(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "ahc.db"
    path.write_bytes(b"this is not a database, but it is long enough to look like one" * 100)
    with pytest.raises(CannotAnswer, match=r"ahc\.db: .*--store"):
        Store(path, write=write)
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE x (y)")
    with pytest.raises(CannotAnswer, match=r"ahc\.db: not a store of AHC"):
        Store(path, write=write)


@pytest.mark.parametrize("write", [True, False])
def test_another_schema_is_refused(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "ahc.db"
    Store(path, write=True).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(CannotAnswer, match="schema 99"):
        Store(path, write=write)


def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ahc.db"
    with Store(path, write=True) as store:
        number = begin(store, machines=tuple(f"m{count}" for count in range(200)))
        for count in range(200):
            keep(store, number, ResultCame(f"s-m{count}", f"m{count}", outcome(count), "done", 1.0))
    data = bytearray(path.read_bytes())
    for place in range(8192, len(data) - 4096, 4096):
        data[place : place + 2048] = b"\xff" * 2048
    path.write_bytes(data)
    with pytest.raises(CannotAnswer, match=r"ahc\.db: .*restore a copy"), Store(path) as store:
        store.load_session()


def test_a_folder_in_the_way_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotAnswer, match="is a folder"):
        Store(tmp_path, write=True)
    with pytest.raises(CannotAnswer, match="is a folder"):
        Store(tmp_path)


def test_the_folder_is_the_owners_alone(store: Store) -> None:
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
