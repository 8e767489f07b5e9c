"""One explanation of all rates, and one of all round trips: levels, noise, racks and elements, until they fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.doubt import certain
from ahc_server.judge.localise.explain import Explanation, expected_of, explain
from ahc_server.judge.localise.families import Family, leaf_families, node_families
from ahc_server.judge.localise.levels import kinds, usual
from ahc_server.judge.localise.members import slow_in_the_middle, whole_racks
from ahc_server.judge.localise.model import Flows, Network
from ahc_server.judge.localise.noise import FlowNoise, densest, noise_of
from ahc_server.judge.localise.racks import shared_uplinks, unmet_alike

_REFINEMENTS = 3
#: Levels are settled when they move by less than this part of the noise.
_SETTLED = 0.1
#: Least effects that are reckoned with: of nodes, and of leaves; relative. Leaves that differ a little are no fault, but their
#: nodes must not be blamed for it (``LEAF_FLOOR``: from here on it is one).
_RATE_FLOORS = (-float(np.log1p(-0.06)), -float(np.log1p(-0.025)))
_RTT_FLOORS = (float(np.log1p(0.25)), float(np.log1p(0.15)))
RATE_FLOOR, RTT_FLOOR = _RATE_FLOORS[0], _RTT_FLOORS[0]
LEAF_FLOORS = {"rate": -float(np.log1p(-0.14)), "rtt": float(np.log1p(0.25))}
#: Noise of rates and of round trips that is taken for granted where few flows tell (ln).
_SPREADS = (0.015, 0.05)
#: In small groups differences up to this many times the floor tell nothing.
_FEW, _FEW_FACTOR = 12, 1.5
#: Flows that are faster than usual by so many spreads; where they are this part of all, the usual may be what they are.
_FASTER, _MANY = 5.0, 0.08
#: Of few flows it is also tried whether only the fastest of them are as they should be.
_FEW_FLOWS, _UPPER = 4_000, (0.6, 0.8)


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of evidence with its explanation. ``number`` (j,): the flows it is about; ``value`` (j,): ln of each
    against what is ``usual`` (j,), negative is worse. ``leaf`` (n,): racks that the explanation knows of."""

    number: Ints
    flows: Flows
    logs: Floats
    usual: Floats
    families: list[Family]
    noise: FlowNoise
    explanation: Explanation
    leaf: Ints

    @property
    def value(self) -> Floats:
        return self.logs - self.usual

    @property
    def free(self) -> Bools:
        """Flows that nothing bad slows."""
        return np.asarray(self.explanation.expected == 0)


@dataclass(frozen=True)
class Question:
    """What is read: ``logs`` (j,) of some flows. ``ways``: whether directions differ; ``spread``: the noise that
    is taken for granted."""

    network: Network
    number: Ints
    flows: Flows
    logs: Floats
    kind: Ints
    floors: tuple[float, float]
    ways: bool
    spread: float

    def families(self, leaf: Ints, load: Floats) -> list[Family]:
        return [
            *self.nodes,
            *leaf_families(
                self.flows,
                leaf,
                load,
                floor=self.floors[1],
                ways=self.ways,
                inferred=not np.any(self.network.leaf >= 0),
            ),
        ]

    @cached_property
    def nodes(self) -> list[Family]:
        source, destination = self.flows.source, self.flows.destination
        nodes = self.network.nodes
        floor = self.floors[0] * (_FEW_FACTOR if nodes < _FEW else 1.0)
        return node_families(source, destination, nodes, floor=floor, ways=self.ways)


def read_rates(network: Network, near: Bools | None, without: set[int]) -> Reading | None:
    """Explain the rates of all flows but those of the rows ``without``. ``near`` (k,): flows inside racks, None unknown."""
    flows = network.flows
    good = flows.rate > 0
    for row in without:
        good &= (flows.source != row) & (flows.destination != row)
    number = np.flatnonzero(good)
    if not len(number):
        return None
    some = _some(flows, number)
    kind = kinds(some, network.leaf, network.speed, None if near is None else near[number], network.host)
    return read(Question(network, number, some, np.log(some.rate), kind, _RATE_FLOORS, True, _SPREADS[0]))


def read_times(network: Network, near: Bools | None) -> Reading | None:
    """Explain the round trips. Those of one pair in one round, seen from both ends, are one."""
    number = np.flatnonzero(network.flows.rtt_us > 0)
    if not len(number):
        return None
    number, rtt_us = _each_once(network, number)
    some = replace(_some(network.flows, number), rtt_us=rtt_us)
    kind = kinds(some, network.leaf, None, None if near is None else near[number], network.host)
    return read(Question(network, number, some, -np.log(some.rtt_us), kind, _RTT_FLOORS, False, _SPREADS[1]))


def _each_once(network: Network, number: Ints) -> tuple[Ints, Floats]:
    """Of each pair and round the first flow, and the geometric mean of their round trips."""
    flows = network.flows
    one, other = flows.source[number], flows.destination[number]
    pair = np.minimum(one, other) * network.nodes + np.maximum(one, other)
    key = flows.round[number] * network.nodes**2 + pair
    _, first, code = np.unique(key, return_index=True, return_inverse=True)
    mean = np.bincount(code, np.log(flows.rtt_us[number])) / np.bincount(code)
    return number[first], np.exp(mean)


