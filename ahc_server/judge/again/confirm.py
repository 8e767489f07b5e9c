"""Two runs joined: what a second run confirms stays; what it does not is a glitch, or an unstable node.

A suspect was picked because it was far off, so its first value is biased and its second is not: the second decides. Halfway
between "as slow as before" and "like its peers" both are equally likely, whatever the noise: a suspect beyond it is confirmed. It
is acquitted only where it is on the other side by more than the controls leave open (``second``). A repeat that failed, or that
has no controls, acquits nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.again.repeats import JOBS_OF, LEAST_CONTROLS, is_suspicion
from ahc_server.judge.again.second import (
    Comparison,
    Run,
    columns_of,
    compare,
    own_name,
    run_of,
    second_values,
    split_repeats,
)
from ahc_server.judge.disks import DiskNames
from ahc_server.judge.features import Metric
from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.model import Evidence, Finding
from ahc_server.judge.suspects import GroupTest
from ahc_server.session import Session

__all__ = ["SecondRuns", "split_repeats"]

#: An acquittal has to be clear of the doubt by so many standard errors of the controls' shift.
_CLEAR = 2.0
#: A node that differs from itself by so many times what the controls do is unstable, whatever its mean; less than this (ln) is
#: of no practical importance.
_FAR, _FAR_LEAST = 6.0, 0.05
#: A loss that was in doubt, seen again without disturbance: from here on it is told, and from here on it is a failure.
_FLOOR, _FAIL = 0.05, 0.30


class SecondRuns:
    """What was measured again, and what became of the suspects by it.

    ``nodes``: display ids by row; ``rows``: machine → row.
    """

    def __init__(
        self, repeats: Sequence[Session], nodes: Sequence[str], rows: dict[str, int], disks: DiskNames
    ) -> None:
        self._runs = [run_of(session, rows, disks) for session in repeats]
        self._row_of = {node: row for row, node in enumerate(nodes)}
        self._disks = disks
        self._told: dict[str, list[str]] = {}

    def join(self, findings: Sequence[Finding], test: GroupTest) -> list[Finding]:
        """The findings about one group's nodes in the light of the repeats: as they are, where there were none."""
        if not self._runs:
            return list(findings)
        place_of = {int(row): place for place, row in enumerate(test.matrix.rows)}
        accused = {
            (place_of[self._row_of[each.nodes[0]]], each.component)
            for each in findings
            if each.severity != "info" or each.kind == "not-measured"
        }
        joined: list[Finding] = []
        for finding in findings:
            row = self._row_of[finding.nodes[0]]
            runs = [run for run in self._runs if (row, JOBS_OF.get(finding.component)) in run.asked]
            if not runs or not is_suspicion(finding):
                joined.append(finding)
                continue
            controls = [place for place in place_of.values() if (place, finding.component) not in accused]
            controls = [place for place in controls if place != place_of[row]]
            answer, after = _joined(finding, test, place_of[row], controls, runs, self._disks)
            joined.append(after)
            self._told.setdefault(answer, []).append(finding.nodes[0])
        return joined

    def notes(self) -> list[str]:
        """A sentence about what was measured again."""
        if not self._told:
            return []
        counts = [f"{len(nodes)} {answer}" for answer, nodes in sorted(self._told.items())]
        suspects = wording.nodes_word(len({node for each in self._told.values() for node in each}))
        return [f"suspects were measured again beside healthy peers ({suspects}): {', '.join(counts)}"]


def _joined(
    finding: Finding,
    test: GroupTest,
    place: int,
    controls: Sequence[int],
    runs: Sequence[Run],
    disks: DiskNames,
) -> tuple[str, Finding]:
    """The answer in a word, and the finding in its light."""
    row = int(test.matrix.rows[place])
    columns = columns_of(finding, test, place, disks)
    seen = compare(finding, test, place, columns, controls, runs)
    if seen is None:
        about = (row, JOBS_OF[finding.component])
        reason = next((run.failed[about] for run in runs if about in run.failed), "no result came")
        return "not settled", _said(finding, f"measured again in vain ({reason}): it stands as it is")
    finding = msgspec.structs.replace(
        finding, metrics=[*finding.metrics, *_evidence(seen, test, place, runs, disks)]
    )
    times = _is_of_times(test, seen.columns)
    listed = ", ".join(_percent(each, times) for each in [seen.first, *seen.again])
    second = float(np.median(seen.again))
    if seen.controls < LEAST_CONTROLS:
        return "not settled", _said(
            finding, f"measured again without enough healthy peers beside it ({listed})"
        )
    if finding.kind == "not-measured" and seen.disturbed:
        return "not settled", _said(finding, f"measured again, and disturbed again ({listed})")
    if second <= seen.first / 2:
        return "confirmed", _upheld(finding, seen, second, listed, times)
    if second - seen.first / 2 <= _CLEAR * seen.error:
        return "not settled", _said(finding, f"a second run could not settle it ({listed})")
    return "not confirmed", _acquitted(finding, test, place, seen, listed, disks)


