"""What nodes can tell of their own wires: counters that rose, packets that vanish, addresses and cables that are odd.

::

    session ──▶ model      who saw what of the way to whom
            ──▶ counters   errors, drops, pauses and retransmissions of one node that its peers have not
            ──▶ holes      sizes of packets that do not pass, and where
            ──▶ addresses  two machines with one address, data that takes another card than the one with the address
    inventories ──▶ cabling    the switch ports that the cards hang on (LLDP), against those of the peers
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ahc_server.judge.health import merged
from ahc_server.judge.model import Finding
from ahc_server.judge.wires.addresses import addresses
from ahc_server.judge.wires.cabling import cabling
from ahc_server.judge.wires.counters import causes_of, ill_links, risen
from ahc_server.judge.wires.holes import holes
from ahc_server.judge.wires.model import ways_of
from ahc_server.session import NodeRecord, Session

__all__ = ["causes_of", "with_wires"]


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
    told = merged(ill_links(risen(ways, records), records), findings)
    told += holes(ways, records)
    told += addresses(ways, records)
    for number, group in enumerate(groups):
        told += cabling([int(row) for row in group], f"g{number + 1}", records)
    return told
