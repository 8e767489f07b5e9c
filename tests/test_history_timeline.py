"""Many sessions: when something changed, once for all that share it, and what changed at the same time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahc_agent.errors import CannotAnswer, NoData
from ahc_agent.facts import Inventory
from ahc_server.history.changepoints import cuts, fell_last, steps
from ahc_server.history.draw.timeline import draw_timeline
from ahc_server.history.model import Timeline
from ahc_server.history.timeline import timeline
from tests.history_helpers import Machines, Run


def bios(version: str) -> object:
    def change(inventory: Inventory) -> None:
        inventory.system.bios.version = version

    return change


def over(machines: Machines, runs: list[Run], **how: object) -> Timeline:
    return timeline([machines.read(run) for run in runs], **how)  # type: ignore[arg-type]


def runs_of(machines: Machines, count: int) -> list[Run]:
    return [machines.run("abcdefghijklmnop"[number]) for number in range(count)]


@pytest.mark.parametrize("noise", [0.001, 0.01, 0.05])
def test_a_steady_fleet_has_no_change(noise: float) -> None:
    machines = Machines(12, noise=noise)
    told = over(machines, runs_of(machines, 8))
    assert told.points == []
    assert "No change that matters" in draw_timeline(told)


def test_a_disk_that_lost_an_eighth_is_dated_and_what_changed_with_it_is_named() -> None:
    machines = Machines(12)
    runs = runs_of(machines, 7)
    for number, run in enumerate(runs):
        run.inventory("", bios("1.2"))  # type: ignore[arg-type]
        if number >= 3:
            run.slow("n5", "disk", 0.88).inventory("n5", bios("1.4"))  # type: ignore[arg-type]
    [point] = over(machines, runs).points
    assert (point.nodes, point.component, point.before, point.after, point.until) == (
        ["n5"],
        "disk",
        "c",
        "d",
        None,
    )
    assert point.change == pytest.approx(-0.12, abs=0.01)
    assert (point.severity, point.sessions, point.tentative) == ("warn", 4, False)
    assert point.facts == ["BIOS changed from 1.2 to 1.4"]
    assert "between c and d" in point.summary and "stable since then (4 sessions)" in point.summary


def test_what_all_nodes_share_is_told_once() -> None:
    machines = Machines(12)
    runs = runs_of(machines, 6)
    for run in runs[3:]:
        run.slow("", "memory", 0.93)
    [point] = over(machines, runs).points
    assert (point.shared, len(point.nodes), point.component, point.after) == (True, 12, "memory", "d")


def test_a_change_that_went_away_has_both_its_dates_and_accuses_nobody() -> None:
    machines = Machines(12)
    runs = runs_of(machines, 9)
    for run in runs[3:6]:
        run.slow("n2", "cpu", 0.8)
    told = over(machines, runs)
    assert [(p.after, p.kind, p.until) for p in told.points] == [("d", "slower", "g"), ("g", "faster", None)]
    assert told.worst == "info"


def test_a_loss_in_the_newest_session_alone_is_tentative() -> None:
    machines = Machines(12)
    runs = runs_of(machines, 6)
    runs[-1].slow("n2", "cpu", 0.8)
    [point] = over(machines, runs).points
    assert (point.nodes, point.tentative, point.severity) == (["n2"], True, "info")
    assert "repeat it to be sure" in point.summary


def test_one_bad_session_in_between_is_no_change() -> None:
    machines = Machines(12)
    runs = runs_of(machines, 8)
    runs[4].slow("n2", "cpu", 0.5)
    assert over(machines, runs).points == []


def test_a_node_or_metrics_can_be_asked_for() -> None:
    machines = Machines(12)
    runs = runs_of(machines, 6)
    for run in runs[3:]:
        run.slow("n2", "cpu", 0.8).slow("n3", "disk", 0.7)
    readings = [machines.read(run) for run in runs]
    assert {p.nodes[0] for p in timeline(readings).points} == {"n2", "n3"}
    of_node = timeline(readings, node="n3", series=True)
    assert {p.nodes[0] for p in of_node.points} == {"n3"}
    assert {series.node for series in of_node.series} == {"n3"}
    assert all(len(series.values) == 6 for series in of_node.series)
    assert {p.nodes[0] for p in timeline(readings, pattern="cpu.*").points} == {"n2"}
    with pytest.raises(NoData, match="no metric"):
        timeline(readings, pattern="gpu.*")
    with pytest.raises(NoData, match="no node"):
        timeline(readings, node="n99")
    with pytest.raises(CannotAnswer, match="ahc compare"):
        timeline(readings[:2])


def test_a_node_may_join_leave_and_miss_sessions() -> None:
    machines = Machines(12)
    runs = [machines.run(name, machines.names if name in "acf" else machines.names[:-1]) for name in "abcdef"]
    runs[3].missing = {("n2", "disk")}
    assert over(machines, runs).points == []


@settings(max_examples=60)
@given(
    before=st.integers(3, 12),
    after=st.integers(3, 12),
    step=st.sampled_from([-0.5, -0.2, 0.2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_step_far_above_the_noise_is_found_where_it_is(
    before: int, after: int, step: float, seed: int
) -> None:
    noise = np.clip(np.random.default_rng(seed).normal(0, 0.01, before + after), -0.025, 0.025)
    series = noise + np.r_[np.zeros(before), np.full(after, step)]
    found = cuts(series, 0.01, 5.0, 0.05)
    assert found == [before]
    [(old, new)] = steps(series, found)
    assert new - old == pytest.approx(step, abs=0.05)


@settings(max_examples=60)
@given(length=st.integers(1, 30), seed=st.integers(0, 2**32 - 1), spoilt=st.integers(0, 29))
def test_noise_and_a_single_outlier_make_no_step(length: int, seed: int, spoilt: int) -> None:
    series = np.clip(np.random.default_rng(seed).normal(0, 0.01, length), -0.03, 0.03)
    series[spoilt % length] -= 3.0
    assert cuts(series, 0.01, 5.0, 0.05) == []


def test_the_last_value_alone_is_told_apart() -> None:
    steady = np.array([0.0, 0.01, -0.01, 0.0, -0.2])
    assert fell_last(steady, [], 0.01, 5.0, 0.05) == pytest.approx(-0.2)
    assert fell_last(steady[:-1], [], 0.01, 5.0, 0.05) == 0
    assert fell_last(steady[:2], [], 0.01, 5.0, 0.005) == 0
