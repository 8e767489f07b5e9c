"""What a report draws of one run of pair tests: every flow beside what is usual for it, nodes sorted by leaf, what is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_agent.order import natural_order
from ahc_server.judge import Judgement
from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise import Answer
from ahc_server.judge.model import Finding, Report
from ahc_server.judge.network import PairRun, Wiring
from ahc_server.report.network.levels import Witness

#: What an element is, as the start of its name says.
_KINDS = ("node:", "leaf:", "link:", "pair:")


@dataclass(frozen=True, slots=True)
class Sight:
    """One quantity of k flows. ``value`` and ``usual`` (k,) in bytes/s or µs, NaN where not measured; ``dead`` (k,): nothing came
    through."""

    witness: Witness
    value: Floats
    usual: Floats
    dead: Bools

    @property
    def away(self) -> Floats:
        """ln of the value against the usual (k,), negative is worse; NaN where nothing is known, or nothing came through."""
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.log(self.value / self.usual)
        away[self.dead | ~np.isfinite(away)] = np.nan
        return away if self.witness == "rate" else -away


@dataclass(frozen=True, slots=True)
class Picture:
    """``names`` (n,) by row; ``order`` (m,): rows of those that were tested, sorted by leaf and name. ``leaf`` (n,): number into
    ``leaves``, −1 unknown; ``told``: whether switches' names are known, or racks were inferred. ``source``, ``destination`` (k,):
    rows of flows."""

    job: str
    hosts: int
    names: Sequence[str]
    order: Ints
    leaf: Ints
    leaves: Sequence[str]
    told: bool
    source: Ints
    destination: Ints
    sights: Sequence[Sight]

    @property
    def has_leaves(self) -> bool:
        return bool(np.any(self.leaf[self.order] >= 0))

    def sight(self, witness: Witness) -> Sight | None:
        return next((each for each in self.sights if each.witness == witness), None)


def pictures(judgement: Judgement) -> list[Picture]:
    """One for each job that tested pairs: the run with the most nodes."""
    largest: dict[str, tuple[PairRun, Answer]] = {}
    for run, answer in judgement.runs:
        if run.job not in largest or len(run.rows) > len(largest[run.job][0].rows):
            largest[run.job] = (run, answer)
    drawn = [_picture(judgement, run, answer) for run, answer in largest.values()]
    return [each for each in drawn if each.sights]


def named(report: Report) -> dict[str, Finding]:
    """Element → the most serious finding of the network that blames it."""
    found: dict[str, Finding] = {}
    for finding in report.findings:
        blames = finding.component == "network" and finding.severity != "info"
        if blames and finding.kind != "not-measured" and finding.element.startswith(_KINDS):
            found.setdefault(finding.element, finding)
    return found


def witness_of(finding: Finding) -> Witness:
    """Which quantity a finding is about."""
    return "rtt" if any(each.unit == "us" for each in finding.metrics[:1]) else "rate"


def about(found: Mapping[str, Finding], witness: Witness) -> dict[str, Finding]:
    """Those that are about this quantity; what does not connect is about both."""
    return {
        element: each
        for element, each in found.items()
        if witness_of(each) == witness or each.kind == "missing"
    }


def rows_of(finding: Finding, picture: Picture) -> list[int]:
    """Rows of the nodes that a finding names."""
    row_of = {name: row for row, name in enumerate(picture.names)}
    return [row_of[name] for name in finding.nodes if name in row_of]


def through(finding: Finding, picture: Picture) -> Bools:
    """Flows (k,) that run through the element of a finding, in its direction where it has one."""
    source, destination = picture.source, picture.destination
    kind = finding.element.partition(":")[0]
    inside = np.zeros(len(picture.names), dtype=bool)
    inside[rows_of(finding, picture)] = True
    one, other = inside[source], inside[destination]
    if kind == "pair":
        return one & other & _way_of_pair(finding, picture)
    if kind == "link":
        return np.asarray(one & other & (picture.leaf[source] != picture.leaf[destination]))
    ways: dict[str | None, Bools] = {"tx": one & ~other, "rx": other & ~one, None: one ^ other}
    return ways[finding.direction]


def _way_of_pair(finding: Finding, picture: Picture) -> Bools:
    """Flows (k,) in the direction of a finding about a pair; all where it is about both."""
    rows = rows_of(finding, picture)
    if finding.direction is None or not rows:
        return np.ones(len(picture.source), dtype=bool)
    return np.asarray((picture.source if finding.direction == "tx" else picture.destination) == rows[0])


def _picture(judgement: Judgement, run: PairRun, answer: Answer) -> Picture:
    flows, names = run.flows, judgement.nodes
    leaf, leaves, told = _leaves(judgement.wiring, answer, names)
    # Leaves in the order in which a person counts, those that are not known last.
    by_name = {number: place for place, number in enumerate(_sorted(leaves))}
    order = sorted(
        run.rows, key=lambda row: (by_name.get(int(leaf[row]), len(leaves)), natural_order(names[row]), row)
    )
    dead = np.asarray(flows.rate == 0, dtype=np.bool_)
    sights = []
    if not np.all(np.isnan(flows.rate)):
        sights.append(Sight("rate", flows.rate, _filled(answer.usual, flows.rate, dead), dead))
    for protocol, of in sorted(run.times.items()):
        if np.any(of > 0):
            sights.append(Sight("rtt", of, _filled(answer.usual_times.get(protocol), of, dead), dead))
            break
    return Picture(
        run.job,
        run.hosts,
        names,
        np.array(order, dtype=np.int64),
        leaf,
        leaves,
        told,
        flows.source,
        flows.destination,
        sights,
    )


def _sorted(leaves: Sequence[str]) -> list[int]:
    return sorted(range(len(leaves)), key=lambda number: natural_order(leaves[number]))


def _leaves(wiring: Wiring | None, answer: Answer, names: Sequence[str]) -> tuple[Ints, list[str], bool]:
    """Racks as they were told, else as the localiser inferred them, each called after the first of its nodes."""
    if wiring is not None and wiring.leaves:
        return wiring.leaf, wiring.leaves, True
    leaf = np.full(len(names), -1, dtype=np.int64) if answer.leaf is None else answer.leaf
    first = {int(number): int(np.flatnonzero(leaf == number)[0]) for number in np.unique(leaf[leaf >= 0])}
    called = [
        f"of-{names[first[number]]}" if number in first else ""
        for number in range(int(leaf.max(initial=-1)) + 1)
    ]
    return leaf, called, False


def _filled(usual: Floats | None, value: Floats, dead: Bools) -> Floats:
    """Where the localiser reckoned nothing, what most flows do."""
    known = value[~np.isnan(value) & ~dead]
    middle = float(np.median(known)) if len(known) else np.nan
    return np.full(len(value), middle) if usual is None else np.where(np.isnan(usual), middle, usual)


def leaf_sizes(picture: Picture) -> Mapping[int, int]:
    """Leaf → how many of its nodes were tested, in the order of the picture."""
    sizes: dict[int, int] = {}
    for row in picture.order.tolist():
        number = int(picture.leaf[row])
        sizes[number] = sizes.get(number, 0) + 1
    return sizes
