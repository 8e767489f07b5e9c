"""What a match wants a registration to say, in Ironic's syntax."""

from __future__ import annotations

from collections.abc import Mapping

from ahc_server.export import capabilities
from ahc_server.profiles.model import NodeMatch


def wanted_capabilities(
    match: NodeMatch | None, there: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The capabilities to merge into those that are there, and notes on what cannot be.

    A node without a profile keeps what it has: it is not for an export to take a node out of service. A note says so.
    """
    if match is None or match.profile is None:
        kept = there.get("profile")
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
