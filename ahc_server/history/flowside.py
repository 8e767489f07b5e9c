"""The network of one session, as two sessions are compared: what each pair of nodes reached, and which elements were bad."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.elements import element_of
from ahc_server.judge.findings import rounded
from ahc_server.judge.localise import Answer
from ahc_server.judge.localise.grouped import medians_by
from ahc_server.judge.localise.model import Witness
from ahc_server.judge.model import Direction
from ahc_server.judge.network import PairRun, Wiring


class Element(msgspec.Struct, kw_only=True, frozen=True):
    """What was bad: "node:ID", "leaf:NAME", "link:A-B" or "pair:A-B". ``by``: bandwidth, round trips, or "dead" where nothing
    came through; ``effect`` relative, −1 then."""

    element: str
    direction: Direction | None
    by: Witness
    effect: float


@dataclass(frozen=True, slots=True)
class FlowSide:
    """One job. p ordered pairs of rows, each once: ``rate`` in bytes/s, ``rtt_us``; medians, NaN where not measured, all (p,).
    ``dead`` (p,): nothing came through. ``leaf``: by row its leaf's name, None where it is not known."""

    job: str
    hosts: int
    source: Ints
    destination: Ints
    rate: Floats
    rtt_us: Floats
    dead: Bools
    leaf: Sequence[str | None]
    elements: Sequence[Element]


def flow_sides(runs: Iterable[tuple[PairRun, Answer]], known: Wiring, names: Sequence[str]) -> list[FlowSide]:
    """Of each job the run with the most nodes."""
    largest: dict[str, tuple[PairRun, Answer]] = {}
    for run, answer in runs:
        if run.job not in largest or run.hosts > largest[run.job][0].hosts:
            largest[run.job] = run, answer
    leaf = [known.leaves[number] if number >= 0 else None for number in known.leaf.tolist()]
    return [_side(run, answer, leaf, names) for run, answer in largest.values()]


def _side(run: PairRun, answer: Answer, leaf: Sequence[str | None], names: Sequence[str]) -> FlowSide:
    flows = run.flows
    pair, key = np.unique(flows.source * len(names) + flows.destination, return_inverse=True)
    alive = flows.rate > 0
    times = next((of for _, of in sorted(run.times.items()) if np.any(of > 0)), np.full(len(flows), np.nan))
    timed = times > 0
    return FlowSide(
        job=run.job,
        hosts=run.hosts,
        source=pair // len(names),
        destination=pair % len(names),
        rate=medians_by(key[alive], flows.rate[alive], len(pair)),
        rtt_us=medians_by(key[timed], times[timed], len(pair)),
        dead=(np.bincount(key[flows.rate == 0], minlength=len(pair)) > 0)
        & (np.bincount(key[alive], minlength=len(pair)) == 0),
        leaf=leaf,
        elements=[
            Element(
                element=element_of(each, names),
                direction=each.way,
                by=each.witness,
                effect=-1.0 if each.witness == "dead" else rounded(each.effect, 4),
            )
            for each in answer.culprits
        ],
    )
