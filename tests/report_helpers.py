"""Judgements made by hand, so that what the reports draw does not change with how the judge judges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, get_args, get_type_hints

import numpy as np

from ahc_server.judge import Judgement
from ahc_server.judge.features import Matrix, Metric
from ahc_server.judge.model import Counts, Evidence, Finding, Group, NodeVerdict, Report, Verdict
from ahc_server.judge.scores import Score

#: One group's test, whichever module it lives in.
[GroupTest] = get_args(get_type_hints(Judgement)["tests"])

#: (component, part, quantity, unit, higher is better, usual value, relative noise)
METRICS: tuple[tuple[str, str, str, str, bool, float, float], ...] = (
    ("cpu", "all", "events_per_s", "events/s", True, 18_800.0, 0.004),
    ("cpu", "socket0", "events_per_s", "events/s", True, 1180.0, 0.006),
    ("cpu", "socket1", "events_per_s", "events/s", True, 1180.0, 0.006),
    ("disk", "sda", "randread_4k_iops", "IOPS", True, 480.0, 0.03),
    ("disk", "sda", "read_1M_bytes_per_s", "bytes/s", True, 52e6, 0.02),
    ("disk", "sdb", "randread_4k_iops", "IOPS", True, 480.0, 0.03),
    ("disk", "sdb", "read_1M_bytes_per_s", "bytes/s", True, 52e6, 0.02),
    ("memory", "all", "write_1M_bytes_per_s", "bytes/s", True, 21e9, 0.01),
    ("network", "rtt", "tcp_p50_us", "us", False, 42.0, 0.03),
    ("network", "tx", "zmq_bytes_per_s", "bytes/s", True, 3e9, 0.01),
)
#: What is judged: (kind, component, part, title, columns of METRICS, bar)
SCORES: tuple[tuple[str, str, str, str, tuple[int, ...], float], ...] = (
    ("cpu", "cpu", "all", "CPU", (0, 1, 2), -0.025),
    ("socket", "cpu", "socket0", "socket 0 against the others", (1,), -0.02),
    ("socket", "cpu", "socket1", "socket 1 against the others", (2,), -0.02),
    ("random", "disk", "sda", "disk sda, random reads", (3,), -0.11),
    ("sequential", "disk", "sda", "disk sda, sequential reads", (4,), -0.09),
    ("random", "disk", "sdb", "disk sdb, random reads", (5,), -0.11),
    ("sequential", "disk", "sdb", "disk sdb, sequential reads", (6,), -0.09),
    ("memory", "memory", "all", "memory", (7,), -0.04),
    ("rtt", "network", "rtt", "round trips", (8,), -0.12),
    ("tx", "network", "tx", "sending", (9,), -0.04),
)


def group_test(
    names: list[str],
    first_row: int,
    *,
    missing: Mapping[str, Iterable[int]] | None = None,
    judged: bool = True,
    broken: Mapping[str, Mapping[int, float]],
) -> Any:
    """Values that scatter by a formula, not by chance: the same on every machine and with every numpy."""
    metrics = [metric(*row[:5]) for row in METRICS]
    value = np.array(
        [
            [
                usual
                * (1 + noise * _scatter(first_row + place, column))
                * broken.get(name, {}).get(column, 1.0)
                for column, (*_, usual, noise) in enumerate(METRICS)
            ]
            for place, name in enumerate(names)
        ]
    )
    for name, columns in (missing or {}).items():
        value[names.index(name), list(columns)] = np.nan
    expected = np.nanmedian(value, axis=0)
    sign = np.array([1.0 if metric.higher_is_better else -1.0 for metric in metrics])
    distance = sign * np.log(value / expected)
    scores = [
        filled(
            Score,
            kind=kind,
            component=component,
            part=part,
            title=title,
            columns=np.array(columns),
            distance=distance[:, list(columns)].mean(axis=1),
            bar=np.full(len(names), bar if judged else np.nan),
        )
        for kind, component, part, title, columns, bar in SCORES
    ]
    return filled(
        GroupTest,
        matrix=filled(
            Matrix,
            rows=np.arange(first_row, first_row + len(names)),
            columns=np.arange(len(METRICS)),
            value=value,
        ),
        metrics=metrics,
        found=SimpleNamespace(
            expected=expected,
            spread=np.array([noise for *_, noise in METRICS]),
            judged=np.full(len(METRICS), judged),
            effect=sign * (value / expected - 1),
        ),
        scores=scores,
    )


def judgement(
    verdicts: Mapping[str, Verdict],
    groups: Mapping[str, list[str]],
    tests: list[Any],
    findings: list[Finding],
    alone: Iterable[str] = (),
) -> Judgement:
    """A judgement of these parts; nodes in no group are unknown."""
    group_of = {name: group for group, members in groups.items() for name in members}
    known: dict[str, Verdict] = {**verdicts, **dict.fromkeys(alone, "unknown")}
    told = [*known.values()]
    return Judgement(
        report=Report(
            session="rack7",
            generated_at="2024-05-01T10:30:00Z",
            nodes=[
                NodeVerdict(id=name, group=group_of.get(name), verdict=each) for name, each in known.items()
            ],
            groups=[
                Group(
                    id=group,
                    size=len(members),
                    nodes=members,
                    hardware="Dell R640, 2 × Xeon Gold 6130 (32 cores), 192 GiB, 2 × 4 TB HDD <b>, 1 × 25 Gbit/s",
                )
                for group, members in groups.items()
            ],
            findings=findings,
            counts=Counts(
                nodes=len(known),
                passed=told.count("pass"),
                warn=told.count("warn"),
                fail=told.count("fail"),
                unknown=told.count("unknown"),
            ),
            notes=["inventory, smart: smartctl: not <installed> (1 node: n1)"],
        ),
        nodes=[*known],
        tests=tests,
    )


def _scatter(row: int, column: int) -> float:
    """Between −1 and 1, without any order to the eye."""
    part = math.modf(math.sin(12.9898 * (row + 1) + 78.233 * (column + 1)) * 43758.5453)[0]
    return round(part, 6)


def filled(made_as: Any, /, **given: Any) -> Any:
    """A dataclass of the judge with these fields; the reports read no others, and the judge may have more."""
    assert set(given) <= {each.name for each in fields(made_as)}
    return made_as(**{each.name: given.get(each.name) for each in fields(made_as)})


def large(nodes: int, metrics: int, cores: int = 0, sheep: int = 20) -> Judgement:
    """A fleet of this size in one group, for limits of size."""
    names = [f"node{number:05d}" for number in range(nodes)]
    rng = np.random.default_rng(5)
    value = 1000 * (1 + 0.02 * rng.standard_normal((nodes, metrics)))
    bad = names[:: max(nodes // sheep, 1)][:sheep]
    value[[names.index(name) for name in bad], :8] *= 0.6
    expected = np.median(value, axis=0)
    distance = np.log(value / expected)
    columns = [
        Metric(
            "cpu" if number % 2 else "disk", f"core{number}", "events_per_s", "events/s", True, "standard", 1
        )
        for number in range(metrics)
    ]
    kinds = [("core", "cpu", f"core{number}", f"core {number}") for number in range(cores)]
    kinds += [(kind, "disk", "sda", f"disk sda, {kind}") for kind in ("sequential", "random")]
    kinds += [(kind, "network", kind, kind) for kind in ("tx", "rx", "rtt")]
    kinds += [("cpu", "cpu", "all", "CPU"), ("memory", "memory", "all", "memory")]
    test = filled(
        GroupTest,
        matrix=filled(Matrix, rows=np.arange(nodes), columns=np.arange(metrics), value=value),
        metrics=columns,
        found=SimpleNamespace(
            expected=expected,
            spread=np.full(metrics, 0.02),
            judged=np.full(metrics, True),
            effect=value / expected - 1,
        ),
        scores=[
            filled(
                Score,
                kind=kind,
                component=component,
                part=part,
                title=title,
                columns=np.array([at]),
                distance=distance[:, at],
                bar=np.full(nodes, -0.12),
            )
            for at, (kind, component, part, title) in enumerate(kinds)
        ],
    )
    found = [
        Finding(
            element=f"node:{name}",
            nodes=[name],
            component="cpu",
            kind="slow",
            severity="fail",
            effect=-0.4,
            metrics=[
                Evidence(
                    name=columns[at].name,
                    value=float(f"{value[names.index(name), at]:.6g}"),
                    expected=float(f"{expected[at]:.6g}"),
                    unit="events/s",
                    effect=-0.4,
                )
                for at in range(8)
            ],
            summary=f"{name}: CPU: all cores together 600 events/s where its peers have 1,000 events/s; check cooling",
        )
        for name in bad
    ]
    verdicts: dict[str, Verdict] = {name: "fail" if name in bad else "pass" for name in names}
    return judgement(verdicts, {"g1": names}, [test], found)


def metric(component: str, part: str, quantity: str, unit: str, higher_is_better: bool) -> Metric:
    return Metric(component, part, quantity, unit, higher_is_better, "standard", 1)
