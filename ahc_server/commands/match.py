"""``ahc match``: sort nodes into hardware profiles, and say why."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import NoData, UsageError
from ahc_server.paths import Where

if TYPE_CHECKING:
    from ahc_server.profiles.model import Matches

_PIPE_WIDTH = 120


@click.command("match")
@click.option(
    "--profiles",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    help="A folder of profiles, or one profile. By default those that are shipped.",
)
@click.option("--session", "name", metavar="NAME", default=None, help="Which session; by default the newest.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--node", "only", metavar="ID", default=None, help="What every profile says of this node.")
@click.option("--full", is_flag=True, help="What every profile says of every node.")
@click.pass_obj
def command(
    where: Where, folder: Path | None, name: str | None, form: str, only: str | None, full: bool
) -> None:
    """Sort nodes into hardware profiles, and say why.

    \b
    Example: ahc match --session rack7
    Example: ahc match --profiles site/profiles --node CZ3323FDVH

    Exit code 0: every node has a profile and every quota its nodes; 1: some have not; 3: for some it cannot be told.
    """
    from ahc_server.judge import Judgement, judge
    from ahc_server.profiles.draw import draw_json, draw_text
    from ahc_server.profiles.match import match_session
    from ahc_server.profiles.read import SHIPPED, read_profiles
    from ahc_server.store import Store

    profiles = read_profiles(folder or SHIPPED)
    with Store(where.store) as store:
        session = store.load_session(name, "serial")
    if not session.nodes:
        raise NoData(f"session {session.name} has no nodes")
    if only is not None and only not in {record.node for record in session.nodes}:
        raise UsageError(f"--node {only}: session {session.name} has no such node")

    def judged() -> Judgement:
        return judge(session, generated_at="")

    matches = match_session(session, profiles, judged)
    if form == "json":
        click.echo(draw_json(matches), nl=False)
    else:
        width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns if sys.stdout.isatty() else _PIPE_WIDTH
        click.echo(draw_text(matches, width=max(width, 60), full=full, node=only), nl=False)
    status = exit_status(matches)
    if status:
        click.get_current_context().exit(status)


def exit_status(matches: Matches) -> int:
    """1 where a quota is not filled or a node fits no profile that has a place for it; else 3 where that cannot be told of a
    node; else 0."""
    left = [node for node in matches.nodes if node.profile is None]
    unsure = [node for node in left if any(answer.fit == "unknown" for answer in node.answers)]
    if matches.unfilled or len(unsure) < len(left):
        return 1
    return 3 if unsure else 0
