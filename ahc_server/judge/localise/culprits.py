"""The localiser: from a network to its culprits, which direction, with what effect, proven by which flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise.caps import Limit, is_wide, limits
from ahc_server.judge.localise.estimates import answering, receiving, sending
from ahc_server.judge.localise.explain import Taken
from ahc_server.judge.localise.kinds import other_kind
from ahc_server.judge.localise.localiser import (
    LEAF_FLOORS,
    RATE_FLOOR,
    RTT_FLOOR,
    Reading,
    read_rates,
    read_times,
)
from ahc_server.judge.localise.model import Answer, Culprit, Kind, Network, Own, Way, Witness
from ahc_server.judge.localise.paths import bad_paths
from ahc_server.judge.localise.racks import seen_racks
from ahc_server.judge.localise.silence import silent

#: The weaker direction belongs to the fault when it lost this part of what the stronger one lost, and so many errors clear.
_BOTH_PART, _BOTH_Z = 0.35, 2.5
_MOST_FLOWS = 12
#: Nodes of a rack that nobody told of.
_LEAST_RACK = 3
#: Nodes of a slower kind show one after the other, at most so many times.
_KINDS = 3
#: Error of a median over that of the best location.
_MEDIAN_ERROR = 1.25

#: A node's own flows have to show this part of the least effect.
_SHOWN = 0.5

_WAYS: dict[str, Way | None] = {"tx": "tx", "out": "tx", "rx": "rx", "in": "rx"}


def localise(network: Network, times: Mapping[str, Floats] | None = None) -> Answer:
    """Name the elements that explain what is slow or silent. ``times``: protocol → round trips of the flows (k,) in µs; by
    default those of the network."""
    by_protocol = {"tcp": network.flows.rtt_us} if times is None else times
    timed = [replace(network, flows=replace(network.flows, rtt_us=of)) for of in by_protocol.values()]
    answer = Answer()
    found = silent(network)
    near = None
    if timed and not np.any(network.leaf >= 0):
        near, racks = seen_racks(timed[0].flows, network.nodes)
        if racks is not None:
            network, *timed = (replace(each, leaf=racks) for each in (network, *timed))
    without = {row for each in found if each.kind == "node" for row in each.nodes}
    rate = read_rates(network, near, without)
    if network.speed is None:
        for _ in range(_KINDS):
            slower = None if rate is None else other_kind(rate, network.nodes, network.speed)
            if slower is None:
                break
            answer.slower = np.flatnonzero(slower < 1).tolist()
            network = replace(network, speed=slower)
            rate = read_rates(network, near, without)
    if rate is not None:
        answer.sending = sending(rate, network.nodes, network.speed)
        answer.receiving = receiving(rate, network.nodes, network.speed)
        sides = {"tx": answer.sending, "rx": answer.receiving}
        for one in _but_most(_Teller(network, rate, "rate").culprits(), network):
            asked = [own for way, own in sides.items() if one.way in (None, way)]
            (found if _shows(one, asked, RATE_FLOOR) else answer.unclear).append(one)
            answer.unmet += _unmet(one, network)
        paths, answer.odd = _paths(network, rate)
        found += paths
        if network.speed is None and is_wide(rate.value - rate.explanation.expected, rate.free):
            found += [_limited(each, rate) for each in limits(rate, network.nodes, network.leaf)]
        answer.usual = _usual(rate, len(network.flows), 1.0)
        answer.leaf = rate.leaf
    for protocol, each in zip(by_protocol, timed, strict=True):
        rtt = read_times(each, near)
        if rtt is not None:
            own = answer.answering[protocol] = answering(rtt, network.nodes)
            late = _but_most(_Teller(each, rtt, "rtt").culprits(), each)
            late = [one for one in late if _shows(one, [own], RTT_FLOOR) and not _carries_more(one, each)]
            found = _joined(found, late)
            answer.usual_times[protocol] = _usual(rtt, len(network.flows), -1.0)
            answer.leaf = rtt.leaf if answer.leaf is None else answer.leaf
    answer.culprits = sorted(found, key=lambda each: (each.log_p, each.nodes))
    return answer


def _shows(each: Culprit, own: Sequence[Own], floor: float) -> bool:
    """Whether a node's own flows, without what slows them elsewhere, show what it is named for; other elements are not asked."""
    if each.kind != "node":
        return True
    effects = [float(side.effect[each.nodes[0]]) for side in own]
    known = [effect for effect in effects if not np.isnan(effect)]
    return not known or min(known) < -_SHOWN * floor


