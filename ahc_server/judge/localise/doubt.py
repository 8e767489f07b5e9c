"""Few flows tell little of their own noise: what they accuse has to stand against how uncertain that is.

An explanation of six flows is chosen among many, and the flows that it leaves free are those that happened to agree: their
spread is no measure of the noise. So the noise is read once more, from all flows about what the explanation makes of them, with
what was taken for granted before; and each effect is held against Student's t with the degrees of freedom that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from ahc_server.judge.arrays import MAD_TO_SIGMA, Floats, Ints
from ahc_server.judge.localise.explain import Taken, expected_of
from ahc_server.judge.localise.noise import log_chance

#: So many flows tell their noise well enough.
MOST_FLOWS = 400
#: Degrees of freedom that the noise taken for granted is worth.
_PRIOR_FREEDOM = 3.0
#: Chance that any element of a healthy network of few flows is named; explanations are chosen over levels too.
_ALPHA = 0.001
#: Under a fault flows differ by this part of it. A flow counts for no more than so many spreads: there are glitches.
_FAULTY_SPREAD, _MOST_SPREADS = 0.15, 4.0


def certain(value: Floats, taken: Sequence[Taken], kind: Ints, candidates: int, prior: float) -> list[Taken]:
    """Of the elements ``taken`` those that stand, the weakest dropped first.

    ``value`` (k,): ln of each flow against what is usual for its ``kind`` (k,). ``candidates``: how many elements there were to
    choose from. ``prior``: spread taken for granted (ln).
    """
    left = list(taken)
    if len(value) > MOST_FLOWS:
        return left
    price = log(max(candidates, 1) / _ALPHA)
    levels = len(np.unique(kind))
    while left:
        expected = expected_of(left, len(value))
        spread, freedom = _noise(value - expected, expected, levels + len(left), prior)
        chances = [_log_p(value, left, each, spread, freedom) for each in left]
        weakest = int(np.argmax(chances))
        if chances[weakest] < -price:
            break
        del left[weakest]
    return left


def _noise(away: Floats, expected: Floats, fitted: int, prior: float) -> tuple[float, float]:
    """Spread of one flow, and the degrees of freedom that it rests on."""
    middle = max(MAD_TO_SIGMA * float(np.median(np.abs(away))), prior)
    steady = away / np.hypot(1.0, _FAULTY_SPREAD * expected / middle)
    size = np.minimum(np.abs(steady), _MOST_SPREADS * middle)
    freedom = _PRIOR_FREEDOM + max(len(away) - fitted, 0)
    return float(np.sqrt((_PRIOR_FREEDOM * prior**2 + np.sum(size**2)) / freedom)), freedom


def _log_p(value: Floats, taken: Sequence[Taken], each: Taken, spread: float, freedom: float) -> float:
    """ln of the chance of an effect, with the level uncertain as well."""
    others = expected_of([one for one in taken if one is not each], len(value))
    mine = each.flows[others[each.flows] == 0]
    mine = mine if len(mine) else each.flows
    free = np.ones(len(value), dtype=bool)
    for one in taken:
        free[one.flows] = False
    error = spread * (1 / len(np.unique(mine)) + 1 / max(int(np.sum(free)), 1)) ** 0.5
    return float(log_chance(np.array(normal_of(each.effect / error, freedom))))


def normal_of(t: float, freedom: float) -> float:
    """The normal deviate as improbable as ``t`` (Wallace, Annals of Mathematical Statistics 30, 1959, page 1125)."""
    size = (8 * freedom + 1) / (8 * freedom + 3) * (freedom * np.log1p(t**2 / freedom)) ** 0.5
    return float(np.copysign(size, t))
