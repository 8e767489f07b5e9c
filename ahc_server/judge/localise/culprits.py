"""From explanations to culprits: which direction, with what effect, proven by which flows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.explain import Taken
from ahc_server.judge.localise.localiser import Reading
from ahc_server.judge.localise.model import Answer, Culprit, Kind, Network, Way, Witness

#: The weaker direction belongs to the fault when it lost this part of what the stronger one lost, and so many errors clear.
_BOTH_PART, _BOTH_Z = 0.35, 2.5
_MOST_FLOWS = 12

_WAYS: dict[str, Way | None] = {"tx": "tx", "out": "tx", "rx": "rx", "in": "rx"}


def answer_of(network: Network, dead: Sequence[Culprit], rate: Reading | None, rtt: Reading | None) -> Answer:
    answer = Answer(tested=_tested(network))
    found = list(dead)
    if rate is not None:
        found += _culprits(network, rate, "rate")
    if rtt is not None:
        for each in _culprits(network, rtt, "rtt"):
            same = next(
                (n for n, one in enumerate(found) if (one.kind, one.nodes) == (each.kind, each.nodes)), None
            )
            if same is None:
                found.append(each)
            elif found[same].witness != "rtt":
                found[same] = replace(found[same], also=(*found[same].also, "rtt"))
    answer.culprits = sorted(found, key=lambda each: (each.log_p, each.nodes))
    return answer


def _tested(network: Network) -> Ints:
    flows = network.flows
    return np.bincount(np.r_[flows.source, flows.destination], minlength=network.nodes)


def _culprits(network: Network, reading: Reading, witness: Witness) -> list[Culprit]:
    by_element: dict[tuple[Kind, tuple[int, ...]], list[Taken]] = {}
    for each in reading.explanation.taken:
        family = reading.families[each.family]
        by_element.setdefault(_element(network, reading, family.member, each), []).append(each)
    return [_culprit(network, reading, witness, *element, several) for element, several in by_element.items()]


def _element(network: Network, reading: Reading, member: str, each: Taken) -> tuple[Kind, tuple[int, ...]]:
    if member in ("tx", "rx", "node"):
        return "node", (each.group,)
    if member == "link":
        flow = each.flows[0]
        ends = (reading.flows.source[flow], reading.flows.destination[flow])
        leaves = sorted({int(network.leaf[row]) for row in ends})
        return "link", tuple(leaves)
    return "leaf", (each.group,)


def _culprit(
    network: Network,
    reading: Reading,
    witness: Witness,
    kind: Kind,
    key: tuple[int, ...],
    taken: Sequence[Taken],
) -> Culprit:
    own = np.zeros(len(reading.value), dtype=bool)
    others = np.zeros(len(reading.value))
    for each in reading.explanation.taken:
        if any(each is one for one in taken):
            own[each.flows] = True
        else:
            others[each.flows] = np.minimum(others[each.flows], each.effect)
    rows = key if kind == "node" else tuple(np.flatnonzero(np.isin(network.leaf, key)).tolist())
    leaves = () if kind == "node" else tuple(network.leaves[leaf] for leaf in key)
    ways = {_WAYS.get(reading.families[each.family].member) for each in taken}
    way = ways.pop() if len(ways) == 1 else None
    if witness == "rate" and kind in ("node", "leaf"):
        way, own = _way(network, reading, others, kind, key[0], way, own)
    effect, flows = _effect(reading, others, own)
    value, expected = _shown(reading, flows, witness)
    return Culprit(
        kind=kind,
        witness=witness,
        nodes=rows,
        way=way,
        effect=float(np.expm1(effect)) if witness == "rate" else float(-np.expm1(-effect)),
        log_p=min(each.log_p for each in taken),
        value=value,
        expected=expected,
        flows=reading.number[flows[:_MOST_FLOWS]],
        seen=int(np.sum(own)),
        leaves=leaves,
    )


def _way(
    network: Network, reading: Reading, others: Floats, kind: Kind, key: int, way: Way | None, own: Bools
) -> tuple[Way | None, Bools]:
    """Both directions, each for itself: which of them is slow, and the flows that show it."""
    source, destination = reading.flows.source, reading.flows.destination
    if kind == "leaf":
        far = network.leaf[source] != network.leaf[destination]
        sends, receives = far & (network.leaf[source] == key), far & (network.leaf[destination] == key)
    else:
        sends, receives = source == key, destination == key
    lost: list[float] = []
    clear: list[float] = []
    for side in (sends, receives):
        mine = side & (others == 0)
        left = reading.value[mine] if np.any(mine) else (reading.value - others)[side]
        if not len(left):
            lost.append(0.0)
            clear.append(0.0)
            continue
        lost.append(float(np.median(left)))
        clear.append(-lost[-1] / (1.25 * reading.noise.error / len(left) ** 0.5))
    weaker = int(np.argmax(lost))
    is_both = clear[weaker] > _BOTH_Z and lost[weaker] <= _BOTH_PART * min(lost)
    if is_both:
        return None, sends | receives
    return ("rx", receives) if weaker == 0 else ("tx", sends)


def _effect(reading: Reading, others: Floats, own: Bools) -> tuple[float, Ints]:
    """The median of the flows that nothing else slows, and those that show it, the slowest first."""
    clean = own & (others == 0)
    if np.sum(clean) < 2:
        clean = own
    effect = float(np.median(reading.value[clean]))
    flows = np.flatnonzero(clean & (reading.value < effect / 2))
    return effect, flows[np.argsort(np.abs(reading.value[flows] - effect), kind="stable")]


def _shown(reading: Reading, flows: Ints, witness: Witness) -> tuple[float, float]:
    if not len(flows):
        return float("nan"), float("nan")
    sign = 1 if witness == "rate" else -1
    usual = float(np.median(reading.usual.expected[flows]))
    value = float(np.median((reading.usual.expected + reading.value)[flows]))
    return float(np.exp(sign * value)), float(np.exp(sign * usual))
