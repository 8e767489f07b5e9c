"""What the rounds of a network test moved at once: against the line speed of the cards, and across racks against inside them.

All pairs of a round load the network together, so that their sum is what it carries: in rounds where all pairs cross racks the
bisection of the fabric (one half sends to the other), in rounds where none does the cards alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.judge.network import Wiring
from ahc_server.session import OutcomeRecord, Session

#: Pairs of one round are to start within this of each other.
_JITTER_S = 0.005
#: Uplinks that leave pairs across racks this part of what pairs inside reach are said to be oversubscribed.
_OVERSUBSCRIBED = 0.9
_LEAST_PAIRS = 2
_RATE = Metric("network", "flow", "bytes_per_s", "bytes/s", True, "", 0)


@dataclass(frozen=True, slots=True)
class Round:
    """Pairs that ran at the same time: a round, or a part of one where pairs share physical hosts.

    ``round`` counts from 1 in its job and number of hosts. ``pairs`` that connected; ``across``: those between two racks, None
    where racks are not known. ``start_jitter_s``: latest minus earliest start; ``clock_error_s``: the most by which an agent
    knew the moment wrongly; None where not told. ``sum_bytes_per_s``: what flowed at one time (first one end of each pair
    sends, then the other: the mean of both). ``line_bytes_per_s``: what the cards of these pairs could do, None where one of
    them does not tell.
    """

    job: str
    hosts: int
    round: int
    pairs: int
    across: int | None
    start_jitter_s: float | None
    clock_error_s: float | None
    sum_bytes_per_s: float | None
    line_bytes_per_s: float | None


def rounds_of(session: Session, rows: Mapping[str, int], wiring: Wiring) -> list[Round]:
    """All rounds of a session's own tests of pairs, in their order. What was imported tells neither starts nor pairs."""
    by_job: dict[tuple[str, int], dict[tuple[int, int], list[OutcomeRecord]]] = {}
    for record in session.outcomes:
        pair = record.outcome.pair
        if pair is not None and record.machine in rows and pair.peer in rows:
            waves = by_job.setdefault((record.job, record.hosts), {})
            waves.setdefault((record.step, record.wave), []).append(record)
    return [
        _round(job, hosts, number, waves[key], rows, wiring)
        for (job, hosts), waves in sorted(by_job.items())
        for number, key in enumerate(sorted(waves), start=1)
    ]


def _round(
    job: str,
    hosts: int,
    number: int,
    ends: Sequence[OutcomeRecord],
    rows: Mapping[str, int],
    wiring: Wiring,
) -> Round:
    met: dict[str, tuple[int, int]] = {}
    moved = 0.0
    for record in ends:
        pair = record.outcome.pair
        if pair is not None and pair.connected:
            met[pair.pair_id] = rows[record.machine], rows[pair.peer]
            arrived = [flow.bytes_per_s for flow in pair.flows if flow.destination == record.machine]
            moved += sum(rate for rate in arrived if rate is not None and rate > 0)
    began = [each.outcome.start_delay_s for each in ends if each.outcome.status == "ok"]
    errors = [each.outcome.clock_error_s for each in ends if each.outcome.clock_error_s is not None]
    line = sum(float(np.minimum(*wiring.speed[[*both]])) for both in met.values())
    racks = [(wiring.leaf[one], wiring.leaf[other]) for one, other in met.values()]
    return Round(
        job=job,
        hosts=hosts,
        round=number,
        pairs=len(met),
        across=sum(one != other for one, other in racks)
        if racks and all(min(e) >= 0 for e in racks)
        else None,
        start_jitter_s=max(began) - min(began) if len(began) > 1 else None,
        clock_error_s=max(errors, default=None),
        sum_bytes_per_s=moved / 2 if moved else None,
        line_bytes_per_s=line if line > 0 else None,  # no speed of one card is none of all
    )


def round_notes(rounds: Sequence[Round]) -> list[str]:
    """Of each job: what all pairs moved at once, whether uplinks hold them back, and starts that were too far apart."""
    by_job: dict[tuple[str, int], list[Round]] = {}
    for each in rounds:
        by_job.setdefault((each.job, each.hosts), []).append(each)
    notes = []
    for (job, _), some in by_job.items():
        told = [*_at_once(some), *_late(some)]
        if told:
            notes.append(f"{job}: {'; '.join(told)}")
    return notes


def _at_once(rounds: Sequence[Round]) -> list[str]:
    most = max(each.pairs for each in rounds)
    full = [each for each in rounds if each.sum_bytes_per_s and each.pairs == most and most >= _LEAST_PAIRS]
    across = [each for each in full if each.across == each.pairs]
    inside = [each for each in full if each.across == 0]
    if not across:
        return []
    total = median(each.sum_bytes_per_s or 0.0 for each in across)
    told = [f"{most:,} pairs at once across racks move {wording.quantity(_RATE, total)} one way"]
    lines = [each.line_bytes_per_s for each in across if each.line_bytes_per_s]
    if len(lines) == len(across):
        told[0] += f", {100 * total / median(lines):.0f} % of the line speed of their cards"
    if inside:
        alone = median(each.sum_bytes_per_s or 0.0 for each in inside)
        part = total / alone
        told[0] += f", {100 * part:.0f} % of what as many pairs inside racks do"
        if part < _OVERSUBSCRIBED:
            told.append(f"uplinks hold them back by {alone / total:.1f} to 1")
    return told


def _late(rounds: Sequence[Round]) -> list[str]:
    late = [each for each in rounds if each.start_jitter_s is not None and each.start_jitter_s > _JITTER_S]
    if not late:
        return []
    worst = max(each.start_jitter_s or 0.0 for each in late)
    return [
        f"in {len(late):,} of {len(rounds):,} rounds the pairs started up to {1000 * worst:,.0f} ms apart, where "
        f"{1000 * _JITTER_S:g} ms are meant (busy machines)"
    ]
