"""A step of the sampler that runs a fixed amount of work, sized once so that a run lasts as long as a sample should.

The amount is fixed, not the time, because sysbench counts time in whole seconds, and because samples of half a second give the
same spread of the mean per second spent as longer ones (tried at 0.1 to 1 s: the spread between samples comes from
slow drifts, not from their shortness) but reach the stopping rule sooner. Shorter ones would not average over the
100 ms periods of a CPU quota.
"""

from __future__ import annotations

from collections.abc import Callable

from ahc_agent.bench.sysbench import GRACE_S, Timed
from ahc_agent.wire.messages import BenchLimits

#: How long one sample should last.
SAMPLE_S = 0.5
#: A run must last at least this part of a sample to tell how much work a whole one is.
_TELLING_PART = 0.2
#: At most this factor from one trial to the next: a first trial may be off by much.
_GROWTH_LIMIT = 50.0
_TRIALS = 5


def sample_length_s(limits: BenchLimits) -> float:
    """Half a second, or less where the run time would not hold ``min_samples`` of them and the trials."""
    return min(SAMPLE_S, limits.runtime_s / (limits.min_samples + 1))


class FixedWork:
    """``run(amount, time limit)`` does this much work. The trials that find the right amount warm up and are thrown away."""

    def __init__(self, run: Callable[[int, float], Timed], first_amount: int, sample_s: float):
        self._run = run
        self._amount = first_amount
        self._sample_s = sample_s
        self._sized = False
        self._taken = 0

    def __call__(self, left_s: float) -> list[float]:
        if not self._sized:
            left_s -= self._size(left_s)
        if self._taken and left_s < self._sample_s / 2:
            return []
        self._taken += 1
        return [self._run(self._amount, max(left_s, 0.0) + GRACE_S).rate]

    def _size(self, left_s: float) -> float:
        """Find the amount; how many seconds of work that took."""
        spent_s = 0.0
        for _ in range(_TRIALS):
            trial = self._run(self._amount, max(left_s - spent_s, 0.0) + GRACE_S)
            spent_s += trial.elapsed_s
            factor = self._sample_s / max(trial.elapsed_s, 1e-3)
            self._amount = max(1, round(self._amount * min(factor, _GROWTH_LIMIT)))
            if trial.elapsed_s >= _TELLING_PART * self._sample_s or spent_s >= left_s / 2:
                break
        self._sized = True
        return spent_s
