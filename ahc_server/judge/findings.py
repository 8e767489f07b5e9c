"""From suspects to findings: one per sheep and cause, in words that a technician can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.model import Component, Direction, Evidence, Finding, Kind, Severity
from ahc_server.judge.outliers import Bools
from ahc_server.judge.suspects import GroupTest

#: A node whose CPU is slow as a whole by this much measures everything else slowly too.
_CPU_DRAGS = 0.15
#: What is slower than the CPU by more than this factor has a cause of its own.
_DRAG_FACTOR = 1.25


@dataclass(frozen=True, slots=True)
class _Sheep:
    """One node's suspect pieces that make one finding: ``subjects`` of one component."""

    component: str
    subjects: tuple[int, ...]


def slow_and_fast(
    test: GroupTest, nodes: Sequence[str], odd: Mapping[int, Mapping[str, str]], disks: DiskNames
) -> list[Finding]:
    """Findings about nodes of one group that are slow or fast. ``nodes`` are of the whole fleet; ``odd``: row → component → what
    is different about the node itself, which is offered as the cause."""
    found: list[Finding] = []
    for place in np.flatnonzero(np.any(test.slow | test.fast | test.cannot_tell, axis=1)).tolist():
        row = int(test.matrix.rows[place])
        slow = [
            _finding(test, place, nodes[row], sheep, "slow", disks)
            for sheep in _sheep(test, place, test.slow)
        ]
        causes = odd.get(row, {})
        slow = [msgspec.structs.replace(each, cause=causes.get(each.component)) for each in slow]
        found += fold_what_the_cpu_drags(test, place, slow)
        accused = {each.component for each in slow}
        found += [
            _finding(test, place, nodes[row], sheep, "fast", disks)
            for sheep in _sheep(test, place, test.fast)
            if sheep.component not in accused
        ]
        found += [
            _finding(test, place, nodes[row], sheep, "not-measured", disks)
            for sheep in _sheep(test, place, test.cannot_tell)
            if sheep.component not in accused
        ]
    return found


def _sheep(test: GroupTest, place: int, flags: Bools) -> list[_Sheep]:
    """Flagged pieces of one node, joined: by component, but each disk for itself unless all are flagged."""
    by_component: dict[str, list[int]] = {}
    for number in np.flatnonzero(flags[place]):
        by_component.setdefault(test.subjects[number].component, []).append(int(number))
    sheep: list[_Sheep] = []
    for component, numbers in by_component.items():
        judged = np.flatnonzero(~np.isnan(test.q_slow[place]))
        of_component = [n for n in judged if test.subjects[n].component == component]
        if component == "disk" and len(numbers) < len(of_component):
            sheep += [_Sheep(component, (number,)) for number in numbers]
        else:
            sheep.append(_Sheep(component, tuple(numbers)))
    return sheep


def _finding(test: GroupTest, place: int, node: str, sheep: _Sheep, kind: Kind, disks: DiskNames) -> Finding:
    columns = _evidence_columns(test, place, sheep.subjects, worse=kind != "fast")
    effects = test.found.effect[place]
    # The headline is the middle one of the throughputs, or of the times where only times differ.
    heads = [c for c in columns if test.metrics[c].higher_is_better] or columns
    head = sorted(heads, key=lambda c: (effects[c], c))[(len(heads) - 1) // 2]
    effect = float(effects[head])
    direction = _direction(test, sheep)
    severity: Severity = "info"
    if kind == "slow":
        severity = "fail" if -effect >= test.limits[head].fail else "warn"
    row = int(test.matrix.rows[place])
    names = [test.subjects[number].part for number in sheep.subjects]
    if sheep.component == "disk":
        names = _disk_names(row, names, disks)
    title = wording.parts(sheep.component, sorted(names, key=natural_order))
    measured = _comparison(test, place, head)
    others = [c for c in columns if c != head]
    # Throughputs before times, the worst first.
    others.sort(key=lambda c: (not test.metrics[c].higher_is_better, effects[c], c))
    also = wording.listed([_short(test, place, c) for c in others], most=3)
    text = f"{node}: {title}{':' if sheep.component != 'network' else ''} {measured}" + (
        f"; {also}" if also else ""
    )
    only_times = {test.subjects[number].part for number in sheep.subjects} == {"rtt"}
    tail = {
        "slow": f"; check {wording.advice(sheep.component, 'rtt' if only_times else direction)}",
        "fast": "; check whether it really has the same hardware and settings",
        "not-measured": "; its samples were disturbed or its peers prove nothing, so it cannot be told: repeat",
    }[kind]
    q = test.q_fast if kind == "fast" else test.q_slow
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component=cast(Component, sheep.component),
        kind=kind,
        direction=direction,
        severity=severity,
        effect=rounded(effect, 4),
        q=significant(float(np.nanmin(q[place, list(sheep.subjects)]))),
        metrics=[_evidence(test, place, c, disks) for c in sorted(columns, key=lambda c: (c != head, c))],
        summary=text + tail,
    )