def _upheld(finding: Finding, seen: Comparison, second: float, listed: str, times: bool) -> Finding:
    """The loss is there again: the mean of all runs is the best guess of its size."""
    if finding.kind == "not-measured":
        if second > -max(_FLOOR, _CLEAR * seen.noise):
            return _said(finding, f"a second run could not settle it ({listed})")
        effect = _effect(second, times)
        return msgspec.structs.replace(
            finding,
            kind="slow",
            severity="fail" if effect <= -_FAIL else "warn",
            effect=effect,
            summary=f"{_facts(finding)}; disturbed in the first run, but confirmed by a second run ({listed})"
            f"; check {wording.advice(finding.component, finding.direction)}",
        )
    remark = f"confirmed by a second run ({listed})"
    if _is_far(second - seen.first, seen):
        remark += ", though far more from run to run than its peers"
    if finding.effect is None:
        return _said(finding, remark)
    # The headline's effect, moved as all its metrics moved together.
    head = float(np.log(max(1 - finding.effect if times else 1 + finding.effect, 1e-3)))
    head = -head if times else head
    change = (float(np.mean(seen.again)) - seen.first) * len(seen.again) / (len(seen.again) + 1)
    return msgspec.structs.replace(_said(finding, remark), effect=_effect(head + change, times))


def _acquitted(
    finding: Finding, test: GroupTest, place: int, seen: Comparison, listed: str, disks: DiskNames
) -> Finding:
    """A glitch is one measurement that went wrong once. A piece that swings as a whole, far more than its peers, is unstable."""
    swung, of = _tests_of(finding, test, place, seen.columns)
    far = _is_far(float(np.median(seen.again)) - seen.first, seen)
    as_a_whole = 2 * len(swung) > len(of) if len(of) > 1 else finding.severity == "fail"
    unstable = far and as_a_whole and finding.kind != "not-measured"
    means = "a glitch, or unstable"
    if unstable:
        check = wording.advice(finding.component, finding.direction)
        means = f"unstable: it differs from itself far more than its peers do; check {check}"
    row = int(test.matrix.rows[place])
    parts = sorted({disks.own(row, part) for part, _ in swung}, key=natural_order)
    times = _is_of_times(test, seen.columns)
    off = _percent(seen.first, times).lstrip(f"+{wording.MINUS}")
    was = f"took {off} longer" if times else f"was {off} slower"
    return msgspec.structs.replace(
        finding,
        kind="unstable",
        severity="warn" if unstable else "info",
        effect=_effect((seen.first + float(np.sum(seen.again))) / (1 + len(seen.again)), times),
        q=None,
        cause=finding.cause if unstable else None,
        summary=f"{finding.nodes[0]}: {wording.parts(finding.component, parts)} {was} than its peers in the first run,"
        f" and not when measured again ({listed}): {means}",
    )


def _is_far(change: float, seen: Comparison) -> bool:
    """Whether no healthy peer differs from itself so much."""
    return abs(change) > max(_FAR * seen.noise, _FAR_LEAST)


def _tests_of(
    finding: Finding, test: GroupTest, place: int, columns: Sequence[int]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Which single measurements a finding rests on, and which there are of the piece: (part, first word of the quantity), as
    bandwidth and latencies of one pattern come from one measurement."""
    parts = {test.metrics[column].part for column in columns}
    of: set[tuple[str, str]] = set()
    for column in np.flatnonzero(~np.isnan(test.matrix.value[place])).tolist():
        metric = test.metrics[column]
        if metric.component == finding.component and (metric.component != "disk" or metric.part in parts):
            of.add(_test(metric))
    return {_test(test.metrics[column]) for column in columns} & of, of


def _is_of_times(test: GroupTest, columns: Sequence[int]) -> bool:
    """Whether only times differ, which are better when they are short."""
    return not any(test.metrics[column].higher_is_better for column in columns)


def _test(metric: Metric) -> tuple[str, str]:
    return metric.part, metric.quantity.partition("_")[0]


def _evidence(
    seen: Comparison, test: GroupTest, place: int, runs: Sequence[Run], disks: DiskNames
) -> Iterator[Evidence]:
    """The values of the repeats beside those of the first run; expected is what the controls make of the first expectation."""
    row = int(test.matrix.rows[place])
    used = [run for run in runs if not np.all(np.isnan(second_values(run, row, test, seen.columns)))]
    for number, (run, shift) in enumerate(zip(used, seen.shift.tolist(), strict=True), 2):
        for column, first in zip(seen.columns, seen.expected.tolist(), strict=True):
            metric = test.metrics[column]
            value = run.value.get((row, metric))
            if value is None:
                continue
            sign = 1.0 if metric.higher_is_better else -1.0
            expected = first * float(np.exp(sign * shift))
            yield Evidence(
                name=f"{own_name(metric, row, disks)} (run {number})",
                value=significant(value, 6),
                expected=significant(expected, 6),
                unit=metric.unit,
                effect=rounded(sign * (value / expected - 1), 4),
            )


def _effect(distance: float, times: bool) -> float:
    """As in the report: relative to the expectation, negative is worse."""
    return rounded(float(1 - np.exp(-distance) if times else np.exp(distance) - 1), 4)


def _percent(distance: float, times: bool) -> str:
    """As a person says it: a rate of −12 %, a time of +30 %."""
    return wording.percent(float(np.exp(-distance if times else distance) - 1))


def _facts(finding: Finding) -> str:
    return finding.summary.partition("; its samples were disturbed")[0].partition("; check ")[0]


def _said(finding: Finding, remark: str) -> Finding:
    """A remark in front of what is to be done."""
    facts, check, rest = finding.summary.partition("; check ")
    return msgspec.structs.replace(finding, summary=f"{facts}; {remark}{check}{rest}")
