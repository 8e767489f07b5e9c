"""Series of levels over sessions, what a group shares of them, and their steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ahc_server.history.aligned import Aligned
from ahc_server.history.changepoints import cuts, fell_last, steps
from ahc_server.history.pieces import Changes, Pieces, pieces_of
from ahc_server.history.robust import LEAST_PEERS, TWO_RUNS, floor_of, log_ratio, medians, noise
from ahc_server.judge.arrays import MAD_TO_SIGMA, Floats, Ints
from ahc_server.judge.thresholds import Thresholds


@dataclass(frozen=True, slots=True)
class Levels:
    """Like pieces over k sessions. ``whole`` (k, n, p): each node's level relative to its own median; ``shared`` (k, p): the
    group's, 0 where there are no peers; ``sigma``, ``spreads``: the noise of one node at one session, and how much is surely
    none; ``least``: what matters."""

    pieces: Pieces
    whole: Floats
    shared: Floats
    sigma: float
    spreads: float
    least: float


@dataclass(frozen=True, slots=True)
class Step:
    """A new level. ``before``, ``first``: the sessions around it; ``until``: the session that has another level again;
    ``sessions``: how many show it. ``size``: as a distance, negative is worse. ``tentative``: seen once."""

    part: int
    before: int
    first: int
    until: int | None
    sessions: int
    size: float
    tentative: bool = False


def levels_of(aligned: Aligned, rows: Ints, columns: Ints, thresholds: Thresholds) -> list[Levels]:
    """The levels of all pieces of some nodes, read from some metrics."""
    values = aligned.value[:, rows][:, :, columns]
    count, nodes, _ = values.shape
    usual = medians(values, 0)
    distance = log_ratio(values, np.broadcast_to(usual, values.shape), aligned.sign[columns])
    flat = (count * nodes, len(columns))
    nothing = np.zeros(flat)
    changes = Changes(
        [aligned.metrics[column] for column in columns], distance.reshape(flat), nothing, nothing
    )
    return [_levels(replace(each, columns=[columns[c] for c in each.columns]), count, nodes, thresholds)
            for each in pieces_of(changes)]  # fmt: skip


def _levels(pieces: Pieces, count: int, nodes: int, thresholds: Thresholds) -> Levels:
    limits = thresholds.of(pieces.limits)
    whole = pieces.distance.reshape(count, nodes, -1)
    shared = medians(whole, 1) if nodes >= LEAST_PEERS else np.zeros((count, whole.shape[2]))
    own = whole - shared[:, None, :]
    # Steps between neighbouring sessions: a lasting change shows in one of them only.
    between = np.diff(own, axis=0).reshape((count - 1) * nodes, -1)
    sigma, spreads = noise(between, TWO_RUNS * limits.noise)
    return Levels(pieces, whole, shared, sigma / TWO_RUNS, spreads, floor_of(limits, pieces.is_rate))


def shared_steps(levels: Levels, part: int) -> list[Step]:
    """Steps of what the group shares. Sessions differ by more than the nodes' noise (another room temperature): their own steps
    count as noise as well."""
    series = levels.shared[:, part]
    nodes = levels.whole.shape[1]
    if nodes < LEAST_PEERS:
        return []
    known = series[~np.isnan(series)]
    if len(known) < 2:
        return []
    sigma = levels.sigma * float(np.sqrt(np.pi / 2 / nodes))
    drift = float(np.median(np.abs(np.diff(known)))) * MAD_TO_SIGMA / TWO_RUNS
    return _steps(series, part, max(sigma, drift, levels.least / 8), levels)


def own_steps(levels: Levels) -> list[tuple[int, Step]]:
    """(place, step) of nodes that changed otherwise than their group."""
    own = levels.whole - levels.shared[:, None, :]
    low, high = np.nan_to_num(own, nan=np.inf).min(axis=0), np.nan_to_num(own, nan=-np.inf).max(axis=0)
    found: list[tuple[int, Step]] = []
    for place, part in np.argwhere(high - low > levels.least):
        of_part = _steps(own[:, place, part], int(part), levels.sigma, levels)
        found += [(int(place), step) for step in of_part if _moved(levels, int(place), step)]
    return found


def _moved(levels: Levels, place: int, step: Step) -> bool:
    """Of two parts that are told against each other, whether it is this one that moved and not the other."""
    if levels.pieces.alone is None or len(levels.pieces.parts) != 2:
        return True
    alone = levels.pieces.alone.reshape(levels.whole.shape)[:, place]
    earlier = slice(max(step.before + 1 - step.sessions, 0), step.before + 1)
    moved = np.abs(medians(alone[step.first : step.first + step.sessions], 0) - medians(alone[earlier], 0))
    return bool(np.nan_to_num(moved[step.part]) >= np.nan_to_num(moved[1 - step.part]))


def _steps(series: Floats, part: int, sigma: float, levels: Levels) -> list[Step]:
    known = np.flatnonzero(~np.isnan(series))
    values = series[known]
    found = cuts(values, sigma, levels.spreads, levels.least)
    if not found and len(values) < 2:
        return []
    ends = [*found[1:], len(values)][: len(found)]
    told = [
        Step(
            part=part,
            before=int(known[cut - 1]),
            first=int(known[cut]),
            until=int(known[end]) if end < len(values) else None,
            sessions=end - cut,
            size=after - before,
        )
        for cut, end, (before, after) in zip(found, ends, steps(values, found), strict=True)
    ]
    last = fell_last(values, found, sigma, levels.spreads, levels.least)
    # Who left the fleet before the newest session has no news.
    if last and known[-1] == len(series) - 1:
        told.append(Step(part, int(known[-2]), int(known[-1]), None, 1, last, tentative=True))
    return told
