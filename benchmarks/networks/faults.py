"""What is broken: each fault changes the fabric and says what it should be called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.networks.fabric import Fabric

Random = np.random.Generator


@dataclass(slots=True)
class Label:
    """One fault. ``element`` as in the report, ``nodes`` (rows) behind it. ``visible``: the flows of this network, without
    noise, show it; what they do not show counts neither for nor against."""

    kind: str
    element: str
    nodes: list[int]
    direction: str | None = None
    size: float = 0.0
    visible: bool = True
    flows: list[tuple[int, int]] = field(default_factory=list)


def slow_card(fabric: Fabric, random: Random, names: list[str], node: int, size: float) -> Label:
    """One or both directions of a card at 1 − size."""
    way = random.choice(["tx", "rx", "both"])
    if way != "rx":
        fabric.tx[node] *= 1 - size
    if way != "tx":
        fabric.rx[node] *= 1 - size
    return Label("card", f"node:{names[node]}", [node], None if way == "both" else str(way), size)


def lossy_cable(fabric: Fabric, random: Random, names: list[str], node: int, size: float) -> Label:
    """Collapse in both directions."""
    fabric.loss[node] = 1 - max(size, 0.5)
    return Label("cable", f"node:{names[node]}", [node], None, max(size, 0.5))


def slow_answers(fabric: Fabric, random: Random, names: list[str], node: int, size: float) -> Label:
    """Round trips of a node take longer; its bandwidth is as it was."""
    whole = 2 * float(np.median(fabric.rtt_us)) + fabric.hop_us
    more = float(random.uniform(0.6, 3.0))
    fabric.rtt_us[node] += more * whole
    return Label("round trips", f"node:{names[node]}", [node], None, more)


def dead_link(fabric: Fabric, random: Random, names: list[str], node: int, size: float) -> Label:
    fabric.dead[node] = True
    return Label("down", f"node:{names[node]}", [node], None, 1.0)


NODE_FAULTS: tuple[tuple[float, Callable[[Fabric, Random, list[str], int, float], Label]], ...] = (
    (0.62, slow_card),
    (0.16, lossy_cable),
    (0.12, slow_answers),
    (0.10, dead_link),
)


def slow_uplink(fabric: Fabric, random: Random, names: list[str], leaf: int, size: float) -> Label:
    """Uplinks of a leaf at a part of what they should carry: of the healthy load, so that it shows."""
    members = np.flatnonzero(fabric.leaf == leaf)
    needs = float(np.sum(np.median(fabric.tx) * np.ones(len(members))))
    way = random.choice(["tx", "rx", "both"], p=[0.2, 0.2, 0.6])
    if way != "rx":
        fabric.up[leaf] = min(fabric.up[leaf], needs) * (1 - size)
    if way != "tx":
        fabric.down[leaf] = min(fabric.down[leaf], needs) * (1 - size)
    direction = None if way == "both" else str(way)
    return Label("uplink", f"leaf:leaf{leaf + 1}", members.tolist(), direction, size)


def congested_leaf(fabric: Fabric, random: Random, names: list[str], leaf: int, size: float) -> Label:
    """An uplink that others use too: less bandwidth and longer round trips."""
    label = slow_uplink(fabric, random, names, leaf, size)
    fabric.leaf_us[leaf] += float(random.uniform(0.5, 2.0)) * 2 * float(np.median(fabric.rtt_us))
    label.kind = "congestion"
    return label


def bad_path(fabric: Fabric, random: Random, names: list[str], one: int, other: int) -> Label:
    """A path that one pair alone takes: a crowded hash bucket both ways, or no way at all."""
    part = 0.0 if random.random() < 0.4 else float(random.uniform(0.3, 0.7))
    fabric.pair[one, other] = fabric.pair[other, one] = part
    low, high = sorted((one, other))
    return Label("path", f"pair:{names[low]}-{names[high]}", [low, high], None, 1 - part)
