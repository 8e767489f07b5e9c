"""What one end of a pair has seen so far, so that whatever happens next, it can be told."""

from __future__ import annotations

from typing import Literal

from ahc_agent.errors import Cancelled, PeerGone
from ahc_agent.wire.messages import Flow, PairOutcome, PairTask, PathFacts, RoundTrips

Direction = Literal["tx", "rx"]
_ERROR_LIMIT = 1000


class Record:
    """Collects flows, round trips and errors of one run; ``outcome`` draws the line."""

    def __init__(self, task: PairTask, machine: str) -> None:
        self.connected = False
        self._task = task
        self._machine = machine
        self._flows: dict[Direction, Flow] = {}
        self._round_trips: list[RoundTrips] = []
        self._errors: list[str] = []
        self._silence = False

    def sends(self, direction: Direction) -> bool:
        """Whether this end is the sender of a direction (directions are seen from the connecting end)."""
        return (direction == "tx") == (self._task.role == "connect")

    def flow(
        self,
        direction: Direction,
        bytes_per_s: float | None,
        samples: list[float] | None = None,
        retransmits: int | None = None,
    ) -> None:
        ends = (self._machine, self._task.peer)
        source, destination = ends if self.sends(direction) else ends[::-1]
        self._flows[direction] = Flow(
            source=source,
            destination=destination,
            bytes_per_s=bytes_per_s,
            samples=samples or [],
            retransmits=retransmits,
        )

    def round_trips(self, seen: RoundTrips) -> None:
        self._round_trips.append(seen)

    def error(self, text: str) -> None:
        self._errors.append(text)

    def failed(self, error: Exception) -> None:
        """The run ends here.

        What was not measured is 0 where the network did not carry (no connection, silence), and unknown where
        somebody ended the run: a killed peer says nothing about the cable.
        """
        self._errors.append(str(error))
        somebody = Cancelled if not self.connected else (Cancelled, PeerGone)
        self._silence = not isinstance(error, somebody)

    def outcome(self, path: PathFacts | None = None) -> PairOutcome:
        if self._task.bandwidth:
            for direction in self._task.directions:
                if direction not in self._flows:
                    self.flow(direction, 0.0 if self._silence else None)
        return PairOutcome(
            pair_id=self._task.pair_id,
            role=self._task.role,
            peer=self._task.peer,
            connected=self.connected,
            flows=list(self._flows.values()),
            round_trips=self._round_trips,
            path=path,
            error="; ".join(self._errors)[:_ERROR_LIMIT] or None,
        )
