"""``ahc import``: results of others into the store."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field

import click

from ahc_agent.errors import FileFormatError, UsageError
from ahc_server.collector import no_collector
from ahc_server.commands.import_dahc import import_dahc
from ahc_server.commands.import_pairwise import import_pairwise
from ahc_server.importers import Unrecognised, pairwise, read
from ahc_server.importers.dahc_folder import split
from ahc_server.importers.files import RESULTS, Candidate, find, shown
from ahc_server.importers.session import Gathering, gathering_for, write
from ahc_server.paths import Where
from ahc_server.session import session_name
from ahc_server.store import Store

log = logging.getLogger(__name__)

#: So much is told of one kind; files without values beyond it are only counted, those not taken are logged.
_MOST_REMARKS = 20
_MOST_TOLD = 50


@dataclass(slots=True)
class _Told:
    """What became of the files."""

    by_format: Counter[str] = field(default_factory=Counter)
    measurements: int = 0
    bad: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@click.command("import")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--session", "name", metavar="NAME", required=True, help="Name of the session that is made of them."
)
@click.option("--add", is_flag=True, help="Add machines to a session that an import made.")
@click.pass_obj
def command(where: Where, paths: tuple[str, ...], name: str, add: bool) -> None:
    """Take results of others into the store as a session: files, or folders of them.

    Read are eDeploy's .hw files, the results of its DAHC (a folder, or a tar archive of it), the JSON of hardware-detect,
    Ironic's inspection data, rates between pairs of nodes (ahc.pairwise/1) and AHC's own JSON; which it is, the content
    tells. What cannot be read is named on standard error with the reason. Ends with 1 where results were left out, with 2
    where there was nothing to take.

    \b
    Example: ahc import /var/lib/edeploy/health --session delivery-7
    Example: ahc import dahc/all-mtu-1500.tar.xz --session mtu-1500
    """
    name = session_name(name)
    candidates = find(paths)
    folders, candidates = split(candidates)
    if folders:
        import_dahc(where, name, folders, candidates, add=add)
        return
    networks, candidates = pairwise.split(candidates)
    if networks:
        import_pairwise(where, name, networks, candidates, add=add)
        return
    with Store(where.store, write=True) as store:
        gathering = gathering_for(store, name, add=add)
        with no_collector():
            told = _gather(candidates, gathering)
        _say(told, gathering)
        if not gathering.taken and not gathering.again:
            raise UsageError(
                f"nothing could be taken from {_many(len(candidates), 'file')}; no session was made"
            )
        if gathering.taken:
            write(store, gathering)
    click.echo(_summary(told, gathering))
    if told.bad:
        click.get_current_context().exit(1)


def _gather(candidates: list[Candidate], gathering: Gathering) -> _Told:
    """Read all files. Without the cycle collector: each file makes thousands of objects, and none of them a cycle."""
    told = _Told()
    for candidate in candidates:
        try:
            for form, source, imported in read(candidate):
                before = len(gathering.taken)
                gathering.add(source, imported)
                if len(gathering.taken) > before:
                    told.by_format[form.name] += 1
                    told.measurements += imported.columns.known
                    told.remarks += imported.remarks
        except Unrecognised as error:
            if candidate.named or candidate.path.suffix in RESULTS:
                told.bad.append(str(error))
            else:
                told.passed_over.append(shown(candidate.path))
        except FileFormatError as error:
            told.bad.append(str(error))
    return told


def _say(told: _Told, gathering: Gathering) -> None:
    """What was not taken, each file; and remarks about what was."""
    for problem in told.bad[:_MOST_TOLD]:
        click.echo(f"not taken: {problem}", err=True)
    for problem in told.bad[_MOST_TOLD:]:
        log.info("not taken: %s", problem)
    if len(told.bad) > _MOST_TOLD:
        click.echo(f"not taken: {len(told.bad) - _MOST_TOLD:,} more (ahc -v import shows all)", err=True)
    for remark in told.remarks[:_MOST_REMARKS]:
        click.echo(f"note: {remark}", err=True)
    if len(told.remarks) > _MOST_REMARKS:
        click.echo(f"note: {len(told.remarks) - _MOST_REMARKS:,} more files lack values", err=True)
    if told.passed_over:
        shown_names = ", ".join(told.passed_over[:5])
        rest = len(told.passed_over) - 5
        click.echo(
            f"passed over, no results of a machine: {shown_names}"
            + (f" and {rest:,} more" if rest > 0 else ""),
            err=True,
        )
    if gathering.again:
        click.echo(f"there already, the same: {_many(gathering.again, 'machine')}", err=True)


def _summary(told: _Told, gathering: Gathering) -> str:
    formats = ", ".join(f"{count:,} × {name}" for name, count in sorted(told.by_format.items()))
    return (
        f"session {gathering.session}: {_many(len(gathering.taken), 'machine')} taken"
        + (f" ({formats})" if formats else "")
        + f", {_many(told.measurements, 'measurement')}\n"
        + f"report: ahc report --session {gathering.session}"
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
