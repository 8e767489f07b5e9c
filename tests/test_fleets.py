"""The labelled fleets, and the score of a judge on them: both have to be right before a judge is called wrong."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from ahc_server.importers import read_file
from ahc_server.importers import session as importing
from ahc_server.judge import judge_session
from ahc_server.judge.model import Component, Counts, Finding, Kind, Report, Severity
from ahc_server.session import Session
from ahc_server.store import Store
from benchmarks.fleets import hw, oracle, peers
from benchmarks.fleets.faults import KINDS, Damage
from benchmarks.fleets.generate import Fleet, KeptSeedError, generate
from benchmarks.fleets.noise import FLEETING, LASTING, Weather, covariance, draw, effects_of, lower_quantile
from benchmarks.fleets.platforms import PLATFORMS, metrics_of
from benchmarks.fleets.scenarios import SCENARIOS
from benchmarks.fleets.score import Answer, Result, answer_of, figures, score
from benchmarks.fleets.sessions import session_of

SEEDS = range(40)


@cache
def fleet_of(seed: int, *, broken: bool = True) -> Fleet:
    """Made once for all tests, which only look at it."""
    return generate(seed, broken=broken)


def scenario(name: str) -> int:
    return next(number for number, each in enumerate(SCENARIOS) if each.name == name)


def report(*findings: Finding) -> Report:
    return Report(
        session="s",
        generated_at="",
        nodes=[],
        groups=[],
        findings=list(findings),
        counts=Counts(nodes=0, passed=0, warn=0, fail=0, unknown=0),
    )


def finding(
    *nodes: str,
    component: Component = "cpu",
    severity: Severity = "warn",
    kind: Kind = "slow",
    element: str = "",
    summary: str = "",
) -> Finding:
    return Finding(
        element=element or f"node:{nodes[0]}",
        nodes=list(nodes),
        component=component,
        kind=kind,
        severity=severity,
        summary=summary,
    )


def score_all(answers: dict[int, Answer], fleets: list[Fleet]) -> list[Result]:
    return [score(fleet, answers[fleet.seed]) for fleet in fleets]


def value_of(results: list[Result], name: str) -> float | None:
    return next(figure.value for figure in figures(results) if figure.name.strip().startswith(name))


# ── the generator ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", [8, 27])
def test_a_seed_is_one_fleet(seed: int) -> None:
    one, other = generate(seed), generate(seed)
    assert one.labels == other.labels
    assert session_of(one) == session_of(other)


def test_other_seeds_are_other_fleets() -> None:
    one, other = generate(0), generate(20)
    assert {node.serial for node in one.nodes}.isdisjoint(node.serial for node in other.nodes)


def test_the_kept_seeds_are_refused() -> None:
    with pytest.raises(KeptSeedError, match="last-look"):
        generate(900)
    assert generate(900, last_look=True).nodes


def test_healthy_fleets_carry_no_labels() -> None:
    for seed in SEEDS:
        fleet = fleet_of(seed)
        if fleet.scenario.is_healthy:
            assert not fleet.labels
        assert not fleet_of(seed, broken=False).labels


def test_labels_are_of_nodes_of_the_fleet_and_ids_are_unique() -> None:
    for seed in SEEDS:
        fleet = fleet_of(seed)
        names = [node.serial for node in fleet.nodes]
        assert len(set(names)) == len(names)
        assert set(fleet.labels) <= set(names)
        assert fleet.populations <= set(fleet.labels)


def test_contamination_is_what_the_scenarios_say() -> None:
    for seed in SEEDS:
        fleet = fleet_of(seed)
        part = len(fleet.labels) / len(fleet.nodes)
        if fleet.populations:
            assert 0.30 < part <= 0.40
        elif len(fleet.nodes) >= 12:
            assert part <= 0.32


def test_faulted_values_differ_by_the_size_that_the_label_says() -> None:
    """The same seed without faults has the same noise: the ratio is the fault."""
    checked: Counter[str] = Counter()
    for seed in SEEDS:
        broken, whole = fleet_of(seed), fleet_of(seed, broken=False)
        for group, other in zip(broken.groups, whole.groups, strict=True):
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = group.values / other.values
            for row, node in enumerate(group.nodes):
                label = broken.labels.get(node.serial)
                if label is None:
                    assert np.array_equal(group.values[row], other.values[row], equal_nan=True)
                    continue
                if label.size == 0:
                    continue
                changed = ratio[row][np.abs(ratio[row] - 1) > 0.004]
                if label.kind == "throttling":
                    loops = [metric.kind == "loops" for metric in group.metrics]
                    assert 1 - np.nanmean(ratio[row, loops]) == pytest.approx(label.size, rel=0.1, abs=0.004)
                elif len(changed):
                    # The most of what the fault touches is slower by its size; sums over all parts by less.
                    assert 1 - np.min(changed) == pytest.approx(label.size, abs=0.01)
                checked[label.kind] += 1
    assert set(checked) >= {kind.name for kind in KINDS if not kind.is_drift} - {"bad core"}


def test_drift_stands_in_the_facts() -> None:
    seen = set()
    for seed in SEEDS:
        broken = fleet_of(seed)
        if not any(label.size == 0 for label in broken.labels.values()):
            continue
        healthy = {node.serial: hw.facts(node) for node in fleet_of(seed, broken=False).nodes}
        for node in broken.nodes:
            label = broken.labels.get(node.serial)
            if label is not None and label.size == 0:
                assert hw.facts(node) != healthy[node.serial], label
                seen.add(label.kind)
    assert seen == {kind.name for kind in KINDS if kind.is_drift}


def test_the_reference_machine_has_edeploys_set_of_metrics() -> None:
    metrics = metrics_of(PLATFORMS[0])
    assert sum(metric.kind == "core" for metric in metrics) == 112
    assert 325 <= len(metrics) <= 345
    assert len({metric.key for metric in metrics}) == len(metrics)


@pytest.mark.parametrize("lasting", LASTING)
def test_the_true_covariance_is_that_of_the_draws(lasting: str) -> None:
    weather = Weather(scale=1.0, lasting=lasting, fleeting="laplace", uneven=0.0, two_modes=False)
    metrics = metrics_of(PLATFORMS[1])
    effects = effects_of(metrics, [disk.rotational for _, disk in PLATFORMS[1].disks], weather)
    drawn = draw(np.random.default_rng(5), effects, 6000, weather)
    seen, true = np.cov(drawn, rowvar=False), covariance(metrics, effects, weather)
    scale = np.sqrt(np.diag(true))
    rounding = np.diag([(metric.step / metric.usual) ** 2 / 12 for metric in metrics])
    assert np.max(np.abs(seen - (true - rounding)) / np.outer(scale, scale)) < 0.2


@pytest.mark.parametrize("fleeting", FLEETING)
def test_noise_has_no_bias(fleeting: str) -> None:
    weather = Weather(scale=1.0, lasting="skewed", fleeting=fleeting, uneven=0.2, two_modes=False)
    metrics = metrics_of(PLATFORMS[1])
    effects = effects_of(metrics, [disk.rotational for _, disk in PLATFORMS[1].disks], weather)
    assert np.mean(draw(np.random.default_rng(6), effects, 6000, weather)) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("lasting", LASTING)
def test_quantiles_are_those_of_the_draws(lasting: str) -> None:
    weather = Weather(scale=1.0, lasting=lasting, fleeting="t", uneven=0.0, two_modes=False)
    metrics = metrics_of(PLATFORMS[1])
    effect = effects_of(metrics, [False, False], weather)[0]
    drawn = draw(np.random.default_rng(7), [effect], 100_000, weather)
    column = int(np.argmax(effect.scale))
    below = np.mean(drawn[:, column] < 1 - effect.scale[column] * lower_quantile(lasting, 0.01))
    assert below == pytest.approx(0.01, rel=0.2)


def test_an_oracle_sees_large_faults_and_not_the_smallest() -> None:
    weather = Weather(scale=1.0, lasting="normal", fleeting="t", uneven=0.0, two_modes=False)
    metrics = metrics_of(PLATFORMS[1])
    noise = covariance(metrics, effects_of(metrics, [False, True], weather), weather)
    present = np.ones(len(metrics))

    def reach(size: float, nodes: int) -> float:
        slow = [metric.kind in ("loops", "all") for metric in metrics]
        return oracle.distance(Damage(np.where(slow, 1 - size, 1.0), "all"), present, metrics, noise, nodes)

    assert reach(0.30, 50) > oracle.threshold(1, weather) > reach(0.005, 50)
    assert reach(0.05, 50) > reach(0.05, 3) > reach(0.05, 1), (
        "alone, a CPU that is slow as a whole cannot be seen"
    )
    assert oracle.threshold(16, weather) > oracle.threshold(1, weather)


# ── the fleet as data ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["small", "one or two", "faults"])
def test_a_session_in_memory_is_what_the_import_of_the_files_yields(name: str, tmp_path: Path) -> None:
    fleet = fleet_of(scenario(name))
    hw.write(fleet, tmp_path / "files")
    store = Store(tmp_path / "store.sqlite", write=True)
    gathering = importing.gathering_for(store, "fleet", add=False)
    for path in sorted((tmp_path / "files").glob("*.hw")):
        for _, source, imported in read_file(path):
            assert not imported.remarks
            gathering.add(source, imported)
    importing.write(store, gathering)
    imported_session, ours = store.load_session("fleet", whole=True), session_of(fleet)
    store.close()

    def inventories(session: Session) -> dict[str, object]:
        return {
            each.node: (
                each.machine,
                each.identity,
                each.inventory and structs.replace(each.inventory, collected_at=""),
            )
            for each in session.nodes
        }

    def measurements(session: Session) -> dict[str, object]:
        return {
            each.machine: {taken.name: (taken.value, taken.unit) for taken in each.outcome.measurements}
            for each in session.outcomes
        }

    assert inventories(ours) == inventories(imported_session)
    assert measurements(ours) == measurements(imported_session)
    judged, again = (judge_session(each, generated_at="") for each in (ours, imported_session))
    assert judged.findings == again.findings


def test_values_are_rounded_as_edeploy_rounds_them() -> None:
    group = fleet_of(0).groups[0]
    for line in hw.measured(group, 0):
        text = line[3]
        assert text.endswith(" ") == line[2].endswith("IOps")
        assert text.strip().isdigit() or line[2] == "bogomips"


def test_every_fleet_can_be_judged() -> None:
    for seed in range(len(SCENARIOS)):
        fleet = fleet_of(seed)
        if len(fleet.nodes) <= 60:
            found = judge_session(session_of(fleet), generated_at="2024-01-01T00:00:00Z")
            assert found.counts.nodes == len(fleet.nodes)


# ── the score ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def fleets() -> list[Fleet]:
    return [fleet_of(seed) for seed in SEEDS]


def test_a_perfect_judge_reaches_every_goal(fleets: list[Fleet]) -> None:
    def perfect(fleet: Fleet) -> Answer:
        if fleet.populations:
            return Answer(loud=True, populations=[fleet.populations])
        accused = {name: [sorted(label.components)[0]] for name, label in fleet.labels.items()}
        return Answer(accused=accused, loud=bool(accused))

    results = score_all({fleet.seed: perfect(fleet) for fleet in fleets}, fleets)
    assert all(figure.reached is not False for figure in figures(results))
    assert (
        value_of(results, "F1")
        == value_of(results, "recall of what")
        == value_of(results, "component")
        == 1.0
    )


def test_a_silent_judge_finds_nothing_and_alarms_nobody(fleets: list[Fleet]) -> None:
    results = score_all({fleet.seed: Answer() for fleet in fleets}, fleets)
    assert value_of(results, "recall of what") == 0.0
    assert value_of(results, "false alarms") == 0.0
    assert value_of(results, "beyond") == 0.0


def test_a_judge_that_accuses_everybody_has_the_precision_of_chance(fleets: list[Fleet]) -> None:
    answers = {f.seed: Answer({node.serial: ["cpu"] for node in f.nodes}, loud=True) for f in fleets}
    results = score_all(answers, fleets)
    assert value_of(results, "recall of what") == 1.0
    assert value_of(results, "false alarms") == 1000.0
    single = [fleet for fleet in fleets if not fleet.populations]
    broken = sum(label.visible for fleet in single for label in fleet.labels.values())
    healthy = sum(len(fleet.nodes) - len(fleet.labels) for fleet in single)
    assert value_of(results, "F1") == pytest.approx(2 * broken / (2 * broken + healthy))


def test_only_findings_above_info_about_nodes_accuse() -> None:
    answer = answer_of(
        report(
            finding("a", component="disk", severity="fail"),
            finding("a", component="memory"),
            finding("b", severity="info"),
            finding("c", kind="not-measured"),
            finding("d", "e", element="group:g1", summary="g1: two populations: 2 of 9 nodes are slower"),
            finding("d", "e", element="group:g1", kind="unstable"),
        )
    )
    assert answer.accused == {"a": ["disk", "memory"]}
    assert answer.populations == [frozenset({"d", "e"})]
    assert answer.loud and not answer.loud_of_gaps
    assert answer_of(report(finding("c", kind="not-measured"))).loud_of_gaps
    assert not answer_of(report(finding("b", severity="info"))).loud


def test_the_component_is_right_only_if_named_first() -> None:
    fleet = next(f for f in (fleet_of(seed) for seed in range(5, 200, 20)) if f.labels)
    name, label = next(iter(fleet.labels.items()))
    wrong = "disk" if "disk" not in label.components else "cpu"
    result = score(fleet, Answer({name: [wrong, sorted(label.components)[0]]}))
    case = next(case for case in result.cases if case.label.node == name)
    assert case.found and not case.right


# ── the peers ───────────────────────────────────────────────────────────────────────────────────────


def test_cardiff_cannot_fire_in_groups_of_five() -> None:
    """The largest of five values is at most 1.79 standard deviations from their mean."""
    for seed in range(13, 200, 20):
        for number in (seed, seed + 1):
            fleet = fleet_of(number)
            if len(fleet.nodes) <= 5:
                assert not peers.cardiff(fleet).accused


def test_cardiff_flags_most_healthy_nodes_of_a_noisy_fleet() -> None:
    fleet = fleet_of(scenario("healthy, noisy"))
    assert len(peers.cardiff(fleet).accused) > 0.5 * len(fleet.nodes)


def test_a_threshold_sees_a_dead_disk_and_no_drift() -> None:
    for seed in SEEDS:
        fleet = fleet_of(seed)
        accused = peers.threshold(fleet).accused
        for name, label in fleet.labels.items():
            if label.kind == "dead-slow disk" and len(fleet.nodes) > 4:
                assert "disk" in accused[name]
