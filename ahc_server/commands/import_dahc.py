"""``ahc import`` of a run of DAHC: a session of steps, not of single machines."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import click

from ahc_agent.errors import UsageError
from ahc_server.collector import no_collector
from ahc_server.importers.dahc import NAME, Run, read_run
from ahc_server.importers.dahc_folder import Folder
from ahc_server.importers.dahc_session import write_run
from ahc_server.importers.files import RESULTS, Candidate, shown
from ahc_server.paths import Where
from ahc_server.store import Store

log = logging.getLogger(__name__)

_MOST_TOLD = 50


def import_dahc(
    where: Where, session: str, folders: Sequence[Folder], others: Sequence[Candidate], *, add: bool
) -> None:
    """Take one run into the store. Ends with 1 where something of it was left out. Raises UsageError."""
    if add:
        raise UsageError(f"{NAME} are a session of their own: they cannot be added to one (leave --add out)")
    if len(folders) > 1:
        named = ", ".join(shown(each.root) for each in folders[:4])
        raise UsageError(f"{len(folders)} runs of DAHC ({named}): import each into a session of its own")
    strange = [each for each in others if each.named or each.path.suffix in RESULTS]
    if strange:
        raise UsageError(
            f"{shown(strange[0].path)} stands outside of the run of DAHC in {shown(folders[0].root)}:"
            " import it into a session of its own"
        )
    with Store(where.store, write=True) as store:
        if store.has_session(session):
            raise UsageError(f"there is a session {session!r} already (choose another name)")
        with no_collector():
            run = read_run(folders[0])
        _say("not taken", run.bad)
        _say("note", run.remarks)
        write_run(store, session, run)
    click.echo(_summary(session, run))
    if run.bad:
        click.get_current_context().exit(1)


def _say(what: str, told: Sequence[str]) -> None:
    for each in told[:_MOST_TOLD]:
        click.echo(f"{what}: {each}", err=True)
    for each in told[_MOST_TOLD:]:
        log.info("%s: %s", what, each)
    if len(told) > _MOST_TOLD:
        click.echo(f"{what}: {len(told) - _MOST_TOLD:,} more (ahc -v import shows all)", err=True)


def _summary(session: str, run: Run) -> str:
    machines = sum(each.lost is None for each in run.machines.values())
    jobs = Counter(step.job for step in run.steps)
    return (
        f"session {session}: {machines:,} machine{'' if machines == 1 else 's'} taken ({run.files:,} × {NAME}), "
        f"{len(run.steps):,} steps of {len(jobs):,} job{'' if len(jobs) == 1 else 's'}, "
        f"{run.measurements:,} measurements\n"
        f"report: ahc report --session {session}"
    )
