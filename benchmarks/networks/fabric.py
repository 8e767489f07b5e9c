"""The fabric: n cards behind leaf switches, whose uplinks may be too small for all at once.

All flows of a round run at the same time. Each takes as much as its links leave it: rates grow together until a link is full,
whose flows then stay as they are (max-min fairness: Bertsekas and Gallager, Data Networks, 1992, section 6.5.2). Rates are in
Gbit/s, times in microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Fabric:
    """What each link carries. ``tx``, ``rx`` (n,) of cards, ``up``, ``down`` (leaves,) of uplinks, ``leaf`` (n,). ``rtt_us``
    (n,) what each end adds, ``hop_us``: what the way over the spine adds, ``leaf_us`` (leaves,): what a congested leaf
    adds. ``pair``: (a, b) → the part that a bad path leaves; 0 cuts it. ``loss`` (n,): flows of this node collapse to a part
    of their rate that differs each time; 1 is none. ``shares``: flows share links fairly.
    """

    leaf: Ints
    tx: Floats
    rx: Floats
    up: Floats
    down: Floats
    rtt_us: Floats
    hop_us: float
    leaf_us: Floats
    loss: Floats
    dead: npt.NDArray[np.bool_]
    pair: dict[tuple[int, int], float]
    shares: bool = True

    def rates(self, source: Ints, destination: Ints) -> Floats:
        """Gbit/s of flows that run at once, without noise; 0 where a card is dead."""
        rate = self._shared(source, destination) if self.shares else self._alone(source, destination)
        for (a, b), part in self.pair.items():
            rate[(source == a) & (destination == b)] *= part
        return rate

    def _alone(self, source: Ints, destination: Ints) -> Floats:
        """Each flow loses at each link what that lacks, as if all ran alone."""
        usual = float(np.median(self.tx))
        members = np.bincount(self.leaf)
        up, down = (np.minimum(1.0, link / (members * usual)) for link in (self.up, self.down))
        crosses = self.leaf[source] != self.leaf[destination]
        way = up[self.leaf[source]] * down[self.leaf[destination]]
        rate = np.minimum(self.tx[source], self.rx[destination]) * np.where(crosses, way, 1.0)
        return np.where(self.dead[source] | self.dead[destination], 0.0, rate)

    def _shared(self, source: Ints, destination: Ints) -> Floats:
        nodes, leaves = len(self.tx), len(self.up)
        crosses = self.leaf[source] != self.leaf[destination]
        # Links: cards' sending sides, receiving sides, uplinks, downlinks; the last one has no limit.
        capacity = np.concatenate([self.tx, self.rx, self.up, self.down, [1e9]])
        nowhere = len(capacity) - 1
        path = np.stack(
            [
                source,
                nodes + destination,
                np.where(crosses, 2 * nodes + self.leaf[source], nowhere),
                np.where(crosses, 2 * nodes + leaves + self.leaf[destination], nowhere),
            ]
        )
        rate = np.zeros(len(source))
        is_open = ~(self.dead[source] | self.dead[destination])
        while np.any(is_open):
            used = sum(np.bincount(links, rate, len(capacity)) for links in path)
            sharers = sum(np.bincount(links[is_open], minlength=len(capacity)) for links in path)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = np.where(sharers > 0, np.maximum(capacity - used, 0.0) / sharers, np.inf)
            tightest = np.min(share[path], axis=0)
            # A link is full when none of its flows has a tighter one elsewhere.
            least = np.full(len(capacity), np.inf)
            for links in path:
                np.minimum.at(least, links[is_open], tightest[is_open])
            is_full = least >= share * (1 - 1e-9)
            held = is_open & np.any(is_full[path] & (share[path] <= tightest * (1 + 1e-9)), axis=0)
            rate[held] = tightest[held]
            is_open &= ~held
        return rate

    def times(self, source: Ints, destination: Ints) -> Floats:
        """Round trips in µs, without noise; NaN where there is no connection."""
        crosses = self.leaf[source] != self.leaf[destination]
        way = self.hop_us + self.leaf_us[self.leaf[source]] + self.leaf_us[self.leaf[destination]]
        times = self.rtt_us[source] + self.rtt_us[destination] + np.where(crosses, way, 0.0)
        times = np.where(self.dead[source] | self.dead[destination], np.nan, times)
        for (a, b), part in self.pair.items():
            if part == 0:
                times[(source == a) & (destination == b)] = np.nan
        return times
