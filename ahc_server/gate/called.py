"""What Ironic and Metal3 call the nodes of a session: nobody has to write it down where they know the machine.

They are asked by the programs that the hooks run, so that nothing else has to be there or to log in; which node is which machine
is told as for ``ahc match --format ironic`` and ``metal3`` (``export.registered``): a contradiction matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ahc_agent.errors import AhcError, ProgramFailed
from ahc_agent.facts import Inventory
from ahc_server.export import ironic, metal3
from ahc_server.export.material import Document
from ahc_server.gate.hooks import Hook
from ahc_server.gate.quarantine import run
from ahc_server.report.words import clean
from ahc_server.session import Session


@dataclass(frozen=True, slots=True)
class Registry:
    """``asked``: commands whose JSON answers ``read`` makes names of: node id → name."""

    asked: tuple[tuple[str, ...], ...]
    read: Callable[[Sequence[Any], Mapping[str, Inventory]], Mapping[str, str]]


def _ironic(said: Sequence[Any], inventories: Mapping[str, Inventory]) -> Mapping[str, str]:
    nodes, ports = said
    return ironic.names(Document("baremetal node list", {"nodes": nodes, "ports": ports}), inventories)


def _metal3(said: Sequence[Any], inventories: Mapping[str, Inventory]) -> Mapping[str, str]:
    return metal3.names(Document("kubectl get baremetalhosts", said[0]), inventories)


_LIST = ("list", "--limit", "0", "-f", "json", "--fields")
_IRONIC = Registry(
    (
        ("baremetal", "node", *_LIST, "uuid", "name", "driver_info"),
        ("baremetal", "port", *_LIST, "address", "node_uuid"),
    ),
    _ironic,
)
_METAL3 = Registry(
    (("kubectl", "get", "baremetalhosts.metal3.io", "--all-namespaces", "-o", "json"),), _metal3
)
_REGISTRIES: Final[Mapping[str, Registry]] = {
    "ironic-maintenance": _IRONIC,
    "ironic-hold": _IRONIC,
    "metal3-label": _METAL3,
}


def registered(
    hooks: Iterable[Hook], session: Session, nodes: Iterable[str]
) -> tuple[dict[str, Mapping[str, str]], list[str]]:
    """Hook → node id → what the other side calls it, of the hooks that can ask; and why some could not. ``nodes``: those that
    somebody has to know; nobody is asked about none."""
    if not set(nodes):
        return {}, []
    inventories = {record.node: record.inventory or Inventory(collected_at="") for record in session.nodes}
    found: dict[str, Mapping[str, str]] = {}
    notes: list[str] = []
    answers: dict[int, Mapping[str, str] | None] = {}
    for hook in hooks:
        registry = _REGISTRIES.get(hook.name)
        if registry is None:
            continue
        if id(registry) not in answers:
            try:
                answers[id(registry)] = registry.read([_json(words) for words in registry.asked], inventories)
            except AhcError as error:
                answers[id(registry)] = None
                notes.append(
                    f"{hook.name}: nodes go by their ids, as nobody tells what they are called there: {clean(str(error))}"
                )
        names = answers[id(registry)]
        if names is not None:
            found[hook.name] = names
    return found, notes


def _json(words: Sequence[str]) -> Any:
    said = run(words).stdout
    try:
        return msgspec.json.decode(said)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProgramFailed(words[0], "printed what cannot be read") from error
