"""Wishes of a profile and how they stand, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from ahc_server.profiles.model import Matches

Subject = Literal["firmware", "bios", "raid", "bmc"]
State = Literal["met", "drift", "unknown"]


@dataclass(frozen=True, slots=True)
class Want:
    """One wish of a profile held against one machine. ``found``: None where the machine does not tell; ``note``: why not, or by
    what sign the answer is known."""

    subject: Subject
    name: str
    expected: str
    found: str | None
    state: State
    note: str | None = None


class Drift(msgspec.Struct, kw_only=True, frozen=True):
    """A wish that is not met; ``unknown``: that could not be told, and so is not met either."""

    node: str
    profile: str
    subject: Subject
    name: str
    expected: str
    found: str | None
    unknown: bool = False
    note: str | None = None

    def sentence(self) -> str:
        """For one line of text: what, expected and found."""
        found = self.found if self.found is not None else "not told by the machine"
        note = f" ({self.note})" if self.note else ""
        return f"{self.subject} {self.name}: {self.profile} wants {self.expected}, found {found}{note}"


class ReadyMatches(Matches, kw_only=True, frozen=True):
    """``ahc.match/1`` with what the machines are not yet as their profiles want them."""

    drifts: list[Drift]


def told(
    subject: Subject, name: str, expected: str, found: str | None, met: bool, note: str | None = None
) -> Want:
    """A wish whose answer is known, or unknown where ``found`` is None."""
    state: State = "unknown" if found is None else "met" if met else "drift"
    return Want(subject, name, expected, found, state, note)
