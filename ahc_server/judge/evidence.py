"""From a group's metrics to a few pieces of evidence for each piece of hardware.

All arrays are (n nodes, parts). Distances are ln(value / level of the peers), negative is worse. Many metrics of one piece are
joined by their median, and of two the less odd counts, so that a single spoilt value moves nothing. What a disk does alone and
beside the others has to agree, else only the better of the two counts. Cores and their sockets are in ``cores``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.noise import medians
from ahc_server.judge.readings import Kind, Reading

#: Two runs of one disk agree when they differ by less than this.
_AGREE = 0.05
#: Both rates of one run differ by less than this, unless one of them is spoilt.
_SAME = 0.03
#: What both rates of one run lost by more than this, no passing disturbance took.
_MUCH = 0.2
#: The better of two runs that agree counts so much: what comes from run to run has heavy tails.
_BETTER = 0.75
#: A piece that we know nothing of is joined by the median from so many metrics on.
_ENOUGH_TO_JOIN = 3

Parts = dict[str, Ints]


@dataclass(frozen=True)
class Values:
    """What was measured of one group: all (n, m). ``distance`` from the level of the peers; ``own``: half width of the 95 %
    confidence interval on the same scale; ``excuse``: what disturbances could explain; ``within``: relative spread of
    the node's own samples, NaN where there were none or they were disturbed."""

    distance: Floats
    own: Floats
    excuse: Floats
    within: Floats

    @cached_property
    def sampled(self) -> Bools:
        """Read from several samples, so that one glitch cannot make it."""
        return self.within > 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """One kind of evidence about like parts of each node.

    ``kind``: its row in the table of limits. ``parts``: what each column is about, ``columns``: the metrics that it is read from.
    ``single`` (n, parts): rests on one value of one run.
    """

    kind: str
    component: str
    parts: list[str]
    columns: list[Ints]
    distance: Floats
    own: Floats
    excuse: Floats
    single: Bools


def _usual(values: Floats, present: Bools) -> Floats:
    """Each row's median of what is present, zero where nothing is. Most tools tell neither errors nor disturbances."""
    if not np.any(values):
        return np.zeros(len(values))
    return np.nan_to_num(medians(np.where(present, values, np.nan), 1))