def _but_most(found: list[Culprit], network: Network) -> list[Culprit]:
    """Without leaves, and ways between them, where several together hold more than half of all nodes, and more than half of the
    flows between racks run through them: then what is usual was read from the rest, and that may as well be the exception."""
    several = [each for each in found if each.kind in ("leaf", "link") and each.leaves]
    nodes = {row for each in several for row in each.nodes}
    if len(several) < 2 or 2 * len(nodes) <= np.sum(network.leaf >= 0):
        return found
    one, other = network.leaf[network.flows.source], network.leaf[network.flows.destination]
    between = (one >= 0) & (other >= 0) & (one != other)
    through = np.zeros(len(between), dtype=bool)
    for each in several:
        sends, receives = (
            np.isin(end, each.nodes) for end in (network.flows.source, network.flows.destination)
        )
        if each.kind == "link":
            through |= sends & receives
        else:
            through |= {"tx": sends, "rx": receives, None: sends | receives}[each.way]
    if 2 * np.sum(between & through) <= np.sum(between):
        return found
    return [each for each in found if each.kind not in ("leaf", "link")]


def _unmet(each: Culprit, network: Network) -> list[Culprit]:
    """The nodes of a rack that was inferred, where no two of them met."""
    source, destination = network.flows.source, network.flows.destination
    within = np.isin(source, each.nodes) & np.isin(destination, each.nodes)
    if each.kind != "leaf" or each.leaves or np.any(within):
        return []
    return [
        replace(
            each,
            kind="node",
            nodes=(row,),
            flows=each.flows[(source[each.flows] == row) | (destination[each.flows] == row)],
        )
        for row in each.nodes
    ]


def _carries_more(each: Culprit, network: Network) -> bool:
    """Whether flows that leave a rack are faster than those of others: cards that send more have longer queues of their own."""
    if each.kind != "leaf":
        return False
    flows, inside = network.flows, np.isin(np.arange(network.nodes), each.nodes)
    sends, receives = inside[flows.source], inside[flows.destination]
    one, other = network.leaf[flows.source], network.leaf[flows.destination]
    elsewhere = (flows.rate > 0) & ~(sends | receives) & ((one != other) | (one < 0))
    mine = (flows.rate > 0) & (sends != receives)
    if not (np.any(elsewhere) and np.any(mine)):
        return False
    return bool(np.median(np.log(flows.rate[mine])) > np.median(np.log(flows.rate[elsewhere])) + RATE_FLOOR)


def _usual(reading: Reading, flows: int, sign: float) -> Floats:
    """What each flow (k,) should do, NaN for those that the reading is not about."""
    usual = np.full(flows, np.nan)
    usual[reading.number] = np.exp(sign * reading.usual)
    return usual


def _joined(found: list[Culprit], by_times: Sequence[Culprit]) -> list[Culprit]:
    """What round trips say of an element that is named already is a second witness."""
    joined = list(found)
    for each in by_times:
        same = next((n for n, one in enumerate(joined) if _is_same(one, each)), None)
        if same is None:
            joined.append(each)
        elif joined[same].witness != "rtt":
            joined[same] = replace(joined[same], also=("rtt",))
    return joined


def _is_same(one: Culprit, other: Culprit) -> bool:
    """Whether two culprits are one element; of racks that were inferred, whether they have most nodes in common."""
    if one.kind != other.kind:
        return False
    if one.kind != "leaf" or one.leaves:
        return one.nodes == other.nodes
    both = set(one.nodes) & set(other.nodes)
    return 2 * len(both) >= len(set(one.nodes) | set(other.nodes))


