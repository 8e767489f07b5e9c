"""What went wrong while machines booted into the discovery ramdisk: told, and held against nobody.

A machine that is here has got over it; a card without a lease or a driver without its firmware is seen by what was not measured.
"""

from __future__ import annotations

from collections.abc import Iterable

from ahc_server.judge.model import Finding
from ahc_server.session import NodeRecord

#: Sentences in a summary; there are more in the log of the server.
_TOLD = 3


def told_by_boots(records: Iterable[NodeRecord]) -> list[Finding]:
    """One finding for each node that had trouble on its way here."""
    return [
        Finding(
            element=f"node:{record.node}",
            nodes=[record.node],
            component="system",
            kind="health",
            severity="info",
            summary=f"{record.node}: had trouble while it booted: {_listed(record.troubles)}",
        )
        for record in records
        if record.troubles
    ]


def _listed(troubles: tuple[str, ...]) -> str:
    more = len(troubles) - _TOLD
    told = [ascii(text)[1:-1] if not text.isprintable() else text for text in troubles[:_TOLD]]
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")
