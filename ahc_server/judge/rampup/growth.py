"""Where a sum stops growing: two straight lines through what was measured, the first from nothing at no machine.

The sum of n machines is b·min(n, c) + d·max(n − c, 0): each machine adds b until something that they share is used up at c,
then d. For each c the two slopes are fitted by weighted least squares in which large residuals count less (Huber 1964, by
reweighting), the best c is taken, and it counts where one line alone fits clearly worse. The error of a sum is what the scatter
of its machines makes one expect, and never less than ``_LEAST_ERROR``; where the fit is worse than that, all errors grow by as
much.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ahc_server.judge.arrays import MAD_TO_SIGMA, Floats
from ahc_server.judge.rampup_model import GrowthKind

#: Two slopes, a place and something left to see whether they fit.
LEAST_STEPS = 5
_LEAST_ERROR = 0.03
_HUBER = 1.5
_ROUNDS = 12
#: Places that are tried between two steps.
_BETWEEN = 4
#: One line is refused where it is worse by so much (twice the logarithm of the likelihood ratio, two more parameters).
_CLEAR = 13.8
#: Places whose fit is worse by less cannot be told from the best (95 % of a chi-square with one degree).
_ALIKE = 3.84
#: Sums that stray more than this from any two lines tell nothing.
_TOO_NOISY = 0.25
#: What one more machine adds afterwards, as a part of what it added before: up to this it stops, from that on it goes on growing.
_STOPPED, _GROWING = 0.15, 0.6
#: A sum that ends lower than its bend by this much falls.
_FALLEN = 0.10


@dataclass(frozen=True, slots=True)
class Bend:
    """``at``, ``low``, ``high``: c and its interval, in machines; ``before``, ``after``: b, d."""

    kind: GrowthKind
    at: float | None = None
    low: float | None = None
    high: float | None = None
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True, slots=True)
class _Fit:
    slopes: Floats
    loss: float
    away: Floats


def bend(hosts: Floats, total: Floats, error: Floats) -> Bend:
    """Of k steps in ascending order of ``hosts``. ``total`` (k,): the sums; ``error`` (k,): their relative standard errors."""
    known = np.isfinite(total) & (total > 0)
    x, y, sigma = hosts[known], total[known], np.maximum(error[known], _LEAST_ERROR) * total[known]
    if len(x) < LEAST_STEPS:
        return Bend("unknown")
    places = _places(x)
    straight = _fit(x[:, None], y, sigma)
    bent = [_fit(np.stack([np.minimum(x, c), np.maximum(x - c, 0.0)], axis=1), y, sigma) for c in places]
    best = int(np.argmin([fit.loss for fit in bent]))
    at, fit = float(places[best]), bent[best]
    strayed = float(np.median(np.abs(fit.away))) * MAD_TO_SIGMA * (len(x) / (len(x) - 3)) ** 0.5
    scale = max(1.0, strayed)
    if scale * float(np.median(sigma / y)) > _TOO_NOISY:
        return Bend("unknown")
    before, after = (float(each) for each in fit.slopes)
    grown = Bend("grows", before=float(straight.slopes[0]))
    if 2 * (straight.loss - fit.loss) / scale**2 < _CLEAR or before <= 0:
        return grown
    alike = [
        place
        for place, each in zip(places, bent, strict=True)
        if 2 * (each.loss - fit.loss) / scale**2 <= _ALIKE
    ]
    end = after * (float(x[-1]) - at) / (before * at)
    if end < -_FALLEN:
        kind: GrowthKind = "falls"
    elif after < _STOPPED * before:
        kind = "stops"
    elif after < _GROWING * before:
        kind = "slows"
    else:
        return grown
    return Bend(kind, at, float(min(alike)), float(max(alike)), before, after)


def _places(x: Floats) -> Floats:
    """Where the slope may change: from the first step to the last but one, so that two steps tell of what comes after."""
    between = [np.linspace(a, b, _BETWEEN, endpoint=False) for a, b in pairwise(x[:-1])]
    return np.concatenate([*between, x[-2:-1]])


def _fit(terms: Floats, y: Floats, sigma: Floats) -> _Fit:
    """Slopes of ``terms`` (k, p), and the sum of Huber's losses of the residuals in standard errors."""
    weight: Floats = np.ones(len(y))
    slopes: Floats = np.zeros(terms.shape[1])
    for _ in range(_ROUNDS):
        scaled = np.sqrt(weight) / sigma
        slopes = np.asarray(
            np.linalg.lstsq(terms * scaled[:, None], y * scaled, rcond=None)[0], dtype=np.float64
        )
        away = (y - terms @ slopes) / sigma
        weight = np.minimum(1.0, _HUBER / np.maximum(np.abs(away), 1e-12))
    size = np.abs((y - terms @ slopes) / sigma)
    loss = np.where(size <= _HUBER, size**2 / 2, _HUBER * (size - _HUBER / 2))
    return _Fit(slopes, float(np.sum(loss)), (y - terms @ slopes) / sigma)