def _some(flows: Flows, number: Ints) -> Flows:
    return Flows(
        flows.round[number],
        flows.source[number],
        flows.destination[number],
        flows.rate[number],
        flows.rtt_us[number],
    )


def read(question: Question) -> Reading:
    """The cheapest explanation, over what could be usual and over racks that show."""
    network = question.network
    best = _settled(question, network.leaf)
    for start in _starts(question, best):
        other = _settled(question, network.leaf, start)
        if other.explanation.cost < best.explanation.cost:
            best = other
    if not np.any(network.leaf >= 0):
        first = best
        least = first.explanation.cost
        for sets, price in _racks(question, first):
            other = _settled(question, _leaf_of(sets, network.nodes), first=first)
            if other.explanation.cost + price < least:
                best, least = other, other.explanation.cost + price
    return _certain(question, best)


def _racks(question: Question, reading: Reading) -> Iterator[tuple[list[Ints], float]]:
    """Racks that nobody told of, and their price: as suspects show them, and all nodes that belong to these. Those are chosen
    among all, so whoever was no suspect before has to be worth it."""
    flows, taken = question.flows, reading.explanation.taken
    sets = shared_uplinks(flows, reading.value, reading.families, taken, reading.noise)
    if sets:
        yield sets, 0.0
    # A smaller difference would be no fault of a leaf, and late answers are a node's own.
    slow = [each for each in taken if each.effect < -LEAF_FLOORS["rate"]] if question.ways else []
    unmet = unmet_alike(flows, reading.families, slow, question.network.nodes)
    if unmet:
        yield [*sets, *unmet], 0.0
    starts = [each.tolist() for each in sets]
    for way in ("tx", "rx", "node"):
        starts.append([each.group for each in taken if reading.families[each.family].member == way])
    starts += slow_in_the_middle(flows, reading.value, question.network.nodes)
    whole = whole_racks(flows, reading.value, starts, question.network.nodes, reading.noise)
    if whole:
        suspects = {row for start in starts[: len(sets) + 3] for row in start}
        added = sum(int(row) not in suspects for rows in whole for row in rows)
        yield whole, added * float(np.log(question.network.nodes))


def _leaf_of(sets: Sequence[Ints], nodes: int) -> Ints:
    """Rack of each node (n,), −1 for those in no set; where two have a node, it is in the larger one."""
    leaf = np.full(nodes, -1, dtype=np.int64)
    for number, rows in enumerate(sorted(sets, key=len)):
        leaf[rows] = number
    leaf[leaf >= 0] = np.unique(leaf[leaf >= 0], return_inverse=True)[1]
    return leaf


def _certain(question: Question, reading: Reading) -> Reading:
    """Without what so few flows cannot prove."""
    found = reading.explanation
    candidates = sum(family.groups for family in reading.families)
    left = certain(reading.value, found.taken, question.kind, candidates, question.spread)
    if len(left) == len(found.taken):
        return reading
    expected = expected_of(left, len(reading.logs))
    return replace(reading, explanation=replace(found, taken=left, expected=expected))


def _starts(question: Question, first: Reading) -> Iterator[Bools]:
    """Flows that may show what is usual, where it need not be what most flows do: one bad node of three slows most of them."""
    faster = first.free & (first.value > _FASTER * first.noise.scale)
    if np.sum(faster) >= max(2, _MANY * len(faster)):
        yield faster
    if len(question.logs) <= _FEW_FLOWS:
        for part in _UPPER:
            upper = np.zeros(len(question.logs), dtype=bool)
            for kind in np.unique(question.kind):
                mine = question.kind == kind
                upper |= mine & (question.logs >= np.quantile(question.logs[mine], part, method="higher"))
            yield upper


def _settled(
    question: Question, leaf: Ints, upper: Bools | None = None, first: Reading | None = None
) -> Reading:
    """An explanation and the levels that go with it. ``upper`` (j,): flows that show what is usual; ``first``: a reading whose
    levels to begin with."""
    logs = question.logs
    one, other = leaf[question.flows.source], leaf[question.flows.destination]
    far = (one != other) | (one < 0)

    def levels(free: Bools | None) -> tuple[Floats, Floats]:
        return usual(logs, question.flows, question.network.leaf, question.kind, free)

    def explained(level: Floats, load: Floats, noise: FlowNoise) -> Reading:
        families = question.families(leaf, load)
        found = explain(logs - level, families, noise, far)
        return Reading(question.number, question.flows, logs, level, families, noise, found, leaf)

    level, load = levels(upper if first is None else first.free)
    value = logs - level
    alone = _dense_part(value) if upper is None else value[upper]
    noise = noise_of(alone) if first is None else first.noise
    reading = explained(level, load, noise)
    for _ in range(_REFINEMENTS - 1):
        level, load = levels(reading.free)
        noise = noise_of((logs - level)[reading.free])
        before, reading = reading, explained(level, load, noise)
        moved = np.max(np.abs(level - before.usual))
        if moved < _SETTLED * noise.scale and np.array_equal(before.free, reading.free):
            break
    return reading


def _dense_part(value: Floats) -> Floats:
    """Three quarters of the values, those nearest to where most are, mirrored to look like all."""
    middle, _ = densest(value)
    away = np.sort(np.abs(value - middle))
    kept = away[: max(2, int(np.ceil(0.75 * len(away))))]
    return np.concatenate([kept, -kept])
