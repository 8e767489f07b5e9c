"""What each node's card does for its own part: read from those of its flows that nothing else slows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ahc_server.judge.arrays import MAD_TO_SIGMA, Bools, Floats, Ints
from ahc_server.judge.localise.grouped import medians_by, peers_by
from ahc_server.judge.localise.localiser import Reading
from ahc_server.judge.localise.model import Own

_LEAST_PEERS = 2


def sending(reading: Reading, nodes: int, speed: Floats | None = None) -> Own:
    """``speed`` (n,) of the cards, where they differ."""
    return _side(reading, nodes, "tx", speed)


def receiving(reading: Reading, nodes: int, speed: Floats | None = None) -> Own:
    """As ``sending``."""
    return _side(reading, nodes, "rx", speed)


def answering(reading: Reading, nodes: int) -> Own:
    """Round trips; either end may be slow to answer."""
    flows = reading.flows
    by_node, elsewhere = _effects(reading, nodes)
    ends = ((flows.source, flows.destination), (flows.destination, flows.source))
    key = np.concatenate([one for one, _ in ends])
    peer = np.concatenate([other for _, other in ends])
    left = _for_its_part(reading.value, elsewhere)
    return _own(reading, nodes, key, peer, np.concatenate([left, left]), by_node["node"][peer] < 0, sign=-1.0)


def _side(reading: Reading, nodes: int, side: str, speed: Floats | None) -> Own:
    flows = reading.flows
    by_node, elsewhere = _effects(reading, nodes)
    key, peer = (flows.source, flows.destination) if side == "tx" else (flows.destination, flows.source)
    other = "rx" if side == "tx" else "tx"
    limited = np.minimum(by_node[other], by_node["node"])[peer] < 0
    own = _own(reading, nodes, key, peer, _for_its_part(reading.value, elsewhere), limited, sign=1.0)
    if speed is None:
        return own
    # What is usual of a card shows in flows with cards that are no slower.
    able = ~(speed[peer] < speed[key])
    level = medians_by(key[able], reading.usual[able], nodes)
    common = float(np.median(reading.usual))
    return replace(own, value=own.value * np.exp(np.where(np.isnan(level), 0.0, level - common)))


def _for_its_part(value: Floats, elsewhere: Floats) -> Floats:
    """What is left of each flow (k,) without what slows it elsewhere: that makes it as good as usual, and no better."""
    return np.where(elsewhere < 0, np.minimum(value - elsewhere, np.maximum(value, 0.0)), value)


def _effects(reading: Reading, nodes: int) -> tuple[dict[str, Floats], Floats]:
    """What was found of nodes (n,), by member, and of everything else (k,)."""
    by_node = {member: np.zeros(nodes) for member in ("tx", "rx", "node")}
    elsewhere = np.zeros(len(reading.logs))
    for each in reading.explanation.taken:
        member = reading.families[each.family].member
        if member in by_node:
            by_node[member][each.group] = min(by_node[member][each.group], each.effect)
        else:
            elsewhere[each.flows] = np.minimum(elsewhere[each.flows], each.suffered)
    return by_node, elsewhere


def _own(
    reading: Reading, nodes: int, key: Ints, peer: Ints, left: Floats, limited: Bools, *, sign: float
) -> Own:
    free = ~limited
    clean = medians_by(key[free], left[free], nodes)
    effect = np.where(np.isnan(clean), medians_by(key, left, nodes), clean)
    away = np.abs(left - effect[key])
    spread = np.nan_to_num(MAD_TO_SIGMA * medians_by(key[free], away[free], nodes))
    peers = peers_by(key, peer, nodes)
    level = float(np.median(reading.usual))
    # The usual of one kind and the effect among another must not make more than any flow reached.
    value = np.exp(sign * np.minimum(level + effect, np.max(reading.logs)))
    return Own(
        value=np.where(peers >= _LEAST_PEERS, value, np.nan),
        effect=np.where(peers >= _LEAST_PEERS, effect, np.nan),
        spread=spread,
        flows=np.bincount(key[free], minlength=nodes),
        hidden=np.isnan(clean) & ~np.isnan(effect),
    )
