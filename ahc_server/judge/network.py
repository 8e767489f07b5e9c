"""Tests of pairs of a session as networks: what both ends said of each flow, round by round, and what came as a whole.

One run is a job at one number of hosts. ``localise`` names what is bad in it; ``write_capacities`` adds what each node's card
does for its own part as metrics, for comparison between sessions and with a second run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import PairOutcome
from ahc_server.flows import FlowTable
from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.features import CellWriter, Metric
from ahc_server.judge.localise import Answer, Flows, Network, Own, localise
from ahc_server.session import NodeRecord, OutcomeRecord, Session
from ahc_server.switches import labels, switch_of

#: The part of a loss that slow peers could explain where no peer proves the contrary.
_DOUBT_HIDDEN = 0.9
#: Switches are taken for known where so many of the nodes tell theirs.
_MOST_TOLD = 0.5


@dataclass(frozen=True, slots=True)
class Wiring:
    """What is known of n nodes beside flows: ``leaf`` (n,), numbers into ``leaves``, −1 unknown; ``speed`` (n,) of the cards in
    bytes/s, NaN unknown; ``host`` (n,): machines of one number share a physical host, −1 for those that have their own."""

    leaf: Ints
    leaves: list[str]
    speed: Floats
    host: Ints

    @property
    def differs(self) -> bool:
        """Whether cards of two speeds are known."""
        return len(np.unique(self.speed[~np.isnan(self.speed)])) > 1


@dataclass(frozen=True, slots=True)
class PairRun:
    """All pair tests of one job with one number of hosts at once.

    ``source``, ``destination`` (k,) rows, ``bytes_per_s`` (k,): each way once; ``round_trips``: protocol → (row a, row b,
    median µs). ``flows``: every flow of every round; ``times``: protocol → their round trips (j,), NaN where not measured.
    ``said``: pairs of rows → why they could not connect.
    """

    job: str
    hosts: int
    source: Ints
    destination: Ints
    bytes_per_s: Floats
    round_trips: dict[str, tuple[Ints, Ints, Floats]]
    flows: Flows
    times: dict[str, Floats]
    said: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def rows(self) -> set[int]:
        """Who was tested."""
        return {*self.flows.source.tolist(), *self.flows.destination.tolist()}


def wiring(records: Sequence[NodeRecord], addresses: Mapping[str, Iterable[str]] | None = None) -> Wiring:
    """From inventories and identities, in the order of the records. ``addresses``: machine → its own in tests of pairs, which
    tell the card that was tested."""
    own = addresses or {}
    switches = [switch_of(each.inventory, own.get(each.machine, ())) for each in records]
    if 2 * sum(each is not None for each in switches) < len(switches):
        switches = [None] * len(switches)
    names = labels(each for each in switches if each is not None)
    leaves = sorted(names.values())
    number = {identity: leaves.index(name) for identity, name in names.items()}
    hosts = [each.identity.physical_host for each in records]
    counted = Counter(host for host in hosts if host)
    shared = {host: place for place, host in enumerate(sorted(host for host in counted if counted[host] > 1))}
    return Wiring(
        leaf=np.array([-1 if each is None else number[each.identity] for each in switches], dtype=np.int64),
        leaves=leaves,
        speed=np.array([_speed(each.inventory) for each in records], dtype=np.float64),
        host=np.array([shared.get(host, -1) if host else -1 for host in hosts], dtype=np.int64),
    )


def _speed(inventory: Inventory | None) -> float:
    """Of the fastest card that has a link."""
    told = [] if inventory is None else [nic.speed_mbps for nic in inventory.nics if nic.carrier is not False]
    return max((speed * 1e6 / 8 for speed in told if speed), default=float("nan"))


def pair_runs(session: Session, rows: dict[str, int]) -> list[PairRun]:
    """Join what both ends of each pair said. Reports about machines that are not in the session are left out."""
    ends: dict[tuple[str, int], dict[tuple[int, int, str], list[tuple[OutcomeRecord, PairOutcome]]]] = {}
    for record in session.outcomes:
        pair = record.outcome.pair
        if pair is not None and record.machine in rows and pair.peer in rows:
            by_pair = ends.setdefault((record.job, record.hosts), {})
            by_pair.setdefault((record.step, record.wave, pair.pair_id), []).append((record, pair))
    runs = [_join(job, hosts, by_pair, rows) for (job, hosts), by_pair in sorted(ends.items())]
    return runs + _whole(session.flows, rows)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Of each round two: the connecting ends of all pairs send first, then the others."""

    round: int
    connecting: int

    def of(self, source: int) -> int:
        return 2 * self.round + (source != self.connecting)


