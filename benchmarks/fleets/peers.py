"""Other rules on the same fleets: eDeploy's cardiff, and a fixed threshold."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from benchmarks.fleets import hw
from benchmarks.fleets.generate import Fleet, Group
from benchmarks.fleets.noise import Floats
from benchmarks.fleets.platforms import Metric
from benchmarks.fleets.score import Answer
from benchmarks.fleets.sessions import named

#: cardiff's tolerances in per cent: below the first spread nobody is looked for, above the second the group is "unstable".
_TOLERANCES = {"cpu": (2.0, 7.0), "memory": (1.0, 7.0), "disk": (2.0, 10.0), "random": (5.0, 15.0)}
_FIXED = -0.05


def cardiff(fleet: Fleet) -> Answer:
    """cardiff's rule: machines whose facts (system, firmware, cards, processors) are exactly equal are a group; a value
    outside mean ± 2 standard deviations is curious. That is what it says of disks too, whose comparison its last release
    (hardware 0.24.0) skips by mistake. An unstable group accuses nobody.
    """
    answer = Answer()
    for group in fleet.groups:
        alike: dict[tuple[object, ...], list[int]] = {}
        for row, node in enumerate(group.nodes):
            facts = tuple(
                line
                for line in hw.facts(node)
                if line[0] in ("system", "firmware", "network", "cpu")
                and line[2] not in ("serial", "uuid", "ipv4")
            )
            alike.setdefault(facts, []).append(row)
        for rows in alike.values():
            _accuse(answer, group, rows, _curious)
    answer.loud = bool(answer.accused)
    return answer


def _curious(values: Floats, metrics: tuple[Metric, ...]) -> Floats:
    mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0, ddof=1)
    spread = 100 * deviation / mean
    limits = [_TOLERANCES["random" if metric.is_random else named(metric).component] for metric in metrics]
    least, most = np.array(limits).T
    looked_at = (spread > least) & (spread <= most)
    return np.asarray(np.where(looked_at, np.abs(values - mean) / (2 * deviation), 0.0))


def threshold(fleet: Fleet) -> Answer:
    """A fixed threshold: a part (a core, a disk, all cores) whose middle metric is 5 % below its peers' median is slow."""
    answer = Answer()
    for group in fleet.groups:
        _accuse(answer, group, list(range(len(group.nodes))), _five_per_cent)
    answer.loud = bool(answer.accused)
    return answer


def _five_per_cent(values: Floats, metrics: tuple[Metric, ...]) -> Floats:
    loss = values / np.nanmedian(values, axis=0) - 1
    far = np.zeros_like(values)
    parts: dict[tuple[str, str], list[int]] = {}
    for column, metric in enumerate(metrics):
        name = named(metric)
        parts.setdefault((name.component, name.part), []).append(column)
    for columns in parts.values():
        far[:, columns] = np.nanmedian(loss[:, columns], axis=1)[:, None] / _FIXED
    return far


def _accuse(
    answer: Answer, group: Group, rows: list[int], rule: Callable[[Floats, tuple[Metric, ...]], Floats]
) -> None:
    """Name every node of these rows that the rule puts beyond 1 somewhere, the farthest component first."""
    if len(rows) < 2:
        return
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        far = np.nan_to_num(rule(group.values[rows], group.metrics))
    components = np.array([named(metric).component for metric in group.metrics])
    for place in np.flatnonzero(np.any(far > 1, axis=1)):
        worst = {name: float(np.max(far[place, components == name])) for name in np.unique(components)}
        named_here = sorted((name for name in worst if worst[name] > 1), key=lambda name: -worst[name])
        answer.accused[group.nodes[rows[place]].serial] = [str(name) for name in named_here]
