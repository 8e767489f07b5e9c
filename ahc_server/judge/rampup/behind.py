"""Who keeps behind in a ramp-up: hypervisors whose machines are slower than those beside them, and machines slower than those
on the same hypervisor.

Machines are compared within a step only: how many run at once, and so how much each gets, is the same there. A step gives one
distance, ln(value / value of the others); the steps are the repeats that show whether it is more than chance (Student's t).
What machines keep of their own from step to step makes hypervisors differ as well, and counts as error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Floats
from ahc_server.judge.rampup.series import Series

#: Steps and machines that it takes to see anything.
_LEAST_STEPS, _LEAST_PEERS = 4, 3
#: A distance is measured no better than this: steps that agree by chance prove little.
_LEAST_SPREAD = 0.01
_MEDIAN_OVER_MEAN = 1.2533


@dataclass(frozen=True, slots=True)
class Suspect:
    """``host``: the hypervisor, or that of the only machine; ``distance``: ln, negative is worse; ``p``: chance of it on a
    healthy one."""

    host: str | None
    machines: tuple[str, ...]
    distance: float
    steps: int
    worse: int
    p: float


def suspects(series: Series, host_of: Mapping[str, str]) -> tuple[list[Suspect], list[Suspect]]:
    """Hypervisors, and machines, with the chance that each is what it seems. All that can be tested are listed."""
    sign = 1.0 if series.metric.higher_is_better else -1.0
    steps = [
        {machine: sign * float(np.log(value)) for machine, value in step.value.items() if value > 0}
        for step in series.steps
    ]
    own: dict[str, list[float]] = defaultdict(list)
    between: dict[str, list[float]] = defaultdict(list)
    for step in steps:
        by_host: dict[str, list[str]] = defaultdict(list)
        for machine in step:
            by_host[host_of.get(machine, machine)].append(machine)
        _within(step, by_host, own)
        _across(step, by_host, between)
    machines: dict[str, list[str]] = defaultdict(list)
    for machine in sorted({machine for step in steps for machine in step}):
        machines[host_of.get(machine, machine)].append(machine)
    keeps = _kept(own)
    of_hosts = [
        _suspect(
            host, machines[host], away, keeps * _MEDIAN_OVER_MEAN * _share(len(machines[host]), len(machines))
        )
        for host, away in sorted(between.items())
        if len(away) >= _LEAST_STEPS and len(machines[host]) > 1
    ]
    of_machines = [
        _suspect(host_of.get(machine), [machine], away, 0.0)
        for machine, away in sorted(own.items())
        if len(away) >= _LEAST_STEPS
    ]
    return of_hosts, of_machines


def _within(
    step: Mapping[str, float], by_host: Mapping[str, Sequence[str]], own: dict[str, list[float]]
) -> None:
    """Each machine against the others of its hypervisor; where these are few, against all others of the step."""
    alone: list[str] = []
    for here in by_host.values():
        if len(here) > _LEAST_PEERS:
            _against_others(step, here, here, own)
        else:
            alone += here
    if alone and len(step) > _LEAST_PEERS:
        _against_others(step, list(step), alone, own)


def _against_others(
    step: Mapping[str, float], peers: Sequence[str], told: Sequence[str], own: dict[str, list[float]]
) -> None:
    values = np.array([step[machine] for machine in peers])
    away = dict(zip(peers, (values - medians_of_others(values)).tolist(), strict=True))
    for machine in told:
        own[machine].append(away[machine])


def medians_of_others(values: Floats) -> Floats:
    """For each of n ≥ 2 values the median of the n − 1 others."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.arange(len(values))
    low, high = (len(values) - 2) // 2, (len(values) - 1) // 2
    middle = (ordered[low + (rank <= low)] + ordered[high + (rank <= high)]) / 2
    return np.asarray(middle, dtype=np.float64)


def _across(
    step: Mapping[str, float], by_host: Mapping[str, Sequence[str]], between: dict[str, list[float]]
) -> None:
    """Each hypervisor's level against the middle of the others', where each has a few machines in the step."""
    if len(by_host) < 2 or min(map(len, by_host.values())) < 2:
        return
    level = {host: float(np.median([step[each] for each in here])) for host, here in by_host.items()}
    for host in by_host:
        others = [value for other, value in level.items() if other != host]
        between[host].append(level[host] - float(np.median(others)))


def _kept(own: Mapping[str, Sequence[float]]) -> float:
    """Standard deviation of what machines keep from step to step: of their means, less what their scatter explains."""
    told = [each for each in own.values() if len(each) >= _LEAST_STEPS]
    if len(told) < 2:
        return 0.0
    means = np.array([float(np.mean(each)) for each in told])
    by_chance = float(np.mean([np.var(each, ddof=1) / len(each) for each in told]))
    return float(max(0.0, float(np.var(means, ddof=1)) - by_chance) ** 0.5)


def _share(machines: int, hosts: int) -> float:
    """Standard error of one level against the middle of ``hosts`` − 1 others, for machines of deviation 1."""
    return float(((1.0 + 1.0 / max(hosts - 1, 1)) / machines) ** 0.5)


def _suspect(host: str | None, machines: Sequence[str], away: Sequence[float], error: float) -> Suspect:
    # Loaded only where there is a ramp-up.
    from scipy.special import stdtr

    distances = np.array(away)
    count = len(distances)
    spread = max(float(np.std(distances, ddof=1)), _LEAST_SPREAD)
    middle = float(np.mean(distances))
    whole = (spread**2 / count + error**2) ** 0.5
    return Suspect(
        host=host,
        machines=tuple(machines),
        distance=middle,
        steps=count,
        worse=int(np.sum(distances < 0)),
        p=float(stdtr(count - 1, middle / whole)),
    )
