"""From suspects to findings: one per sheep and cause, in words that a technician can act on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.features import Metric
from ahc_server.judge.model import Component, Direction, Evidence, Finding, Kind, Severity
from ahc_server.judge.sheep import Sheep, sheep_of
from ahc_server.judge.suspects import GroupTest
from ahc_server.judge.thresholds import Thresholds

#: A node whose CPU is slow as a whole by this much measures everything else slowly too.
_CPU_DRAGS = 0.15
#: What is slower than the CPU (memory: than its cores or their socket) by more than this factor has a cause of its own.
_DRAG_FACTOR = 1.25
#: Metrics that lost this part of what their piece lost carry the finding.
_CARRIES = 0.4
#: A ratio this far from one is no measure of what was expected: it is as far as distances go.
_NOTHING = 1e-3

#: What is said of nodes that are faster, that may have been disturbed, and of which one value is odd.
_REMARKS: tuple[tuple[Kind, str], ...] = (
    ("fast", "check whether it really has the same hardware and settings"),
    (
        "not-measured",
        "its samples were disturbed or its peers prove nothing, so it cannot be told: repeat",
    ),
    ("not-measured", "one value of one run, which nothing else supports, so it cannot be told: repeat"),
)


@dataclass(frozen=True, slots=True)
class Accused:
    """A finding about one node by measurement: ``place`` in its group, and what of it."""

    place: int
    sheep: Sheep
    finding: Finding


def accused(
    test: GroupTest, nodes: Sequence[str], disks: DiskNames, thresholds: Thresholds
) -> tuple[list[Accused], list[Finding]]:
    """Findings about slow nodes of one group, whose causes are still to be found, and remarks that blame nobody.

    ``nodes`` are of the whole fleet.
    """
    teller = _Teller(test, nodes, disks, thresholds)
    slow: list[Accused] = []
    remarks: list[Finding] = []
    for place in np.flatnonzero(
        np.any(test.slow | test.fast | test.cannot_tell | test.glitch, axis=1)
    ).tolist():
        mine = [
            Accused(place, sheep, teller.finding(place, sheep, "slow", None))
            for sheep in sheep_of(test.scores, place, test.slow[place])
        ]
        mine = _folded(test, place, mine)
        slow += mine
        told = {each.sheep.component for each in mine}
        for (kind, tail), flagged in zip(_REMARKS, (test.fast, test.cannot_tell, test.glitch), strict=True):
            for sheep in sheep_of(test.scores, place, flagged[place]):
                if sheep.component not in told:
                    remarks.append(teller.finding(place, sheep, kind, tail))
    return slow, remarks


@dataclass(frozen=True, slots=True)
class _Teller:
    test: GroupTest
    nodes: Sequence[str]
    disks: DiskNames
    thresholds: Thresholds

    def finding(self, place: int, sheep: Sheep, kind: Kind, tail: str | None) -> Finding:
        test = self.test
        node = self.nodes[int(test.matrix.rows[place])]
        score = test.scores[sheep.head]
        columns = self._evidence_columns(place, sheep, worse=kind != "fast")
        rates = [column for column in columns if test.metrics[column].higher_is_better]
        effect = self._effect(place, sheep.head)
        head = self._example(place, score.columns, effect) if len(columns) else None
        severity: Severity = "info"
        if kind == "slow":
            severity = "fail" if -effect >= self.thresholds.of(score.kind).fail else "warn"
            if score.kind in ("unsteady", "throttling"):
                kind = "unstable"
        direction = self._direction(sheep)
        others = self._others(place, rates or columns, head)
        q = float(np.min(test.q[place, list(sheep.scores)]))
        text = [f"{node}: {self._title(place, sheep)}: {self._said(place, sheep, effect, head)}"]
        if others and score.kind not in ("unsteady",):
            text.append(wording.listed([self._short(place, c) for c in others], most=3))
        text.append(tail or self._tail(place, sheep, direction))
        return Finding(
            element=f"node:{node}",
            nodes=[node],
            component=cast(Component, sheep.component),
            kind=kind,
            direction=direction,
            severity=severity,
            effect=rounded(effect, 4),
            q=significant(q),
            metrics=[self._evidence(place, c) for c in sorted(columns, key=lambda c: (c != head, c))],
            summary="; ".join(text),
        )

    def _effect(self, place: int, number: int) -> float:
        """The score's distance as a part of what is expected; negative is worse."""
        score = self.test.scores[number]
        distance = float(score.distance[place])
        if score.kind in ("throttling", "unsteady"):
            return distance
        is_rate = all(self.test.metrics[column].higher_is_better for column in score.columns)
        return float(np.expm1(distance)) if is_rate else float(-np.expm1(-distance))

    def _others(self, place: int, columns: Sequence[int], head: int | None) -> list[int]:
        """Of each other thing that was measured on this piece the worst, the worst first."""
        if head is None:
            return []
        worst: dict[str, int] = {}
        for column in sorted(columns, key=lambda c: (self.test.found.effect[place, c], c)):
            worst.setdefault(_thing(self.test.metrics[column]), column)
        worst.pop(_thing(self.test.metrics[head]), None)
        return list(worst.values())

    def _example(self, place: int, columns: Sequence[int] | np.ndarray, effect: float) -> int | None:
        """The metric that shows best what the score says: nearest to its effect; of a core its computing, where that lost too."""
        effects = self.test.found.effect[place]
        known = [int(c) for c in columns if not np.isnan(effects[c])]
        own = [
            c for c in known if self.test.metrics[c].component == "cpu" and effects[c] < _CARRIES * effect < 0
        ]
        return min(own or known, key=lambda c: (abs(effects[c] - effect), c), default=None)

    def _evidence_columns(self, place: int, sheep: Sheep, *, worse: bool) -> list[int]:
        """The metrics of these pieces that differ as the finding says, all of them where none does."""
        mine = np.unique(np.concatenate([self.test.scores[number].columns for number in sheep.scores]))
        pieces = {(self.test.metrics[c].component, self.test.metrics[c].part) for c in mine}
        columns = [
            column
            for column, metric in enumerate(self.test.metrics)
            if (metric.component, metric.part) in pieces
            and not np.isnan(self.test.found.effect[place, column])
        ]
        least = _CARRIES * abs(self._effect(place, sheep.head))
        sign = -1 if worse else 1
        chosen = [c for c in columns if sign * self.test.found.effect[place, c] > least]
        return chosen or [int(c) for c in mine if not np.isnan(self.test.found.effect[place, c])]

    def _title(self, place: int, sheep: Sheep) -> str:
        score = self.test.scores[sheep.head]
        row = int(self.test.matrix.rows[place])
        if sheep.component == "disk":
            parts = {self.test.scores[number].part for number in sheep.scores}
            if len(parts) > 1:
                names = sorted((self.disks.own(row, part) for part in parts), key=natural_order)
                return f"disks {wording.listed(names)}"
            disk = self.disks.disk(row, score.part)
            name = self.disks.own(row, score.part) if disk is None else wording.disk_label(disk)
            return f"disk {name}"
        if sheep.component == "network":
            return "network"
        if score.kind == "core":
            cores = [self.test.scores[n].part for n in sheep.scores if self.test.scores[n].kind == "core"]
            names = sorted(cores, key=natural_order)
            return "CPU " + wording.listed([wording.part(name) for name in names], most=4)
        return score.title

    def _said(self, place: int, sheep: Sheep, effect: float, head: int | None) -> str:
        """ "sequential reads (1M) 21.3 MB/s where its 5 peers have 52.0 MB/s (−59 %)"."""
        score = self.test.scores[sheep.head]
        peers = int(np.sum(~np.isnan(score.distance))) - 1
        if score.kind == "throttling":
            return f"its cores stray by {wording.plain_percent(-effect)} more from each other than those of its {peers:,} peers"
        if score.kind == "unsteady":
            return f"its own samples stray by {wording.plain_percent(-effect)} more than those of its {peers:,} peers"
        if head is None:
            return f"{wording.percent(effect)} against its {peers:,} peers"
        metric = self.test.metrics[head]
        value = float(self.test.matrix.value[place, head])
        expected = self._expected(place, head)
        whose = "its like parts" if self.test.is_alone else f"its {peers:,} peers"
        # "CPU core 6: core 6 201 loops/s" says it twice.
        what = "" if self._title(place, sheep).endswith(wording.what(metric)) else f"{wording.what(metric)} "
        said = (
            f"{what}{wording.quantity(metric, value, expected)} where {whose} have "
            f"{wording.quantity(metric, expected)} ({wording.percent(value / expected - 1)})"
        )
        effects = self.test.found.effect[place, score.columns]
        known, carry = int(np.sum(~np.isnan(effects))), int(np.sum(effects < _CARRIES * effect))
        if score.kind == "core" and 2 * carry < known:
            said += f", in {carry} of {known} metrics"
        elif known > 2:
            said += f", {wording.percent(effect)} in the middle of {known} metrics"
        return said

    def _tail(self, place: int, sheep: Sheep, direction: Direction | None) -> str:
        score = self.test.scores[sheep.head]
        healthy = wording.plain_percent(-float(np.expm1(score.bar[place])))
        only_times = all(self.test.scores[number].part == "rtt" for number in sheep.scores)
        advice = wording.advice(sheep.component, "rtt" if only_times else direction)
        return f"healthy ones stay within {healthy}; check {advice}"

    def _direction(self, sheep: Sheep) -> Direction | None:
        if sheep.component != "network":
            return None
        ways = {self.test.scores[number].part for number in sheep.scores} & {"tx", "rx"}
        return cast(Direction, ways.pop()) if len(ways) == 1 else None

    def _expected(self, place: int, column: int) -> float:
        """What the peers make one expect of this very node, its batch reckoned in."""
        value = float(self.test.matrix.value[place, column])
        effect = float(self.test.found.effect[place, column])
        sign = 1.0 if self.test.metrics[column].higher_is_better else -1.0
        ratio = 1 + sign * effect
        if value > 0 and _NOTHING < ratio < 1 / _NOTHING:
            return value / ratio
        if self.test.is_alone:
            return float(np.nanmedian(self.test.matrix.value[place, self._alike(place, column)]))
        return float(self.test.found.expected[column])

    def _alike(self, place: int, column: int) -> list[int]:
        """The same metric of all like parts of the node."""
        row = int(self.test.matrix.rows[place])

        def kind(metric: Metric) -> tuple[object, ...]:
            is_disk = metric.component == "disk"
            part = self.disks.kinds([row], metric.part) if is_disk else re.sub(r"\d+", "", metric.part)
            return metric.component, part, metric.quantity, metric.job, metric.hosts

        mine = kind(self.test.metrics[column])
        return [number for number, metric in enumerate(self.test.metrics) if kind(metric) == mine]

    def _short(self, place: int, column: int) -> str:
        metric = self.test.metrics[column]
        sign = 1.0 if metric.higher_is_better else -1.0
        return (
            f"{wording.what(metric)} {wording.percent(sign * float(self.test.found.effect[place, column]))}"
        )

    def _evidence(self, place: int, column: int) -> Evidence:
        metric = self.test.metrics[column]
        if metric.component == "disk":
            metric = replace(metric, part=self.disks.own(int(self.test.matrix.rows[place]), metric.part))
        return Evidence(
            name=metric.name,
            value=significant(float(self.test.matrix.value[place, column]), 6),
            expected=significant(self._expected(place, column), 6),
            unit=metric.unit,
            effect=rounded(float(self.test.found.effect[place, column]), 4),
        )


