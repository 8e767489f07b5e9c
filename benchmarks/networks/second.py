"""A seed in, a labelled network of the second fabric out. What is drawn, broken and measured is all its own; only the form of the
labels is shared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.networks.clos import Clos, Streams, measure
from benchmarks.networks.faults import Label, Random
from benchmarks.networks.generate import Network

_SIZES = (2, 3, 5, 6, 10, 16, 20, 32, 40, 64, 100, 144, 200, 320)
_MOST_ALL_PAIRS = 64
#: A fault shows where it takes this part of at least half of its flows.
_SHOWS = 0.07


def generate(seed: int) -> Network:
    """Seeds are all its own: none is kept."""
    random = np.random.default_rng([23, seed])
    nodes = int(random.choice(_SIZES))
    clos, line = _fabric(nodes, random)
    names = [f"srv{number:03d}" for number in random.permutation(1000)[:nodes]]
    rounds, schedule = _rounds(nodes, random)
    broken = copy.deepcopy(clos)
    noise = float(random.choice([0.004, 0.008, 0.015, 0.025]))
    stalls = float(random.choice([0.0, 0.0, 0.002]))
    has_times = random.random() < 0.85
    two_tiers = len(clos.up) > 1
    told = random.random() < (0.55 if two_tiers else 0.2)
    labels: list[Label] = []
    if nodes > 2 and random.random() > 0.25:
        inside = np.mean([np.sum(clos.leaf[each.source] == clos.leaf[each.destination]) for each in rounds])
        # Without racks and without flows inside them nobody could tell a bad uplink from bad cards.
        can_show = told or schedule == "all pairs" or inside * len(rounds) >= 2 * len(clos.up)
        labels = _break(broken, random, names, schedule, can_show, has_times)
    for label in labels:
        label.visible = _visible(label, broken, _healed(label, broken, clos), rounds)
    document: dict[str, Any] = {
        "schema": "ahc.pairwise/1",
        "nodes": names,
        "topology": {name: f"tor-{clos.leaf[row] + 1}" for row, name in enumerate(names)} if told else None,
        "line_gbps": line,
        "rounds": [_measured(broken, each, names, random, noise, stalls, has_times) for each in rounds],
    }
    kinds = "+".join(sorted({label.kind for label in labels})) or "healthy"
    shape = "two tiers" if two_tiers else "one tier"
    scenario = f"{nodes} nodes, {shape}, {'' if told else 'no '}topology, {schedule}: {kinds}"
    return Network(seed, document, labels, scenario)


def _fabric(nodes: int, random: Random) -> tuple[Clos, float]:
    racks = [size for size in (5, 8, 10, 16, 20) if 3 * size <= nodes]
    size = int(random.choice(racks)) if racks and random.random() < 0.65 else nodes
    leaf = random.permutation(np.arange(nodes) // size)
    leaves = int(leaf.max()) + 1
    spines = int(random.choice([2, 4, 8]))
    line = float(random.choice([10.0, 25.0, 50.0]))
    reached = line * random.uniform(0.91, 0.96)
    card = float(random.choice([0.0, 0.004, 0.01]))
    link = reached * size / (spines * float(random.choice([0.5, 1.0, 1.5, 2.5])))
    delay = float(random.uniform(5.0, 20.0))
    made = Clos(
        leaf=leaf,
        tx=reached * np.exp(random.normal(0, card, nodes)),
        rx=reached * np.exp(random.normal(0, card, nodes)),
        up=np.full((leaves, spines), link),
        down=np.full((leaves, spines), link),
        delay_us=delay * np.exp(random.normal(0, 0.05, nodes)),
        hop_us=delay * float(random.choice([0.05, 0.3, 0.6])),
        loss=np.zeros(nodes),
        dead=np.zeros(nodes, dtype=bool),
        policed={},
    )
    return made, line


def _rounds(nodes: int, random: Random) -> tuple[list[Streams], str]:
    """All pairs by turns of a circle, matchings, or each sends to one and receives from another."""
    streams = int(random.choice([4, 8, 16]))
    ways: list[tuple[list[int], list[int]]] = []
    all_pairs = nodes <= 10 or (nodes <= _MOST_ALL_PAIRS and random.random() < 0.5)
    order = random.permutation(nodes)
    if all_pairs:
        schedule = "all pairs"
        for step in range(1, nodes):
            ways.append((order.tolist(), np.roll(order, -step).tolist()))
    else:
        in_pairs = random.random() < 0.6
        schedule = "matchings" if in_pairs else "rings"
        for _ in range(int(random.integers(5, 13))):
            order = random.permutation(nodes)
            half = nodes // 2
            one, other = order[:half].tolist(), order[half : 2 * half].tolist()
            ways.append(
                (one + other, other + one) if in_pairs else (order.tolist(), np.roll(order, 1).tolist())
            )
    return [_streams(one, other, streams, random) for one, other in ways], schedule


def _streams(one: list[int], other: list[int], streams: int, random: Random) -> Streams:
    shape = len(one), streams
    return Streams(
        np.array(one),
        np.array(other),
        random.integers(0, 1 << 30, shape),
        np.exp(random.normal(0, 0.2, shape)),
    )


Fault = Callable[[Clos, Random, int], Label]


def _card(clos: Clos, random: Random, node: int) -> Label:
    left, way = float(random.uniform(0.3, 0.85)), random.choice(["tx", "rx", "both"])
    if way != "rx":
        clos.tx[node] *= left
    if way != "tx":
        clos.rx[node] *= left
    return Label("card", "", [node], None if way == "both" else str(way), 1 - left)


def _cable(clos: Clos, random: Random, node: int) -> Label:
    """Loss that leaves each stream a small part of what the line could carry."""
    clos.loss[node] = float(random.uniform(0.01, 0.05))
    return Label("cable", "", [node], None, float(clos.loss[node]))


def _answers(clos: Clos, random: Random, node: int) -> Label:
    more = float(random.uniform(1.0, 4.0))
    clos.delay_us[node] *= 1 + 2 * more
    return Label("round trips", "", [node], None, more)


def _dead(clos: Clos, random: Random, node: int) -> Label:
    clos.dead[node] = True
    return Label("down", "", [node], None, 1.0)


_FAULTS: tuple[tuple[float, Fault], ...] = ((0.6, _card), (0.2, _cable), (0.1, _answers), (0.1, _dead))


def _trunk(clos: Clos, random: Random, leaf: int) -> Label:
    """Some links of a leaf are gone, and their streams crowd on the others."""
    spines = clos.up.shape[1]
    gone = random.permutation(spines)[: max(1, round(spines * float(random.uniform(0.3, 0.7))))]
    clos.up[leaf, gone[: spines - 1]] = clos.down[leaf, gone[: spines - 1]] = 0.0
    return Label("trunk", "", np.flatnonzero(clos.leaf == leaf).tolist(), None, len(gone) / spines)


def _uplinks(clos: Clos, random: Random, leaf: int) -> Label:
    """All links of a leaf carry less, one way or both."""
    members = np.flatnonzero(clos.leaf == leaf)
    needs = float(np.median(clos.tx)) * len(members) / clos.up.shape[1]
    left, way = float(random.uniform(0.3, 0.7)), random.choice(["tx", "rx", "both"])
    if way != "rx":
        clos.up[leaf] = np.minimum(clos.up[leaf], needs) * left
    if way != "tx":
        clos.down[leaf] = np.minimum(clos.down[leaf], needs) * left
    return Label("uplink", "", members.tolist(), None if way == "both" else str(way), 1 - left)


def _break(
    clos: Clos, random: Random, names: list[str], schedule: str, leaves_show: bool, has_times: bool
) -> list[Label]:
    found = []
    nodes, leaves = len(names), len(clos.up)
    if leaves >= 3 and leaves_show and random.random() < 0.4:
        leaf = int(random.integers(leaves))
        label = (_trunk if random.random() < 0.4 else _uplinks)(clos, random, leaf)
        label.element = f"leaf:tor-{leaf + 1}"
        found.append(label)
    sick = int(random.integers(0 if found else 1, max(1, round(0.04 * nodes)) + 1))
    chosen = random.permutation(nodes)[:sick].tolist()
    for node in chosen:
        fault = _FAULTS[int(random.choice(len(_FAULTS), p=[part for part, _ in _FAULTS]))][1]
        if fault is _answers and not has_times:
            fault = _card
        label = fault(clos, random, node)
        label.element = f"node:{names[node]}"
        found.append(label)
    if schedule == "all pairs" and nodes >= 8 and random.random() < 0.2:
        well = [row for row in range(nodes) if row not in chosen]
        one, other = sorted(random.choice(well, 2, replace=False).tolist())
        part = float(random.uniform(0.2, 0.6))
        clos.policed = {(one, other): part, (other, one): part}
        found.append(Label("path", f"pair:{names[one]}-{names[other]}", [one, other], None, 1 - part))
    return found


def _healed(label: Label, broken: Clos, healthy: Clos) -> Clos:
    """The fabric with all other faults."""
    one = copy.deepcopy(broken)
    if label.element.startswith("leaf:"):
        leaf = int(one.leaf[label.nodes[0]])
        one.up[leaf], one.down[leaf] = healthy.up[leaf], healthy.down[leaf]
        return one
    node = label.nodes[0]
    for field in ("tx", "rx", "delay_us", "loss", "dead"):
        getattr(one, field)[node] = getattr(healthy, field)[node]
    return one


def _visible(label: Label, broken: Clos, healed: Clos, rounds: list[Streams]) -> bool:
    """Whether the flows show a fault, without noise: half of those through it, two at least, in rate or round trip."""
    if label.kind in ("down", "path"):
        return True
    shown = seen = 0
    for each in rounds:
        sends, receives = np.isin(each.source, label.nodes), np.isin(each.destination, label.nodes)
        mine = (sends & (label.direction != "rx")) | (receives & (label.direction != "tx"))
        if label.element.startswith("leaf:"):
            mine &= broken.leaf[each.source] != broken.leaf[each.destination]
        (before, before_us), (after, after_us) = measure(healed, each), measure(broken, each)
        changed = after < (1 - _SHOWS) * before
        if label.kind == "round trips":
            changed = after_us > 1.25 * before_us
        mine &= ~np.isnan(before_us)
        shown += int(np.sum(changed & mine))
        seen += int(np.sum(mine))
    return 2 * shown >= seen > 0 and shown >= 2


def _measured(
    clos: Clos, each: Streams, names: list[str], random: Random, noise: float, stalls: float, has_times: bool
) -> list[list[Any]]:
    """What a tool would write: goodput is lost more easily than won, some flows stall, times have a tail."""
    rate, times = measure(clos, each)
    count = len(rate)
    rate = rate * np.exp(noise * (1.4 - random.gamma(2.0, 0.7, count)))
    rate[random.random(count) < stalls] *= random.uniform(0.3, 0.9)
    times = times * np.exp(random.exponential(0.06, count))
    return [
        [names[a], names[b], round(gbps, 3), round(us, 1) if has_times and gbps > 0 and us == us else None]
        for a, b, gbps, us in zip(
            each.source.tolist(), each.destination.tolist(), rate.tolist(), times.tolist(), strict=True
        )
    ]
