"""Where nothing comes through at all: the fewest nodes, leaves and pairs that account for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Bools, Ints
from ahc_server.judge.localise.model import Culprit, Kind, Network, Way

#: A node or a leaf is the reason when this part of what was tried through it is silent.
_MOST = 0.6
_LEAST_NODE, _LEAST_LEAF, _LEAST_PEERS = 2, 4, 2
#: As good as certain: noise does not silence a flow.
_LOG_P = -50.0


@dataclass(frozen=True, slots=True)
class _Side:
    """Elements of one kind: ``keys``, each (k,), say which of them a flow runs through, ``peers`` what is at its other end;
    ``among`` (k,): flows that count."""

    kind: Kind
    way: Way | None
    keys: tuple[Ints, ...]
    peers: tuple[Ints, ...]
    among: Bools
    elements: int
    least: int

    def count(self, flows: Bools) -> Ints:
        mine = flows & self.among
        total = np.zeros(self.elements, dtype=np.int64)
        for key in self.keys:
            total += np.bincount(key[mine], minlength=self.elements)
        return total

    def count_peers(self, flows: Bools) -> Ints:
        mine = flows & self.among
        size = max(int(peer.max()) for peer in self.peers) + 1
        met = [key[mine] * size + peer[mine] for key, peer in zip(self.keys, self.peers, strict=True)]
        return np.bincount(np.unique(np.concatenate(met)) // size, minlength=self.elements)

    def through(self, element: int) -> Bools:
        return np.asarray(self.among & np.any([key == element for key in self.keys], axis=0))


def silent(network: Network) -> list[Culprit]:
    """Culprits for the flows of rate 0; one that names all nodes concerned where nothing came through anywhere."""
    flows = network.flows
    tried = ~np.isnan(flows.rate)
    dead = tried & (flows.rate == 0)
    if not np.any(dead):
        return []
    if np.all(dead[tried]):
        concerned = np.union1d(flows.source[dead], flows.destination[dead])
        return [_culprit(network, "pair", tuple(concerned.tolist()), None, np.flatnonzero(dead))]
    found: list[Culprit] = []
    unexplained = dead.copy()
    sides = _sides(network, tried)
    while (best := _best(sides, tried, dead, unexplained)) is not None:
        side, element = best
        mine = np.flatnonzero(side.through(element) & dead)
        rows = (element,) if side.kind == "node" else tuple(np.flatnonzero(network.leaf == element).tolist())
        leaves = (network.leaves[element],) if side.kind == "leaf" else ()
        found.append(_culprit(network, side.kind, rows, side.way, mine, leaves))
        unexplained[mine] = False
    pairs: dict[tuple[int, int], list[int]] = {}
    for flow in np.flatnonzero(unexplained).tolist():
        one, other = sorted((int(flows.source[flow]), int(flows.destination[flow])))
        pairs.setdefault((one, other), []).append(flow)
    return found + [
        _culprit(network, "pair", ends, _way(network, ends, np.array(each)), np.array(each))
        for ends, each in sorted(pairs.items())
    ]


def _way(network: Network, ends: tuple[int, int], dead: Ints) -> Way | None:
    """Of a pair: whether nothing came through one way only, while the other way did."""
    source, destination, rate = network.flows.source, network.flows.destination, network.flows.rate
    sends = np.unique(source[dead])
    if len(sends) > 1 or not np.any((destination == sends[0]) & np.isin(source, ends) & (rate > 0)):
        return None
    return "tx" if sends[0] == ends[0] else "rx"


def _sides(network: Network, tried: Bools) -> list[_Side]:
    a, b = network.flows.source, network.flows.destination
    one, other = network.leaf[a], network.leaf[b]
    far = tried & (one != other) & (one >= 0) & (other >= 0)
    sides = [
        _Side("node", None, (a, b), (b, a), tried, network.nodes, _LEAST_NODE),
        _Side("node", "tx", (a,), (b,), tried, network.nodes, _LEAST_NODE),
        _Side("node", "rx", (b,), (a,), tried, network.nodes, _LEAST_NODE),
    ]
    if len(network.leaves) > 1 and np.any(far):
        sides.insert(0, _Side("leaf", None, (one, other), (b, a), far, len(network.leaves), _LEAST_LEAF))
    return sides


def _best(sides: list[_Side], tried: Bools, dead: Bools, unexplained: Bools) -> tuple[_Side, int] | None:
    """The element that explains most of what is unexplained, the first of equals; None where none explains enough."""
    best: tuple[int, _Side, int] | None = None
    for side in sides:
        left = side.count(unexplained)
        all_of_it = side.count(tried)
        good = (side.count(dead) >= _MOST * all_of_it) & (left >= _MOST / 2 * all_of_it)
        good &= (left >= side.least) & (side.count_peers(unexplained) >= _LEAST_PEERS)
        if np.any(good):
            element = int(np.argmax(np.where(good, left, -1)))
            if best is None or left[element] > best[0]:
                best = int(left[element]), side, element
    return None if best is None else best[1:]


def _culprit(
    network: Network,
    kind: Kind,
    rows: tuple[int, ...],
    way: Way | None,
    flows: Ints,
    leaves: tuple[str, ...] = (),
) -> Culprit:
    works = network.flows.rate > 0
    usual = float(np.median(network.flows.rate[works])) if np.any(works) else float("nan")
    return Culprit(
        kind=kind,
        witness="dead",
        nodes=rows,
        way=way,
        effect=-1.0,
        log_p=_LOG_P,
        value=0.0,
        expected=usual,
        flows=flows,
        seen=len(flows),
        leaves=leaves,
    )
