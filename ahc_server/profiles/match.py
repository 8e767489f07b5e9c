"""Sorts the nodes of a session into profiles, and says why: the only door to this room for commands, reports and gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import msgspec
import numpy as np

from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Report
from ahc_server.profiles.ask import Asked, ask
from ahc_server.profiles.assign import FREE, assign
from ahc_server.profiles.fill import fill
from ahc_server.profiles.gather import subjects_of
from ahc_server.profiles.model import Matches, NodeMatch, ProfileCount, Unfilled, Yields
from ahc_server.profiles.profile import Profile, by_precedence
from ahc_server.profiles.requirements import EitherRequirement, MeasuredRequirement, Requirement
from ahc_server.profiles.subject import Subject
from ahc_server.session import Session

#: Said of a node that has a profile although nobody could say whether it is sound: ``verdict: {not: fail}`` takes such a node.
_NOT_JUDGED = "; verdict unknown: it was not judged"


def needs_judgement(profiles: Sequence[Profile]) -> bool:
    """Whether any profile asks for what is measured, or for what the judge says."""
    return any(profile.needs_judgement for profile in profiles)


def match_session(
    session: Session, profiles: Sequence[Profile], judge: Callable[[], Judgement] | None = None
) -> Matches:
    """Which node serves in which profile. ``judge`` gives the judgement of the session and is called only where a profile needs
    it; without it all that only the judge knows cannot be told. The order of nodes and of profiles makes no difference."""
    profiles = by_precedence(profiles)
    judgement = judge() if judge is not None and needs_judgement(profiles) else None
    metrics = sorted({metric for profile in profiles for metric in _metrics(profile.requires)})
    subjects = subjects_of(session, judgement, metrics)
    matches = match_subjects(session.name, subjects, profiles)
    notes = [
        f"no node measured {metric}, which a profile asks for"
        for metric in metrics
        if judgement is not None and not any(_has(subject, metric) for subject in subjects)
    ]
    return msgspec.structs.replace(matches, notes=[*_unjudged(subjects, matches), *notes])


def with_profiles(report: Report, matches: Matches) -> Report:
    """The report with each node's profile in it."""
    chosen = {node.id: node.profile for node in matches.nodes}
    nodes = [msgspec.structs.replace(node, profile=chosen.get(node.id)) for node in report.nodes]
    return msgspec.structs.replace(report, nodes=nodes)


def match_subjects(session: str, subjects: Sequence[Subject], profiles: Sequence[Profile]) -> Matches:
    """As ``match_session``, for nodes in the order of their ids and profiles in the order of precedence."""
    asked = [[ask(profile, subject) for profile in profiles] for subject in subjects]
    fits = np.array([[each.answer.fit == "fits" for each in row] for row in asked], dtype=np.bool_)
    fits = fits.reshape(len(subjects), len(profiles))
    places = assign(fits, [profile.quota for profile in profiles])
    held = Counter(places)
    nodes = []
    for subject, row, place in zip(subjects, asked, places, strict=True):
        chosen = None if place == FREE else row[place]
        nodes.append(
            NodeMatch(
                id=subject.id,
                profile=None if place == FREE else profiles[place].name,
                why=_why(profiles, row, place, held) + (_NOT_JUDGED if _is_unjudged(subject, place) else ""),
                answers=[each.answer for each in row],
                bound={} if chosen is None else chosen.answer.bound,
                yields=Yields() if chosen is None else fill(profiles[place].yields, subject, chosen.parts),
            )
        )
    counts = [
        ProfileCount(profile=profile.name, nodes=held[place], fitting=int(fits[:, place].sum()))
        for place, profile in enumerate(profiles)
    ]
    unfilled = [
        Unfilled(
            profile=profile.name,
            wanted=profile.quota.least,
            got=held[place],
            why=_why_unfilled(profiles, asked, places, place),
        )
        for place, profile in enumerate(profiles)
        if held[place] < profile.quota.least
    ]
    return Matches(session=session, nodes=nodes, profiles=counts, unfilled=unfilled)


