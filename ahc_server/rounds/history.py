"""What the pairs of a step have brought so far, as the agents told it: theirs is the word, so it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ahc_agent.wire.messages import PairOutcome
from ahc_server.pairing import Pair


@dataclass(slots=True)
class Meeting:
    """Two machines met in a wave; the first of ``ends`` sent first. ``flows``: (source, destination) → bytes/s, 0 where
    nothing came through; empty where it is not known. ``rtt_us``: the least median of their round trips."""

    wave: int
    ends: Pair
    flows: dict[Pair, float] = field(default_factory=dict)
    rtt_us: float | None = None


class History:
    """The meetings of one step, by the id that both ends of a pair share."""

    def __init__(self) -> None:
        self._meetings: dict[str, Meeting] = {}

    def begin(self, pair_id: str, wave: int, ends: Sequence[str]) -> None:
        """Two machines are to meet."""
        one, other = ends
        self._meetings[pair_id] = Meeting(wave, (one, other))

    def begin_once(self, pair_id: str, wave: int, ends: Sequence[str]) -> None:
        """The same, where both ends tell of it."""
        if pair_id not in self._meetings:
            self.begin(pair_id, wave, ends)

    def hear(self, pair_id: str, machine: str, pair: PairOutcome) -> None:
        """Keep what an end says of its own pair. What arrived counts as the receiver saw it."""
        meeting = self._meetings.get(pair_id)
        if meeting is None or machine not in meeting.ends:
            return
        one, other = meeting.ends
        if not pair.connected:
            meeting.flows.setdefault((one, other), 0.0)
            meeting.flows.setdefault((other, one), 0.0)
            return
        for flow in pair.flows:
            way = (flow.source, flow.destination)
            if flow.bytes_per_s is None or flow.bytes_per_s < 0 or set(way) != {one, other}:
                continue
            if flow.destination == machine:
                meeting.flows[way] = flow.bytes_per_s
            else:
                meeting.flows.setdefault(way, flow.bytes_per_s)
        times = [each.p50_us for each in pair.round_trips if each.p50_us is not None and each.p50_us > 0]
        if times:
            meeting.rtt_us = min([*times, *([meeting.rtt_us] if meeting.rtt_us is not None else [])])

    def before(self, wave: int) -> list[Meeting]:
        """The meetings of all waves before this one, in order."""
        earlier = [(each.wave, key) for key, each in self._meetings.items() if each.wave < wave]
        return [self._meetings[key] for _, key in sorted(earlier)]
