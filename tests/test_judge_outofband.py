"""What BMCs say of a machine's health becomes a finding that names the part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace as replaced

from ahc_server.bmc.model import Event, Health, OutOfBand, Reading
from ahc_server.judge import judge_session
from ahc_server.judge.model import Finding, Report
from tests.judge_helpers import Fleet, verdicts

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

FAN = Reading(
    name="FAN2", kind="Fan", value=0.0, unit="RPM", health="failed", states=["lower critical threshold"]
)
GOOD_FAN = Reading(name="FAN2", kind="Fan", value=6000.0, unit="RPM")
SUPPLY = Reading(name="PS2 Status", kind="Power Supply", health="critical", states=["Present", "Failure"])


def said(sensors: Sequence[Reading] = (), events: Sequence[Event] = ()) -> OutOfBand:
    return OutOfBand(
        collected_at=NOW.isoformat(), address="10.0.0.2", sensors=list(sensors), events=list(events)
    )


def memory(code: str, ago: timedelta | None, *, sensor: str = "DIMM A1", asserted: bool = True) -> Event:
    at = None if ago is None else (NOW - ago).isoformat().replace("+00:00", "Z")
    return Event(
        at=at, sensor=sensor, kind="Memory", event="x", health="warning", code=code, asserted=asserted
    )


def judged(by_node: dict[str, OutOfBand]) -> Report:
    session = Fleet(6).benchmarks().session()
    nodes = [replace(each, out_of_band=by_node.get(each.node)) for each in session.nodes]
    return judge_session(replace(session, nodes=nodes), generated_at="t")


def found(by_node: dict[str, OutOfBand]) -> list[Finding]:
    return judged(by_node).findings


def test_a_failed_fan_fails_its_node() -> None:
    report = judged({"n1": said([GOOD_FAN]), "n2": said([FAN])})
    [finding] = report.findings
    assert (finding.element, finding.component, finding.kind, finding.severity) == (
        "node:n2",
        "health",
        "health",
        "fail",
    )
    assert "Fan FAN2 (BMC): 0 RPM: lower critical threshold; replace the fan" in finding.summary
    assert verdicts(report)["n2"] == "fail"
    assert verdicts(report)["n1"] == "pass"


def test_a_redundant_supply_that_is_lost_is_told() -> None:
    [finding] = found({"n2": said([SUPPLY])})
    assert finding.severity == "fail"
    assert (
        "PS2 Status" in finding.summary and "Failure" in finding.summary and "redundancy" in finding.summary
    )


def test_a_state_that_most_machines_share_is_their_make() -> None:
    assert found({name: said([FAN]) for name in ("n1", "n2", "n3", "n4")}) == []
    assert (
        len(
            found({"n1": said([FAN]), "n2": said([FAN]), **{n: said([GOOD_FAN]) for n in ("n3", "n4", "n5")}})
        )
        == 2
    )


def test_a_sensor_that_is_not_there_says_nothing() -> None:
    gone = Reading(name="FAN9", kind="Fan", health="failed", available=False)
    assert found({"n2": said([gone])}) == []


@pytest.mark.parametrize(
    ("number", "minutes", "told"), [(10, 5, True), (9, 5, False), (30, 10, False), (10, 6, True)]
)
def test_corrected_errors_are_a_storm_when_ten_come_within_an_hour(
    number: int, minutes: int, told: bool
) -> None:
    events = [memory("111.0", timedelta(minutes=minutes * place)) for place in range(number)]
    findings = found({"n2": said(events=events)})
    assert bool(findings) is told
    if told:
        assert findings[0].severity == "warn"
        assert f"{number} corrected errors within an hour" in findings[0].summary


def test_errors_of_two_dimms_are_no_storm_together() -> None:
    events = [memory("111.0", timedelta(minutes=each), sensor=f"DIMM {each % 2}") for each in range(12)]
    assert found({"n2": said(events=events)}) == []


def test_old_events_of_a_log_that_nobody_emptied_do_not_count() -> None:
    events = [memory("111.0", timedelta(days=400, minutes=each)) for each in range(50)]
    assert found({"n2": said(events=events)}) == []


def test_events_without_a_time_count() -> None:
    [finding] = found({"n2": said(events=[memory("111.0", None) for _ in range(12)])})
    assert "12 corrected errors" in finding.summary


def test_an_uncorrectable_error_fails_its_node() -> None:
    [finding] = found({"n2": said(events=[memory("111.1", timedelta(days=2))])})
    assert (finding.component, finding.severity) == ("memory", "fail")


def test_an_event_counts_where_no_sensor_shows_the_part_and_it_was_not_taken_back() -> None:
    event = Event(
        at=(NOW - timedelta(days=1)).isoformat(), sensor="CPU1", kind="Processor", event="IERR", health="critical", code="111.0"
    )  # fmt: skip
    over = Event(
        at=NOW.isoformat(), sensor="CPU1", kind="Processor", event="IERR", code="111.0", asserted=False
    )
    [finding] = found({"n2": said(events=[event])})
    assert "IERR" in finding.summary and finding.severity == "warn"
    assert found({"n2": said(events=[event, over])}) == []
    assert found({"n2": said([Reading(name="CPU1", kind="Processor")], [event])}) == []


def logged(
    code: str, health: Health, *, asserted: bool = True, kind: str = "Power Supply", days: float = 1
) -> Event:
    at = (NOW - timedelta(days=days)).isoformat()
    return Event(at=at, sensor="PS RDN", kind=kind, event="x", health=health, code=code, asserted=asserted)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([logged("11.1", "critical")], 1),
        ([logged("11.3", "warning")], 1),
        ([logged("11.0", "critical", asserted=False)], 1),
        ([logged("11.1", "critical"), logged("11.3", "warning")], 1),
        ([logged("11.1", "critical"), logged("11.1", "critical")], 1),
        ([logged("11.1", "critical"), logged("11.0", "ok")], 0),
        ([logged("11.1", "critical"), logged("11.1", "ok", asserted=False)], 0),
        ([logged("11.0", "ok")], 0),
        ([logged("11.1", "critical", days=40)], 0),
    ],
)
def test_redundancy_is_lost_by_any_word_of_the_log_until_it_is_restored(
    events: list[Event], told: int
) -> None:
    findings = found({"n2": said(events=events)})
    assert len(findings) == told
    for finding in findings:
        assert finding.nodes == ["n2"]
        assert "PS RDN (event log): x at 2026-01-30T12:00:00+00:00; check the supply" in finding.summary


def test_a_fatal_error_counts_though_its_sensor_forgot_it_at_the_next_start() -> None:
    fine = [Reading(name="PS RDN", kind="Processor")]
    failed = logged("111.0", "failed", kind="Processor")
    [finding] = found({"n2": said(fine, [failed, failed])})
    assert (finding.severity, "machine checks" in finding.summary) == ("warn", True)
    assert found({"n2": said(fine, [failed, replaced(failed, asserted=False, health="ok")])}) == []
    assert found({"n2": said(fine, [logged("111.10", "warning", kind="Processor")])}) == []
    assert found({"n2": said(fine, [logged("111.1", "failed", kind="Fan")])}) == []
