"""Families of like elements (all sending sides, all uplinks, ...), and how well each of them explains what is slow.

Values are ln(rate / what is usual for such a flow), or minus that of round trips: negative is worse throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lgamma
from typing import Literal

import numpy as np

from ahc_server.judge.arrays import MAD_TO_SIGMA, Bools, Floats, Ints
from ahc_server.judge.localise.grouped import medians_by, sums_by
from ahc_server.judge.localise.model import Flows
from ahc_server.judge.localise.noise import FlowNoise

Member = Literal["tx", "rx", "node", "out", "in", "leaf", "link", "pair"]

_STEPS = 4
#: Flows disagree when they stray by so many times the noise: those of an element, of which there are few, and all.
_FEW_DISAGREE, _ALL_DISAGREE = 3.5, 1.6
#: In a mean no flow counts for more than this (ln).
MOST_STRAY = 0.35
#: Flows with less slack (ln) than this are under the highest load.
_LOADED = 0.02
#: Under a fault flows differ by this part of its size: it meets other limits, and loss is no constant.
_FAULTY_SPREAD = 0.15
#: A natural spread between like elements is read from this many of them on, and moderated by so many of the prior.
_ENOUGH, _PRIOR_ELEMENTS = 12, 8.0


@dataclass(frozen=True, slots=True)
class Family:
    """``groups`` like elements. ``flow`` (i,): the flows through them, ``key`` (i,): through which. ``floor``: least effect
    that matters (ln); ``least``: flows that can prove one; ``spread``: how far healthy ones differ where too few are there to
    see it. ``peer`` (i,): the other end of each flow, where it matters with how many different ones an element is slow.
    ``slack`` (i,): how much less (ln) a flow suffers than one under the element's highest load, where that differs: a bad
    uplink that carries few flows gives each of them enough. ``together``: flows that meet the same load and are one proof.
    ``choice`` (groups,): ln of how many others like each could have been chosen, where flows themselves made the groups."""

    member: Member
    flow: Ints
    key: Ints
    groups: int
    floor: float
    least: int
    spread: float
    peer: Ints | None = None
    slack: Floats | None = None
    together: int = 1
    choice: Floats | None = None

    @property
    def choices(self) -> float:
        """Of a family of one."""
        return 0.0 if self.choice is None else float(self.choice[0])


@dataclass(frozen=True, slots=True)
class Estimates:
    """For each element of a family, all (groups,): ``effect`` (ln) against its like, ``gain``: by how much the data become
    more probable (ln) when it is taken for bad; ``z``: the effect in standard errors, the natural spread reckoned in;
    ``count``: flows that tell."""

    effect: Floats
    gain: Floats
    z: Floats
    count: Floats


@dataclass(frozen=True, slots=True)
class Tail:
    """Mean and spread (ln) of flows that nothing explains; a spread of 0 is not known."""

    middle: float = 0.0
    spread: float = 0.0


def suffered(effect: Floats | float, slack: Floats) -> Floats:
    """What an effect (at the highest load) leaves of flows with this slack, ln."""
    return np.minimum(0.0, effect + slack)


def node_families(
    source: Ints, destination: Ints, nodes: int, *, floor: float, ways: bool = True
) -> list[Family]:
    """Sending sides, receiving sides and whole nodes; with ``ways`` False only the latter."""
    every = np.arange(len(source))

    def family(member: Member, flow: Ints, key: Ints, peer: Ints) -> Family:
        return Family(member, flow, key, nodes, floor, 2, 0.01, peer)

    whole = family("node", np.r_[every, every], np.r_[source, destination], np.r_[destination, source])
    if not ways:
        return [whole]
    whole = replace(whole, together=2)
    return [family("tx", every, source, destination), family("rx", every, destination, source), whole]


def leaf_families(
    flows: Flows, leaf: Ints, load: Floats, *, floor: float, ways: bool = True, inferred: bool = False
) -> list[Family]:
    """Uplinks (sending, receiving, both) and the ways between two leaves; of flows that leave their rack. What is not known to
    be in a rack (−1) is elsewhere. ``load`` (k,): ln of what the load of healthy uplinks leaves of each flow. ``inferred``: rates
    showed the racks, which are a few of very many sets of nodes.

    A bad uplink takes the same part of every flow, or it carries so much and no more: both are tried.
    """
    one, other = leaf[flows.source], leaf[flows.destination]
    up = np.flatnonzero((one != other) & (one >= 0))
    down = np.flatnonzero((one != other) & (other >= 0))
    if not len(up):
        return []
    leaves = int(leaf.max()) + 1
    both = np.r_[up, down], np.r_[one[up], other[down]]
    between = np.flatnonzero((one != other) & (one >= 0) & (other >= 0))
    families: list[Family] = []
    if leaves > 2 or len(between) < len(up):
        families.append(Family("leaf", *both, leaves, floor, 4, 0.02))
        if ways:
            families.append(Family("out", up, one[up], leaves, floor, 3, 0.02))
            families.append(Family("in", down, other[down], leaves, floor, 3, 0.02))
            families += [_by_load(family, flows.round, load) for family in list(families)]
        if inferred:
            families = [replace(family, choice=_choices(leaf)) for family in families]
    if ways and len(between):
        known, key = np.unique(one[between] * leaves + other[between], return_inverse=True)
        families.append(Family("link", between, key, len(known), floor, 4, 0.02))
    return families


def _choices(leaf: Ints) -> Floats:
    """Of each rack: ln of how many sets of as many nodes there are."""
    nodes, members = len(leaf), np.bincount(leaf[leaf >= 0])
    return np.array(
        [lgamma(nodes + 1) - lgamma(size + 1) - lgamma(nodes - size + 1) for size in members.tolist()]
    )


def _by_load(family: Family, number: Ints, load: Floats) -> Family:
    """The same elements, as links that carry so much and no more."""
    size = len(family.flow)
    sides = [np.arange(size)] if family.member != "leaf" else np.split(np.arange(size), [size // 2])
    at_once = np.ones(size)
    for side in sides:
        _, code = np.unique(number[family.flow[side]] * family.groups + family.key[side], return_inverse=True)
        at_once[side] = np.bincount(code)[code]
    demand = np.log(at_once) + load[family.flow]
    most = np.full(family.groups, -np.inf)
    np.maximum.at(most, family.key, demand)
    return replace(family, slack=most[family.key] - demand)


def estimate(
    family: Family, value: Floats, scale: Floats, counts: Bools, noise: FlowNoise, tail: Tail
) -> Estimates:
    """``value``, ``scale`` and ``counts`` (k,): of each flow its distance, its spread, and whether it tells anything. ``tail``:
    of flows that nothing explains."""
    tells = counts[family.flow]
    key = family.key[tells]
    mine = value[family.flow][tells]
    s = scale[family.flow][tells]
    groups = family.groups
    slack = np.zeros(len(key)) if family.slack is None else family.slack[tells]
    loaded = slack < _LOADED
    effect = np.nan_to_num(medians_by(key[loaded], mine[loaded], groups))
    for _ in range(_STEPS):
        expected = suffered(effect[key], slack)
        weight = 1 / (noise.freedom + ((mine - expected) / s) ** 2) / s**2
        if family.slack is not None:
            weight = np.where(expected < 0, weight, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            better = sums_by(key, weight * (mine - slack), groups) / sums_by(key, weight, groups)
        effect = np.where(np.isnan(better), effect, better)
    expected = suffered(effect[key], slack)
    spread = np.hypot(s, _FAULTY_SPREAD * expected)
    better = noise.log_density(mine - expected, spread) - noise.log_density(mine, s)
    count = np.bincount(key, minlength=groups).astype(np.float64)
    information = sums_by(
        key, np.where(expected < 0, s**-2.0, 0.0) if family.slack is not None else s**-2.0, groups
    )
    error = noise.error / noise.scale / np.sqrt(np.where(information > 0, information, np.nan))
    # Flows that hardly agree tell less of what they have in common, whatever is usual elsewhere; few may differ by chance.
    own = MAD_TO_SIGMA * np.nan_to_num(medians_by(key, np.abs(mine - expected), groups))
    own = np.where(own > _FEW_DISAGREE * noise.error, own, 0.0)
    each = np.sqrt(np.maximum(count / family.together, 1.0))
    error = np.maximum(error, own / each)
    by_chance = np.full(groups, -np.inf)
    if tail.spread > _ALL_DISAGREE * noise.error:
        mean = sums_by(key, np.clip(mine, -MOST_STRAY, MOST_STRAY), groups) / np.maximum(count, 1.0)
        by_chance = (mean - tail.middle) * each / tail.spread
    effect, z = _against_like(effect, error, family)
    return Estimates(effect, sums_by(key, better, groups), np.maximum(z, by_chance), count)


def _against_like(effect: Floats, error: Floats, family: Family) -> tuple[Floats, Floats]:
    known = np.flatnonzero(~np.isnan(error))
    natural = family.spread**2
    if len(known) >= _ENOUGH:
        effect = effect - np.median(effect[known])
        seen = (MAD_TO_SIGMA * np.median(np.abs(effect[known]))) ** 2 - float(np.median(error[known] ** 2))
        natural = (len(known) * max(seen, 0.0) + _PRIOR_ELEMENTS * natural) / (len(known) + _PRIOR_ELEMENTS)
    return effect, effect / np.sqrt(error**2 + natural)


def flows_of(family: Family, group: int) -> Ints:
    return np.asarray(family.flow[family.key == group], dtype=np.int64)


def slack_of(family: Family, group: int) -> Floats:
    """Of its flows, in the order of ``flows_of``."""
    mine = family.key == group
    return np.zeros(int(np.sum(mine))) if family.slack is None else family.slack[mine]


def only(family: Family, group: int) -> Family:
    """A family of one."""
    mine = family.key == group
    slack = None if family.slack is None else family.slack[mine]
    peer = None if family.peer is None else family.peer[mine]
    key = np.zeros(int(np.sum(mine)), dtype=np.int64)
    choice = None if family.choice is None else family.choice[group : group + 1]
    return replace(
        family,
        flow=family.flow[mine],
        key=key,
        groups=1,
        peer=peer,
        slack=slack,
        choice=choice,
    )


def slow_peers(family: Family, left: Floats, effect: Floats, among: Bools) -> Ints:
    """With how many different peers each element (groups,) is slow: ``left`` (k,) of flows is nearer to the ``effect`` (groups,)
    than to what is usual. Only of those ``among`` (groups,), 0 for all others."""
    assert family.peer is not None
    slow = among[family.key]
    slow[slow] = left[family.flow[slow]] < effect[family.key[slow]] / 2
    key, (_, peer) = family.key[slow], np.unique(family.peer[slow], return_inverse=True)
    met = np.unique(key * (int(peer.max(initial=0)) + 1) + peer)
    return np.bincount(met // (int(peer.max(initial=0)) + 1), minlength=family.groups)