class Gatherer:
    """Builds the evidence of one group."""

    def __init__(self, values: Values, components: Sequence[str], read: Sequence[Reading]) -> None:
        self.values = values
        self.components = components
        self.read = read
        self.found: list[Evidence] = []
        #: Kind of a disk's evidence → (n, parts) which rest on one run.
        self.once: dict[str, Bools] = {}

    def parts(self, test: Callable[[Reading], bool]) -> Parts:
        """Part → the columns whose reading passes."""
        found: dict[str, list[int]] = {}
        for column, reading in enumerate(self.read):
            if test(reading):
                found.setdefault(reading.part, []).append(column)
        return {part: np.array(each, dtype=np.int64) for part, each in found.items()}

    def joined(self, parts: Parts, kind: str = "", component: str = "") -> Evidence:
        """The median of each part's metrics."""
        shape = (len(self.values.distance), len(parts))
        distance, own, excuse = np.full(shape, np.nan), np.zeros(shape), np.zeros(shape)
        single = np.zeros(shape, dtype=bool)
        for place, columns in enumerate(parts.values()):
            mine = self.values.distance[:, columns]
            present = ~np.isnan(mine)
            count = np.sum(present, axis=1)
            distance[:, place] = medians(mine, 1)
            sampled = np.any(present & self.values.sampled[:, columns], axis=1)
            if np.any(two := (count == 2) & ~sampled):
                distance[two, place] = nearest(mine[two])
            own[:, place] = _usual(self.values.own[:, columns], present) / np.sqrt(np.maximum(count, 1))
            excuse[:, place] = _usual(self.values.excuse[:, columns], present)
            single[:, place] = (count == 1) & ~sampled
        return Evidence(kind, component, list(parts), list(parts.values()), distance, own, excuse, single)

    def level(self, kind: str, component: str, parts: Parts) -> None:
        """Each part against the same part of the peers."""
        if parts:
            self.found.append(self.joined(parts, kind, component))

    def contrast(self, kind: str, component: str, parts: Parts) -> None:
        """Each part against the other parts of the same node."""
        if len(parts) > 1:
            self.found.append(against_others(self.joined(parts, kind, component)))

    def disks(self, kind: Kind) -> None:
        """Each disk, alone and beside the others."""
        alone = self.parts(lambda r: r.kind == kind and not r.together)
        beside = self.parts(lambda r: r.kind == kind and r.together)
        if not alone and not beside:
            return
        nothing = np.zeros(0, dtype=np.int64)
        columns = {
            name: np.r_[alone.get(name, nothing), beside.get(name, nothing)] for name in {**alone, **beside}
        }
        one = self.joined({name: alone.get(name, nothing) for name in columns})
        two = self.joined({name: beside.get(name, nothing) for name in columns})
        a, b = one.distance, two.distance
        better = np.fmax(a, b)
        with np.errstate(invalid="ignore"):
            close = np.abs(a - b) < _AGREE
        sampled = np.stack(
            [np.any(self.values.sampled[:, each], axis=1) for each in columns.values()], axis=1
        )
        once = (np.isnan(a) ^ np.isnan(b)) & ~sampled
        self.found.append(
            Evidence(
                kind=kind,
                component="disk",
                parts=list(columns),
                columns=list(columns.values()),
                distance=np.where(close, _BETTER * better + (1 - _BETTER) * np.fmin(a, b), better),
                own=np.maximum(one.own, two.own),
                excuse=np.maximum(one.excuse, two.excuse),
                single=once & ~((better < -_MUCH) & self._agreeing(columns.values())),
            )
        )
        self.once[kind] = once

    def _agreeing(self, parts: Iterable[Ints]) -> Bools:
        """Where a run tells both rates, bytes and operations, and they agree: one spoilt value is not why."""
        agree = []
        for columns in parts:
            mine = self.values.distance[:, columns]
            known = ~np.isnan(mine)
            low, high = np.where(known, mine, np.inf).min(axis=1), np.where(known, mine, -np.inf).max(axis=1)
            agree.append((known.sum(axis=1) > 1) & (high - low < _SAME))
        return np.stack(agree, axis=1)

    def whole_disks(self, kinds: Sequence[str]) -> None:
        """Each disk by all that it does, each kind weighted by how steady the peers are in it.

        Of the kinds that rest on one run the worst does not count: something else may have kept the disk busy.
        """
        found = [each for each in self.found if each.kind in kinds]
        if len(found) < 2 or any(each.parts != found[0].parts for each in found):
            return
        shape = found[0].distance.shape
        total, weight = np.zeros(shape), np.zeros(shape)
        worst, worst_weight = np.zeros(shape), np.zeros(shape)
        for each in found:
            centred = each.distance - medians(each.distance, 0)
            known = ~np.isnan(centred)
            spread = max(float(np.median(np.abs(centred[known]))), 1e-4) if np.any(known) else 1.0
            lost = np.nan_to_num(centred) / spread**2
            total += lost
            weight += known / spread**2
            doubted = self.once[each.kind] & (lost < worst)
            worst = np.where(doubted, lost, worst)
            worst_weight = np.where(doubted, known / spread**2, worst_weight)
        spared = weight - worst_weight > 1e-9 * weight
        total -= np.where(spared, worst, 0.0)
        weight -= np.where(spared, worst_weight, 0.0)
        parts = range(len(found[0].parts))
        self.found.append(
            Evidence(
                kind="disk",
                component="disk",
                parts=found[0].parts,
                columns=[np.concatenate([each.columns[place] for each in found]) for place in parts],
                distance=np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan),
                own=np.maximum.reduce([each.own for each in found]),
                excuse=np.maximum.reduce([each.excuse for each in found]),
                single=np.logical_and.reduce([each.single | np.isnan(each.distance) for each in found]),
            )
        )

    def others(self) -> None:
        """What we know nothing of: a piece of many metrics by their median, else each metric for itself."""
        pieces: dict[tuple[str, str], list[int]] = {}
        for column, reading in enumerate(self.read):
            if reading.kind == "other":
                pieces.setdefault((self.components[column], reading.part), []).append(column)
        for (component, part), columns in pieces.items():
            joined = [columns] if len(columns) >= _ENOUGH_TO_JOIN else [[column] for column in columns]
            for each in joined:
                self.level("other", component, {part: np.array(each, dtype=np.int64)})

    def unsteady(self) -> None:
        """How far a node's own samples stray, piece by piece."""
        pieces: dict[tuple[str, str], list[int]] = {}
        for column, reading in enumerate(self.read):
            if reading.kind not in ("silent", "latency", "tail latency", "tx", "rx", "rtt"):
                pieces.setdefault((self.components[column], reading.part), []).append(column)
        for (component, part), listed in pieces.items():
            columns = np.array(listed, dtype=np.int64)
            spread = medians(self.values.within[:, columns], 1)[:, None]
            if np.any(spread > 0):
                nothing = np.zeros(spread.shape)
                self.found.append(
                    Evidence(
                        "unsteady",
                        component,
                        [part],
                        [columns],
                        -spread,
                        nothing,
                        nothing,
                        nothing.astype(bool),
                    )
                )


def nearest(distance: Floats) -> Floats:
    """Of each row of (n, k) the one nearest to what is expected, NaN left out; NaN where there is nothing."""
    away = np.where(np.isnan(distance), np.inf, np.abs(distance))
    return np.asarray(np.take_along_axis(distance, np.argmin(away, axis=1)[:, None], axis=1)[:, 0])


def against_others(each: Evidence) -> Evidence:
    """Each part's distance from the middle of the node's other parts."""
    distance = np.empty_like(each.distance)
    for place in range(len(each.parts)):
        others = np.delete(each.distance, place, axis=1)
        distance[:, place] = each.distance[:, place] - medians(others, 1)
    # Of two parts, what spoils the one spoils the difference.
    single = np.any(each.single, axis=1, keepdims=True) if len(each.parts) == 2 else each.single
    return Evidence(
        each.kind,
        each.component,
        each.parts,
        each.columns,
        distance,
        each.own * 2**0.5,
        each.excuse,
        np.broadcast_to(single, each.single.shape),
    )
