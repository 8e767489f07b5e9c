"""A profile as it was read: what it requires, how many nodes it wants, and what it gives to those it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ahc_server.profiles.model import Yields
from ahc_server.profiles.requirements import Requirement


@dataclass(frozen=True, slots=True)
class Quota:
    """How many nodes. ``most`` None: as many as fit. ``is_rest``: what is left when all others have their most."""

    least: int = 0
    most: int | None = None
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """``priority``: higher ones come first. ``needs_judgement``: it asks for what the judge says."""

    name: str
    summary: str
    priority: int
    quota: Quota
    requires: Sequence[Requirement]
    yields: Yields = field(default_factory=Yields)
    file: str = ""
    line: int | None = None
    needs_judgement: bool = False


def by_precedence(profiles: Sequence[Profile]) -> list[Profile]:
    """Higher priority first, then by name."""
    return sorted(profiles, key=lambda profile: (-profile.priority, profile.name))
