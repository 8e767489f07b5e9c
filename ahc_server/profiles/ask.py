"""One profile asked about one node: requirement after requirement, with the variables that those before have bound.

Where a variable can hold one of several parts, the preferred one is tried first, then the next: two cards on different NUMA nodes
are found even where the first two are on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ahc_server.profiles.model import Answer, Fit, Reason
from ahc_server.profiles.profile import Profile
from ahc_server.profiles.requirements import Answered, Requirement
from ahc_server.profiles.subject import At, Part, Subject

#: Questions about one node; beyond them no answer is given.
STEPS_LIMIT = 5_000


@dataclass(slots=True)
class Asked:
    """What came out. ``parts``: variable → what it holds, where the profile fits."""

    answer: Answer
    parts: dict[str, Part] = field(default_factory=dict)


def ask(profile: Profile, subject: Subject) -> Asked:
    """Whether a node fits a profile, else the first requirement that fails: on the way that led furthest."""
    search = _Search(profile.requires, subject)
    search.run(0, {}, None)
    if search.bound is not None:
        shown = {name: part.shown for name, part in search.bound.items()}
        return Asked(Answer(profile=profile.name, fit="fits", bound=shown), search.bound)
    if search.steps > STEPS_LIMIT:
        reason = Reason(
            requirement="all variables", expected="parts for each", found="too many ways", file=profile.file
        )
        return Asked(Answer(profile=profile.name, fit="unknown", reason=reason))
    known = search.unknown or search.failed
    assert known is not None
    requirement, answered = known
    reason = Reason(
        requirement=requirement.words,
        expected=answered.expected,
        found=answered.found,
        file=requirement.place.file,
        line=requirement.place.line,
    )
    fit: Fit = "unknown" if search.unknown is not None else "fails"
    return Asked(Answer(profile=profile.name, fit=fit, reason=reason))


_Said = tuple[Requirement, Answered]


@dataclass(slots=True)
class _Search:
    """Depth first. ``failed``: the failure that was reached last of all; ``unknown``: a way that nothing but what is not told
    stands against."""

    requires: Sequence[Requirement]
    subject: Subject
    bound: dict[str, Part] | None = None
    failed: _Said | None = None
    unknown: _Said | None = None
    depth: int = -1
    steps: int = 0

    def run(self, place: int, bound: dict[str, Part], blurred: _Said | None) -> bool:
        """From the requirement at ``place`` on. ``blurred``: the first on this way that could not be told."""
        while place < len(self.requires):
            self.steps += 1
            if self.steps > STEPS_LIMIT:
                return True
            requirement = self.requires[place]
            answered = requirement.ask(At(self.subject, bound))
            if answered.fit is False:
                if place > self.depth:
                    self.depth, self.failed = place, (requirement, answered)
                return False
            place += 1
            if answered.fit is None:
                blurred = blurred or (requirement, answered)
            elif answered.bindings:
                return any(self.run(place, {**bound, **each}, blurred) for each in answered.bindings)
        if blurred is None:
            self.bound = bound
            return True
        self.unknown = self.unknown or blurred
        return False
