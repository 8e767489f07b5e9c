"""Machines as somebody else has registered them, and which of our nodes each one is.

What says so, the surest first: a MAC, the serial, the UUID, the address of the BMC, the name. One kind decides only where it
points at exactly one node and this node is claimed once; where two kinds contradict each other, or one points at two, nothing
is matched and a note says why: a profile on the wrong machine is worse than none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from ahc_agent.facts import Inventory
from ahc_server.export.hardware import macs_of

KINDS = ("mac", "serial", "uuid", "bmc", "name")
#: Addresses that many registrations share (simulated BMCs, tunnels): they tell machines apart only by their ports.
_NOWHERE = {"", "localhost", "127.0.0.1", "::1", "0.0.0.0"}


@dataclass(frozen=True, slots=True)
class Registered:
    """One registration by what may tell which machine it is. ``label`` is what it is called in notes: never a password."""

    label: str
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pairing:
    """``node``: by index of the registration, the node's id. ``by``: what decided. ``notes``: what could not be matched."""

    node: dict[int, str]
    by: dict[int, str]
    notes: list[str]


def keys(**known: str | Iterable[str] | None) -> dict[str, frozenset[str]]:
    """Keys of one registration, by kind; upper and lower case are one."""
    taken = {}
    for kind, value in known.items():
        words = [value] if isinstance(value, str) else list(value or ())
        taken[kind] = frozenset(word.strip().lower() for word in words if word.strip())
    return taken


def host_of(address: object) -> str | None:
    """The host of a BMC's address as registrations write it: "10.0.0.1", "ipmi://10.0.0.1:623", "redfish+https://bmc/…"."""
    if not isinstance(address, str):
        return None
    try:
        host: str | None = str(ip_address(address))
    except ValueError:
        try:
            host = urlsplit(address if "//" in address else f"//{address}").hostname
        except ValueError:
            host = None
    return None if (host or "").lower() in _NOWHERE else host


def _own_keys(node: str, inventory: Inventory) -> dict[str, frozenset[str]]:
    system, bmc = inventory.system, inventory.bmc
    return keys(
        mac=[*macs_of(inventory)],
        serial=[text for text in (system.serial, system.chassis_serial) if text],
        uuid=system.uuid,
        bmc=host_of(bmc.address) if bmc else None,
        name=[text for text in (node, system.hostname) if text],
    )


def pair(registered: list[Registered], inventories: Mapping[str, Inventory]) -> Pairing:
    """Which node each registration is."""
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for node, inventory in inventories.items():
        for kind, words in _own_keys(node, inventory).items():
            for word in words:
                holders[kind, word].add(node)
    found: dict[int, str] = {}
    by: dict[int, str] = {}
    notes: list[str] = []
    for index, each in enumerate(registered):
        answers = {kind: _holders(holders, kind, each) for kind in KINDS}
        certain = {kind: next(iter(nodes)) for kind, nodes in answers.items() if len(nodes) == 1}
        if len(certain) > 1:
            certain.pop("name", None)  # people's names prove nothing against what the machine tells
        if len(answers["mac"]) > 1:
            notes.append(
                f"{each.label}: its MACs are those of {' and '.join(sorted(answers['mac']))}: left alone"
            )
        elif not certain:
            notes.append(f"{each.label}: no node of the session is this machine")
        elif len({*certain.values()}) > 1:
            told = ", ".join(f"its {kind} {node}" for kind, node in certain.items())
            notes.append(f"{each.label}: contradicting: {told}: left alone")
        else:
            kind = next(iter(certain))
            found[index], by[index] = certain[kind], kind
    return _without_twins(registered, Pairing(found, by, notes))


def _holders(holders: Mapping[tuple[str, str], set[str]], kind: str, each: Registered) -> set[str]:
    return {node for word in each.keys.get(kind, ()) for node in holders.get((kind, word), ())}


def _without_twins(registered: list[Registered], pairing: Pairing) -> Pairing:
    """Two registrations of one machine: neither can be right for sure."""
    claims = Counter(pairing.node.values())
    twins = [index for index, node in pairing.node.items() if claims[node] > 1]
    for index in twins:
        pairing.notes.append(
            f"{registered[index].label}: {pairing.node[index]} is registered more than once: left alone"
        )
        del pairing.node[index], pairing.by[index]
    return pairing
