"""The report as metrics: read by the real parser, one series for each set of labels."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from ahc_server.judge.model import NodeVerdict, Report
from ahc_server.report.prometheus import draw_prometheus
from tests.report_example import made

Labels = dict[str, str]


def samples(report: Report) -> dict[str, list[tuple[Labels, float]]]:
    """Family → samples, without the label that names the session."""
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(draw_prometheus(report)):
        assert family.type == "gauge" and family.documentation
        for sample in family.samples:
            assert sample.timestamp is None, "the textfile collector refuses timestamps"
            labels = dict(sample.labels)
            assert labels.pop("session") == report.session
            found.setdefault(family.name, []).append((labels, sample.value))
    return found


def test_the_fleet_is_counted_by_verdict() -> None:
    counted = {labels["verdict"]: value for labels, value in samples(made().report)["ahc_nodes"]}
    assert counted == {"pass": 15, "warn": 8, "fail": 3, "unknown": 2}


def test_each_node_has_its_verdict() -> None:
    told = samples(made().report)["ahc_node_verdict"]
    assert ({"node": "n7", "group": "g1", "verdict": "fail"}, 1.0) in told
    assert ({"node": "x1", "group": "", "verdict": "unknown"}, 1.0) in told
    assert len(told) == 28


def test_findings_are_counted_and_their_effects_told() -> None:
    found = samples(made().report)
    assert ({"component": "firmware", "kind": "config", "severity": "warn"}, 3.0) in found["ahc_findings"]
    assert sum(value for _, value in found["ahc_findings"]) == len(made().report.findings)
    [effect] = [value for labels, value in found["ahc_finding_effect"] if labels.get("node") == "n7"]
    assert effect == next(each.effect for each in made().report.findings if each.nodes == ["n7"])


def test_the_time_is_that_of_the_data() -> None:
    assert samples(made().report)["ahc_report_generated_timestamp_seconds"] == [({}, 1_714_559_400.0)]


def test_no_series_is_told_twice_for_the_collector_would_drop_the_file() -> None:
    report = made().report
    twice = msgspec.structs.replace(report, findings=[*report.findings, *report.findings])
    lines = [line for line in draw_prometheus(twice).splitlines() if not line.startswith("#")]
    assert max(Counter(line.rpartition(" ")[0] for line in lines).values()) == 1


@given(st.text())
def test_whatever_a_node_calls_itself_the_file_can_be_read(name: str) -> None:
    report = msgspec.structs.replace(
        made().report, findings=[], nodes=[NodeVerdict(id=name, group="g1", verdict="pass")]
    )
    [(labels, _)] = samples(report)["ahc_node_verdict"]
    assert labels["node"] == "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)


def test_a_session_without_nodes_is_a_file_all_the_same() -> None:
    report = msgspec.structs.replace(made().report, findings=[], nodes=[])
    drawn = draw_prometheus(report)
    assert drawn.endswith("\n") and "ahc_node_verdict{" not in drawn
