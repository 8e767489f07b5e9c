"""From a network to its culprits: rates and round trips, each explained for itself, and joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.explain import Explanation, explain
from ahc_server.judge.localise.families import Family, leaf_families, node_families
from ahc_server.judge.localise.levels import Usual, kinds, usual
from ahc_server.judge.localise.model import Answer, Flows, Network
from ahc_server.judge.localise.noise import FlowNoise, densest, noise_of
from ahc_server.judge.localise.silence import silent

_REFINEMENTS = 3
#: Least effects that matter.
_RATE_FLOOR, _LEAF_FLOOR, _RTT_FLOOR = -np.log1p(-0.05), -np.log1p(-0.08), np.log1p(0.25)


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of evidence with its explanation. ``number`` (j,): the flows it is about; ``value`` (j,): ln of each
    against what is usual, negative is worse."""

    number: Ints
    flows: Flows
    value: Floats
    families: list[Family]
    noise: FlowNoise
    usual: Usual
    explanation: Explanation


def localise(network: Network) -> Answer:
    """Name the elements that explain what is slow or silent."""
    from ahc_server.judge.localise.culprits import answer_of

    dead = silent(network)
    rate = read_rates(network, {row for each in dead if each.kind == "node" for row in each.nodes})
    rtt = read_times(network)
    return answer_of(network, dead, rate, rtt)


def read_rates(network: Network, without: set[int]) -> Reading | None:
    flows = network.flows
    good = flows.rate > 0
    for row in without:
        good &= (flows.source != row) & (flows.destination != row)
    chosen = _some(flows, good)
    if not len(chosen[0]):
        return None
    return _read(network, *chosen, np.log(chosen[1].rate), -1, _RATE_FLOOR, _LEAF_FLOOR, ways=True)


def read_times(network: Network) -> Reading | None:
    chosen = _some(network.flows, network.flows.rtt_us > 0)
    if not len(chosen[0]):
        return None
    return _read(network, *chosen, -np.log(chosen[1].rtt_us), 1, _RTT_FLOOR, _RTT_FLOOR, ways=False)


def _some(flows: Flows, good: Bools) -> tuple[Ints, Flows]:
    number = np.flatnonzero(good)
    picked = Flows(
        flows.round[number],
        flows.source[number],
        flows.destination[number],
        flows.rate[number],
        flows.rtt_us[number],
    )
    return number, picked


def _read(
    network: Network,
    number: Ints,
    flows: Flows,
    logs: Floats,
    sign: int,
    floor: float,
    leaf_floor: float,
    *,
    ways: bool,
) -> Reading:
    kind = kinds(flows, network.leaf, network.speed if ways else None)
    families = node_families(flows.source, flows.destination, network.nodes, floor=floor, ways=ways)
    families += leaf_families(
        flows.source, flows.destination, network.leaf, len(network.leaves), floor=leaf_floor, ways=ways
    )
    level = usual(logs, flows, network.leaf, kind)
    value = logs - level.expected
    noise = noise_of(_dense_part(value))
    best: Reading | None = None
    for _ in range(_REFINEMENTS):
        found = explain(value, families, noise)
        reading = Reading(number, flows, value, families, noise, level, found)
        best = reading
        free = found.expected == 0
        level = usual(logs, flows, network.leaf, kind, free)
        value = logs - level.expected
        noise = noise_of(value[free])
    assert best is not None
    return best


def _dense_part(value: Floats) -> Floats:
    """Half of the values, those that lie closest together, mirrored to look like all."""
    middle, _ = densest(value)
    away = np.sort(np.abs(value - middle))
    kept = away[: max(2, int(np.ceil(0.75 * len(away))))]
    return np.concatenate([kept, -kept])
