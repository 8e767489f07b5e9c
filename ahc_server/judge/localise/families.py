"""Families of like elements (all sending sides, all uplinks, ...), and how well each of them explains what is slow.

Values are ln(rate / what is usual for such a flow), or minus that of round trips: negative is worse throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.grouped import medians_by, peers_by, sums_by
from ahc_server.judge.localise.noise import FlowNoise

Member = Literal["tx", "rx", "node", "out", "in", "leaf", "link", "pair"]

_STEPS = 4
#: Under a fault flows differ by this part of its size: it meets other limits, and loss is no constant.
_FAULTY_SPREAD = 0.15
#: A natural spread between like elements is read from this many of them on, and moderated by so many of the prior.
_ENOUGH, _PRIOR_ELEMENTS = 12, 8.0


@dataclass(frozen=True, slots=True)
class Family:
    """``groups`` like elements. ``flow`` (i,): the flows through them, ``key`` (i,): through which. ``floor``: least effect
    that matters (ln); ``least``: flows that can prove one; ``spread``: how far healthy ones differ where too few are there to
    see it. ``peers`` (groups,): with how many different ones it was tested, where that matters."""

    member: Member
    flow: Ints
    key: Ints
    groups: int
    floor: float
    least: int
    spread: float
    peers: Ints | None = None


@dataclass(frozen=True, slots=True)
class Estimates:
    """For each element of a family, all (groups,): ``effect`` (ln) against its like, ``gain``: by how much the data become
    more probable (ln) when it is taken for bad; ``z``: the effect in standard errors, the natural spread reckoned in;
    ``count``: flows that tell."""

    effect: Floats
    gain: Floats
    z: Floats
    count: Floats


def node_families(
    source: Ints, destination: Ints, nodes: int, *, floor: float, ways: bool = True
) -> list[Family]:
    """Sending sides, receiving sides and whole nodes; with ``ways`` False only the latter."""
    every = np.arange(len(source))

    def family(member: Member, flow: Ints, key: Ints, peer: Ints) -> Family:
        return Family(member, flow, key, nodes, floor, 2, 0.01, peers_by(key, peer, nodes))

    whole = family("node", np.r_[every, every], np.r_[source, destination], np.r_[destination, source])
    if not ways:
        return [whole]
    return [family("tx", every, source, destination), family("rx", every, destination, source), whole]


def leaf_families(
    source: Ints, destination: Ints, leaf: Ints, leaves: int, *, floor: float, ways: bool = True
) -> list[Family]:
    """Uplinks (sending, receiving, both) and the ways between two leaves; of flows that leave their rack. What is
    not known to be in a rack (−1) is elsewhere."""
    one, other = leaf[source], leaf[destination]
    up = np.flatnonzero((one != other) & (one >= 0))
    down = np.flatnonzero((one != other) & (other >= 0))
    if not len(up):
        return []
    both = Family("leaf", np.r_[up, down], np.r_[one[up], other[down]], leaves, floor, 4, 0.02)
    if not ways:
        return [both]
    families = [
        Family("out", up, one[up], leaves, floor, 3, 0.02),
        Family("in", down, other[down], leaves, floor, 3, 0.02),
        both,
    ]
    between = np.flatnonzero((one != other) & (one >= 0) & (other >= 0))
    if len(between):
        known, key = np.unique(one[between] * leaves + other[between], return_inverse=True)
        families.append(Family("link", between, key, len(known), floor, 4, 0.02))
    return families


def estimate(family: Family, value: Floats, scale: Floats, counts: Bools, noise: FlowNoise) -> Estimates:
    """``value``, ``scale`` and ``counts`` (k,): of each flow its distance, its spread, and whether it tells anything."""
    tells = counts[family.flow]
    key = family.key[tells]
    mine = value[family.flow][tells]
    s = scale[family.flow][tells]
    groups = family.groups
    effect = medians_by(key, mine, groups)
    for _ in range(_STEPS):
        away = (mine - effect[key]) / s
        weight = 1 / (noise.freedom + away**2) / s**2
        with np.errstate(divide="ignore", invalid="ignore"):
            effect = sums_by(key, weight * mine, groups) / sums_by(key, weight, groups)
    spread = np.hypot(s, _FAULTY_SPREAD * effect[key])
    better = noise.log_density(mine - effect[key], spread) - noise.log_density(mine, s)
    count = np.bincount(key, minlength=groups).astype(np.float64)
    information = sums_by(key, s**-2.0, groups)
    error = noise.error / noise.scale / np.sqrt(np.where(information > 0, information, np.nan))
    effect, z = _against_like(effect, error, family)
    return Estimates(effect, sums_by(key, better, groups), z, count)


def _against_like(effect: Floats, error: Floats, family: Family) -> tuple[Floats, Floats]:
    known = np.flatnonzero(~np.isnan(effect))
    natural = family.spread**2
    if len(known) >= _ENOUGH:
        effect = effect - np.median(effect[known])
        seen = (1.4826 * np.median(np.abs(effect[known]))) ** 2 - float(np.median(error[known] ** 2))
        natural = (len(known) * max(seen, 0.0) + _PRIOR_ELEMENTS * natural) / (len(known) + _PRIOR_ELEMENTS)
    return effect, effect / np.sqrt(error**2 + natural)


def flows_of(family: Family, group: int) -> Ints:
    return np.asarray(family.flow[family.key == group], dtype=np.int64)
