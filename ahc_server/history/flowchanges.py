"""What flows gained or lost between two sessions: all of them, those of a leaf, and the pairs that changed otherwise.

The same ordered pair is compared with itself where at least half of the pairs are in both sessions; where rounds were drawn
anew, each node's median over all its flows is. The interval of a change is that of the median over nodes (sign test), since
flows of one node are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from ahc_server.history.robust import LEAST_PEERS, effect, middle_of
from ahc_server.judge.arrays import MAD_TO_SIGMA, Bools, Floats, Ints
from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.localise.grouped import medians_by

Quantity = Literal["rate", "rtt"]

UNITS: dict[Quantity, str] = {"rate": "bytes/s", "rtt": "us"}
#: The same pairs are compared where they are this part of the smaller session's.
_PAIRED = 0.5
#: Leaves and pairs changed otherwise when they are off by this (ln), single pairs by so much more, and by so many errors.
_FLOORS: dict[Quantity, float] = {"rate": 0.05, "rtt": 0.15}
_PAIR_FLOORS, _ERRORS, _LEAST_FLOWS = 2.0, 6.0, 3
_MOST_PAIRS = 200
#: This part of a leaf's ways to others has to agree to be its own doing.
_MOST_WAYS = 0.75
#: Error of a median over that of a mean; half of an interval of 95 % in errors.
_MEDIAN_ERROR, _INTERVAL_ERRORS = 1.25, 1.96


class FlowChange(msgspec.Struct, kw_only=True, frozen=True):
    """Flows of one kind. ``before``, ``after``: medians in the unit; ``change``, ``low``, ``high``: relative, negative is worse,
    with their ``confidence``, None where too few nodes tell. ``flows``: how many were compared."""

    what: str
    flows: int
    before: float
    after: float
    change: float
    low: float | None = None
    high: float | None = None
    confidence: float | None = None


class QuantityChange(msgspec.Struct, kw_only=True, frozen=True):
    """Bandwidth or round trips. ``paired``: each pair was compared with itself. ``fleet``: all flows, those inside leaves, those
    across. ``leaves``: what goes out of each leaf and comes in. ``blocks``, ``pairs``: ways between two leaves, and single pairs,
    that changed otherwise than all such, the clearest first; at most 200 of ``odd_pairs``."""

    quantity: Quantity
    unit: str
    paired: bool
    fleet: list[FlowChange]
    leaves: list[FlowChange]
    blocks: list[FlowChange]
    pairs: list[FlowChange]
    odd_pairs: int


@dataclass(frozen=True, slots=True)
class Flows:
    """One side: p ordered pairs of nodes, each once; ``value`` (p,) ln, more is better."""

    source: Ints
    destination: Ints
    value: Floats


def quantity_change(
    quantity: Quantity, names: Sequence[str], leaf: Sequence[str | None], before: Flows, after: Flows
) -> QuantityChange:
    """``names``, ``leaf``: by node, which flows refer to."""
    return _Compared(quantity, names, leaf, before, after).told()


class _Compared:
    def __init__(
        self,
        quantity: Quantity,
        names: Sequence[str],
        leaf: Sequence[str | None],
        before: Flows,
        after: Flows,
    ) -> None:
        self.quantity: Quantity = quantity
        self.names = names
        self.floor = _FLOORS[quantity]
        self.leaves = sorted({each for each in leaf if each is not None})
        number = {name: place for place, name in enumerate(self.leaves)}
        self.leaf = np.array([-1 if each is None else number[each] for each in leaf], dtype=np.int64)
        first, second = (side.source * len(names) + side.destination for side in (before, after))
        common, at, there = np.intersect1d(first, second, assume_unique=True, return_indices=True)
        self.paired = len(common) > 0 and len(common) >= _PAIRED * min(len(first), len(second))
        if self.paired:
            before, after = _some(before, at), _some(after, there)
        self.sides = (before, after)
        #: ln of what each pair gained, where pairs are compared.
        self.gained = after.value - before.value if self.paired else np.zeros(0)

    def told(self) -> QuantityChange:
        kinds = {"all flows": self._masks("all")}
        if len(self.leaves) > 1:
            kinds |= {"inside leaves": self._masks("inside"), "across leaves": self._masks("across")}
        fleet = [change for what, masks in kinds.items() if (change := self._of(what, masks)) is not None]
        leaves = self._by_leaf() if len(self.leaves) > 1 else []
        blocks: list[FlowChange] = []
        pairs: list[FlowChange] = []
        if self.paired:
            blocks, expected = self._blocks() if len(self.leaves) > 1 else ([], self._level())
            pairs = self._pairs(expected)
        return QuantityChange(
            quantity=self.quantity,
            unit=UNITS[self.quantity],
            paired=self.paired,
            fleet=fleet,
            leaves=leaves,
            blocks=blocks,
            pairs=pairs[:_MOST_PAIRS],
            odd_pairs=len(pairs),
        )

    def _masks(self, kind: str, leaf: int = -1) -> tuple[Bools, Bools]:
        """Of both sides, which flows are of a kind."""
        first, second = (
            _mask(kind, self.leaf[side.source], self.leaf[side.destination], leaf) for side in self.sides
        )
        return first, second

    def _of(self, what: str, masks: tuple[Bools, Bools]) -> FlowChange | None:
        before, after = (_some(side, mask) for side, mask in zip(self.sides, masks, strict=True))
        if not len(before.value) or not len(after.value):
            return None
        nodes = len(self.names)
        if self.paired:
            gained = self.gained[masks[0]]
            by_node = medians_by(before.source, gained, nodes)
            change = float(np.median(gained))
        else:
            by_node = medians_by(after.source, after.value, nodes) - medians_by(
                before.source, before.value, nodes
            )
            change = float(np.nanmedian(by_node)) if np.any(~np.isnan(by_node)) else np.nan
        if np.isnan(change):
            return None
        told = self._told(what, min(len(before.value), len(after.value)), before.value, after.value, change)
        if np.sum(~np.isnan(by_node)) < LEAST_PEERS:
            return told
        middle = middle_of(by_node)
        return msgspec.structs.replace(
            told,
            low=self._effect(min(middle.low, change)),
            high=self._effect(max(middle.high, change)),
            confidence=rounded(middle.confidence, 4),
        )

    def _told(self, what: str, flows: int, before: Floats, after: Floats, change: float) -> FlowChange:
        sign = 1 if self.quantity == "rate" else -1
        return FlowChange(
            what=what,
            flows=flows,
            before=significant(float(np.exp(sign * np.median(before))), 6),
            after=significant(float(np.exp(sign * np.median(after))), 6),
            change=self._effect(change),
        )

    def _effect(self, distance: float) -> float:
        return rounded(effect(distance, self.quantity == "rate"), 4)

    def _by_leaf(self) -> list[FlowChange]:
        told = [
            self._of(f"{name}, {way}", self._masks(way, number))
            for number, name in enumerate(self.leaves)
            for way in ("out", "in")
        ]
        return [each for each in told if each is not None]

    def _level(self) -> Floats:
        """What pairs gained that are inside a leaf, across, or of unknown leaf, for each pair (p,)."""
        one, other = (self.leaf[each] for each in (self.sides[0].source, self.sides[0].destination))
        kind = np.where((one < 0) | (other < 0), 2, (one != other).astype(np.int64))
        return np.asarray(medians_by(kind, self.gained, 3)[kind])

    def _blocks(self) -> tuple[list[FlowChange], Floats]:
        """Ways between two leaves that changed otherwise, and what is to be expected of each pair (p,) in view of its leaves."""
        count = len(self.leaves)
        one, other = (self.leaf[each] for each in (self.sides[0].source, self.sides[0].destination))
        expected = self._level()
        known = np.flatnonzero((one >= 0) & (other >= 0))
        code = one[known] * count + other[known]
        left = (self.gained - expected)[known]
        flows = np.bincount(code, minlength=count * count).reshape(count, count)
        off = medians_by(code, left, count * count).reshape(count, count)
        spread = MAD_TO_SIGMA * float(np.median(np.abs(left - off.ravel()[code]))) if len(left) else 0.0
        bar = np.maximum(self.floor, _ERRORS * _MEDIAN_ERROR * spread / np.sqrt(np.maximum(flows, 1)))
        by_leaf = self._shared(off)[:, None] + self._shared(off.T)[None, :]
        np.fill_diagonal(by_leaf, 0.0)
        own = np.nan_to_num(off) - by_leaf
        # What is as all others are is not odd, though the rest of its leaf may be.
        odd = (flows >= _LEAST_FLOWS) & (np.abs(own) > bar) & (np.abs(np.nan_to_num(off)) > bar)
        expected[known] += np.where(np.abs(np.nan_to_num(off)) > bar, np.nan_to_num(off), 0.0).ravel()[code]
        told = []
        for block in sorted(np.flatnonzero(odd).tolist(), key=lambda each: (-abs(own.ravel()[each]), each)):
            mask = np.zeros(len(one), dtype=bool)
            mask[known[code == block]] = True
            change = self._of(f"{self.leaves[block // count]} → {self.leaves[block % count]}", (mask, mask))
            if change is not None:
                told.append(change)
        return told, expected

    def _shared(self, off: Floats) -> Floats:
        """What most ways from a leaf (line) to others have in common (leaves,), 0 where they do not agree."""
        found = np.zeros(len(off))
        for leaf in range(len(off)):
            ways = np.delete(off[leaf], leaf)
            ways = ways[~np.isnan(ways)]
            same = [float(np.mean(sign * ways > self.floor)) for sign in (1, -1)] if len(ways) else [0.0]
            if max(same) >= _MOST_WAYS:
                found[leaf] = float(np.median(ways))
        return found

    def _pairs(self, expected: Floats) -> list[FlowChange]:
        """Single pairs that changed otherwise than their leaves and their nodes."""
        before, after = self.sides
        left = self.gained - expected
        nodes = len(self.names)
        for side in (before.source, before.destination):
            off = np.nan_to_num(medians_by(side, left, nodes))
            few = np.bincount(side, minlength=nodes) < _LEAST_FLOWS
            left = left - np.where(few | (np.abs(off) < self.floor), 0.0, off)[side]
        spread = MAD_TO_SIGMA * float(np.median(np.abs(left)))
        odd = np.flatnonzero(np.abs(left) > max(_PAIR_FLOORS * self.floor, _ERRORS * spread))
        told = []
        for pair in odd[np.argsort(-np.abs(left[odd]), kind="stable")].tolist():
            ends = self.names[int(before.source[pair])], self.names[int(before.destination[pair])]
            change = float(self.gained[pair])
            one = self._told(
                " → ".join(ends), 1, before.value[pair : pair + 1], after.value[pair : pair + 1], change
            )
            told.append(
                msgspec.structs.replace(
                    one,
                    low=self._effect(change - _INTERVAL_ERRORS * spread),
                    high=self._effect(change + _INTERVAL_ERRORS * spread),
                    confidence=0.95,
                )
            )
        return told


def _some(side: Flows, which: Ints | Bools) -> Flows:
    return Flows(side.source[which], side.destination[which], side.value[which])


def _mask(kind: str, one: Ints, other: Ints, leaf: int) -> Bools:
    """Flows (p,) of a kind by the leaves of their ends, −1 unknown."""
    if kind == "all":
        return np.ones(len(one), dtype=bool)
    if kind in ("inside", "across"):
        return np.asarray((one >= 0) & (other >= 0) & ((one == other) == (kind == "inside")))
    ends = (one, other) if kind == "out" else (other, one)
    return np.asarray((ends[0] == leaf) & (ends[1] != leaf))
