"""``ahc import``: what is taken, what is not and why, exactly once, and a session like any other."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from ahc_server.importers.archive import MAX_FILE_BYTES
from ahc_server.importers.session import PLAN_NAME
from ahc_server.store import Store
from ahc_server.store.records import ParticipantState
from tests.import_helpers import WRITTEN_AT, Ahc, machine, write_hw, write_json, written


@pytest.fixture
def ahc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ahc:
    return Ahc(tmp_path / "state" / "ahc.db", monkeypatch, capsys)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of six machines."""
    folder = tmp_path / "results"
    folder.mkdir()
    for number in range(6):
        write_hw(folder / f"n{number}.hw", machine(number, loops=("400", str(398 + number))))
    return folder


def test_a_folder_becomes_a_session_that_is_reported(ahc: Ahc, results: Path) -> None:
    status, out, err = ahc("import", results, "--session", "old")
    assert (status, err) == (0, "")
    assert out == (
        "session old: 6 machines taken (6 × eDeploy .hw), 24 measurements\nreport: ahc report --session old\n"
    )
    with Store(ahc.store) as store:
        session = store.load_session("old", whole=True)
        (summary,) = store.sessions()
    assert (session.state, summary.plan, summary.results) == ("done", PLAN_NAME, 6)
    assert (session.created_at_s, summary.ended_at_s) == (WRITTEN_AT, WRITTEN_AT)
    assert [node.node for node in session.nodes] == [f"CZ{number:08d}" for number in range(6)]
    assert all(node.inventory is not None and node.lost is None for node in session.nodes)
    assert all(len(record.outcome.measurements) == 4 for record in session.outcomes)
    status, out, _ = ahc("report", "--format", "json")
    report = json.loads(out)
    assert (status, report["session"], report["generated_at"]) == (0, "old", "2014-05-13T16:53:20Z")
    assert report["counts"]["nodes"] == 6


def test_the_same_files_give_the_same_report_wherever_they_are_imported(
    ahc: Ahc, results: Path, tmp_path: Path
) -> None:
    ahc("import", results, "--session", "old")
    _, once, _ = ahc("report", "--full")
    ahc.store = tmp_path / "other.db"
    ahc("import", *sorted(results.iterdir(), reverse=True), "--session", "old")
    assert ahc("report", "--full")[1] == once


def test_a_folders_bad_files_are_named_and_the_good_ones_taken(ahc: Ahc, results: Path) -> None:
    written(results / "cut.hw", "[('system', 'product', 'serial', 'X1'),\n ('cpu'")
    written(results / "empty.hw", "")
    written(results / "README", "delivered in May")
    (results / "sub").mkdir()
    write_json(results / "sub" / "n9.json", [list(row) for row in machine(9)])
    (results / ".hidden").write_text("x")
    status, out, err = ahc("import", results, "--session", "old")
    assert status == 1
    assert out.startswith("session old: 7 machines taken (6 × eDeploy .hw, 1 × hardware-detect JSON)")
    assert (
        f"not taken: {results}/cut.hw:2: the file ends in the middle of the row (it is incomplete: copy it again)"
        in err
    )
    assert f"not taken: {results}/empty.hw: is empty" in err
    assert f"passed over, no results of a machine: {results}/README" in err
    assert ".hidden" not in err


def test_a_file_beside_results_is_no_mistake_but_one_that_was_named_is(ahc: Ahc, results: Path) -> None:
    note = written(results / "README", "delivered in May")
    assert ahc("import", results, "--session", "a")[0] == 0
    status, _, err = ahc("import", results / "n1.hw", note, "--session", "b")
    assert status == 1 and f"not taken: {note}: no results of a machine" in err


def test_nothing_to_take_is_wrong_use_and_leaves_no_session(ahc: Ahc, results: Path, tmp_path: Path) -> None:
    bad = written(tmp_path / "bad.hw", "[(")
    empty = tmp_path / "empty"
    empty.mkdir()
    for paths in ([bad], [empty], [tmp_path / "absent"], [results, tmp_path / "absent"]):
        status, out, err = ahc("import", *paths, "--session", "old")
        assert (status, out) == (2, "") and err.splitlines()[-1].startswith("ahc: ")
    assert ahc("import", "--session", "old")[0] == 2
    assert ahc("import", results, "--session", "a/b")[0] == 2
    assert ahc("report")[0] == 3


def test_a_session_is_imported_once_and_machines_are_added_exactly_once(ahc: Ahc, results: Path) -> None:
    ahc("import", results / "n0.hw", results / "n1.hw", "--session", "old")
    status, _, err = ahc("import", results, "--session", "old")
    assert status == 2 and "--add" in err
    for taken in (4, 0):
        status, out, err = ahc("import", results, results / "n0.hw", "--session", "old", "--add")
        assert status == 0 and f"session old: {taken} machines taken" in out
        assert f"there already, the same: {6 - taken} machines" in err
    with Store(ahc.store) as store:
        session = store.load_session("old")
    assert len(session.nodes) == len(session.outcomes) == 6


