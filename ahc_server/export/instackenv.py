"""TripleO's registration file (``instackenv.json``, ``nodes.json``), filled with what was found.

Written are ``cpu``, ``memory`` (MiB), ``disk`` (GiB), ``arch`` (text all four, as TripleO's examples have them) and
``capabilities``, into which the profile's are merged. Everything else stays as it is and where it is. Keys as of
tripleo-common's ``utils/nodes.py`` and of os-cloud-config's older files (``mac``).
"""

from __future__ import annotations

from ahc_agent.errors import UsageError
from ahc_server.export import capabilities
from ahc_server.export.hardware import properties_of
from ahc_server.export.material import Drawn, Material, Plain, nodes_in, pretty
from ahc_server.export.registered import Registered, host_of, keys, pair
from ahc_server.export.wanted import wanted_capabilities
from ahc_server.profiles.model import NodeMatch


def draw(material: Material) -> Drawn:
    """The file filled. Raises UsageError without a file, FileFormatError for one that is none."""
    document = material.registered
    if document is None:
        raise UsageError("--format instackenv: which file? Give it with --instackenv FILE")
    nodes = nodes_in(document, "nodes", "an instackenv.json or nodes.json")
    pairing = pair([_registered(index, node) for index, node in enumerate(nodes)], material.inventories)
    matches = {match.id: match for match in material.matches.nodes}
    notes = list(pairing.notes)
    filled: list[dict[str, Plain]] = []
    for index, node in enumerate(nodes):
        name = pairing.node.get(index)
        if name is None:
            filled.append(node)
            continue
        changed, said = _fill(node, material, name, matches.get(name))
        filled.append(changed)
        notes += [f"{_label(index, node)}: {note}" for note in said]
    plain = {**document.plain, "nodes": filled} if isinstance(document.plain, dict) else filled
    return Drawn(pretty(plain), notes, secret=True)


def _fill(
    node: dict[str, Plain], material: Material, name: str, match: NodeMatch | None
) -> tuple[dict[str, Plain], list[str]]:
    found = properties_of(material.inventories[name])
    facts = {"cpu": found.cpus, "memory": found.memory_mb, "disk": found.local_gb, "arch": found.cpu_arch}
    changed = {**node, **{key: str(value) for key, value in facts.items() if value is not None}}
    there = capabilities.parse(node.get("capabilities"))
    if there is None:
        return changed, ["its capabilities are not text of the form key:value,key:value: left alone"]
    wanted, notes = wanted_capabilities(match, there)
    if wanted:
        changed["capabilities"] = capabilities.text_of(capabilities.merge(there, wanted))
    return changed, notes


def _registered(index: int, node: dict[str, Plain]) -> Registered:
    ports = node.get("ports")
    macs = (
        [port.get("address") for port in ports if isinstance(port, dict)] if isinstance(ports, list) else []
    )
    mac = node.get("mac")
    macs += mac if isinstance(mac, list) else [mac]
    return Registered(
        label=_label(index, node),
        keys=keys(
            mac=[each for each in macs if isinstance(each, str)],
            serial=_text(node.get("serial")),
            uuid=_text(node.get("uuid")),
            bmc=host_of(node.get("pm_addr")),
            name=_text(node.get("name")),
        ),
    )


def _label(index: int, node: dict[str, Plain]) -> str:
    name = node.get("name") or node.get("pm_addr")
    return f"node {index + 1} ({name})" if isinstance(name, str) else f"node {index + 1}"


def _text(value: Plain) -> str | None:
    return value if isinstance(value, str) and value else None
