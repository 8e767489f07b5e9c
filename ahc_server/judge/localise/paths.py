"""Single pairs that are slow though both nodes are fine with all others: a path that only they take.

One bad flow is no proof: glitches happen. A pair is named where all its flows are bad, in both directions or again and again,
and where so few flows are bad alone that this cannot be chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.model import Flows

#: A bad flow: so many spreads and this part below what is usual.
_SPREADS, _LEAST = 7.0, -np.log1p(-0.2)
#: More pairs than this part of all are no single paths; a few always may be.
_MOST, _FEW = 0.005, 3
#: Chance that glitches alone make a pair look so.
_CHANCE = 0.03
#: The best flow of a bad path is so many times as slow as that of any pair that is not named.
_CLEAR = 1.5


@dataclass(frozen=True, slots=True)
class Path:
    """A pair of rows, its loss (ln), and its flows."""

    one: int
    other: int
    effect: float
    log_p: float
    flows: Ints


def bad_paths(flows: Flows, left: Floats, scale: Floats, free: Bools, nodes: int) -> list[Path]:
    """``left`` (k,): what the elements leave unexplained of each flow, ``free`` (k,): flows
    that no bad node slows."""
    low = np.minimum(flows.source, flows.destination)
    high = np.maximum(flows.source, flows.destination)
    bad = free & (left < -np.maximum(_SPREADS * scale, _LEAST))
    if not np.any(bad):
        return []
    _, pair = np.unique(low * nodes + high, return_inverse=True)
    tried = np.bincount(pair)
    failed = np.bincount(pair, bad)
    whole = np.flatnonzero((failed == tried) & (tried >= 2))
    alone = float(np.sum(failed[failed < tried]))
    rate = (alone + 0.5) / (len(left) + 1)
    log_p = tried[whole] * np.log(rate) + np.log(max(len(tried), 1))
    named = whole[log_p < np.log(_CHANCE)]
    first = np.zeros(len(tried), dtype=np.int64)
    first[pair] = np.arange(len(pair))
    ends = np.concatenate([low[first[named]], high[first[named]]])
    # Several bad pairs of one node are the node's, or noise that nobody foresaw: no path that only two take.
    often = np.bincount(ends, minlength=nodes) > 1
    named = named[~(often[low[first[named]]] | often[high[first[named]]])]
    if not len(named) or len(named) > max(_FEW, _MOST * len(tried)):
        return []
    # What all others do tells how far a pair may stray by chance, even where all its flows stray together.
    least = np.full(len(tried), -np.inf)
    np.maximum.at(least, pair, np.where(free, left, 0.0))
    strays = float(np.min(np.delete(least, named)[np.delete(tried, named) >= 2], initial=0.0))
    named = named[least[named] < _CLEAR * strays]
    found = []
    for number in named.tolist():
        mine = np.flatnonzero(pair == number)
        chance = float(tried[number] * np.log(rate) + np.log(len(tried)))
        found.append(Path(int(low[mine[0]]), int(high[mine[0]]), float(np.median(left[mine])), chance, mine))
    return found
