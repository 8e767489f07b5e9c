"""Which switch a node hangs on, as its cards heard it by LLDP: one rule for who plans rounds, judges and draws.

The chassis id is the identity (IEEE 802.1AB, 8.5.2: mandatory, and unique in the network). The system name is what people call
it: optional, and two switches may carry the same.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ahc_agent.facts import Inventory, Lldp
from ahc_server.session import Session


@dataclass(frozen=True, slots=True, order=True)
class Switch:
    """``identity``: its chassis id, else its name; ``name``: what it calls itself, else its chassis id."""

    identity: str
    name: str


def heard_switch(heard: Lldp | None) -> Switch | None:
    """The neighbour of one card."""
    identity = None if heard is None else heard.chassis_id or heard.system_name
    if heard is None or not identity:
        return None
    return Switch(identity, heard.system_name or identity)


def switch_of(inventory: Inventory | None, addresses: Iterable[str] = ()) -> Switch | None:
    """The neighbour of the card that carries one of ``addresses`` ("10.1.0.3/24"); where none does, of the only neighbour
    there is. None where nothing was heard, or two different switches were."""
    wanted = {_plain(each) for each in addresses} - {None}
    carrying: dict[str, Switch] = {}
    heard: dict[str, Switch] = {}
    for nic in [] if inventory is None else inventory.nics:
        switch = heard_switch(nic.lldp)
        if switch is not None:
            heard[switch.identity] = switch
            if wanted & {_plain(each) for each in nic.addresses}:
                carrying[switch.identity] = switch
    found = carrying or heard
    return next(iter(found.values())) if len(found) == 1 else None


def data_addresses(session: Session) -> dict[str, set[str]]:
    """Machine → its own addresses in tests of pairs."""
    found: dict[str, set[str]] = {}
    for record in session.outcomes:
        pair = record.outcome.pair
        if pair is not None and pair.path is not None and pair.path.address:
            found.setdefault(record.machine, set()).add(pair.path.address)
    return found


def labels(switches: Iterable[Switch]) -> Mapping[str, str]:
    """Identity → a name that no other switch has: its own where it is alone with it, else with the chassis id behind."""
    names = {each.identity: each.name for each in sorted(switches, reverse=True)}
    count = Counter(names.values())
    return {
        identity: name if count[name] == 1 else f"{name} ({identity})" for identity, name in names.items()
    }


def _plain(text: str) -> str | None:
    try:
        return str(ipaddress.ip_interface(text).ip)
    except ValueError:
        return None
