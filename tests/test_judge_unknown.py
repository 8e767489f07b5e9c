"""What the judge cannot tell it calls unknown, and says why."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import TaskOutcome
from tests.judge_helpers import Fleet, disturbed, judge, measurement, verdicts


@pytest.mark.parametrize("size", [1, 2])
def test_too_few_nodes_are_unknown_never_a_pass(size: int) -> None:
    report = judge(Fleet(size).benchmarks().network())
    assert report.counts.unknown == size
    assert report.findings[0].kind == "not-measured"


def test_a_session_without_nodes_is_an_empty_report() -> None:
    report = judge(Fleet(0))
    assert report.counts.nodes == 0
    assert report.groups == []


def test_nodes_without_any_measurement_are_unknown() -> None:
    report = judge(Fleet(4))
    assert report.counts.unknown == 4
    assert "nothing was measured" in report.findings[0].summary


def test_a_node_that_vanished_is_unknown_and_named() -> None:
    fleet = Fleet(6).benchmarks()
    fleet.lost["n4"] = "silent for 15 s"
    report = judge(fleet)
    assert verdicts(report)["n4"] == "unknown"
    [found] = report.findings
    assert (found.element, found.kind, found.severity) == ("node:n4", "not-measured", "warn")
    assert "silent for 15 s" in found.summary and "disk" in found.summary


def test_a_node_that_vanished_is_still_blamed_for_what_it_showed() -> None:
    fleet = Fleet(6).benchmarks().slow("n4", "disk", 0.3)
    fleet.lost["n4"] = "silent for 15 s"
    assert verdicts(judge(fleet))["n4"] == "fail"


def failing(text: str) -> Measurement:
    return measurement("disk", "disk0", "read_1M_bytes_per_s", "bytes/s", True, None, error=text)


def without_sequential_reads(old: Measurement) -> Measurement:
    return failing("fio: /dev/sdb: I/O error") if old.quantity == "read_1M_bytes_per_s" else old


def test_what_only_one_node_could_not_measure_makes_it_unknown() -> None:
    report = judge(Fleet(6).benchmarks().change("n2", without_sequential_reads))
    [found] = report.findings
    assert (found.element, found.kind, found.severity) == ("node:n2", "not-measured", "info")
    assert "fio: /dev/sdb: I/O error" in found.summary
    assert verdicts(report)["n2"] == "unknown"
    assert report.counts.passed == 5


def test_what_silently_did_not_come_makes_a_node_unknown_too() -> None:
    report = judge(Fleet(6).benchmarks().change("n2", lambda old: None if old.component == "cpu" else old))
    [found] = report.findings
    assert found.element == "node:n2" and "CPU not measured" in found.summary
    assert verdicts(report)["n2"] == "unknown"


def test_a_failed_task_gives_the_reason() -> None:
    fleet = Fleet(6).benchmarks()
    for number, record in enumerate(fleet.outcomes):
        if record.machine == "n2" and record.job == "cpu":
            fleet.outcomes[number] = replace(
                record, outcome=TaskOutcome(status="timeout", error="no answer within 90 s")
            )
    [found] = judge(fleet).findings
    assert found.cause == "no answer within 90 s"


def test_a_lost_node_is_told_with_its_last_result_and_not_with_its_last_task() -> None:
    fleet = Fleet(6).benchmarks()
    fleet.lost["n2"] = "silent for 15 s"
    for number, record in enumerate(fleet.outcomes):
        if record.machine == "n2" and record.job != "cpu":
            fleet.outcomes[number] = replace(record, outcome=TaskOutcome(status="failed", error="lost"))
    [found] = judge(fleet).findings
    assert "its last result is of cpu (step 1)" in found.summary


def test_what_nobody_could_measure_is_said_once_and_blames_nobody() -> None:
    fleet = Fleet(6).benchmarks()
    for name in fleet.names:
        fleet.change(name, lambda old: failing("fio: not installed") if old.component == "disk" else old)
    report = judge(fleet)
    [found] = report.findings
    assert (found.element, found.severity, found.kind) == ("group:g1", "info", "not-measured")
    assert found.cause == "fio: not installed"
    assert report.counts.passed == 6


def test_three_nodes_of_which_one_measured_nothing_cannot_be_judged() -> None:
    report = judge(Fleet(3).benchmarks().change("n1", lambda old: None))
    assert report.counts.unknown == 3


def test_half_of_the_fleet_is_never_blamed_for_differing_from_the_other_half() -> None:
    fleet = Fleet(8).benchmarks()
    for name in ("n1", "n2", "n3", "n4"):
        fleet.slow(name, "disk", 0.4)
    report = judge(fleet)
    assert report.counts.unknown == 8
    [found] = report.findings
    assert (found.element, found.kind, found.cause) == ("group:g1", "unstable", None)


def test_values_all_over_the_place_are_told_with_the_disturbance_behind_them() -> None:
    fleet = Fleet(6).benchmarks()
    for number, name in enumerate(fleet.names):
        fleet.slow(name, "cpu", 1.0 - 0.13 * number).change(
            name, lambda old: disturbed(old, 0.3) if old.component == "cpu" else old
        )
    [found] = judge(fleet).findings
    assert found.kind == "unstable"
    assert found.cause is not None and "took CPU time" in found.cause


def test_a_deviation_that_steal_explains_is_beyond_telling_and_no_guilt() -> None:
    def how(old: Measurement) -> Measurement:
        if old.component != "cpu" or old.value is None:
            return old
        slow = measurement(old.component, old.part, old.quantity, old.unit, True, old.value * 0.8)
        return disturbed(slow, 0.15)

    report = judge(Fleet(6).benchmarks().change("n3", how))
    [found] = report.findings
    assert (found.element, found.kind, found.severity) == ("node:n3", "not-measured", "info")
    assert verdicts(report)["n3"] == "unknown"


def test_long_times_under_steal_are_as_much_excused_as_low_rates() -> None:
    """With 45 % of its time taken (and as much again for the queue) a tenth of the rate is tenfold the time."""

    def how(old: Measurement) -> Measurement:
        if old.component != "disk" or old.value is None:
            return old
        value = old.value * 0.12 if old.higher_is_better else old.value / 0.12
        return disturbed(
            measurement(old.component, old.part, old.quantity, old.unit, old.higher_is_better, value), 0.45
        )

    report = judge(Fleet(6).benchmarks().change("n3", how))
    assert verdicts(report)["n3"] == "unknown"


@pytest.mark.parametrize("value", [-5.0, -1e300, 1e300])
def test_a_value_that_nothing_can_have_is_no_measurement(value: float) -> None:
    def how(old: Measurement) -> Measurement:
        if old.quantity != "read_1M_bytes_per_s":
            return old
        return measurement("disk", "disk0", old.quantity, old.unit, True, value)

    report = judge(Fleet(6).benchmarks().change("n2", how))
    [found] = report.findings
    assert (found.kind, found.element) == ("not-measured", "node:n2")
    assert f"{value:g} bytes/s is no possible result" in found.summary
    assert verdicts(report)["n2"] == "unknown"


def test_a_rate_of_zero_is_a_fault_and_a_time_of_zero_no_measurement() -> None:
    def dead(old: Measurement) -> Measurement:
        return measurement(old.component, old.part, old.quantity, old.unit, old.higher_is_better, 0.0)

    fleet = Fleet(6).benchmarks()
    fleet.change("n2", lambda old: dead(old) if old.quantity == "read_1M_bytes_per_s" else old)
    fleet.change("n3", lambda old: dead(old) if old.quantity == "randread_4k_p50_us" else old)
    assert {each: verdicts(judge(fleet))[each] for each in ("n2", "n3")} == {"n2": "fail", "n3": "unknown"}


def test_a_deviation_far_beyond_what_steal_explains_is_guilt() -> None:
    def how(old: Measurement) -> Measurement:
        if old.component != "cpu" or old.value is None:
            return old
        slow = measurement(old.component, old.part, old.quantity, old.unit, True, old.value * 0.3)
        return disturbed(slow, 0.15)

    report = judge(Fleet(6).benchmarks().change("n3", how))
    assert verdicts(report)["n3"] == "fail"


def test_a_disk_that_lost_half_and_strays_too_much_to_be_accused_does_not_pass() -> None:
    def halved(old: Measurement) -> Measurement:
        if old.component != "disk" or old.value is None:
            return old
        return msgspec.structs.replace(old, value=0.3 * old.value, ci95=0.25 * old.value)

    report = judge(Fleet(5).benchmarks().change("n2", halved))
    assert verdicts(report) == {"n1": "pass", "n2": "unknown", "n3": "pass", "n4": "pass", "n5": "pass"}
    [found] = [each for each in report.findings if each.element == "node:n2"]
    assert (found.component, found.kind, found.severity) == ("disk", "not-measured", "info")
    assert "cannot be told: repeat" in found.summary
