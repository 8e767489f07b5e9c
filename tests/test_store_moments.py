"""Times that are none, in a store that was damaged: the command says where, and what to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ahc_agent.errors import CannotAnswer
from ahc_server.session import Session, StepRecord
from ahc_server.store import Store
from ahc_server.store.moments import is_moment, with_sound_times
from tests.import_helpers import Ahc, machine, write_hw


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    return Ahc(tmp_path / "ahc.db", monkeypatch, capsys)


@pytest.fixture
def store(ahc: Ahc, tmp_path: Path) -> Path:
    """Two sessions, of which one is about to be damaged."""
    folder = tmp_path / "hw"
    folder.mkdir()
    for number in (1, 2, 3):
        write_hw(folder / f"{number}.hw", machine(number, ["400", "401"]))
    for name in ("good", "bad"):
        assert ahc("import", folder, "--session", name)[0] == 0
    return tmp_path / "ahc.db"


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ("UPDATE sessions SET created_s = 9e999 WHERE name = 'bad'", "its creation is inf"),
        ("UPDATE steps SET started_s = 9e999 WHERE session = 2", "the start of step 1 (import) is inf"),
        ("UPDATE steps SET ended_s = -9e999 WHERE session = 2", "the end of step 1 (import) is -inf"),
        ("UPDATE steps SET ended_s = 1e20 WHERE session = 2", "the end of step 1 (import) is 1e+20"),
        (
            "UPDATE steps SET start_jitter_s = 9e999 WHERE session = 2",
            "the start jitter of step 1 (import) is inf",
        ),
    ],
)
def test_each_command_names_the_file_and_the_place_and_what_to_do(
    ahc: Ahc, store: Path, tmp_path: Path, damage: str, place: str
) -> None:
    with closing(sqlite3.connect(store)) as database:
        database.execute(damage)
        database.commit()
    policy = tmp_path / "policy.yaml"
    policy.write_text("close-on: fail\n")
    asked = [
        ("report",),
        ("report", "--format", "html"),
        ("match",),
        ("gate", "--policy", policy),
        ("compare", "good", "bad"),
    ]
    for command in asked:
        status, out, err = ahc(*command)
        assert (status, out) == (3, "")
        assert err == (
            f"ahc: {store}: session bad: {place}, which is no time"
            " (restore a copy of the store, or name another session with --session)\n"
        )
    assert ahc("report", "--session", "good")[0] == 0
    status, out, _ = ahc("sessions")
    assert status == 0 and "bad" in out and "good" in out


def test_a_time_that_is_not_a_number_is_none_either(tmp_path: Path) -> None:
    nan = float("nan")
    assert not is_moment(nan)
    step = StepRecord(0, "cpu", "cpu", 1, "done", started_at_s=nan)
    with pytest.raises(CannotAnswer, match=r"the start of step 0 \(cpu\) is nan"):
        with_sound_times(Session("s", "", "done", 1.0, steps=[step]), tmp_path)


def test_what_has_not_happened_yet_has_no_time(tmp_path: Path) -> None:
    session = Session("s", "", "running", 0.0, steps=[StepRecord(0, "cpu", "cpu", 1, "running")])
    assert with_sound_times(session, tmp_path) is session
    with Store(tmp_path / "new.db", write=True) as store:
        assert store.sessions() == []
