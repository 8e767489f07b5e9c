"""The report as people and programs read it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ahc_agent.errors import NoData
from ahc_agent.facts import CollectorError
from ahc_agent.order import natural_order
from ahc_agent.wire.messages import Hello
from ahc_server.commands.report import command, exit_status, newest_time
from ahc_server.judge import Judgement, judge
from ahc_server.judge.wording import number, percent
from ahc_server.paths import Where
from ahc_server.report.csv import draw_csv
from ahc_server.report.json import draw_json
from ahc_server.report.text import Sections, draw_text, table
from ahc_server.session import StepRecord
from ahc_server.store import Store, records
from tests.judge_helpers import Fleet, inventory

GOLDEN = Path(__file__).parent / "golden"


def example_fleet() -> Fleet:
    """Two kinds of hardware, a slow disk, a card that sends slowly, a lost node, a note."""
    fleet = Fleet(11).benchmarks().network(tx={"n5": 0.4})
    for name in ("n8", "n9", "n10", "n11"):
        fleet.inventories[name] = inventory(cpu="EPYC 7302", product="R6515")
    known = inventory()
    known.errors.append(CollectorError(collector="smart", error="smartctl: not installed"))
    fleet.inventories["n1"] = known
    fleet.lost["n9"] = "silent for 15 s"
    return fleet.slow("n3", "disk", 0.41).slow("n2", "disk", 3.0).slow("n11", "memory", 0.75)


@pytest.fixture(scope="module")
def example() -> Judgement:
    return judge(example_fleet().session(), generated_at="2024-05-01T10:30:00Z")


def golden(name: str, drawn: str) -> None:
    """Compare with the recorded text; a test run with the file removed writes it anew and fails once."""
    path = GOLDEN / name
    if not path.exists():
        path.write_text(drawn, encoding="utf-8")
        pytest.fail(f"{path} written: read it, then run again")
    assert drawn == path.read_text(encoding="utf-8")


def test_one_screen(example: Judgement) -> None:
    golden("report.txt", draw_text(example))


def test_all_sections(example: Judgement) -> None:
    drawn = draw_text(example, Sections(full=True), width=100)
    for title in ("Group g2:", "Group g1, category disk", "Outliers, metric by metric", "Every value"):
        assert title in drawn
    assert drawn.count("disk.disk0.randread_4k_iops") > 11


def test_every_section_can_be_asked_for_alone(example: Judgement) -> None:
    plain = draw_text(example).splitlines()
    for section, line in {
        Sections(groups=True): "Group g1: 5 pass, 2 fail",
        Sections(categories=True): "Group g1, category cpu",
        Sections(outliers=True): "Outliers, metric by metric",
    }.items():
        drawn = draw_text(example, section).splitlines()
        assert line in drawn and line not in plain


def test_a_healthy_fleet_is_told_in_few_lines() -> None:
    drawn = draw_text(judge(Fleet(6).benchmarks().session(), generated_at="2024-05-01T10:30:00Z"))
    assert "No findings" in drawn
    assert len(drawn.splitlines()) < 10


def test_no_line_is_wider_than_asked_and_none_has_colour_without_a_terminal(example: Judgement) -> None:
    drawn = draw_text(example, width=90)
    assert max(map(len, drawn.splitlines())) <= 90
    assert "\x1b" not in drawn
    assert click.unstyle(draw_text(example, width=90, color=True)) == drawn


def test_names_from_nodes_cannot_move_the_cursor() -> None:
    fleet = Fleet(3).benchmarks()
    fleet.notes["n1"] = "\x1b[2Jgone\r"
    drawn = draw_text(judge(fleet.session(), generated_at=""))
    assert "\x1b" not in drawn and "\r" not in drawn


def test_a_long_name_does_not_push_the_text_off_the_screen() -> None:
    session = Fleet(4).benchmarks().slow("n2", "disk", 0.3).session()
    long = "n" * 60
    nodes = [replace(each, node=long) if each.node == "n2" else each for each in session.nodes]
    drawn = draw_text(judge(replace(session, nodes=nodes), generated_at=""), width=80).splitlines()
    assert max(map(len, drawn)) <= 80
    assert any(long in line for line in drawn)


def test_a_number_and_its_per_cent_stay_on_one_line(example: Judgement) -> None:
    for width in range(70, 120):
        assert not any(line.lstrip().startswith("%") for line in draw_text(example, width=width).splitlines())


def test_a_large_fleet_fits_one_screen() -> None:
    fleet = Fleet(300, noise=0.001).benchmarks()
    for name in fleet.names[:60]:
        fleet.slow(name, "disk", 0.5)
    drawn = draw_text(judge(fleet.session(), generated_at=""), width=200)
    assert len(drawn.splitlines()) < 100
    assert "and 20 more (--outliers)" in drawn


def test_json_has_the_keys_of_the_contract(example: Judgement) -> None:
    report = json.loads(draw_json(example.report))
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
    assert set(report["counts"]) == {"nodes", "pass", "warn", "fail", "unknown"}
    assert report["counts"] == {"nodes": 11, "pass": 7, "warn": 1, "fail": 2, "unknown": 1}


def test_csv_has_a_row_per_finding_or_per_value(example: Judgement) -> None:
    rows = list(csv.DictReader(io.StringIO(draw_csv(example))))
    assert [row["element"] for row in rows] == [each.element for each in example.report.findings]
    values = list(csv.DictReader(io.StringIO(draw_csv(example, full=True))))
    assert len(values) == 11 * 13
    slow = next(
        row for row in values if row["node"] == "n3" and row["metric"] == "disk.disk0.read_1M_bytes_per_s"
    )
    assert (slow["group"], slow["verdict"], slow["unit"]) == ("g1", "fail", "bytes/s")
    assert float(slow["effect"]) == pytest.approx(-0.59, abs=0.01)


def test_a_csv_cell_is_no_formula() -> None:
    fleet = Fleet(3).benchmarks()
    record = fleet.session().nodes[0]
    session = replace(fleet.session(), nodes=[replace(record, node="=1+1", lost="gone")])
    [found, _] = csv.DictReader(io.StringIO(draw_csv(judge(session, generated_at=""))))
    assert found["nodes"] == "'=1+1"


@pytest.mark.parametrize(
    ("fleet", "fail_on", "status"),
    [
        (Fleet(6).benchmarks().slow("n1", "disk", 0.2), None, 0),
        (Fleet(6).benchmarks(), "warn", 0),
        (Fleet(6).benchmarks().slow("n1", "disk", 0.2), "warn", 1),
        (Fleet(6).benchmarks().slow("n1", "disk", 0.2), "fail", 1),
        (Fleet(6, noise=0.001).benchmarks().slow("n1", "memory", 0.8), "warn", 1),
        (Fleet(6, noise=0.001).benchmarks().slow("n1", "memory", 0.8), "fail", 0),
        (Fleet(2).benchmarks(), "fail", 3),
        (Fleet(2).benchmarks(), None, 0),
    ],
)
def test_exit_status_never_takes_ignorance_for_health(fleet: Fleet, fail_on: str | None, status: int) -> None:
    assert exit_status(judge(fleet.session(), generated_at="").report, fail_on) == status


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
    assert table([("a", "bb"), ("ccc", "d")]) == ["  a    bb", "  ccc  d"]


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
    assert "disk disk0:" in ran.output


def test_the_same_data_gives_the_same_bytes(where: Where) -> None:
    for form in ("text", "json", "csv"):
        arguments = ["--session", "rack7", "--format", form, "--full"]
        first, second = (
            CliRunner().invoke(command, arguments, obj=where, catch_exceptions=False).stdout_bytes
            for _ in "ab"
        )
        assert first == second and first


def test_the_command_fails_on_what_it_is_told(where: Where) -> None:
    ran = CliRunner().invoke(command, ["--fail-on", "fail", "--format", "json"], obj=where)
    assert ran.exit_code == 1
    assert json.loads(ran.output)["counts"]["fail"] == 1


def test_without_data_there_is_no_answer(where: Where, tmp_path: Path) -> None:
    with pytest.raises(NoData):
        CliRunner().invoke(command, ["--session", "other"], obj=where, catch_exceptions=False)
    ran = CliRunner().invoke(command, [], obj=Where(tmp_path / "none.db"))
    assert getattr(ran.exception, "exit_code", None) == 3


def test_formats_that_do_not_exist_are_wrong_use(where: Where) -> None:
    ran = CliRunner().invoke(command, ["--format", "pdf"], obj=where)
    assert ran.exit_code == 2
