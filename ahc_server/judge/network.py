"""What each node's card can do, from tests of pairs.

A flow from a to b runs at the smaller of what a can send and b can receive, so one bad card slows all flows of its
peers, each once. A node's own capacity is therefore not the mean of its flows: it is read from those of its flows that
the peer did not limit. Starting from the upper quartile of each node's flows, flows whose other end is known to be
slower are left out and the median of the others is taken, until nothing changes.

A node that is slow in flows with peers that do more elsewhere is *proven* slow; where all its peers are as slow, its own
share cannot be told, and the judge is told so (``doubt``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ahc_agent.wire.messages import PairOutcome
from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.features import CellWriter, Metric
from ahc_server.session import OutcomeRecord, Session

_ROUNDS = 5
#: The peer limits a flow when its own capacity is this much below the node's.
_BANDWIDTH_MARGIN = 0.90
_LATENCY_MARGIN = 0.77
#: A peer proves a node slow when it does this much more elsewhere.
_PROVES = 1.05
_LEAST_PEERS = 2
#: The part of a loss that slow peers could explain where no peer proves the contrary.
_DOUBT_UNPROVEN = 0.9


@dataclass(frozen=True, slots=True)
class PairRun:
    """All pair tests of one job with one number of hosts at once.

    ``source``, ``destination`` (k,) rows, ``bytes_per_s`` (k,); ``round_trips``: protocol → (row a, row b, median µs);
    ``broken``: pairs of rows that could not connect, with what their ends said.
    """

    job: str
    hosts: int
    source: Ints
    destination: Ints
    bytes_per_s: Floats
    round_trips: dict[str, tuple[Ints, Ints, Floats]]
    broken: list[tuple[int, int, str]]
    talked: set[int]


@dataclass(frozen=True, slots=True)
class Capacity:
    """Per node: ``value``, ``spread`` of the flows it was read from (relative), ``peers`` counted, ``free``: how many of them did
    not limit it, ``proven`` slow by how many."""

    value: Floats
    spread: Floats
    peers: Ints
    free: Ints
    proven: Ints


def pair_runs(session: Session, rows: dict[str, int]) -> list[PairRun]:
    """Join what both ends of each pair said. Reports about machines that are not in the session are left out."""
    ends: dict[tuple[str, int], dict[str, list[tuple[OutcomeRecord, PairOutcome]]]] = {}
    for record in session.outcomes:
        pair = record.outcome.pair
        if pair is not None and record.machine in rows and pair.peer in rows:
            by_pair = ends.setdefault((record.job, record.hosts), {})
            by_pair.setdefault(pair.pair_id, []).append((record, pair))
    return [_join(job, hosts, by_pair, rows) for (job, hosts), by_pair in sorted(ends.items())]


def _join(
    job: str, hosts: int, pairs: dict[str, list[tuple[OutcomeRecord, PairOutcome]]], rows: dict[str, int]
) -> PairRun:
    flows: dict[tuple[int, int], list[float]] = {}
    trips: dict[str, dict[tuple[int, int], list[float]]] = {}
    broken: dict[tuple[int, int], str] = {}
    talked: set[int] = set()
    for reports in pairs.values():
        ends = sorted({rows[name] for record, pair in reports for name in (record.machine, pair.peer)})
        if len(ends) != 2:
            continue
        both = (ends[0], ends[1])
        if not any(pair.connected for _, pair in reports):
            said = sorted({pair.error for _, pair in reports if pair.error})
            broken[both] = "; ".join(said)
            continue
        talked.update(both)
        for way, seen in _flows(reports, rows).items():
            flows.setdefault(way, []).append(seen)
        for record, pair in reports:
            for times in pair.round_trips:
                if times.p50_us is not None and times.p50_us > 0 and times.count:
                    way = (rows[record.machine], rows[pair.peer])
                    trips.setdefault(times.protocol, {}).setdefault(way, []).append(times.p50_us)
    source, destination, speed = _arrays(flows)
    for one, other in _mute(source, destination, speed):
        broken.setdefault((one, other), "connected, but no data came through: check the MTU on the way")
    return PairRun(
        job=job,
        hosts=hosts,
        source=source,
        destination=destination,
        bytes_per_s=speed,
        round_trips={protocol: _arrays(ways) for protocol, ways in sorted(trips.items())},
        broken=[(a, b, text) for (a, b), text in sorted(broken.items())],
        talked=talked,
    )


def _flows(
    reports: list[tuple[OutcomeRecord, PairOutcome]], rows: dict[str, int]
) -> dict[tuple[int, int], float]:
    """Each direction once: what arrived, as the receiver saw it, else as the sender did."""
    best: dict[tuple[int, int], tuple[bool, float]] = {}
    for record, pair in reports:
        between = {record.machine, pair.peer}
        for flow in pair.flows:
            if flow.bytes_per_s is None or flow.bytes_per_s < 0 or {flow.source, flow.destination} != between:
                continue
            way = (rows[flow.source], rows[flow.destination])
            seen = (flow.destination == record.machine, flow.bytes_per_s)
            best[way] = max(best.get(way, seen), seen)
    return {way: speed for way, (_, speed) in best.items()}


def _mute(source: Ints, destination: Ints, speed: Floats) -> set[tuple[int, int]]:
    """Pairs between which nothing came through one way, though its ends send and receive elsewhere."""
    sends, receives = set(source[speed > 0].tolist()), set(destination[speed > 0].tolist())
    silent = zip(source[speed == 0].tolist(), destination[speed == 0].tolist(), strict=True)
    return {(min(a, b), max(a, b)) for a, b in silent if a in sends and b in receives}


def _arrays(ways: dict[tuple[int, int], list[float]]) -> tuple[Ints, Ints, Floats]:
    ordered = sorted(ways)
    source = np.array([a for a, _ in ordered], dtype=np.int64)
    destination = np.array([b for _, b in ordered], dtype=np.int64)
    return source, destination, np.array([float(np.median(ways[way])) for way in ordered])


def capacities(source: Ints, destination: Ints, bytes_per_s: Floats, nodes: int) -> tuple[Capacity, Capacity]:
    """What each of ``nodes`` can send and receive (tx, rx), from flows between them."""
    tx = _quantile_by(source, bytes_per_s, nodes, 0.75)
    rx = _quantile_by(destination, bytes_per_s, nodes, 0.75)

    def limited() -> tuple[Bools, Bools]:
        return rx[destination] < _BANDWIDTH_MARGIN * tx[source], tx[source] < _BANDWIDTH_MARGIN * rx[
            destination
        ]

    for _ in range(_ROUNDS):
        by_receiver, by_sender = limited()
        tx = _unlimited(source, bytes_per_s, tx, by_receiver)
        rx = _unlimited(destination, bytes_per_s, rx, by_sender)
    by_receiver, by_sender = limited()
    return (
        _capacity(source, bytes_per_s, tx, by_receiver, rx[destination] > _PROVES * tx[source]),
        _capacity(destination, bytes_per_s, rx, by_sender, tx[source] > _PROVES * rx[destination]),
    )


def latencies(one: Ints, other: Ints, microseconds: Floats, nodes: int) -> Capacity:
    """Each node's typical round-trip time with peers that are not themselves slower."""
    node, peer = np.r_[one, other], np.r_[other, one]
    times = np.r_[microseconds, microseconds]
    typical = _quantile_by(node, times, nodes, 0.25)
    for _ in range(_ROUNDS):
        typical = _unlimited(node, times, typical, typical[peer] * _LATENCY_MARGIN > typical[node])
    limited = typical[peer] * _LATENCY_MARGIN > typical[node]
    return _capacity(node, times, typical, limited, typical[peer] * _PROVES < typical[node])


