"""Which switch a node hangs on, as its cards heard it by LLDP."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from ahc_agent.facts import Inventory


def leaf_of(inventory: Inventory, addresses: Iterable[str]) -> str | None:
    """The neighbour of the card that carries one of ``addresses`` ("10.1.0.3/24"); where none does, of the only neighbour
    there is. None where nothing was heard, or two different switches were."""
    wanted = {_plain(each) for each in addresses} - {None}
    heard = {
        nic.name: nic.lldp.chassis_id or nic.lldp.system_name
        for nic in inventory.nics
        if nic.lldp is not None
    }
    carrying = {
        heard[nic.name]
        for nic in inventory.nics
        if heard.get(nic.name) and wanted & {_plain(each) for each in nic.addresses}
    }
    found = carrying or {each for each in heard.values() if each}
    return found.pop() if len(found) == 1 else None


def _plain(text: str) -> str | None:
    try:
        return str(ipaddress.ip_interface(text).ip)
    except ValueError:
        return None
