"""Two runs joined: what is confirmed, what is a glitch, what is unstable, and that no gap acquits anybody."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_server.judge.again.second import split_repeats
from ahc_server.judge.model import Report
from tests.confirm_helpers import about, again, judged, planned
from tests.judge_helpers import STANDARD, Fleet, disturbed, measurement, verdicts

DISK = {"n3", "n1", "n2", "n4"}


def fleet(seed: int = 1) -> Fleet:
    return Fleet(8, seed=seed).benchmarks()


def only(report: Report, node: str) -> str:
    (finding,) = about(report, node)
    return finding.summary


def test_a_fault_that_is_there_again_is_confirmed_with_the_values_of_both_runs() -> None:
    session = planned(fleet().slow("n3", "disk", 0.6))
    before = about(judged(session), "n3")[0]
    report = judged(again(session, fleet(2).slow("n3", "disk", 0.62), "disk", DISK))
    (after,) = about(report, "n3")
    assert (after.kind, after.severity) == (before.kind, before.severity) == ("slow", "fail")
    assert "confirmed by a second run (−40 %, −38 %)" in after.summary
    assert after.summary.index("confirmed") < after.summary.index("; check ")
    second = {each.name: each for each in after.metrics if each.name.endswith(" (run 2)")}
    assert {f"{each.name} (run 2)" for each in before.metrics} == set(second)
    reads = second["disk.disk0.read_1M_bytes_per_s (run 2)"]
    assert reads.value == pytest.approx(0.62 * 52e6, rel=0.02)
    assert reads.expected == pytest.approx(52e6, rel=0.02)
    assert verdicts(report)["n3"] == "fail"
    assert any("1 confirmed" in note for note in report.notes)


def test_one_measurement_that_went_wrong_once_is_a_glitch() -> None:
    session = planned(fleet().slow("n3", "memory", 0.6, part="node1"))
    assert verdicts(judged(session))["n3"] != "pass"
    report = judged(again(session, fleet(2), "memory", DISK))
    (finding,) = about(report, "n3")
    assert (finding.kind, finding.severity, finding.cause) == ("unstable", "info", None)
    assert "slower than its peers in the first run, and not when measured again" in finding.summary
    assert "a glitch, or unstable" in finding.summary
    assert verdicts(report)["n3"] == "pass"
    assert any("1 not confirmed" in note for note in report.notes)


def test_a_piece_that_swings_as_a_whole_is_unstable_and_no_glitch() -> None:
    session = planned(fleet().slow("n3", "disk", 0.6))
    report = judged(again(session, fleet(2), "disk", DISK))
    (finding,) = about(report, "n3")
    assert (finding.kind, finding.severity) == ("unstable", "warn")
    assert "differs from itself far more than its peers do" in finding.summary
    assert verdicts(report)["n3"] == "warn"


def test_what_slowed_everybody_in_the_second_run_neither_confirms_nor_acquits() -> None:
    warm = fleet(2)
    for name in warm.names:
        warm.slow(name, "disk", 0.7)
    glitch = planned(fleet().slow("n3", "disk", 0.6))
    assert about(judged(again(glitch, warm, "disk", DISK)), "n3")[0].kind == "unstable"
    cool = fleet(3).slow("n3", "disk", 0.6)
    for name in cool.names:
        cool.slow(name, "disk", 1.6)
    assert "confirmed by" in only(judged(again(glitch, cool, "disk", DISK)), "n3"), (
        "as fast as the peers were before"
    )


def test_a_control_with_a_glitch_of_its_own_does_not_decide() -> None:
    session = planned(fleet().slow("n3", "disk", 0.6))
    second = fleet(2).slow("n3", "disk", 0.6).slow("n1", "disk", 0.5)
    report = judged(again(session, second, "disk", DISK))
    assert "confirmed by a second run (−40 %, −39 %)" in only(report, "n3")
    assert about(report, "n1") == [], "and is not accused by a sample of four"


def test_two_controls_that_disagree_acquit_nobody() -> None:
    session = planned(fleet().slow("n3", "disk", 0.6))
    second = fleet(2).slow("n3", "disk", 0.6).slow("n1", "disk", 0.4)
    report = judged(again(session, second, "disk", {"n3", "n1", "n2"}))
    assert verdicts(report)["n3"] == "fail"


@pytest.mark.parametrize("controls", [set(), {"n1"}], ids=["none", "one"])
def test_without_two_controls_nothing_is_settled(controls: set[str]) -> None:
    session = planned(fleet().slow("n3", "disk", 0.6))
    report = judged(again(session, fleet(2), "disk", {"n3"} | controls))
    assert verdicts(report)["n3"] == "fail"
    assert "without enough healthy peers beside it" in only(report, "n3")


def test_a_repeat_that_failed_says_why_and_acquits_nobody() -> None:
    session = planned(fleet().slow("n3", "disk", 0.6))
    report = judged(again(session, fleet(2), "disk", DISK, failed={"n3"}))
    assert verdicts(report)["n3"] == "fail"
    assert "measured again in vain (the agent was started anew)" in only(report, "n3")
    assert any("1 not settled" in note for note in report.notes)


def test_disturbance_that_is_gone_in_the_second_run_settles_what_could_not_be_told() -> None:
    slow = (
        fleet()
        .slow("n3", "cpu", 0.6)
        .change("n3", lambda old: disturbed(old, 0.3) if old.component == "cpu" else old)
    )
    session = planned(slow)
    assert verdicts(judged(session))["n3"] == "unknown"
    fine = judged(again(session, fleet(2), "cpu", DISK))
    assert verdicts(fine)["n3"] == "pass"
    sick = judged(again(session, fleet(2).slow("n3", "cpu", 0.6), "cpu", DISK))
    assert verdicts(sick)["n3"] == "fail"
    assert "disturbed in the first run, but confirmed by a second run" in only(sick, "n3")
    still = fleet(2).slow("n3", "cpu", 0.6)
    still.change("n3", lambda old: disturbed(old, 0.3) if old.component == "cpu" else old)
    assert verdicts(judged(again(session, still, "cpu", DISK)))["n3"] == "unknown"


def test_a_card_is_measured_again_in_pairs_with_healthy_ones() -> None:
    def cards(seed: int, **slow: dict[str, float]) -> Fleet:
        return Fleet(8, seed=seed).network(**slow)  # type: ignore[arg-type]

    session = planned(cards(1, tx={"n3": 0.5}))
    assert [each.direction for each in about(judged(session), "n3")] == ["tx"]
    report = judged(again(session, cards(2, tx={"n3": 0.5}), "network", DISK))
    assert "confirmed by a second run (−50 %, −50 %)" in only(report, "n3")
    assert about(judged(again(session, cards(2), "network", DISK)), "n3")[0].kind == "unstable"


def test_what_is_measured_again_counts_neither_as_a_gap_nor_as_a_second_column() -> None:
    session = planned(fleet())
    healthy = judged(session)
    twice = judged(again(session, fleet(2).slow("n1", "disk", 0.5), "disk", {"n1", "n2", "n5"}))
    assert twice.findings == healthy.findings, "who was no suspect is not judged by a repeat"
    assert twice.nodes == healthy.nodes
    first, repeats = split_repeats(again(session, fleet(2), "disk", DISK))
    assert first == split_repeats(session)[0]
    assert [each.hosts for each in repeats[0].outcomes] == [8] * 4, "as if it had been the plan's own"


def test_asked_again_each_repeat_counts() -> None:
    session = planned(fleet().slow("n3", "disk", 0.6))
    session = again(session, fleet(2), "disk", DISK, failed={"n3"})
    session = again(session, fleet(3).slow("n3", "disk", 0.58), "disk", DISK)
    session = again(session, fleet(4).slow("n3", "disk", 0.61), "disk", DISK)
    assert "confirmed by a second run (−40 %, −42 %, −39 %)" in only(judged(session), "n3")


def test_the_order_of_the_data_makes_no_difference() -> None:
    session = again(planned(fleet().slow("n3", "disk", 0.6)), fleet(2), "disk", DISK)
    expected = judged(session)
    random.Random(1).shuffle(session.outcomes)
    random.Random(2).shuffle(session.nodes)
    assert judged(session) == expected


@settings(max_examples=25)
@given(loss=st.floats(0.35, 0.9), noise=st.floats(0.001, 0.01), seed=st.integers(0, 1000))
def test_a_lasting_fault_is_never_acquitted(loss: float, noise: float, seed: int) -> None:
    first = Fleet(8, noise=noise, seed=seed).benchmarks().slow("n3", "disk", loss)
    second = Fleet(8, noise=noise, seed=seed + 1).benchmarks().slow("n3", "disk", loss)
    session = planned(first)
    before, after = judged(session), judged(again(session, second, "disk", DISK))
    # A doubt may become a certainty, and nothing that was known is forgotten.
    rank = ("pass", "unknown", "warn", "fail")
    assert rank.index(verdicts(after)["n3"]) >= rank.index(verdicts(before)["n3"])
    assert verdicts(after) | {"n3": ""} == verdicts(before) | {"n3": ""}
    for finding in after.findings:
        assert finding.kind != "unstable"


@settings(max_examples=25)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_units_make_no_difference(scale: float, seed: int) -> None:
    def scaled(of: Fleet) -> Fleet:
        for name in of.names:
            of.change(
                name,
                lambda old: measurement(
                    old.component,
                    old.part,
                    old.quantity,
                    old.unit,
                    old.higher_is_better,
                    (old.value or 0.0) * scale,
                ),
            )
        return of

    metrics = [metric for metric in STANDARD if metric[4]]
    pairs = []
    for how in (lambda of: of, scaled):
        first = how(Fleet(8, seed=seed).benchmarks(metrics).slow("n3", "disk", 0.6))
        second = how(Fleet(8, seed=seed + 1).benchmarks(metrics))
        pairs.append(judged(again(planned(first), second, "disk", DISK)))
    for one, other in zip(pairs[0].findings, pairs[1].findings, strict=True):
        assert (one.element, one.kind, one.severity) == (other.element, other.kind, other.severity)
        assert math.isclose(one.effect or 0.0, other.effect or 0.0, abs_tol=2e-4)