def _unlimited(node: Ints, seen: Floats, before: Floats, limited: Bools) -> Floats:
    """Median of each node's values that the peer did not limit; unchanged where the peers limited all of them."""
    middle = _quantile_by(node[~limited], seen[~limited], len(before), 0.5)
    return np.where(np.isnan(middle), before, middle)


def _capacity(node: Ints, seen: Floats, value: Floats, limited: Bools, proves: Bools) -> Capacity:
    peers = np.bincount(node, minlength=len(value))
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(seen / value[node] - 1)
    # Flows that a slow peer held back scatter by the peer's fault: they say nothing of this node's own scatter.
    spread = np.nan_to_num(_quantile_by(node[~limited], away[~limited], len(value), 0.5) * 1.4826)
    return Capacity(
        value=np.where(peers >= _LEAST_PEERS, value, np.nan),
        spread=spread,
        peers=peers,
        free=np.bincount(node[~limited], minlength=len(value)),
        proven=np.bincount(node[proves], minlength=len(value)),
    )


def _quantile_by(key: Ints, values: Floats, keys: int, quantile: float) -> Floats:
    """Quantile of the values of each key 0..keys−1; between two values their mean for the median, else the better-known
    outer one (the upper for 0.75, the lower for 0.25). NaN for keys without values."""
    order = np.lexsort((values, key))
    ordered = values[order]
    count = np.bincount(key, minlength=keys)
    start = np.cumsum(count) - count
    place = quantile * np.maximum(count - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    if quantile > 0.5:
        low = high
    elif quantile < 0.5:
        high = low
    if not len(ordered):
        return np.full(keys, np.nan)
    last = len(ordered) - 1
    middle = (ordered[np.minimum(start + low, last)] + ordered[np.minimum(start + high, last)]) / 2
    return np.where(count > 0, middle, np.nan)


def write_capacities(run: PairRun, nodes: int, to: CellWriter) -> None:
    """Add what a run tells of each node as metrics ``network.tx``, ``network.rx`` and ``network.rtt``."""
    tx, rx = capacities(run.source, run.destination, run.bytes_per_s, nodes)
    found = [("tx", "bytes_per_s", "bytes/s", True, tx), ("rx", "bytes_per_s", "bytes/s", True, rx)]
    for protocol, (one, other, times) in run.round_trips.items():
        found.append(("rtt", f"{protocol}_p50_us", "us", False, latencies(one, other, times, nodes)))
    for part, quantity, unit, higher, capacity in found:
        if np.all(np.isnan(capacity.value)):
            continue
        column = to.column(Metric("network", part, quantity, unit, higher, run.job, run.hosts))
        middle = float(np.nanmedian(capacity.value))
        for row in np.flatnonzero(~np.isnan(capacity.value)):
            peers = int(capacity.peers[row])
            value, spread = float(capacity.value[row]), float(capacity.spread[row])
            is_worse = value * _PROVES < middle if higher else value > middle * _PROVES
            is_proven = capacity.proven[row] >= min(_LEAST_PEERS, peers) and 3 * capacity.proven[row] >= peers
            to.add(
                int(row),
                column,
                value,
                1.96 * spread * value / max(int(capacity.free[row]), 1) ** 0.5,
                spread,
                _DOUBT_UNPROVEN if is_worse and not is_proven else 0.0,
            )