def _connecting(reports: Sequence[tuple[OutcomeRecord, PairOutcome]], rows: Mapping[str, int]) -> int:
    record, pair = reports[0]
    return rows[record.machine if pair.role == "connect" else pair.peer]


@dataclass(slots=True)
class _Columns:
    """Flows on their way into arrays: (moment, source, destination) → rate, and protocol → round trip."""

    rate: dict[tuple[int, int, int], float] = field(default_factory=dict)
    times: dict[str, dict[tuple[int, int, int], float]] = field(default_factory=dict)

    def flows(self) -> tuple[Flows, dict[str, Floats]]:
        ways = sorted({*self.rate, *(way for each in self.times.values() for way in each)})
        number, source, destination = np.array(ways, dtype=np.int64).reshape(-1, 3).T
        rate = np.array([self.rate.get(way, np.nan) for way in ways])
        times = {
            protocol: np.array([of.get(way, np.nan) for way in ways])
            for protocol, of in sorted(self.times.items())
        }
        return Flows(number, source, destination, rate, np.full(len(ways), np.nan)), times


def _join(
    job: str,
    hosts: int,
    pairs: dict[tuple[int, int, str], list[tuple[OutcomeRecord, PairOutcome]]],
    rows: dict[str, int],
) -> PairRun:
    columns = _Columns()
    said: dict[tuple[int, int], str] = {}
    rounds = {wave: number for number, wave in enumerate(sorted({key[:2] for key in pairs}))}
    for (step, wave, _), reports in pairs.items():
        ends = sorted({rows[name] for record, pair in reports for name in (record.machine, pair.peer)})
        if len(ends) != 2:
            continue
        one, other = ends
        number = _Moments(rounds[step, wave], _connecting(reports, rows))
        if not any(pair.connected for _, pair in reports):
            said[one, other] = "; ".join(sorted({pair.error for _, pair in reports if pair.error}))
            columns.rate[number.of(one), one, other] = columns.rate[number.of(other), other, one] = 0.0
            continue
        for (a, b), seen in _flows(reports, rows).items():
            columns.rate[number.of(a), a, b] = seen
        for record, pair in reports:
            for times in pair.round_trips:
                if times.p50_us is not None and times.p50_us > 0 and times.count:
                    source = rows[record.machine]
                    way = (number.of(source), source, rows[pair.peer])
                    columns.times.setdefault(times.protocol, {})[way] = times.p50_us
    flows, times_of = columns.flows()
    return _run(job, hosts, flows, times_of, said)


def _run(
    job: str, hosts: int, flows: Flows, times: dict[str, Floats], said: dict[tuple[int, int], str]
) -> PairRun:
    most = int(max(flows.source.max(initial=0), flows.destination.max(initial=0))) + 1
    pair = np.minimum(flows.source, flows.destination) * most + np.maximum(flows.source, flows.destination)
    works = ~np.isin(pair, [one * most + other for one, other in said])
    source, destination, rate = _each_way_once(flows, np.where(works, flows.rate, np.nan))
    round_trips = {protocol: _each_way_once(flows, of) for protocol, of in times.items()}
    return PairRun(job, hosts, source, destination, rate, round_trips, flows, times, said)


