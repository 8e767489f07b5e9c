"""``ahc import`` of pairwise network results: a session of rounds, not of single machines."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ahc_agent.errors import UsageError
from ahc_server.collector import no_collector
from ahc_server.importers.files import RESULTS, Candidate, shown
from ahc_server.importers.pairwise import NAME, read
from ahc_server.importers.pairwise_session import write
from ahc_server.paths import Where
from ahc_server.store import Store


def import_pairwise(
    where: Where, session: str, files: Sequence[Candidate], others: Sequence[Candidate], *, add: bool
) -> None:
    """Take one document into the store. Raises UsageError, FileFormatError."""
    if add:
        raise UsageError(f"{NAME} are a session of their own: they cannot be added to one (leave --add out)")
    strange = [*files[1:], *(each for each in others if each.named or each.path.suffix in RESULTS)]
    if strange:
        raise UsageError(
            f"{shown(strange[0].path)} stands beside the {NAME} in {shown(files[0].path)}:"
            " import each into a session of its own"
        )
    with Store(where.store, write=True) as store:
        if store.has_session(session):
            raise UsageError(f"there is a session {session!r} already (choose another name)")
        with no_collector():
            pairwise = read(files[0])
        for remark in pairwise.remarks:
            click.echo(f"note: {remark}", err=True)
        write(store, session, pairwise)
    click.echo(
        f"session {session}: {len(pairwise.nodes):,} nodes taken (1 × {NAME}), {pairwise.flows:,} flows in "
        f"{len(pairwise.rounds):,} round{'' if len(pairwise.rounds) == 1 else 's'}\n"
        f"report: ahc report --session {session}"
    )
