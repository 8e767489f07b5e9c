"""All nodes behind a bad uplink that nobody told of, from some of them.

Whoever is behind it is slow with the nodes outside in the same way, and good with those inside. Starting from nodes that look so,
one node after the other is let in or put out, as long as the flows become more probable by more than a node costs. In the end
the flows inside have to prove that it is no matter of cards: with bad cards these would be slow as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.grouped import medians_by
from ahc_server.judge.localise.model import Flows
from ahc_server.judge.localise.noise import FlowNoise

#: What a single flow may say (ln) for suffering, and against it: many things slow a flow, and a bad card lets none be fast.
_FOR, _AGAINST = 2.0, 4.0
#: Under a fault flows differ by this part of its size.
_LOOSER = 0.3
#: So many nodes at least make a rack, and at most this part of all.
_LEAST, _PART = 3, 0.5
_STEPS = 400
#: Half of the flows of a node that is behind a bad uplink are slower than usual by this at least (ln).
_CLEAR = -float(np.log1p(0.14))


@dataclass(frozen=True, slots=True)
class _Uplink:
    """Whether what leaves a rack is slow, and what comes in."""

    out: bool
    into: bool

    def crosses(self, sends: Bools, receives: Bools) -> Bools:
        """Flows (k,) that suffer: ``sends``, whether the source is inside, ``receives``, the destination."""
        return (sends & ~receives & self.out) | (receives & ~sends & self.into)


def whole_racks(
    flows: Flows, value: Floats, starts: Iterable[Sequence[int]], nodes: int, noise: FlowNoise
) -> list[Ints]:
    """Rows of each rack that ``starts`` (rows that may be a part of one) grow to, each once; ``value`` (k,): ln of each flow
    against what is usual."""
    found: dict[bytes, Ints] = {}
    for start in starts:
        if len(start) < _LEAST:
            continue
        inside = np.zeros(nodes, dtype=bool)
        inside[list(start)] = True
        rows = _grown(flows, value, inside, noise)
        if rows is not None:
            found.setdefault(rows.tobytes(), rows)
    return list(found.values())


def slow_in_the_middle(flows: Flows, value: Floats, nodes: int) -> list[list[int]]:
    """Nodes of which half of what they send, or of what they receive, is slow: where a rack is a large part of all, its flows
    look like noise, and few suspects are named."""
    starts = []
    for side in (flows.source, flows.destination):
        middle = np.nan_to_num(medians_by(side, value, nodes))
        rows = np.flatnonzero(middle < middle.min() / 2).tolist()
        if middle.min() < _CLEAR and len(rows) <= _PART * nodes:
            starts.append(rows)
    return starts


def _grown(flows: Flows, value: Floats, inside: Bools, noise: FlowNoise) -> Ints | None:
    nodes = len(inside)
    uplink = _Uplink(True, True)
    price = float(np.log(nodes))
    slow = np.zeros(len(value))
    for step in range(_STEPS):
        sends, receives = inside[flows.source], inside[flows.destination]
        if step % 10 == 0:
            found = _how(value, sends, receives)
            if found is None:
                return None
            uplink, effect = found
            slow = _slow(value, effect, noise)
        now = uplink.crosses(sends, receives)
        left = slow * (uplink.crosses(~sends, receives).astype(float) - now)
        right = slow * (uplink.crosses(sends, ~receives).astype(float) - now)
        gain = np.bincount(flows.source, left, nodes) + np.bincount(flows.destination, right, nodes)
        gain += np.where(inside, price, -price)
        best = int(np.argmax(gain))
        if gain[best] <= 0:
            break
        inside[best] = not inside[best]
    within = inside[flows.source] & inside[flows.destination]
    proof = -float(np.sum(slow[within]))
    rows = np.flatnonzero(inside)
    if not _LEAST <= len(rows) <= _PART * nodes or proof < 2 * price:
        return None
    return rows


def _how(value: Floats, sends: Bools, receives: Bools) -> tuple[_Uplink, float] | None:
    """Which way is slow, and by how much (ln); None where neither is."""
    out, into = value[sends & ~receives], value[receives & ~sends]
    each = [float(np.median(side)) if len(side) else 0.0 for side in (out, into)]
    worst = min(each)
    if worst >= 0:
        return None
    uplink = _Uplink(*(effect < worst / 2 for effect in each))
    return uplink, float(np.median(np.concatenate([out] * uplink.out + [into] * uplink.into)))


def _slow(value: Floats, effect: float, noise: FlowNoise) -> Floats:
    """How much more probable each flow (k,) is when it suffers by the effect than when it does not, ln."""
    spread = float(np.hypot(noise.error, _LOOSER * effect))
    return np.clip(effect * (value - effect / 2) / spread**2, -_AGAINST, _FOR)