@dataclass(frozen=True, slots=True)
class _Teller:
    """Puts the elements of one explanation together: both directions of one node are one culprit."""

    network: Network
    reading: Reading
    witness: Witness

    def culprits(self) -> list[Culprit]:
        by_element: dict[tuple[Kind, tuple[int, ...]], list[Taken]] = {}
        for each in self.reading.explanation.taken:
            by_element.setdefault(self._element(each), []).append(each)
        found = [self._culprit(kind, key, several) for (kind, key), several in by_element.items()]
        return [each for each in found if each.kind == "node" or self._matters(each)]

    def _matters(self, each: Culprit) -> bool:
        """Whether a switch that differs is bad; of racks that were inferred, whether they are some."""
        lost = np.log1p(-each.effect) if self.witness == "rtt" else -np.log1p(each.effect)
        return bool(lost >= LEAF_FLOORS[self.witness]) and (
            bool(each.leaves) or len(each.nodes) >= _LEAST_RACK
        )

    def _element(self, each: Taken) -> tuple[Kind, tuple[int, ...]]:
        member = self.reading.families[each.family].member
        if member in ("tx", "rx", "node"):
            return "node", (each.group,)
        if member == "link":
            flow = each.flows[0]
            ends = (self.reading.flows.source[flow], self.reading.flows.destination[flow])
            return "link", tuple(sorted({int(self.reading.leaf[row]) for row in ends}))
        return "leaf", (each.group,)

    def _culprit(self, kind: Kind, key: tuple[int, ...], taken: Sequence[Taken]) -> Culprit:
        reading, names = self.reading, self.network.leaves
        own = np.zeros(len(reading.logs), dtype=bool)
        others = np.zeros(len(reading.logs))
        for each in reading.explanation.taken:
            if any(each is one for one in taken):
                own[each.flows[each.suffered < 0]] = True
            else:
                others[each.flows] = np.minimum(others[each.flows], each.suffered)
        ways = {_WAYS.get(reading.families[each.family].member) for each in taken}
        way = ways.pop() if len(ways) == 1 else None
        if self.witness == "rate" and kind != "link":
            way, own = self._way(others, kind, key[0], own)
        effect, flows = _effect(reading, others, own)
        value, expected = _shown(reading, flows, self.witness)
        return Culprit(
            kind=kind,
            witness=self.witness,
            nodes=key if kind == "node" else tuple(np.flatnonzero(np.isin(reading.leaf, key)).tolist()),
            way=way,
            effect=float(np.expm1(effect)) if self.witness == "rate" else float(-np.expm1(-effect)),
            log_p=min(each.log_p for each in taken),
            value=value,
            expected=expected,
            flows=reading.number[flows[:_MOST_FLOWS]],
            seen=int(np.sum(own)),
            leaves=tuple(names[leaf] for leaf in key) if kind != "node" and names else (),
        )

    def _way(self, others: Floats, kind: Kind, key: int, own: Bools) -> tuple[Way | None, Bools]:
        """Which direction is slow, each seen for itself, and the flows of it. Of an uplink those that suffer from it, ``own``
        (k,): where few run at once each has enough."""
        reading = self.reading
        source, destination = reading.flows.source, reading.flows.destination
        if kind == "leaf":
            one, other = reading.leaf[source], reading.leaf[destination]
            sends, receives = (one == key) & (other != key), (other == key) & (one != key)
            sends, receives = (side & own if np.any(side & own) else side for side in (sends, receives))
        else:
            sends, receives = source == key, destination == key
        lost = [0.0, 0.0]
        clear = [0.0, 0.0]
        for place, side in enumerate((sends, receives)):
            clean = side & (others == 0)
            left = reading.value[clean] if np.any(clean) else (reading.value - others)[side]
            if len(left):
                lost[place] = float(np.median(left))
                clear[place] = -lost[place] * len(left) ** 0.5 / (_MEDIAN_ERROR * reading.noise.error)
        weaker = int(np.argmax(lost))
        if clear[weaker] > _BOTH_Z and lost[weaker] <= _BOTH_PART * min(lost):
            return None, sends | receives
        return ("rx", receives) if weaker == 0 else ("tx", sends)


def _limited(each: Limit, reading: Reading) -> Culprit:
    return Culprit(
        kind="node",
        witness="rate",
        nodes=(each.row,),
        way=each.way,
        effect=float(np.expm1(each.cap - each.line)),
        log_p=each.log_p,
        value=float(np.exp(each.cap)),
        expected=float(np.exp(each.line)),
        flows=reading.number[each.flows[:_MOST_FLOWS]],
        seen=len(each.flows),
    )


def _paths(network: Network, reading: Reading) -> tuple[list[Culprit], Ints]:
    """Single pairs, and the numbers of flows that look as if there were more."""
    explained = reading.explanation
    left = reading.value - explained.expected
    free = np.ones(len(left), dtype=bool)
    for each in explained.taken:
        if reading.families[each.family].member in ("tx", "rx", "node"):
            free[each.flows] = False
    seen = bad_paths(reading.flows, reading.logs, left, explained.scale, free, network.nodes)
    found = []
    for path in seen.named:
        value, expected = _shown(reading, path.flows, "rate")
        found.append(
            Culprit(
                kind="pair",
                witness="rate",
                nodes=(path.one, path.other),
                way=path.way,
                effect=float(np.expm1(path.effect)),
                log_p=path.log_p,
                value=value,
                expected=expected,
                flows=reading.number[path.flows[:_MOST_FLOWS]],
                seen=len(path.flows),
            )
        )
    return found, reading.number[seen.odd]


def _effect(reading: Reading, others: Floats, own: Bools) -> tuple[float, Ints]:
    """The median of the flows that nothing else slows, and those that show it, the most typical first."""
    clean = own & (others == 0)
    if np.sum(clean) < 2:
        clean = own
    effect = float(np.median(reading.value[clean]))
    flows = np.flatnonzero(clean & (reading.value < effect / 2))
    return effect, flows[np.argsort(np.abs(reading.value[flows] - effect), kind="stable")]


def _shown(reading: Reading, flows: Ints, witness: Witness) -> tuple[float, float]:
    """Median of the flows, and what is usual for them, in bytes/s or µs."""
    if not len(flows):
        return float("nan"), float("nan")
    sign = 1 if witness == "rate" else -1
    value, usual = float(np.median(reading.logs[flows])), float(np.median(reading.usual[flows]))
    return float(np.exp(sign * value)), float(np.exp(sign * usual))
