"""Who keeps behind over all ramp-ups of a session, with false discoveries controlled: as data and as findings.

What several jobs say of one hypervisor or machine is joined by Fisher's method (1925), once for all of its jobs and once for each
component; of all these chances Benjamini and Hochberg's q is taken. Series of one job say the same: their chances are joined
by their geometric mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import wording
from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.model import Component, Evidence, Finding, Severity
from ahc_server.judge.rampup.behind import Suspect, suspects
from ahc_server.judge.rampup.series import Series

_ALPHA = 0.01
#: A job is named where it alone is so clear, and where the difference is so large: of a hypervisor, of a single machine.
_ALONE = 0.02
_LEAST_HOST, _LEAST_MACHINE = 0.05, 0.10
#: From this on a hypervisor is worth a warning.
_WARN = 0.10
_LEAST_P = 1e-300


@dataclass(frozen=True, slots=True)
class Laggard:
    """``name``: the hypervisor or the machine; ``seen``: the series that show it, the worst first."""

    name: str
    machines: tuple[str, ...]
    is_host: bool
    q: float
    seen: list[tuple[Series, Suspect]]

    def nodes(self, node_of: Mapping[str, str]) -> list[str]:
        """Its machines' display ids, in natural order."""
        return sorted((node_of[machine] for machine in self.machines), key=natural_order)

    @property
    def effect(self) -> float:
        return float(np.expm1(self.seen[0][1].distance))


def laggards(series: Sequence[Series], host_of: Mapping[str, str]) -> list[Laggard]:
    """Hypervisors first, each by their effect. ``host_of``: machine → hypervisor, of machines that have one."""
    tested = [(each, suspects(each, host_of)) for each in series]
    found = []
    for number, least in ((0, _LEAST_HOST), (1, _LEAST_MACHINE)):
        of: dict[str, list[tuple[Series, Suspect]]] = defaultdict(list)
        for each, both in tested:
            for suspect in both[number]:
                name = suspect.host if number == 0 and suspect.host else suspect.machines[0]
                of[name].append((each, suspect))
        some = _clear(of, least, is_host=number == 0)
        found += sorted(some, key=lambda laggard: (laggard.effect, laggard.name))
    return found


def _clear(of: Mapping[str, list[tuple[Series, Suspect]]], least: float, *, is_host: bool) -> list[Laggard]:
    chances: dict[tuple[str, str], float] = {}
    for name, seen in of.items():
        components = sorted({each.metric.component for each, _ in seen})
        for component in ["", *components] if len(components) > 1 else components:
            mine = [(each, s) for each, s in seen if component in ("", each.metric.component)]
            chances[name, component] = _joined(mine)
    q_of = _false_rates(chances)
    found = []
    for name, seen in of.items():
        q = min(value for (of_name, _), value in q_of.items() if of_name == name)
        clear = [
            (each, s)
            for each, s in seen
            if s.p < _ALONE and np.expm1(s.distance) <= -least and 2 * s.worse > s.steps
        ]
        if q <= _ALPHA and clear:
            clear.sort(key=lambda pair: pair[1].distance)
            found.append(Laggard(name, clear[0][1].machines, is_host, q, clear))
    return found


def _joined(seen: Sequence[tuple[Series, Suspect]]) -> float:
    # Here and not above: it takes as long to load as a small fleet to be judged, and most sessions have no ramp-up.
    from scipy.special import chdtrc

    by_job: dict[str, list[float]] = defaultdict(list)
    for series, suspect in seen:
        by_job[series.metric.job].append(float(np.log(max(suspect.p, _LEAST_P))))
    total = -2.0 * sum(float(np.mean(each)) for each in by_job.values())
    return float(chdtrc(2 * len(by_job), total))


def _false_rates(chances: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Benjamini and Hochberg's q of each."""
    ordered = sorted(chances, key=lambda each: (chances[each], each))
    rates: dict[tuple[str, str], float] = {}
    lowest = 1.0
    for rank in range(len(ordered), 0, -1):
        lowest = min(lowest, chances[ordered[rank - 1]] * len(ordered) / rank)
        rates[ordered[rank - 1]] = lowest
    return rates


def finding(
    laggard: Laggard, node_of: Mapping[str, str], group_of: Mapping[str, str], host_count: int
) -> Finding:
    """As a finding that accuses no machine: what a hypervisor does is not its guests' fault, and one machine's remark is none.

    ``node_of``: machine → display id; ``group_of``: display id → group.
    """
    nodes = laggard.nodes(node_of)
    jobs = [
        f"{wording.plain_percent(float(np.expm1(suspect.distance)))} in {series.metric.job}"
        f" ({suspect.worse} of {suspect.steps} steps)"
        for series, suspect in laggard.seen
    ]
    told = wording.listed(list(dict.fromkeys(jobs)), most=4)
    group = group_of.get(nodes[0])
    severity: Severity = "info"
    if laggard.is_host:
        severity = "warn" if laggard.effect <= -_WARN else "info"
        others = "the other" if host_count == 2 else f"the other {host_count - 1}"
        text = (
            f"hypervisor {laggard.name}: its {wording.nodes_word(len(nodes))} are slower than those of {others} in the same "
            f"steps: {told}; check what else runs on it, its cooling, and its disks and cards"
        )
        element = f"group:{group}" if group is not None else f"node:{nodes[0]}"
        text = f"{group}: {text}" if group is not None else text
    else:
        element = f"node:{nodes[0]}"
        text = (
            f"{nodes[0]}: slower than its neighbours in the same steps of a ramp-up: {told}; check whether something else ran "
            f"on it"
        )
    series = laggard.seen[0][0]
    return Finding(
        element=element,
        nodes=nodes,
        component=_component(series.metric.component),
        kind="slow",
        severity=severity,
        effect=rounded(laggard.effect, 4),
        q=significant(laggard.q),
        metrics=[_evidence(each, suspect) for each, suspect in laggard.seen],
        cause=f"hypervisor {laggard.name}" if laggard.is_host else None,
        summary=text,
    )


def _evidence(series: Series, suspect: Suspect) -> Evidence:
    """Of the step that shows best what all of them say."""
    mine = set(suspect.machines)
    examples = []
    for step in series.steps:
        here = [value for machine, value in step.value.items() if machine in mine]
        others = [value for machine, value in step.value.items() if machine not in mine]
        if here and others:
            value, expected = float(np.median(here)), float(np.median(others))
            away = abs(float(np.log(max(value, 1e-300) / max(expected, 1e-300)))) if expected else np.inf
            examples.append((abs(away - abs(suspect.distance)), -step.record.hosts, value, expected))
    _, hosts, value, expected = min(examples)
    return Evidence(
        name=f"{series.metric.name} ({series.metric.job}, {-hosts} at once)",
        value=significant(value, 6),
        expected=significant(expected, 6),
        unit=series.metric.unit,
        effect=rounded(float(np.expm1(suspect.distance)), 4),
    )


def _component(name: str) -> Component:
    return name  # type: ignore[return-value]
