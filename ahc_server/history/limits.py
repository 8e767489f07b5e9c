"""Which table of limits holds for a fleet, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.reading import Reading
from ahc_server.judge.thresholds import SHIPPED, Tables, Thresholds


def limits_of(chosen: Tables | None, readings: Sequence[Reading]) -> Thresholds:
    """The judge's rule, for the fleet as it is in the newest session; without ``chosen`` the limits that are shipped."""
    return (chosen or SHIPPED).holding_for(readings[-1].records)


def note_of(chosen: Tables | None) -> list[str]:
    """For the notes of an answer: whose limits they are; nothing where they are those that are shipped."""
    return [chosen.note] if chosen is not None and chosen.note else []