def test_another_run_of_a_machine_belongs_into_another_session(ahc: Ahc, results: Path) -> None:
    again = write_hw(results / "z.hw", machine(3, loops=("1", "2")))
    status, out, err = ahc("import", results, "--session", "old")
    assert status == 1 and "6 machines taken" in out
    assert (
        f"not taken: {again}: another run of a machine that is there already, from {results}/n3.hw (CZ00000003)"
        in err
    )
    status, _, err = ahc("import", again, "--session", "old", "--add")
    assert status == 2 and "from session old" in err
    assert ahc("import", again, "--session", "new")[0] == 0


def test_nothing_is_added_to_a_session_that_a_plan_measured(ahc: Ahc, results: Path) -> None:
    with Store(ahc.store, write=True) as store, store.transaction():
        store.apply(store.create_session("live", "u1", "quick", "", (), 1.0), [ParticipantState("n1", None)])
    status, _, err = ahc("import", results, "--session", "live", "--add")
    assert status == 2 and "measured by a plan" in err


def test_machines_that_share_a_serial_are_known_by_their_uuid(ahc: Ahc, tmp_path: Path) -> None:
    uuids = [f"ddae577f-d11a-425b-924f-ed9eed3f99{number:02d}" for number in range(4)]
    for number, uuid in enumerate(uuids):
        rows = [row for row in machine(number) if row[2] != "serial" or row[0] == "network"]
        rows += [
            ("system", "product", "serial", "44454c4c-4b00"),
            ("system", "product", "uuid", uuid.upper()),
        ]
        write_hw(tmp_path / f"vm{number}.hw", rows)
    ahc("import", *tmp_path.glob("vm*.hw"), "--session", "vms")
    with Store(ahc.store) as store:
        nodes = store.load_session("vms").nodes
    assert [node.node for node in nodes] == uuids
    assert nodes[0].id_note == "the serial 44454c4c-4b00 is shared by 4 machines"


def test_a_file_without_any_identity_is_known_by_its_name(ahc: Ahc, tmp_path: Path) -> None:
    write_hw(tmp_path / "rack7-n3.hw", [("cpu", "logical", "loops_per_sec", "800")])
    assert ahc("import", tmp_path / "rack7-n3.hw", "--session", "s")[0] == 0
    with Store(ahc.store) as store:
        assert [node.node for node in store.load_session("s").nodes] == ["rack7-n3"]


def test_lost_values_are_noted(ahc: Ahc, tmp_path: Path) -> None:
    path = write_hw(tmp_path / "a.hw", machine(loops=("None", "x")))
    status, out, err = ahc("import", path, "--session", "s")
    assert status == 0 and "2 measurements" in out
    assert err == f"note: {path}: 2 values are missing or no numbers\n"


def test_hostile_files_are_refused_at_once(ahc: Ahc, results: Path, tmp_path: Path) -> None:
    with (results / "huge.hw").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    (results / "packed.hw").write_bytes(gzip.compress(b"[" * 10_000_000))
    (results / "zero.hw").write_bytes(b"[('a', 'b', 'c', 'd')]\0")
    written(results / "deep.json", '{"a":' * 100_000)
    written(results / "\x1b[2Jdeep.hw", "[" * 100_000)
    (results / "loop").symlink_to(results)
    os.mkfifo(results / "pipe.hw")
    (results / "gone.hw").symlink_to(results / "absent")
    status, out, err = ahc("import", results, "--session", "old")
    assert status == 1 and "6 machines taken" in out
    for name, reason in (
        ("huge.hw", "larger than 16 MiB"),
        ("packed.hw", "compressed (gzip) (unpack it first)"),
        ("gone.hw", "cannot be read: No such file or directory"),
        ("zero.hw", "NUL bytes"),
        ("deep.json", "nested too deeply"),
        ("[2Jdeep.hw'", "nested too deeply"),
    ):
        assert any(name in line and reason in line for line in err.splitlines()), name
    assert f"not taken: {results}/pipe.hw: is no regular file" in err
    assert "\x1b" not in err
    status, _, err = ahc("import", results / "pipe.hw", "--session", "new")
    assert status == 2 and "neither a file nor a folder" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(ahc: Ahc, results: Path) -> None:
    (results / "n0.hw").chmod(0)
    status, _, err = ahc("import", results, "--session", "old")
    assert status == 1 and "n0.hw: cannot be read: Permission denied" in err


def test_real_machines_are_imported_and_judged(ahc: Ahc, shared: Path) -> None:
    status, out, _ = ahc("import", shared / "edeploy", "--session", "real")
    assert status == 0 and "7 machines taken (7 × eDeploy .hw), 497 measurements" in out
    status, out, _ = ahc("report", "--format", "json")
    report = json.loads(out)
    assert status == 0 and report["counts"]["nodes"] == 7 and report["counts"]["fail"] == 0
    verdicts = {node["id"]: node["verdict"] for node in report["nodes"]}
    assert verdicts["9K9PW02"] == "unknown"
