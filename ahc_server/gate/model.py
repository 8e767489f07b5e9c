"""The gate's answer as data: ``ahc.gate/1``. What draws it decides nothing.

``open``: every check of the policy was asked and none objects. ``closed``: something stands against it. ``cannot tell``:
nothing stands against it, but something that the policy asks could not be answered. Where both are so, it is closed, and both
are told.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

SCHEMA = "ahc.gate/1"

State = Literal["open", "closed", "cannot tell"]
Check = Literal["session", "findings", "unknown", "expected", "measured", "profiles", "ready", "compare"]

#: Exit codes of ``ahc gate``.
EXIT: Final[dict[State, int]] = {"open": 0, "closed": 1, "cannot tell": 3}

#: What each check asks, for people. The order is that of the answer.
ASKS: Final[dict[Check, str]] = {
    "session": "is all there that its steps began, and once?",
    "findings": "is no finding as severe as what closes?",
    "unknown": "could nodes enough be judged?",
    "expected": "are the nodes there that are expected?",
    "measured": "was what is required measured, and lately?",
    "profiles": "are there nodes enough of each profile?",
    "ready": "is each node as its profile wants firmware, BIOS, RAID and BMC?",
    "compare": "did nothing become worse since the session before?",
}


class Reason(msgspec.Struct, kw_only=True, frozen=True):
    """One thing that keeps the gate from being open.

    ``element``: "node:ID", "leaf:NAME", "pair:A-B", ... or "fleet"; ``nodes``: whom it concerns, empty for all. ``component`` and
    ``kind`` are a finding's, None where no finding is behind it.
    """

    check: Check
    state: Literal["closed", "cannot tell"]
    element: str
    nodes: list[str] = []
    component: str | None = None
    kind: str | None = None
    severity: str | None = None
    summary: str


class Waived(msgspec.Struct, kw_only=True, frozen=True):
    """A reason that somebody answers for. ``until``: the last day (UTC) on which that holds."""

    reason: Reason
    who: str
    why: str
    until: str


class Checked(msgspec.Struct, kw_only=True, frozen=True):
    """One check of the policy: how it ended, and for how many reasons."""

    check: Check
    state: State
    asks: str
    reasons: int = 0


class Gate(msgspec.Struct, kw_only=True, frozen=True):
    """The answer. ``at``: the moment for which it holds; ``data_up_to``: when the session's newest data came in; both UTC.

    ``node``: the only node that was asked about, None for the fleet. ``nodes``: all that were looked at. ``before``: the
    session that it was compared with. ``expired``: waivers that hold no more. ``reasons``: the worst first.
    """

    schema: str = SCHEMA
    state: State
    exit_code: int
    policy: str
    step: str | None = None
    session: str
    before: str | None = None
    node: str | None = None
    at: str
    data_up_to: str
    nodes: list[str]
    checks: list[Checked]
    reasons: list[Reason]
    waived: list[Waived] = []
    expired: list[str] = []
    notes: list[str] = []