def _is_unjudged(subject: Subject, place: int) -> bool:
    return place != FREE and subject.verdict == "unknown"


def _unjudged(subjects: Sequence[Subject], matches: Matches) -> list[str]:
    """A note on the nodes that have a profile and were not judged: in a large fleet their own lines are not on the screen."""
    placed = {node.id for node in matches.nodes if node.profile is not None}
    names = [each.id for each in subjects if each.verdict == "unknown" and each.id in placed]
    if not names:
        return []
    were = "was" if len(names) == 1 else "were"
    return [
        f"{_nodes(len(names))} with a profile {were} not judged (verdict unknown): {wording.listed(names)}; "
        "`verdict: [pass, warn]` in a profile refuses such nodes, and the gate tells why they were not"
    ]


def _metrics(requires: Sequence[Requirement]) -> list[str]:
    found = []
    for requirement in requires:
        if isinstance(requirement, EitherRequirement):
            found += _metrics(requirement.choices)
        elif isinstance(requirement, MeasuredRequirement):
            found.append(requirement.metric)
    return found


def _has(subject: Subject, metric: str) -> bool:
    return any(fnmatchcase(name, metric) for name in subject.readings)


def _why(profiles: Sequence[Profile], row: Sequence[Asked], place: int, held: Counter[int]) -> str:
    """One sentence on why this profile, or none."""
    fitting = [number for number, each in enumerate(row) if each.answer.fit == "fits"]
    unsure = [profiles[number].name for number, each in enumerate(row) if each.answer.fit == "unknown"]
    if place == FREE:
        if fitting:
            full = [f"{profiles[number].name} has its {_nodes(held[number])}" for number in fitting]
            return f"fits, but {' and '.join(full)}"
        told = f"; whether {_listed(unsure)} would cannot be told" if unsure else ""
        return f"no profile fits{told}"
    if len(fitting) == 1:
        return "the only one that fits"
    chosen = profiles[place]
    # As they are served: what is the rest comes after all others, whatever its priority.
    before = [number for number in fitting if _turn(profiles, number) < _turn(profiles, place)]
    if not before:
        return f"comes before {_listed([profiles[number].name for number in fitting if number != place])}, which would fit too"
    served = [number for number in before if held[number] == profiles[number].quota.most]
    said = [f"{profiles[number].name} has its {_nodes(held[number])}" for number in served]
    said = said if len(said) < 4 else [f"{len(said)} that come first have their nodes"]
    if len(served) < len(before):
        said.append(f"{chosen.name} needs it for its minimum of {chosen.quota.least:,}")
    return " and ".join(said)


def _turn(profiles: Sequence[Profile], place: int) -> tuple[bool, int]:
    return profiles[place].quota.is_rest, place


def _why_unfilled(
    profiles: Sequence[Profile], asked: Sequence[Sequence[Asked]], places: Sequence[int], place: int
) -> str:
    """What keeps most nodes out, and where those serve that would fit."""
    failing: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for row, at in zip(asked, places, strict=True):
        answer = row[place].answer
        if answer.fit == "fits" and at != place:
            elsewhere[profiles[at].name] += 1
        elif answer.reason is not None:
            verb = "do not tell" if answer.fit == "unknown" else "fail"
            failing[f"{verb} “{answer.reason.requirement}”"] += 1
    parts = [f"{_nodes(count)} {_verb(what, count)}" for what, count in _most(failing)[:3]]
    parts += [
        f"{_nodes(count)} that would fit {'serve' if count > 1 else 'serves'} as {name}"
        for name, count in _most(elsewhere)
    ]
    more = len(failing) - 3
    parts += [f"{more} more reasons"] if more > 0 else []
    return "; ".join(parts) or "there are no more nodes"


def _most(counted: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counted.items(), key=lambda each: (-each[1], each[0]))


def _verb(what: str, count: int) -> str:
    if count > 1:
        return what
    return (
        what.replace("do not", "does not", 1)
        if what.startswith("do not")
        else what.replace("fail", "fails", 1)
    )


def _nodes(count: int) -> str:
    return f"{count:,} node{'' if count == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
