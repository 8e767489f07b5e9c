"""Changes of Ironic's nodes, as JSON patches (RFC 6902) that its API takes, and traits to add.

A node gets: ``properties`` (``cpus``, ``memory_mb``, ``local_gb``, ``cpu_arch`` as found, ``capabilities`` with the profile's
merged into what is there), ``extra/target_raid_config`` (in Ironic's own form), ``extra/target_bios_settings`` (what the BIOS
clean step ``apply_configuration`` takes as ``settings``), and the profile's ``resource_class`` and traits. ``extra`` only keeps
both targets for the operator's cleaning: nothing is written to hardware. What is so already gives no patch, so a second run
changes nothing.

Source: Ironic's API reference, "Update Node" and "Set all traits of a node"; nodes are read as ``GET /v1/nodes/detail`` has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import msgspec

from ahc_agent.facts import Inventory
from ahc_server.export import capabilities
from ahc_server.export.hardware import macs_of, properties_of
from ahc_server.export.material import Document, Drawn, Material, Plain, nodes_in, pretty
from ahc_server.export.registered import Pairing, Registered, host_of, keys, pair
from ahc_server.export.wanted import check_traits, wanted_capabilities, wanted_traits
from ahc_server.profiles.model import NodeMatch


class Operation(msgspec.Struct, kw_only=True, frozen=True):
    """One operation of a JSON patch."""

    op: str
    path: str
    value: Plain


class Change(msgspec.Struct, kw_only=True, frozen=True):
    """What one node of Ironic lacks. ``node``: its UUID in Ironic; None where Ironic's nodes are not known, and then ``macs`` are
    what its ports will have. ``matched``: our node's id; ``by``: what says that both are one machine.
    """

    node: str | None
    name: str | None = None
    matched: str
    by: str | None = None
    macs: list[str] = []
    patch: list[Operation] = []
    traits: list[str] = []


def changes(material: Material) -> tuple[list[Change], list[str]]:
    """What to change, and notes on what could not be matched or written.

    Raises FileFormatError, and CannotAnswer where a node would have more traits than Ironic takes.
    """
    matches = {match.id: match for match in material.matches.nodes}
    if material.registered is None:
        return _fresh(material, matches)
    nodes, pairing = _paired(material.registered, material.inventories)
    notes = list(pairing.notes)
    found = []
    traits = {}
    for index, name in pairing.node.items():
        change, said = _change(
            nodes[index], name, pairing.by[index], material.inventories[name], matches.get(name)
        )
        notes += [f"{_label(index, nodes[index])}: {note}" for note in said]
        traits[_label(index, nodes[index])] = (_traits(nodes[index]), change.traits)
        if change.patch or change.traits:
            found.append(change)
    check_traits(traits)
    return found, notes


def names(registered: Document, inventories: Mapping[str, Inventory]) -> dict[str, str]:
    """Node id → what Ironic calls it: its name, or else its UUID. A name alone, which a machine may give itself, proves nothing
    unless it is the id. Raises FileFormatError."""
    nodes, pairing = _paired(registered, inventories)
    found = {}
    for index, node in pairing.node.items():
        name = _text(nodes[index].get("name")) or _text(nodes[index].get("uuid"))
        if name is not None and (pairing.by[index] != "name" or name.lower() == node.lower()):
            found[node] = name
    return found


def _paired(
    document: Document, inventories: Mapping[str, Inventory]
) -> tuple[list[dict[str, Plain]], Pairing]:
    """Ironic's nodes, and which machine each is."""
    nodes = nodes_in(document, "nodes", "Ironic's list of nodes")
    ports = document.plain.get("ports") if isinstance(document.plain, dict) else None
    macs = _macs_by_node(ports if isinstance(ports, list) else [])
    return nodes, pair([_registered(index, node, macs) for index, node in enumerate(nodes)], inventories)


def draw(material: Material) -> Drawn:
    """The changes as JSON."""
    found, notes = changes(material)
    return Drawn(pretty(found), notes)


