"""A seed in, a labelled network out."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.networks import faults
from benchmarks.networks.fabric import Fabric, Floats, Ints
from benchmarks.networks.faults import Label, Random

#: Seeds that nobody looks at while working on the localiser.
LAST_LOOKS = (range(900, 1000), range(2000, 2100))
_SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)
_MOST_ALL_PAIRS = 128
#: A fault shows where it takes this part of at least half of its flows.
_SHOWS = 0.07


class KeptSeedError(ValueError):
    """A seed that is kept for the last look."""


@dataclass(slots=True)
class Network:
    """``document`` is what an import reads; ``labels`` what is true."""

    seed: int
    document: dict[str, Any]
    labels: list[Label]
    scenario: str

    @property
    def names(self) -> list[str]:
        names: list[str] = self.document["nodes"]
        return names


@dataclass(slots=True)
class Plan:
    """What is drawn of a network before it is built. ``racks``: nodes behind each leaf, 0 for a single tier.
    ``hop``: the way over the spine takes longer. ``shares``: flows share their uplinks; else each loses a part, whatever the
    others do. ``slower_cards``: part of the nodes that have cards of another speed, and are not at fault."""

    nodes: int
    racks: int
    oversubscribed: float
    line: float
    sigma: float
    tails: float
    glitches: float
    cards: float
    leaves: float
    told: bool
    schedule: str
    rounds: int
    both_ways: bool
    has_times: bool
    hop: bool = True
    shares: bool = True
    slower_cards: float = 0.0


def is_kept(seed: int) -> bool:
    return any(seed in kept for kept in LAST_LOOKS)


def generate(
    seed: int, *, last_look: bool = False, plan: Plan | None = None, size: float | None = None
) -> Network:
    """Raises KeptSeedError for a seed of the last look unless this is it. ``size``: one card in 50 is slower by this, and nothing
    else is broken."""
    if is_kept(seed) and not last_look:
        raise KeptSeedError(f"seed {seed} is kept for the last look")
    random = np.random.default_rng([7, seed])
    plan = plan or draw(random)
    width = len(str(plan.nodes))
    prefix = str(random.choice(["n", "node-", "host", "r1-"]))
    names = [f"{prefix}{number + 1:0{width}d}" for number in range(plan.nodes)]
    healthy = _fabric(plan, random)
    broken = copy.deepcopy(healthy)
    rounds = _rounds(plan, random)
    labels = _break(broken, plan, random, names, size)
    measured = [_measure(plan, broken, random, flows) for flows in rounds]
    _see(labels, plan, healthy, broken, rounds)
    document: dict[str, Any] = {
        "schema": "ahc.pairwise/1",
        "nodes": names,
        "topology": {name: f"leaf{broken.leaf[row] + 1}" for row, name in enumerate(names)}
        if plan.told
        else None,
        "line_gbps": plan.line,
        "rounds": [[[names[a], names[b], *rest] for a, b, *rest in each] for each in measured],
    }
    if not plan.told and random.random() < 0.5:
        del document["topology"]
    if random.random() < 0.3:
        del document["line_gbps"]
    if random.random() < 0.3:
        del document["schema"]
    kinds = "+".join(sorted({label.kind for label in labels})) or "healthy"
    tiers = "two tiers" if plan.racks else "one tier"
    scenario = f"{plan.nodes} nodes, {tiers}, {'' if plan.told else 'no '}topology, {plan.schedule}: {kinds}"
    return Network(seed, document, labels, scenario)


def draw(random: Random) -> Plan:
    nodes = int(random.choice(_SIZES))
    racks = 0
    if nodes >= 12 and random.random() < 0.65:
        least = 2 if random.random() < 0.1 else 3
        racks = int(random.choice([size for size in (4, 6, 8, 12, 16, 24, 32, 48) if least * size <= nodes]))
    schedule = (
        "all pairs" if nodes <= 12 or (nodes <= _MOST_ALL_PAIRS and random.random() < 0.5) else "matchings"
    )
    return Plan(
        nodes=nodes,
        racks=racks,
        oversubscribed=float(random.choice([0.8, 1.0, 1.5, 2.0, 3.0])) if racks else 1.0,
        line=float(random.choice([10.0, 25.0, 40.0, 100.0])),
        sigma=float(random.choice([0.005, 0.01, 0.02, 0.03])),
        tails=float(random.choice([0, 3, 4, 8])),
        glitches=float(random.choice([0.0, 0.0, 0.001, 0.005])),
        cards=float(random.choice([0.0, 0.005, 0.01])),
        leaves=float(random.choice([0.0, 0.01, 0.02])),
        told=random.random() < (0.6 if racks else 0.15),
        schedule=schedule,
        rounds=int(random.integers(5, 13)),
        both_ways=bool(random.random() < 0.75),
        has_times=bool(random.random() < 0.9),
        hop=bool(random.random() < 0.85),
        shares=bool(random.random() < 0.7),
        slower_cards=float(random.choice([0.3, 0.4])) if nodes >= 16 and random.random() < 0.05 else 0.0,
    )


def _fabric(plan: Plan, random: Random) -> Fabric:
    leaf = np.zeros(plan.nodes, dtype=np.int64)
    if plan.racks:
        # Not in the order of the names, and the last rack may not be full.
        leaf = np.arange(plan.nodes) // plan.racks
        if random.random() < 0.5:
            leaf = random.permutation(leaf)
    leaves = int(leaf.max()) + 1
    reached = plan.line * random.uniform(0.90, 0.97)
    speed = reached * np.exp(random.normal(0, plan.cards, (2, plan.nodes)))
    speed[:, random.permutation(plan.nodes)[: int(plan.slower_cards * plan.nodes)]] *= 0.4
    switch = np.exp(random.normal(0, plan.leaves, leaves))
    uplink: Floats = np.asarray(np.bincount(leaf) * reached / plan.oversubscribed * switch, dtype=np.float64)
    own = random.uniform(4.0, 15.0)
    return Fabric(
        leaf=leaf,
        tx=speed[0],
        rx=speed[1],
        up=uplink.copy(),
        down=uplink.copy(),
        rtt_us=own * np.exp(random.normal(0, 0.04, plan.nodes)),
        hop_us=own * random.uniform(0.2, 0.9) if plan.racks and plan.hop else 0.0,
        leaf_us=np.zeros(leaves),
        loss=np.ones(plan.nodes),
        dead=np.zeros(plan.nodes, dtype=bool),
        pair={},
        shares=plan.shares,
    )


def _rounds(plan: Plan, random: Random) -> list[tuple[Ints, Ints]]:
    """Each round's flows: disjoint pairs, both ways at once or one way only."""
    order = random.permutation(plan.nodes)
    matchings = []
    if plan.schedule == "all pairs":
        circle = [*order.tolist(), *([-1] if plan.nodes % 2 else [])]
        for _ in range(len(circle) - 1):
            half = len(circle) // 2
            matchings.append(
                [(a, b) for a, b in zip(circle[:half], circle[half:][::-1], strict=True) if min(a, b) >= 0]
            )
            circle.insert(1, circle.pop())
    else:
        for _ in range(plan.rounds):
            shuffled = random.permutation(plan.nodes)
            half = plan.nodes // 2
            matchings.append(
                list(zip(shuffled[:half].tolist(), shuffled[half : 2 * half].tolist(), strict=True))
            )
    rounds = []
    for pairs in matchings:
        one, other = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        if plan.both_ways:
            rounds.append((np.r_[one, other], np.r_[other, one]))
        else:
            rounds += [(one, other), (other, one)]
    return rounds


