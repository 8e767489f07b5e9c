"""What a node's profile wants of firmware, BIOS, RAID, card and BMC firmware, against what its inventory found.

Pure: matches and inventories in, drifts out. Nothing here writes to hardware. What a machine does not tell is said as such: it is
neither drift nor in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ahc_agent.facts import Inventory
from ahc_server.judge.model import Component, Finding
from ahc_server.profiles.model import Matches, NodeMatch
from ahc_server.readystate import bios, bmc, firmware, raid
from ahc_server.readystate.model import Drift, ReadyMatches, Want

__all__ = ["Drift", "compare", "findings", "wants", "with_drifts"]

#: One table: what looks at a match's wishes.
_LOOKS = (firmware.look, bios.look, raid.look, bmc.look)

_COMPONENT: dict[str, Component] = {"bmc": "bmc", "raid": "disk"}


def compare(matches: Matches, inventories: Mapping[str, Inventory]) -> list[Drift]:
    """Every wish that is not met or cannot be told, in the order of nodes and of the profile's own lists.

    A node without a profile has no wishes; one without an inventory tells nothing, so all its wishes are unknown.
    """
    drifts = []
    for match in matches.nodes:
        if match.profile is not None:
            inventory = inventories.get(match.id) or Inventory(collected_at="")
            drifts += [_drift(match, want) for want in wants(match, inventory) if want.state != "met"]
    return drifts


def with_drifts(matches: Matches, inventories: Mapping[str, Inventory]) -> ReadyMatches:
    """The matches with their drifts, for the JSON form."""
    return ReadyMatches(**msgspec.structs.asdict(matches), drifts=compare(matches, inventories))


def wants(match: NodeMatch, inventory: Inventory) -> list[Want]:
    """All wishes of a match, the met ones too."""
    return [want for look in _LOOKS for want in look(match.yields, inventory)]


def _drift(match: NodeMatch, want: Want) -> Drift:
    return Drift(
        node=match.id,
        profile=match.profile or "",
        subject=want.subject,
        name=want.name,
        expected=want.expected,
        found=want.found,
        unknown=want.state == "unknown",
        note=want.note,
    )


def findings(drifts: Iterable[Drift]) -> list[Finding]:
    """Drifts as findings of a report: a drift is a warning, what cannot be told is ``not-measured`` and only for information."""
    return [
        Finding(
            element=f"node:{drift.node}",
            nodes=[drift.node],
            component="bmc" if drift.name == "bmc" else _COMPONENT.get(drift.subject, "firmware"),
            kind="not-measured" if drift.unknown else "config",
            severity="info" if drift.unknown else "warn",
            summary=f"{drift.node}: {drift.sentence()}",
        )
        for drift in drifts
    ]