def _each_way_once(flows: Flows, values: Floats) -> tuple[Ints, Ints, Floats]:
    """The median of each way's values."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, np.zeros(0)
    most = int(max(flows.source.max(), flows.destination.max())) + 1
    way, key = np.unique(flows.source[known] * most + flows.destination[known], return_inverse=True)
    order = np.lexsort((values[known], key))
    ordered = values[known][order]
    count = np.bincount(key)
    start = np.cumsum(count) - count
    return way // most, way % most, (ordered[start + (count - 1) // 2] + ordered[start + count // 2]) / 2


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


def _whole(tables: Iterable[FlowTable], rows: dict[str, int]) -> list[PairRun]:
    """Rounds that came as columns."""
    by_job: dict[tuple[str, int], list[FlowTable]] = {}
    for table in tables:
        by_job.setdefault((table.job, table.hosts), []).append(table)
    runs = []
    for (job, hosts), rounds in sorted(by_job.items()):
        parts = [_arrays(number, table, rows) for number, table in enumerate(rounds)]
        number, source, destination = (
            np.concatenate([part[place] for part in parts]).astype(np.int64) for place in range(3)
        )
        rate, rtt_us = (np.concatenate([part[place] for part in parts]) for place in (3, 4))
        known = (source >= 0) & (destination >= 0)
        flows = Flows(
            number[known], source[known], destination[known], rate[known], np.full(int(known.sum()), np.nan)
        )
        runs.append(_run(job, hosts, flows, {"tcp": rtt_us[known]}, {}))
    return runs


def _arrays(number: int, table: FlowTable, rows: dict[str, int]) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    row_of = np.array([rows.get(machine, -1) for machine in table.machines], dtype=np.int64)
    return (
        np.full(len(table), number, dtype=np.int64),
        row_of[np.frombuffer(table.source, dtype="<i4")],
        row_of[np.frombuffer(table.destination, dtype="<i4")],
        np.frombuffer(table.bytes_per_s, dtype="<f8"),
        np.frombuffer(table.rtt_us, dtype="<f8"),
    )


def examine_run(run: PairRun, nodes: int, known: Wiring | None = None, lost: Iterable[int] = ()) -> Answer:
    """Localise what is bad in a run. ``lost``: rows that were not there: flows with them that failed say nothing."""
    flows = run.flows
    gone = np.isin(flows.source, list(lost)) | np.isin(flows.destination, list(lost))
    keep = ~(gone & (flows.rate == 0))
    flows = Flows(
        flows.round[keep], flows.source[keep], flows.destination[keep], flows.rate[keep], flows.rtt_us[keep]
    )
    leaf = np.full(nodes, -1, dtype=np.int64) if known is None else known.leaf
    network = Network(
        nodes,
        flows,
        leaf,
        () if known is None else known.leaves,
        None if known is None or not known.differs else known.speed,
        None if known is None else known.host,
    )
    answer = localise(network, {protocol: of[keep] for protocol, of in run.times.items()})
    return answer if np.all(keep) else _of_all_flows(answer, keep)


def _of_all_flows(answer: Answer, keep: Bools) -> Answer:
    """An answer about the flows ``keep`` (k,), numbered as all of them are."""
    number = np.flatnonzero(keep)

    def spread(usual: Floats) -> Floats:
        of_all = np.full(len(keep), np.nan)
        of_all[number] = usual
        return of_all

    return replace(
        answer,
        culprits=[replace(each, flows=number[each.flows]) for each in answer.culprits],
        usual=None if answer.usual is None else spread(answer.usual),
        usual_times={protocol: spread(of) for protocol, of in answer.usual_times.items()},
    )


def write_capacities(run: PairRun, nodes: int, to: CellWriter, answer: Answer | None = None) -> None:
    """Add what a run tells of each node as metrics ``network.tx``, ``network.rx`` and ``network.rtt``."""
    told = answer or examine_run(run, nodes)
    found: list[tuple[Metric, Own]] = []
    for part, own in (("tx", told.sending), ("rx", told.receiving)):
        if own is not None:
            found.append((Metric("network", part, "bytes_per_s", "bytes/s", True, run.job, run.hosts), own))
    for protocol, own in told.answering.items():
        found.append((Metric("network", "rtt", f"{protocol}_p50_us", "us", False, run.job, run.hosts), own))
    for metric, own in found:
        rows = np.flatnonzero(~np.isnan(own.value)).tolist()
        if not rows:
            continue
        column = to.column(metric)
        for row in rows:
            value, spread = float(own.value[row]), float(own.spread[row])
            half_width = 1.96 * spread * value / max(int(own.flows[row]), 1) ** 0.5
            to.add(row, column, value, half_width, spread, _DOUBT_HIDDEN if own.hidden[row] else 0.0)