def _thing(metric: Metric) -> str:
    """What is measured, whatever of a run's two rates tells it, and whatever runs beside it."""
    return wording.what(replace(metric, part="", quantity=metric.quantity.replace("_together", "")))


def _folded(test: GroupTest, place: int, slow: list[Accused]) -> list[Accused]:
    """Where the CPU is slow, what is slow to the same degree is its consequence and no second cause: memory always, as a core
    that is slow asks for less, and all else where the whole CPU is slow by much."""
    cpu = next((each for each in slow if each.sheep.component == "cpu"), None)
    if cpu is None:
        return slow
    head = test.scores[cpu.sheep.head]
    effect = cpu.finding.effect or 0.0
    clock = min(
        (float(np.expm1(each.distance[place])) for each in test.scores if each.kind in ("cpu", "socket")),
        default=0.0,
    )
    least = dict.fromkeys(("memory", "numa"), _DRAG_FACTOR * clock)
    others = _DRAG_FACTOR * effect if head.kind == "cpu" and effect <= -_CPU_DRAGS else 0.0
    dragged = [
        each
        for each in slow
        if each is not cpu
        and (each.finding.effect or 0.0) >= min(least.get(each.sheep.component, 0.0), others)
    ]
    if not dragged:
        return slow
    names = " and ".join(
        f"{each.sheep.component} ({wording.percent(each.finding.effect or 0.0)})" for each in dragged
    )
    facts, _, rest = cpu.finding.summary.partition("; healthy ones stay")
    joined = msgspec.structs.replace(
        cpu.finding,
        metrics=[*cpu.finding.metrics, *(metric for each in dragged for metric in each.finding.metrics)],
        summary=f"{facts}; with it {names}; healthy ones stay{rest}",
    )
    return [replace(cpu, finding=joined), *(each for each in slow if each is not cpu and each not in dragged)]


def rounded(value: float, digits: int) -> float:
    """Rounded, and never a negative zero."""
    return round(value, digits) + 0.0


def significant(value: float, digits: int = 3) -> float:
    """Rounded to so many digits that matter, so that reports do not differ in noise of the last bit."""
    return float(f"{value:.{digits}g}")
