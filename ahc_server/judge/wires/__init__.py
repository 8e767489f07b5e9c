"""What nodes can tell of their own wires: counters that rose, packets that vanish, addresses and cables that are odd.

::

    session ──▶ model      who saw what of the way to whom
            ──▶ counters   errors, drops, pauses and retransmissions of one node that its peers have not
            ──▶ holes      sizes of packets that do not pass, and where
            ──▶ addresses  two machines with one address, data that takes another card than the one with the address
    plan        ──▶ planned    the switch that a node hangs on, against the one that the plan names
    inventories ──▶ cabling    the switch ports that the cards hang on (LLDP), against those of the peers
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ahc_server.judge.health import merged
from ahc_server.judge.model import Finding
from ahc_server.judge.wires.addresses import addresses
from ahc_server.judge.wires.cabling import cabling
from ahc_server.judge.wires.counters import RETRANSMITTED, Rise, ill_links, risen
from ahc_server.judge.wires.holes import holes
from ahc_server.judge.wires.model import ways_of
from ahc_server.judge.wires.planned import planned
from ahc_server.session import NodeRecord, Session
from ahc_server.switches import data_addresses, switch_of


def with_wires(
    findings: Sequence[Finding],
    session: Session,
    rows: Mapping[str, int],
    records: Sequence[NodeRecord],
    groups: Iterable[Iterable[int]],
) -> list[Finding]:
    """``findings`` and those of wires. Counters that rose on a node whose network is slow are the cause of that finding.

    ``rows``: machine → row, ``records``: the nodes by row, ``groups``: rows that can be compared.
    """
    ways = ways_of(session, rows)
    tested = data_addresses(session)
    rises = risen(ways, records, _racks(records, tested), _slow(findings, records))
    told = merged(ill_links(_not_of_switches(rises, findings, records), records), findings)
    told += holes(ways, records)
    told += addresses(ways, records)
    told += planned(_meant(session), records, tested)
    for number, group in enumerate(groups):
        told += cabling([int(row) for row in group], f"g{number + 1}", records)
    return told


def _racks(records: Sequence[NodeRecord], tested: Mapping[str, set[str]]) -> dict[int, str]:
    """Row → the switch behind the card that was tested, where it is known."""
    switches = (switch_of(record.inventory, tested.get(record.machine, ())) for record in records)
    return {row: switch.identity for row, switch in enumerate(switches) if switch is not None}


def _slow(findings: Iterable[Finding], records: Sequence[NodeRecord]) -> set[int]:
    """Rows of nodes whose network is accused."""
    accused = {
        each.element
        for each in findings
        if each.component == "network" and each.severity != "info" and each.kind in ("slow", "missing")
    }
    return {row for row, record in enumerate(records) if f"node:{record.node}" in accused}


def _not_of_switches(
    rises: Iterable[Rise], findings: Iterable[Finding], records: Sequence[NodeRecord]
) -> list[Rise]:
    """What rose, but for what was sent again by nodes behind a switch that is bad: it is the switch that drops it."""
    behind = {node for each in findings if each.element.startswith(("leaf:", "link:")) for node in each.nodes}
    return [rise for rise in rises if rise.key != RETRANSMITTED or records[rise.row].node not in behind]


def _meant(session: Session) -> dict[str, str]:
    """Node → the switch that the plan names, where it does."""
    if "cabling" not in session.plan:
        return {}
    from ahc_server.plan.cabling import (
        cabling_of,
    )  # most plans have none, and reading YAML takes a while to load

    return cabling_of(session.plan)
