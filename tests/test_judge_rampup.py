"""Ramp-ups: where the sum stops growing, who keeps behind, and that load alone accuses nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahc_agent.wire.messages import TaskOutcome
from ahc_server.judge import judge_session
from ahc_server.judge.rampup import Ramps, judge_rampups
from ahc_server.judge.rampup.behind import medians_of_others
from ahc_server.judge.rampup.growth import LEAST_STEPS, bend
from ahc_server.session import Session
from tests.rampup_helpers import COUNTS, Ramp, pairs_session, saturating

HOSTS = np.array(COUNTS, dtype=np.float64)


def ramps_of(session: Session) -> Ramps:
    return judge_rampups(session, session.nodes, {each.node: "g1" for each in session.nodes})


def sums(most: float, after: float, *, noise: float, seed: int) -> np.ndarray:
    total = np.minimum(HOSTS, most) + after * np.maximum(HOSTS - most, 0.0)
    return total * np.exp(noise * np.random.default_rng(seed).standard_normal(len(HOSTS)))


# ── growth ─────────────────────────────────────────────────────────────────────────────────────────


# A bend with four steps behind it: with fewer, noise of 2 % moves the slope after it by up to 0.15, and the sum only slows.
@given(st.floats(6.0, 24.0), st.floats(-0.1, 0.0), st.integers(0, 10_000), st.floats(1e-3, 1e12))
def test_a_bend_is_found_where_it_is_whatever_the_unit(
    most: float, after: float, seed: int, unit: float
) -> None:
    found = bend(HOSTS, unit * sums(most, after, noise=0.02, seed=seed), np.full(len(HOSTS), 0.02))
    assert found.kind in ("stops", "falls") and found.at is not None
    assert found.low is not None and found.high is not None and found.low <= found.at <= found.high
    assert abs(found.at / most - 1) < 0.25
    assert found.before == pytest.approx(unit, rel=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_a_sum_that_grows_to_the_end_has_no_bend(seed: int) -> None:
    found = bend(HOSTS, sums(1000.0, 0.0, noise=0.05, seed=seed), np.full(len(HOSTS), 0.05))
    assert (found.kind, found.at) == ("grows", None)


@pytest.mark.parametrize(("after", "kind"), [(0.0, "stops"), (0.4, "slows"), (-0.3, "falls")])
def test_what_comes_after_the_bend_is_told_apart(after: float, kind: str) -> None:
    assert bend(HOSTS, sums(18.0, after, noise=0.02, seed=3), np.full(len(HOSTS), 0.02)).kind == kind


def test_one_spoilt_step_makes_no_bend() -> None:
    total = sums(1000.0, 0.0, noise=0.02, seed=1)
    total[-2] *= 2.0
    assert bend(HOSTS, total, np.full(len(HOSTS), 0.02)).kind == "grows"
    total = sums(18.0, 0.0, noise=0.02, seed=1)
    total[6] *= 2.0
    found = bend(HOSTS, total, np.full(len(HOSTS), 0.02))
    assert found.kind == "stops" and found.at == pytest.approx(18.0, rel=0.2)


def test_few_steps_and_mere_noise_tell_nothing() -> None:
    few = LEAST_STEPS - 1
    assert bend(HOSTS[:few], HOSTS[:few], np.zeros(few)).kind == "unknown"
    assert bend(HOSTS, sums(18.0, 0.0, noise=1.5, seed=4), np.full(len(HOSTS), 0.02)).kind == "unknown"
    assert bend(HOSTS, np.full(len(HOSTS), np.nan), np.zeros(len(HOSTS))).kind == "unknown"
    assert bend(HOSTS, np.zeros(len(HOSTS)), np.zeros(len(HOSTS))).kind == "unknown"


# ── steps ──────────────────────────────────────────────────────────────────────────────────────────


def test_each_step_has_its_mean_sum_spread_jitter_and_duration() -> None:
    session = Ramp(noise=0.0, jobs=("cpu",), counts=(1, 24, 48)).session()
    [ramp] = ramps_of(session).rampups
    first, _, last = ramp.steps
    assert (first.hosts, first.delivered, first.mean, first.sum, first.spread) == (1, 1, 1000.0, 1000.0, None)
    assert [last.hosts, last.sum, last.mean] == pytest.approx([48, 20_000, 20_000 / 48], rel=1e-5)
    assert (last.start_jitter_s, last.duration_s) == (0.048, 10.0)
    assert ramp.growth.kind == "unknown" and "of the 5 steps that it takes 3 are there" in ramp.growth.summary


def test_a_job_on_one_number_of_machines_is_no_ramp_up() -> None:
    assert ramps_of(Ramp(counts=(48,)).session()) == Ramps([], [], [])
    report = judge_session(Ramp(counts=(48,)).session(), generated_at="")
    assert not report.rampups


def test_of_pairs_the_sum_is_what_flows_at_one_time() -> None:
    [ramp] = ramps_of(pairs_session((2, 4, 8, 16, 24), lambda hosts: 1e8)).rampups
    assert [step.sum for step in ramp.steps] == [1e8, 2e8, 4e8, 8e8, 12e8]
    assert [step.delivered for step in ramp.steps] == [2, 4, 8, 16, 24]
    [ramp] = ramps_of(pairs_session((2, 4, 8, 16, 24, 32), saturating(8.0))).rampups
    assert ramp.growth.kind == "stops" and ramp.growth.hosts == pytest.approx(8.0, rel=0.2)


def test_a_machine_that_failed_is_missing_from_its_step_and_told() -> None:
    session = Ramp(jobs=("cpu",)).session()
    outcomes = [
        replace(each, outcome=TaskOutcome(status="failed", error="no power"))
        if (each.hosts, each.machine) == (12, "m5")
        else each
        for each in session.outcomes
        if (each.hosts, each.machine) != (18, "m7")
    ]
    found = ramps_of(replace(session, outcomes=outcomes))
    assert [(step.hosts, step.delivered) for step in found.rampups[0].steps][3:5] == [(12, 11), (18, 17)]
    assert found.notes == [
        "ramp-up cpu: no result of n05 (of 12 at once): no power",
        "ramp-up cpu: of 18 nodes at once 17 left a result; which are missing is not known",
    ]


# ── who keeps behind ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_hypervisor_is_named_with_its_effect_and_its_machines(seed: int) -> None:
    slow = Ramp(seed=seed, factor=lambda machine, host, job: 0.85 if host == 1 and job == "disk" else 1.0)
    found = ramps_of(slow.session())
    [finding] = found.findings
    assert (finding.element, finding.severity, finding.component) == ("group:g1", "warn", "disk")
    assert finding.effect == pytest.approx(-0.15, abs=0.03) and finding.q is not None and finding.q < 0.01
    assert finding.nodes == [f"n{number:02d}" for number in range(1, 48, 3)]
    assert "hypervisor hv1: its 16 nodes are slower" in finding.summary
    behind = {ramp.job: [each.host for each in ramp.behind] for ramp in found.rampups}
    assert behind == {"cpu": [], "disk": ["hv1"]}


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_machine_is_told_for_information(seed: int) -> None:
    session = Ramp(seed=seed, factor=lambda machine, host, job: 0.7 if machine == 4 else 1.0).session()
    findings = ramps_of(session).findings
    assert {(each.element, each.severity) for each in findings} == {("node:n04", "info")}


def test_healthy_fleets_name_nobody_even_where_machines_keep_differences() -> None:
    named = 0
    for seed in range(30):
        for kept in (0.0, 0.04):
            found = ramps_of(Ramp(seed=seed, kept=kept, noise=0.06).session())
            named += sum(
                each.severity == "warn" or each.element.startswith("group:") for each in found.findings
            )
    assert named <= 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12))
def test_the_median_of_the_others_is_what_it_says(values: list[float]) -> None:
    told = medians_of_others(np.array(values))
    for place, middle in enumerate(told):
        assert middle == pytest.approx(np.median(values[:place] + values[place + 1 :]))


def test_machines_without_a_common_host_have_no_hypervisor_to_blame() -> None:
    session = Ramp(
        hypervisors=48, factor=lambda machine, host, job: 0.7 if machine % 3 == 1 else 1.0
    ).session()
    assert not [each for each in ramps_of(session).findings if each.element.startswith("group:")]


@pytest.mark.parametrize("seed", range(10))
def test_load_alone_accuses_nobody(seed: int) -> None:
    """In later steps everybody is slower, and some machines take part in these alone: they are compared within a step."""
    report = judge_session(Ramp(seed=seed, each=saturating(6.0), noise=0.08).session(), generated_at="")
    assert [each for each in report.findings if each.severity != "info"] == []
    assert report.counts.passed == 48
    assert report.rampups and [ramp.growth.kind for ramp in report.rampups] == ["stops", "stops"]


def test_the_same_session_gives_the_same_report_in_whatever_order_it_comes() -> None:
    session = Ramp(factor=lambda machine, host, job: 0.8 if host == 2 else 1.0).session()
    mixed = replace(session, outcomes=session.outcomes[::-1], nodes=session.nodes[::-1])
    assert judge_session(session, generated_at="") == judge_session(mixed, generated_at="")
