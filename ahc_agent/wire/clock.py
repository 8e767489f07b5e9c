"""The server's clock as an agent knows it, from heartbeats and their answers.

An answer says what the server's CLOCK_MONOTONIC was between two readings of the agent's own: half of the round trip is the
most that the estimate can be wrong (Cristian, Probabilistic clock synchronization, Distributed Computing 3, 1989). Clocks
drift, so that an answer is worth less the older it is. The one that is known best of the last ones is believed.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from ahc_agent.wire.messages import Go, Pulse

#: Answers that are kept: those of some minutes, and of some bursts before pairs start.
_KEPT = 32
#: Clocks of two machines drift apart by this part of the time at most: 2 × 25 millionths, as crystals are sold.
_DRIFT = 50e-6
#: Well enough for starts that are to be within 5 ms of each other.
_WELL_S = 0.001
#: No moment lies further ahead: a clock that was read wrongly must not hold a task.
_MOST_AHEAD_S = 10.0


@dataclass(frozen=True, slots=True)
class _Answer:
    """``error_ns``: the most that ``offset_ns`` was wrong when it came."""

    received_at_ns: int
    offset_ns: int
    error_ns: int

    def error_at_ns(self, now_ns: int) -> float:
        return self.error_ns + _DRIFT * max(0, now_ns - self.received_at_ns)


class ServerClock:
    """``offset_ns``: what is to be added to the agent's own CLOCK_MONOTONIC; ``error_s``: the most that it is wrong when the last
    answer came. Both None while there was none."""

    def __init__(self) -> None:
        self._answers: deque[_Answer] = deque(maxlen=_KEPT)

    @property
    def offset_ns(self) -> int | None:
        best = self._best()
        return None if best is None else best.offset_ns

    @property
    def error_s(self) -> float | None:
        best = self._best()
        return None if best is None else best.error_at_ns(self._answers[-1].received_at_ns) / 1e9

    @property
    def is_well_known(self) -> bool:
        """Whether it is known within a millisecond."""
        error_s = self.error_s
        return error_s is not None and error_s <= _WELL_S

    def _best(self) -> _Answer | None:
        if not self._answers:
            return None
        last_ns = self._answers[-1].received_at_ns
        return min(self._answers, key=lambda each: each.error_at_ns(last_ns))

    def hear(self, pulse: Pulse, received_at_ns: int) -> None:
        """An answer to a heartbeat. One to none of ours (``sent_at_ns`` 0) tells nothing."""
        round_trip_ns = received_at_ns - pulse.sent_at_ns
        if pulse.sent_at_ns and round_trip_ns >= 0:
            middle_ns = (received_at_ns + pulse.sent_at_ns) // 2
            self._answers.append(
                _Answer(received_at_ns, pulse.server_at_ns - middle_ns, (round_trip_ns + 1) // 2)
            )

    def forget(self) -> None:
        """Another server, another clock."""
        self._answers.clear()

    def start_s(self, go: Go) -> float:
        """When to start, on the agent's own CLOCK_MONOTONIC in seconds: at the moment that the server named where that can be
        told, else ``delay_s`` from now."""
        now_ns = time.monotonic_ns()
        offset_ns = self.offset_ns
        if go.start_at_ns is None or offset_ns is None:
            return now_ns / 1e9 + go.delay_s
        return min(go.start_at_ns - offset_ns, now_ns + round(_MOST_AHEAD_S * 1e9)) / 1e9