def _fresh(material: Material, matches: dict[str, NodeMatch]) -> tuple[list[Change], list[str]]:
    """Patches for nodes that are still as enrolled, where nothing is known of Ironic's nodes."""
    found, notes = [], []
    for name, inventory in material.inventories.items():
        change, said = _change({}, name, None, inventory, matches.get(name))
        notes += [f"{name}: {note}" for note in said]
        found.append(msgspec.structs.replace(change, macs=macs_of(inventory)))
    check_traits({change.matched: ([], change.traits) for change in found})
    notes.append(
        "nothing is known of Ironic's nodes: the patches are for nodes without capabilities of their own"
    )
    return found, notes


def _change(
    node: dict[str, Plain], name: str, by: str | None, inventory: Inventory, match: NodeMatch | None
) -> tuple[Change, list[str]]:
    properties = _mapping(node.get("properties"))
    extra = _mapping(node.get("extra"))
    wanted, notes = _properties(properties, inventory, match)
    patch = _operations("properties", properties, wanted) + _operations("extra", extra, _extra(match))
    if match is not None and match.yields.resource_class not in (None, node.get("resource_class")):
        patch.append(Operation(op="add", path="/resource_class", value=match.yields.resource_class))
    traits, said = wanted_traits(match)
    there = _traits(node)
    change = Change(
        node=_text(node.get("uuid")),
        name=_text(node.get("name")),
        matched=name,
        by=by,
        patch=patch,
        traits=[trait for trait in traits if trait not in there],
    )
    return change, notes + said


def _properties(
    properties: dict[str, Plain], inventory: Inventory, match: NodeMatch | None
) -> tuple[dict[str, Plain], list[str]]:
    wanted = {
        key: value
        for key, value in asdict(properties_of(inventory)).items()
        if value is not None and str(value) != str(properties.get(key))
    }
    there = capabilities.parse(properties.get("capabilities"))
    if there is None:
        return wanted, ["its capabilities are not of the form key:value,key:value: left alone"]
    asked, notes = wanted_capabilities(match, there)
    merged = capabilities.merge(there, asked)
    if merged != there:
        wanted["capabilities"] = capabilities.text_of(merged)
    return wanted, notes


def _extra(match: NodeMatch | None) -> dict[str, Plain]:
    if match is None or match.profile is None:
        return {}
    yields = match.yields
    settings = [{"name": name, "value": value} for name, value in sorted(yields.bios.items())]
    targets = {"target_raid_config": dict(yields.raid), "target_bios_settings": settings}
    return {key: value for key, value in targets.items() if value}


def _operations(under: str, there: dict[str, Plain], wanted: dict[str, Plain]) -> list[Operation]:
    """RFC 6902: ``replace`` needs the member to be there, so that a patch for another state than the one read is refused."""
    return [
        Operation(op="replace" if key in there else "add", path=f"/{under}/{key}", value=value)
        for key, value in wanted.items()
        if there.get(key) != value
    ]


def _macs_by_node(ports: list[Plain]) -> dict[str, list[str]]:
    macs: dict[str, list[str]] = {}
    for port in ports:
        if isinstance(port, dict) and isinstance(port.get("address"), str):
            macs.setdefault(str(port.get("node_uuid")), []).append(port["address"])
    return macs


def _registered(index: int, node: dict[str, Plain], macs: dict[str, list[str]]) -> Registered:
    driver_info = _mapping(node.get("driver_info"))
    addresses = (host_of(value) for key, value in driver_info.items() if key.endswith("_address"))
    ports = node.get("ports")
    own = [port.get("address") for port in ports if isinstance(port, dict)] if isinstance(ports, list) else []
    return Registered(
        label=_label(index, node),
        keys=keys(
            mac=[*macs.get(str(node.get("uuid")), []), *(mac for mac in own if isinstance(mac, str))],
            uuid=_text(node.get("uuid")),
            bmc=[address for address in addresses if address],
            name=_text(node.get("name")),
        ),
    )


def _label(index: int, node: dict[str, Plain]) -> str:
    return _text(node.get("name")) or _text(node.get("uuid")) or f"node {index + 1}"


def _traits(node: dict[str, Plain]) -> list[str]:
    there = node.get("traits")
    return [trait for trait in there if isinstance(trait, str)] if isinstance(there, list) else []


def _mapping(value: Plain) -> dict[str, Plain]:
    return value if isinstance(value, dict) else {}


def _text(value: Plain) -> str | None:
    return value if isinstance(value, str) and value else None
