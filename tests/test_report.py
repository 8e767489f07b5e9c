"""``ahc report`` on a real store; the exit codes; json and csv."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from ahc_agent.errors import NoData, UsageError
from ahc_agent.order import natural_order
from ahc_agent.wire.messages import Hello
from ahc_server.commands.report import command, exit_status, newest_time
from ahc_server.judge.model import Verdict
from ahc_server.judge.wording import number, percent
from ahc_server.paths import Where
from ahc_server.report.csv import draw_csv
from ahc_server.report.formats import FORMATS
from ahc_server.report.json import draw_json
from ahc_server.report.output import write_whole
from ahc_server.session import StepRecord
from ahc_server.store import Store, records
from tests.judge_helpers import Fleet
from tests.report_example import made, small
from tests.report_helpers import judgement


def test_json_has_the_keys_of_the_contract() -> None:
    report = json.loads(draw_json(made().report))
    assert report["schema"] == "ahc.report/1"
    assert set(report) == {
        *("schema", "session", "generated_at", "nodes", "groups", "findings", "counts"),
        "notes",
    }
    assert all(set(node) == {"id", "group", "verdict", "profile"} for node in report["nodes"])
    assert all(set(group) == {"id", "size", "nodes", "hardware"} for group in report["groups"])
    for finding in report["findings"]:
        assert set(finding) == {
            *("element", "nodes", "component", "kind", "direction", "severity", "effect", "q"),
            *("metrics", "cause", "summary"),
        }
        for metric in finding["metrics"]:
            assert set(metric) == {"name", "value", "expected", "unit", "effect"}
    assert report["counts"] == {"nodes": 28, "pass": 15, "warn": 8, "fail": 3, "unknown": 2}


def test_csv_has_a_row_per_finding_or_per_value() -> None:
    rows = list(csv.DictReader(io.StringIO(draw_csv(made()))))
    assert [row["element"] for row in rows[:2]] == ["node:n5", "node:n7"]
    assert len(rows) == len(made().report.findings)
    values = list(csv.DictReader(io.StringIO(draw_csv(small(), full=True))))
    assert len(values) == 8 * 10
    slow = next(row for row in values if row["node"] == "n7" and row["metric"] == "disk.sdb.randread_4k_iops")
    assert (slow["group"], slow["verdict"], slow["unit"]) == ("g1", "fail", "IOPS")
    assert float(slow["effect"]) == pytest.approx(-0.59, abs=0.01)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_csv_cell_is_no_formula(name: str) -> None:
    finding = msgspec.structs.replace(made().report.findings[0], cause=name)
    [row] = csv.DictReader(io.StringIO(draw_csv(judgement({}, {}, [], [finding]))))
    assert row["cause"] == f"'{name}"


@pytest.mark.parametrize(
    ("verdicts", "fail_on", "status"),
    [
        (["pass", "fail"], None, 0),
        (["pass", "pass"], "warn", 0),
        (["pass", "fail"], "warn", 1),
        (["pass", "fail"], "fail", 1),
        (["pass", "warn"], "warn", 1),
        (["pass", "warn"], "fail", 0),
        (["unknown", "warn"], "fail", 3),
        (["unknown", "fail"], "fail", 1),
        (["unknown", "pass"], "warn", 3),
        (["unknown", "unknown"], None, 0),
    ],
)
def test_exit_status_never_takes_ignorance_for_health(
    verdicts: list[Verdict], fail_on: str | None, status: int
) -> None:
    named = {f"n{place}": verdict for place, verdict in enumerate(verdicts)}
    assert exit_status(judgement(named, {}, [], []).report, fail_on) == status


def test_the_reports_time_is_that_of_its_data() -> None:
    session = Fleet(3).session()
    session.steps.append(
        StepRecord(1, "cpu", "cpu", 3, "done", started_at_s=1_714_557_600.0, ended_at_s=1_714_559_400.4)
    )
    assert newest_time(session) == "2024-05-01T10:30:00Z"


def test_small_words() -> None:
    assert [number(each) for each in (4663.4, 521.2, 99.96, 52.0, 5.214, 0.041)] == [
        *("4,663", "521", "100", "52.0", "5.21", "0.04"),
    ]
    assert [percent(each) for each in (-0.589, 1.54, 0.031, 12.0)] == [
        "−59 %",
        "+154 %",
        "+3.1 %",
        "+1,200 %",
    ]
    assert sorted(["n10", "n2", "N1", "7"], key=natural_order) == ["7", "N1", "n2", "n10"]


# ── the command, on a real store ─────────────────────────────────────────────────────────────────


def store_of(fleet: Fleet, path: Path) -> Where:
    """What a server would have stored of this fleet."""
    session = fleet.session()
    hellos = [
        (node.machine, Hello(identity=node.identity, instance="i", agent_version="1"))
        for node in session.nodes
    ]
    with Store(path, write=True) as store:
        number = store.create_session("rack7", "u1", "standard", "", hellos, 1_714_557_000.0)
        steps = {(each.step, each.job, each.component, each.hosts) for each in session.outcomes}
        at = 1_714_557_600.0
        changes: list[records.Record] = [
            records.StepStarted(step, job, component, hosts, tuple(fleet.names), at)
            for step, job, component, hosts in sorted(steps)
        ]
        for each in session.outcomes:
            changes.append(
                records.TaskRow(each.task_id, each.step, 0, each.machine, each.task_id, "solo", 1, "assigned")
            )
            changes.append(records.ResultCame(each.task_id, each.machine, each.outcome, "done", at))
        changes.append(records.SessionChanged("done", at))
        with store.transaction():
            store.apply(number, changes)
    return Where(path)


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Where:
    return store_of(
        Fleet(6).benchmarks().network().slow("n3", "disk", 0.4), tmp_path_factory.mktemp("store") / "ahc.db"
    )


def test_the_command_reports_the_newest_session(where: Where) -> None:
    ran = CliRunner().invoke(command, [], obj=where, catch_exceptions=False)
    assert ran.exit_code == 0
    assert "Session rack7, data up to 2024-05-01T10:00:00Z" in ran.output
    assert "n3" in ran.output and "disk" in ran.output


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_drawn_and_the_same_data_gives_the_same_bytes(where: Where, form: str) -> None:
    arguments = ["--session", "rack7", "--format", form, "--full"]
    first, second = (
        CliRunner().invoke(command, arguments, obj=where, catch_exceptions=False).stdout_bytes for _ in "ab"
    )
    assert first == second
    assert b"n3" in first and first.endswith(b"\n")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_fails_on_what_it_is_told(where: Where, form: str) -> None:
    ran = CliRunner().invoke(command, ["--fail-on", "fail", "--format", form], obj=where)
    assert ran.exit_code == 1
    assert ran.output == CliRunner().invoke(command, ["--format", form], obj=where).output


def test_a_report_can_go_to_a_file_that_is_whole_or_not_there(where: Where, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("of yesterday")
    ran = CliRunner().invoke(command, ["--format", "html", "--output", str(path)], obj=where)
    assert (ran.exit_code, ran.output) == (0, "")
    assert path.read_text().startswith("<!doctype html>")
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o044, "a collector of another user reads it"


def test_what_cannot_be_written_is_wrong_use_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        write_whole(tmp_path / "none" / "report.txt", "text")
    path = tmp_path / "report.txt"
    path.write_text("of yesterday")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "a lone half \udc80")
    assert [each.name for each in tmp_path.iterdir()] == ["report.txt"]
    assert path.read_text() == "of yesterday"


def test_without_data_there_is_no_answer(where: Where, tmp_path: Path) -> None:
    with pytest.raises(NoData):
        CliRunner().invoke(command, ["--session", "other"], obj=where, catch_exceptions=False)
    ran = CliRunner().invoke(command, [], obj=Where(tmp_path / "none.db"))
    assert getattr(ran.exception, "exit_code", None) == 3


def test_formats_that_do_not_exist_are_wrong_use(where: Where) -> None:
    ran = CliRunner().invoke(command, ["--format", "pdf"], obj=where)
    assert ran.exit_code == 2