def _evidence_columns(test: GroupTest, place: int, subjects: tuple[int, ...], *, worse: bool) -> list[int]:
    """The metrics of these pieces that differ by more than their floor, all of them where none does."""
    columns = np.concatenate([test.subjects[number].columns for number in subjects])
    columns = columns[~np.isnan(test.found.effect[place, columns])]
    sign = -1 if worse else 1
    chosen = [c for c in columns if sign * test.found.effect[place, c] > test.limits[c].floor]
    return [int(c) for c in chosen or columns]


def _direction(test: GroupTest, sheep: _Sheep) -> Direction | None:
    if sheep.component != "network":
        return None
    ways = {test.subjects[number].part for number in sheep.subjects} & {"tx", "rx"}
    return cast(Direction, ways.pop()) if len(ways) == 1 else None


def _comparison(test: GroupTest, place: int, column: int) -> str:
    """ "sequential reads (1M) 21.3 MB/s where its 5 peers have 52.0 MB/s (−59 %)"."""
    metric, expected = test.metrics[column], float(test.found.expected[column])
    value = float(test.matrix.value[place, column])
    peers = int(np.sum(~np.isnan(test.matrix.value[:, column]))) - 1
    return (
        f"{wording.what(metric)} {wording.quantity(metric, value, expected)} where its {peers:,} peers have "
        f"{wording.quantity(metric, expected)} ({wording.percent(value / expected - 1)})"
    )


def _short(test: GroupTest, place: int, column: int) -> str:
    metric = test.metrics[column]
    ratio = float(test.matrix.value[place, column] / test.found.expected[column])
    return f"{wording.what(metric)} {wording.percent(ratio - 1)}"


def _disk_names(row: int, places: Sequence[str], disks: DiskNames) -> list[str]:
    """The node's own names; of a single disk also what helps to find it in the machine."""
    if len(places) == 1 and (disk := disks.disk(row, places[0])) is not None:
        return [wording.disk_label(disk)]
    return [disks.own(row, place) for place in places]


def _evidence(test: GroupTest, place: int, column: int, disks: DiskNames) -> Evidence:
    metric = test.metrics[column]
    if metric.component == "disk":
        metric = replace(metric, part=disks.own(int(test.matrix.rows[place]), metric.part))
    return Evidence(
        name=metric.name,
        value=significant(float(test.matrix.value[place, column]), 6),
        expected=significant(float(test.found.expected[column]), 6),
        unit=metric.unit,
        effect=rounded(float(test.found.effect[place, column]), 4),
    )


def fold_what_the_cpu_drags(test: GroupTest, place: int, slow: list[Finding]) -> list[Finding]:
    """Where the whole CPU is slow, what is slow to the same degree is its consequence and no second cause."""
    cpu = next((each for each in slow if each.component == "cpu"), None)
    pieces = [n for n, subject in enumerate(test.subjects) if subject.component == "cpu"]
    if cpu is None or cpu.effect is None or cpu.effect > -_CPU_DRAGS:
        return slow
    if 2 * int(np.sum(test.slow[place, pieces])) < len(pieces):
        return slow
    dragged = [
        each
        for each in slow
        if each is not cpu and each.effect is not None and each.effect >= _DRAG_FACTOR * cpu.effect
    ]
    if not dragged:
        return slow
    names = " and ".join(
        f"{each.component} ({wording.percent(each.effect)})" for each in dragged if each.effect is not None
    )
    facts, _, check = cpu.summary.partition("; check ")
    joined = msgspec.structs.replace(
        cpu,
        metrics=[*cpu.metrics, *(metric for each in dragged for metric in each.metrics)],
        summary=f"{facts}; with it {names}; check {check}",
    )
    return [joined, *(each for each in slow if each is not cpu and each not in dragged)]


def rounded(value: float, digits: int) -> float:
    """Rounded, and never a negative zero."""
    return round(value, digits) + 0.0


def significant(value: float, digits: int = 3) -> float:
    """Rounded to so many digits that matter, so that reports do not differ in noise of the last bit."""
    return float(f"{value:.{digits}g}")