def _break(fabric: Fabric, plan: Plan, random: Random, names: list[str], size: float | None) -> list[Label]:
    labels: list[Label] = []
    nodes, leaves = plan.nodes, len(fabric.up)
    if size is not None:
        slow = random.choice(nodes, max(1, nodes // 50), replace=False).tolist()
        return [faults.slow_card(fabric, random, names, node, size) for node in slow]
    if nodes < 3 or random.random() < 0.25:
        return labels
    # Where racks are not told and few pairs are measured, flows inside a rack have to be among them, or nobody could tell a
    # bad uplink from several bad cards.
    inside = plan.rounds * plan.racks * (plan.racks - 1) / (2 * (nodes - 1))
    can_show = plan.told or plan.schedule == "all pairs" or inside >= 2
    if leaves >= 3 and random.random() < 0.4 and can_show:
        how = faults.slow_uplink if random.random() < 0.7 else faults.congested_leaf
        count = 1 if leaves < 12 else int(random.integers(1, 3))
        for leaf in random.choice(leaves, count, replace=False).tolist():
            labels.append(how(fabric, random, names, leaf, float(random.uniform(0.25, 0.7))))
    most = max(1, round(nodes * random.uniform(0.01, 0.05)))
    sick = most if not labels else int(random.integers(0, most + 1))
    if nodes < 6:
        sick = 1
    broken = random.choice(nodes, sick, replace=False).tolist()
    weights = np.array([weight for weight, _ in faults.NODE_FAULTS])
    for node in broken:
        fault = faults.NODE_FAULTS[int(random.choice(len(weights), p=weights / weights.sum()))][1]
        if fault is faults.slow_answers and not plan.has_times:
            fault = faults.slow_card
        labels.append(fault(fabric, random, names, node, float(random.uniform(0.12, 0.7))))
    if plan.schedule == "all pairs" and nodes >= 8 and random.random() < 0.3:
        one, other = random.choice(
            [row for row in range(nodes) if row not in broken], 2, replace=False
        ).tolist()
        labels.append(faults.bad_path(fabric, random, names, one, other))
    return labels


def _measure(plan: Plan, fabric: Fabric, random: Random, flows: tuple[Ints, Ints]) -> list[tuple[Any, ...]]:
    source, destination = flows
    rate = fabric.rates(source, destination)
    lossy = np.minimum(fabric.loss[source], fabric.loss[destination])
    rate = np.where(lossy < 1, rate * lossy * random.uniform(0.5, 1.2, len(rate)), rate)
    rate *= np.exp(plan.sigma * _noise(plan, random, len(rate)))
    glitch = random.random(len(rate)) < plan.glitches
    rate[glitch] *= random.uniform(0.3, 0.9, int(np.sum(glitch)))
    times: Floats = fabric.times(source, destination)
    times = times * np.exp(np.abs(0.06 * _noise(plan, random, len(times))))
    rows: list[tuple[Any, ...]] = []
    for a, b, gbps, us in zip(
        source.tolist(), destination.tolist(), rate.tolist(), times.tolist(), strict=True
    ):
        known = plan.has_times and gbps > 0 and us == us
        rows.append((a, b, round(gbps, 3), round(us, 1) if known else None))
    return rows


def _noise(plan: Plan, random: Random, count: int) -> Floats:
    if plan.tails == 0:
        return random.standard_normal(count)
    return random.standard_t(plan.tails, count)


def _see(
    labels: list[Label], plan: Plan, healthy: Fabric, broken: Fabric, rounds: list[tuple[Ints, Ints]]
) -> None:
    """Mark the faults that the flows could not show even without noise: what each link lost, where nothing else is broken."""
    for label in labels:
        if label.kind in ("round trips", "down", "cable", "path"):
            continue
        alone = copy.deepcopy(healthy)
        if label.element.startswith("node:"):
            row = label.nodes[0]
            alone.tx[row], alone.rx[row] = broken.tx[row], broken.rx[row]
        else:
            leaf = int(healthy.leaf[label.nodes[0]])
            alone.up[leaf], alone.down[leaf] = broken.up[leaf], broken.down[leaf]
        shown = seen = 0
        for source, destination in rounds:
            mine = (
                np.isin(source, label.nodes) if label.direction != "rx" else np.zeros(len(source), dtype=bool)
            )
            if label.direction != "tx":
                mine |= np.isin(destination, label.nodes)
            if label.kind in ("uplink", "congestion"):
                mine &= healthy.leaf[source] != healthy.leaf[destination]
            if np.any(mine):
                before, after = (
                    healthy.rates(source, destination)[mine],
                    alone.rates(source, destination)[mine],
                )
                shown += int(np.sum(after < (1 - _SHOWS) * before))
                seen += len(before)
        label.visible = 2 * shown >= seen > 0 and shown >= 2
