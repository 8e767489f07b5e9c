"""What flows show that no element accounts for: said in notes, so that silence is not taken for health.

Flows between racks may all be slower than those inside: networks are built so, and with two racks a bad uplink looks the same.
And where nobody told of racks, the way between two of them is known by nothing but its slow flows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.arrays import Bools
from ahc_server.judge.features import Metric
from ahc_server.judge.localise import Answer, Culprit, Flows
from ahc_server.judge.network import PairRun

#: Flows of less than this part of what is usual for them, so many, and this part of all: more than bad moments.
_SLOW, _LEAST, _PART = 0.8, 8, 0.02
#: Flows between racks that reach less than this part of what those inside do are told of.
_HELD_BACK = 0.9
#: Ways that are named in one sentence.
_MOST_ODD = 3
_RATE = Metric("network", "flow", "bytes_per_s", "bytes/s", True, "", 0)


def unexplained(
    runs: Sequence[tuple[PairRun, Answer]], names: Sequence[str], told: Collection[str] = ()
) -> list[str]:
    """A sentence each. ``names``: by row; ``told``: jobs of which it is said already what uplinks leave of flows."""
    notes: list[str] = []
    for run, answer in runs:
        said = list(_slow(run, answer, names)) or list(_odd(run, answer, names))
        if run.job not in told:
            said = [*_held_back(run, answer), *said]
        notes += [f"network, job {run.job}: {each}" for each in said]
    return list(dict.fromkeys(notes))


def _held_back(run: PairRun, answer: Answer) -> Iterator[str]:
    if answer.usual is None or answer.leaf is None:
        return
    one, other = answer.leaf[run.flows.source], answer.leaf[run.flows.destination]
    known = (one >= 0) & (other >= 0) & ~np.isnan(answer.usual)
    inside, across = known & (one == other), known & (one != other)
    if not (np.any(inside) and np.any(across)):
        return
    near, far = float(np.median(answer.usual[inside])), float(np.median(answer.usual[across]))
    if far < _HELD_BACK * near:
        many = len(np.unique(answer.leaf[answer.leaf >= 0])) > 2
        yield (
            f"between racks {wording.quantity(_RATE, far)} are usual, inside them {wording.quantity(_RATE, near)} "
            f"({wording.percent(far / near - 1)}): taken for the way it is built (oversubscribed uplinks)"
            + ("" if many else "; of two racks nobody can tell that from a bad uplink")
        )


def _slow(run: PairRun, answer: Answer, names: Sequence[str]) -> Iterator[str]:
    flows = run.flows
    if answer.usual is None:
        return
    with np.errstate(invalid="ignore"):
        measured = (flows.rate > 0) & ~np.isnan(answer.usual)
        slow = measured & (flows.rate < _SLOW * answer.usual)
    for each in answer.culprits:
        slow &= ~_through(each, flows)
    count, all_flows = int(np.sum(slow)), int(np.sum(measured))
    if count < max(_LEAST, _PART * all_flows):
        return
    part = np.where(slow, flows.rate / np.where(measured, answer.usual, 1.0), np.inf)
    worst = int(np.argmin(part))
    way = f"{names[int(flows.source[worst])]} → {names[int(flows.destination[worst])]}"
    hint = (
        "racks are not known: the way between two of them may be slow, or the uplinks of some; tell the topology"
        if answer.leaf is None or not np.any(answer.leaf >= 0)
        else "measure again, longer or in more rounds"
    )
    yield (
        f"{count:,} of {all_flows:,} flows reach less than {100 * _SLOW:.0f} % of what is usual for them (worst {way}, "
        f"{wording.quantity(_RATE, float(flows.rate[worst]))}), and no element accounts for them; {hint}"
    )


def _odd(run: PairRun, answer: Answer, names: Sequence[str]) -> Iterator[str]:
    """Flows that were slow alone, and were not measured often enough to accuse anybody."""
    if answer.usual is None or not len(answer.odd):
        return
    flows = run.flows
    part = flows.rate[answer.odd] / answer.usual[answer.odd]
    order = answer.odd[np.argsort(part, kind="stable")].tolist()
    ways = [f"{names[int(flows.source[each])]} → {names[int(flows.destination[each])]}" for each in order]
    ways = list(dict.fromkeys(ways))
    was, this = ("was", "this way") if len(ways) == 1 else ("were", "these ways")
    tests, doing = ("the only test", "a bad moment") if len(ways) == len(order) else ("every test", "a card")
    yield (
        f"{wording.listed(ways, most=_MOST_ODD)} {was} slow in {tests} of {this} "
        f"({'' if len(order) == 1 else 'at worst '}{wording.percent(float(np.min(part)) - 1)}), and no other flow shows whether "
        f"that is {doing} or a path that nobody else takes; measure again, in more rounds"
    )


def _through(each: Culprit, flows: Flows) -> Bools:
    """Flows (k,) that a culprit may slow."""
    sends, receives = np.isin(flows.source, each.nodes), np.isin(flows.destination, each.nodes)
    if each.kind == "pair" and each.way is not None:
        ends = each.nodes if each.way == "tx" else each.nodes[::-1]
        return np.asarray((flows.source == ends[0]) & (flows.destination == ends[1]))
    if each.kind in ("pair", "link"):
        return np.asarray(sends & receives)
    if each.kind == "leaf":
        return np.asarray(sends != receives)
    return np.asarray((sends & (each.way != "rx")) | (receives & (each.way != "tx")))
