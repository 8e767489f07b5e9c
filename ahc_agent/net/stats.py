"""Figures from raw observations: percentiles of times, rates from arrivals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ahc_agent.wire.messages import RoundTrips


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Value below which ``fraction`` (0 to 1) of the ascending observations lie.

    Linear between the closest ranks (definition 7 of Hyndman and Fan 1996, numpy's default).
    Raises ValueError for no observations or a fraction outside 0 to 1.
    """
    if not ordered:
        raise ValueError("no observations")
    if not 0 <= fraction <= 1:
        raise ValueError(f"{fraction} is not within 0 to 1")
    rank = fraction * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    below, above = ordered[low], ordered[high]
    # Kept within the two, whatever the rounding does, so that percentiles never cross.
    return min(max(below + (above - below) * (rank - low), below), above)


def round_trips(protocol: Literal["tcp", "udp"], times_ns: Sequence[int], lost: int = 0) -> RoundTrips:
    """Summary, in microseconds, of round-trip times in nanoseconds."""
    if not times_ns:
        return RoundTrips(protocol=protocol, count=0, lost=lost)
    ordered = sorted(time_ns / 1000 for time_ns in times_ns)
    return RoundTrips(
        protocol=protocol,
        count=len(ordered),
        lost=lost,
        min_us=ordered[0],
        p50_us=percentile(ordered, 0.50),
        p90_us=percentile(ordered, 0.90),
        p99_us=percentile(ordered, 0.99),
        max_us=ordered[-1],
    )


class RateMeter:
    """Bytes per second, in all and per interval, from the arrivals of messages.

    An interval ends with the first arrival after its length, and the whole with the last arrival, so that no half-received
    message is missing from a rate. A silence longer than an interval is counted: ``tick`` it. Times are seconds of
    any monotonic clock.
    """

    def __init__(self, interval_s: float, now: float) -> None:
        self.samples: list[float] = []
        self.total_bytes = 0
        self._interval_s = interval_s
        self._started = self._opened = self._last = now
        self._open_bytes = 0

    def arrive(self, now: float, size: int) -> bool:
        """Count a message; True when this ended an interval."""
        self.total_bytes += size
        self._open_bytes += size
        self._last = now
        return self._close(now)

    def tick(self, now: float) -> bool:
        """Say that nothing came until now; True when this ended an interval."""
        return now - self._last >= self._interval_s and self._close(now)

    def _close(self, now: float) -> bool:
        length = now - self._opened
        if length < self._interval_s:
            return False
        self.samples.append(self._open_bytes / length)
        self._opened, self._open_bytes = now, 0
        return True

    @property
    def bytes_per_s(self) -> float:
        """Mean over all time that was counted; 0 where nothing came."""
        elapsed = max(self._last, self._opened) - self._started
        return self.total_bytes / elapsed if elapsed > 0 else 0.0
