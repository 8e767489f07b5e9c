"""How far each of a node's measurements can be trusted, from what is known of its samples and of the run.

Arrays of one task on one node, in the order of ``Measured.names``.
"""

from __future__ import annotations

import numpy as np

from ahc_server.judge.arrays import Bools, Floats
from ahc_server.measured import Measured

#: Of a measurement whose samples were mostly disturbed, by what nobody noted: the part of its loss that may be excused.
_DOUBT_UNKNOWN = 0.5
_DOUBT_MOST = 0.9
#: Time that others took can cost a benchmark more than its share (caches, queues): it is counted twice.
_DOUBT_FACTOR = 2.0
#: No rate and no time in any unit of ours comes near this; or near its inverse, but for a rate of 0.
_IMPOSSIBLE = 1e18
#: Half width of a 95 % confidence interval over the standard error, for 1 to 10 degrees of freedom (Student's t); 2 beyond.
_T_95 = np.array([np.nan, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.0])


def numbers_of(taken: Measured, field: str) -> Floats | None:
    """One of ``measured.FIELDS`` as an array (k,), NaN where it is not told; None where no measurement tells it."""
    if field not in taken.fields:
        return None
    count, place = len(taken), taken.fields.index(field)
    return np.frombuffer(taken.numbers, dtype="<f8", count=count, offset=8 * count * place)


def possible(value: Floats, higher_is_better: Bools) -> Bools:
    """Whether something can have this rate, or take this time. A rate of 0 is possible: a piece that does nothing."""
    return np.asarray(((value > 1 / _IMPOSSIBLE) & (value < _IMPOSSIBLE)) | ((value == 0) & higher_is_better))


def within(taken: Measured) -> Floats | None:
    """Relative standard deviation of each measurement's samples, from its confidence interval; None: of none is it known."""
    count, half_width = numbers_of(taken, "samples"), numbers_of(taken, "ci95")
    value = numbers_of(taken, "value")
    if count is None or half_width is None or value is None:
        return None
    t = _T_95[np.clip(count - 1, 0, len(_T_95) - 1).astype(np.int64)]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.abs(half_width / t * np.sqrt(count) / value)
    return np.where(np.isfinite(spread), spread, 0.0)


def doubt(taken: Measured) -> Floats | None:
    """The part of each loss that disturbances could explain: 0 where most samples were undisturbed; None: 0 throughout.

    Throttling is no excuse: it is the node's own.
    """
    count, marked = numbers_of(taken, "samples"), numbers_of(taken, "disturbed")
    throttled = numbers_of(taken, "throttled")
    if count is None or marked is None or throttled is None or not np.any(marked):
        return None
    shares = [numbers_of(taken, field) for field in ("steal_fraction", "others_cpu_fraction")]
    told = [np.full(len(taken), np.nan) if share is None else share for share in shares]
    taken_away = np.nansum(told, axis=0)
    known = ~np.all(np.isnan(told), axis=0)
    excuse = np.where(known, np.minimum(_DOUBT_FACTOR * taken_away, _DOUBT_MOST), _DOUBT_UNKNOWN)
    return np.where((2 * marked > count) & (throttled < marked), excuse, 0.0)
