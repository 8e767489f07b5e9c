"""The server's clock as an agent knows it, from heartbeats and their answers.

An answer says what the server's CLOCK_MONOTONIC was between two readings of the agent's own: half of the round trip is the
most that the estimate can be wrong (Cristian, Probabilistic clock synchronization, Distributed Computing 3, 1989). The
answer that came back quickest of the last few is believed.
"""

from __future__ import annotations

import time
from collections import deque

from ahc_agent.wire.messages import Go, Pulse

#: Clocks of machines drift by some 20 millionths: less than a millisecond within these many heartbeats of 5 s.
_KEPT = 8
#: No moment lies further ahead: a clock that was read wrongly must not hold a task.
_MOST_AHEAD_S = 10.0


class ServerClock:
    """``offset_ns``: what is to be added to the agent's own CLOCK_MONOTONIC; None while no answer came."""

    def __init__(self) -> None:
        self._answers: deque[tuple[int, int]] = deque(maxlen=_KEPT)

    @property
    def offset_ns(self) -> int | None:
        return min(self._answers)[1] if self._answers else None

    def hear(self, pulse: Pulse, received_at_ns: int) -> None:
        """An answer to a heartbeat. One to none of ours (``sent_at_ns`` 0) tells nothing."""
        round_trip_ns = received_at_ns - pulse.sent_at_ns
        if pulse.sent_at_ns and round_trip_ns >= 0:
            middle_ns = (received_at_ns + pulse.sent_at_ns) // 2
            self._answers.append((round_trip_ns, pulse.server_at_ns - middle_ns))

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
