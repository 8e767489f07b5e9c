"""Ironic's inspection rules: what gives each machine its profile whenever it is inspected (again).

One rule for each profile and set of values: its conditions name the serials of the machines, its actions set the capabilities
and add the traits. So a machine that is enrolled anew after the measurements gets its profile from its first inspection on,
without a second look at it. For ``POST /v1/inspection_rules`` of Ironic (API 1.96, 2025.1 and later).

Ironic formats some arguments with Python's ``str.format``: braces in them are doubled, since values may come from a node.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec

from ahc_server.export.material import Drawn, Material, Plain, pretty
from ahc_server.export.wanted import check_traits, wanted_capabilities, wanted_traits

#: Ironic's bound of a rule's description.
_DESCRIPTION_LENGTH = 255
_SERIAL = "{inventory[system_vendor][serial_number]}"


class Operator(msgspec.Struct, kw_only=True, frozen=True):
    """A condition or an action: what it does, and to what."""

    op: str
    args: dict[str, Plain]


class Rule(msgspec.Struct, kw_only=True, frozen=True):
    description: str
    conditions: list[Operator]
    actions: list[Operator]


def draw(material: Material) -> Drawn:
    """The rules as a JSON list, in the order of profiles' names."""
    serials = Counter(
        serial for each in material.inventories.values() if (serial := each.system.serial) is not None
    )
    notes: list[str] = []
    members: dict[tuple[str, bytes], list[str]] = defaultdict(list)
    actions: dict[tuple[str, bytes], list[Operator]] = {}
    for match in material.matches.nodes:
        inventory = material.inventories.get(match.id)
        if match.profile is None or inventory is None:
            continue
        serial = inventory.system.serial
        if not serial or serials[serial] > 1:
            notes.append(
                f"{match.id}: no serial of its own, and rules know machines by nothing else: no rule"
            )
            continue
        wanted, said = wanted_capabilities(match, ())
        traits, more = wanted_traits(match)
        check_traits({match.id: ((), traits)})
        notes += [f"{match.id}: {note}" for note in said + more]
        doing = [
            Operator(op="set-capability", args={"name": key, "value": _plain(value)})
            for key, value in sorted(wanted.items())
        ]
        doing += [Operator(op="add-trait", args={"name": trait}) for trait in traits]
        key = (match.profile, msgspec.json.encode(doing))
        members[key].append(serial)
        actions[key] = doing
    found = [
        Rule(
            description=f"{profile}, for {len(members[profile, doing])} known by serial"[
                :_DESCRIPTION_LENGTH
            ],
            conditions=[
                Operator(op="one-of", args={"value": _SERIAL, "values": sorted(members[profile, doing])})
            ],
            actions=actions[profile, doing],
        )
        for profile, doing in sorted(members)
    ]
    return Drawn(pretty(found), notes)


def _plain(text: str) -> str:
    """Text that ``str.format`` gives back as it is."""
    return text.replace("{", "{{").replace("}", "}}")
