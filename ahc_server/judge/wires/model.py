"""Who saw what of the way to whom, and how a switch port is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ahc_agent.facts import Nic
from ahc_agent.wire.messages import PathFacts
from ahc_server.session import NodeRecord, Session
from ahc_server.switches import heard_switch


@dataclass(frozen=True, slots=True)
class Seen:
    """One end of one pair test: ``row`` saw ``path`` towards ``peer``."""

    row: int
    peer: int
    path: PathFacts


def ways_of(session: Session, rows: Mapping[str, int]) -> list[Seen]:
    """Everything that was seen, in the order of the session; of machines that are not in it nothing."""
    return [
        Seen(rows[record.machine], rows[pair.peer], pair.path)
        for record in session.outcomes
        if (pair := record.outcome.pair) is not None
        and pair.path is not None
        and record.machine in rows
        and pair.peer in rows
        and record.machine != pair.peer
    ]


def cards_of(record: NodeRecord) -> Sequence[Nic]:
    return record.inventory.nics if record.inventory is not None else ()


def port_of(record: NodeRecord, card: str, called: Mapping[str, str] | None = None) -> str | None:
    """ "port Eth1/17 on leaf3", where LLDP told it. ``called``: identity of a switch → its name, by default its own."""
    heard = next((nic.lldp for nic in cards_of(record) if nic.name == card), None)
    switch = heard_switch(heard)
    if heard is None or not (switch or heard.port_id):
        return None
    port = f"port {heard.port_id}" if heard.port_id else "a port"
    return f"{port} on {(called or {}).get(switch.identity, switch.name)}" if switch else port
