"""What a match wants a registration to say, in Ironic's syntax."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ahc_agent.errors import CannotAnswer
from ahc_server.export import capabilities
from ahc_server.export.capabilities import Pairs
from ahc_server.profiles.model import NodeMatch

#: Ironic's own limit (``ironic/db/sqlalchemy/api.py``: MAX_TRAITS_PER_NODE).
MOST_TRAITS = 50


def wanted_capabilities(match: NodeMatch | None, there: Pairs) -> tuple[dict[str, str], list[str]]:
    """The capabilities to merge into those that are there, and notes on what cannot be.

    A node without a profile keeps what it has: it is not for an export to take a node out of service. A note says so.
    """
    wanted, notes = _of_match(match, there)
    for key, values in capabilities.doubled(there).items():
        stand = f"the capability {key} stands there {len(values)} times ({', '.join(values)})"
        if key in wanted:
            notes.append(f"{stand}: {key}:{wanted[key]} takes their place")
        else:
            notes.append(f"{stand}, and Ironic reads now the first and now the last: left as they are")
    return wanted, notes


def _of_match(match: NodeMatch | None, there: Pairs) -> tuple[dict[str, str], list[str]]:
    if match is None or match.profile is None:
        kept = dict(there).get("profile")
        why = f": {match.why}" if match is not None and match.why else ""
        return {}, [f"keeps profile:{kept}, though it matches no profile now{why}"] if kept else []
    asked = {**match.yields.capabilities, "profile": match.profile}
    wanted = {key: value for key, value in asked.items() if capabilities.fit(key, value)}
    notes = [
        f"{key}:{value} cannot be written as a capability (commas, colons or spaces): left out"
        for key, value in asked.items()
        if key not in wanted
    ]
    return wanted, notes


def wanted_traits(match: NodeMatch | None) -> tuple[list[str], list[str]]:
    """Traits of a match as os-traits writes them, and notes on what cannot be one."""
    if match is None or match.profile is None:
        return [], []
    named = {name: capabilities.trait(name) for name in match.yields.traits}
    notes = [f"{name!r} cannot be a trait: left out" for name, trait in named.items() if trait is None]
    return sorted({trait for trait in named.values() if trait is not None}), notes


def check_traits(asked: Mapping[str, tuple[Collection[str], Collection[str]]]) -> None:
    """Refuse what Ironic would refuse in the middle. ``asked``: node's name → (traits that it has, traits to add).

    Raises CannotAnswer with the node that would have most.
    """
    counts = {name: len({*there, *new}) for name, (there, new) in asked.items() if new}
    over = sorted(
        (name for name, count in counts.items() if count > MOST_TRAITS), key=lambda name: -counts[name]
    )
    if not over:
        return
    first, (there, new) = over[0], asked[over[0]]
    others = f" (and {len(over) - 1:,} other nodes have too many)" if len(over) > 1 else ""
    raise CannotAnswer(
        f"{first} would have {counts[first]} traits, Ironic takes {MOST_TRAITS} a node at most{others}: it has"
        f" {len(set(there))}, its profile adds {', '.join(sorted(set(new) - set(there)))}"
        " (take traits out of the profile, or off the node)"
    )
