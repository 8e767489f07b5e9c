"""What the hub tells the server. Times are CLOCK_MONOTONIC seconds of the server."""

from __future__ import annotations

from dataclasses import dataclass

from ahc_agent.wire.messages import Hello, Progress, Ready, Result


@dataclass(frozen=True, slots=True)
class Joined:
    """A machine said Hello and was admitted (again after a reconnect: ``hello.instance`` tells a new start)."""

    machine: str
    hello: Hello
    public_key: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Lost:
    """A machine said Bye, or was silent for too long. It may join again."""

    machine: str
    reason: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Said:
    """A machine said something about a task."""

    machine: str
    message: Ready | Progress | Result
    at_s: float


Event = Joined | Lost | Said
