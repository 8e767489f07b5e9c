"""``ahc match``: sort nodes into hardware profiles, and say why."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import NoData, UsageError
from ahc_server.commands.options import output_option, session_option
from ahc_server.paths import Where

if TYPE_CHECKING:
    from ahc_agent.facts import Inventory
    from ahc_server.profiles.model import Matches
    from ahc_server.session import Session

_PIPE_WIDTH = 120
#: Forms of other programs: the names in ``ahc_server.export.FORMATS``, which is loaded only where one is asked for.
EXPORTS = ("ironic", "ironic-rules", "instackenv", "metal3")


@click.command("match")
@click.option(
    "--profiles",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    help="A folder of profiles, or one profile. By default those that are shipped.",
)
@click.option(
    "--specs",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    help="eDeploy's files in place of profiles: state, ROLE.specs, ROLE.cmdb.",
)
@click.option(
    "--state",
    "state_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=None,
    help="With --specs: the state file, where it is not DIR/state.",
)
@session_option
@click.option(
    "--format", "form", type=click.Choice(["text", "json", *EXPORTS]), default="text", show_default=True
)
@click.option("--node", "only", metavar="ID", default=None, help="What every profile says of this node.")
@click.option("--full", is_flag=True, help="What every profile says of every node.")
@click.option(
    "--registered",
    "--instackenv",
    "registered",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=None,
    help="What is registered now: instackenv.json, Ironic's nodes, BareMetalHosts (JSON).",
)
@output_option
@click.option(
    "--apply",
    is_flag=True,
    help="With --format ironic: send the changes to Ironic. With --specs: write counts and marks into the files.",
)
@click.pass_obj
def command(
    where: Where,
    folder: Path | None,
    specs: Path | None,
    state_file: Path | None,
    name: str | None,
    form: str,
    only: str | None,
    full: bool,
    registered: Path | None,
    output: Path | None,
    apply: bool,
) -> None:
    """Sort nodes into hardware profiles, and say why.

    \b
    Example: ahc match --session rack7
    Example: ahc match --profiles site/profiles --node CZ3323FDVH
    Example: ahc match --format instackenv --registered instackenv.json --output new.json

    Exit code 0: every node has a profile and every quota its nodes; 1: some have not; 3: for some it cannot be told.
    """
    from ahc_server.report.output import write_whole
    from ahc_server.store import Store

    if apply and (form != "ironic" if specs is None else form in EXPORTS):
        raise UsageError("--apply: with --format ironic, or with --specs and no format of other programs")
    if specs is None and state_file is not None:
        raise UsageError("--state: only with --specs")
    if specs is not None and folder is not None:
        raise UsageError("--specs and --profiles: one of them")
    with Store(where.store) as store:
        session = store.load_session(name, "serial")
    if all(record.inventory is None for record in session.nodes):
        raise NoData(f"session {session.name} has no inventory of any node")
    if only is not None and only not in {record.node for record in session.nodes}:
        raise UsageError(f"--node {only}: session {session.name} has no such node")
    if specs is None:
        matches = match_profiles(session, folder)
    else:
        from ahc_server.edeploy.fleet import match_specs

        matches = match_specs(session, specs, state_file, apply=apply)
    if form in EXPORTS:
        from ahc_server.commands.match_export import export

        export(form, matches, _inventories(session), registered=registered, output=output, apply=apply)
    else:
        drawn = _draw(form, session, matches, full, only, to_file=output is not None)
        if output is None:
            click.echo(drawn, nl=False)
        else:
            write_whole(output, drawn)
    status = exit_status(matches, only)
    if status:
        click.get_current_context().exit(status)


def match_profiles(session: Session, folder: Path | None) -> Matches:
    """A session against the profiles of a folder, by default those that are shipped. Raises UsageError, FileFormatError."""
    from ahc_server.collector import no_collector
    from ahc_server.judge import Judgement, judge
    from ahc_server.profiles.match import match_session
    from ahc_server.profiles.read import SHIPPED, read_profiles

    profiles = read_profiles(folder or SHIPPED)

    def judged() -> Judgement:
        return judge(session, generated_at="")

    with no_collector():
        return match_session(session, profiles, judged)


def _draw(
    form: str, session: Session, matches: Matches, full: bool, only: str | None, *, to_file: bool
) -> str:
    """As text or as ``ahc.match/1``; both tell what the machines are not yet as their profiles want them."""
    from ahc_server.profiles.draw import draw_json, draw_text
    from ahc_server.readystate import compare, with_drifts

    if form == "json":
        return draw_json(with_drifts(matches, _inventories(session)))
    terminal = sys.stdout.isatty() and not to_file
    width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns if terminal else _PIPE_WIDTH
    drifts = [
        f"{drift.node}: {drift.sentence()}"
        for drift in compare(matches, _inventories(session))
        if only in (None, drift.node)
    ]
    return draw_text(matches, width=max(width, 60), full=full, node=only, drifts=drifts)


def _inventories(session: Session) -> dict[str, Inventory]:
    return {record.node: record.inventory for record in session.nodes if record.inventory is not None}


def exit_status(matches: Matches, only: str | None = None) -> int:
    """1 where a quota is not filled or a node fits no profile that has a place for it; else 3 where that cannot be told of a
    node; else 0. With ``only`` it is about that node alone."""
    left = [node for node in matches.nodes if node.profile is None and only in (None, node.id)]
    unsure = [node for node in left if any(answer.fit == "unknown" for answer in node.answers)]
    if (matches.unfilled and only is None) or len(unsure) < len(left):
        return 1
    return 3 if unsure else 0
