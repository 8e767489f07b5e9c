"""Times in a store: what a damaged file, or another program, has put there is not handed on."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from ahc_agent.errors import CannotAnswer
from ahc_server.session import Session

#: The end of the year 9999 (Unix seconds): no calendar here goes beyond it.
_LAST_S = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def is_moment(value: float | None) -> bool:
    """Whether Unix seconds are a moment from 1970 to the end of the year 9999; neither infinite nor NaN is. None: not yet."""
    return value is None or 0.0 <= value <= _LAST_S


def with_sound_times(session: Session, path: Path) -> Session:
    """The session as it is. Raises CannotAnswer with the place of the first time that is none."""
    places: list[tuple[str, float | None, bool]] = [
        ("its creation", session.created_at_s, is_moment(session.created_at_s))
    ]
    for step in session.steps:
        name, jitter = f"step {step.step} ({step.job})", step.start_jitter_s
        places += [
            (f"the start of {name}", step.started_at_s, is_moment(step.started_at_s)),
            (f"the end of {name}", step.ended_at_s, is_moment(step.ended_at_s)),
            (f"the start jitter of {name}", jitter, jitter is None or 0.0 <= jitter < math.inf),
        ]
    for place, value, sound in places:
        if not sound:
            raise CannotAnswer(
                f"{path}: session {session.name}: {place} is {value:g}, which is no time"
                " (restore a copy of the store, or name another session with --session)"
            )
    return session
