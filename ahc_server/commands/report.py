"""``ahc report``: who is different, how much, and what to check."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import click

from ahc_agent.errors import NoData
from ahc_server.collector import no_collector
from ahc_server.commands.options import limits_option, output_option, session_option
from ahc_server.ids import Prefer
from ahc_server.judge import Judgement, judge
from ahc_server.judge.model import Report
from ahc_server.judge.thresholds import Tables
from ahc_server.paths import Where
from ahc_server.report.formats import FORMATS, Drawing, draw
from ahc_server.report.output import write_whole
from ahc_server.report.text import Sections
from ahc_server.session import Session
from ahc_server.store import Store

#: Width of the text where it goes to a pipe or a file.
_PIPE_WIDTH = 120


@click.command("report")
@session_option
@click.option("--format", "form", type=click.Choice([*FORMATS]), default="text", show_default=True)
@output_option
@click.option("--groups", is_flag=True, help="Also the groups of comparable nodes, with all their nodes.")
@click.option("--categories", is_flag=True, help="Also each component's metrics: median, spread, worst node.")
@click.option("--outliers", is_flag=True, help="Also every finding and every metric that differs.")
@click.option("--full", is_flag=True, help="Everything, every value of every node too.")
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail"]),
    default=None,
    help="Exit with 1 where a node is so bad, or worse; with 3 where a node could not be judged.",
)
@limits_option
@click.option(
    "--profiles",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=None,
    help="Also which profile of this folder each node serves in (in the JSON: nodes[].profile).",
)
@click.option(
    "--unique-id",
    type=click.Choice(["serial", "uuid", "mac"]),
    default="serial",
    show_default=True,
    help="What names a node; the next kind where different machines carry the same.",
)
@click.pass_obj
def command(
    where: Where,
    name: str | None,
    form: str,
    output: Path | None,
    groups: bool,
    categories: bool,
    outliers: bool,
    full: bool,
    fail_on: str | None,
    limits: Tables | None,
    profiles: Path | None,
    unique_id: str,
) -> None:
    """Who is different from its peers, how much, and what to check.

    \b
    Example: ahc report --session rack7 --format json --fail-on fail
    Example: ahc report --format html --output rack7.html
    Example: ahc report --limits site.yaml
    """
    with Store(where.store) as store:
        session = store.load_session(name, cast(Prefer, unique_id))
    if not session.nodes:
        raise NoData(f"session {session.name} has no nodes")
    with no_collector():
        judgement = judge(session, generated_at=newest_time(session), limits=limits)
        if profiles is not None:
            judgement = _with_profiles(judgement, session, profiles)
    sections = Sections(groups=groups, categories=categories, outliers=outliers, full=full)
    inventories = {record.node: record.inventory for record in session.nodes if record.inventory is not None}
    terminal = output is None and sys.stdout.isatty()
    width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns if terminal else _PIPE_WIDTH
    drawn = draw(form, Drawing(judgement, sections, inventories, width=max(width, 60), color=terminal))
    if output is None:
        click.echo(drawn, nl=False)
    else:
        write_whole(output, drawn)
    status = exit_status(judgement.report, fail_on)
    if status:
        click.get_current_context().exit(status)


def _with_profiles(judgement: Judgement, session: Session, folder: Path) -> Judgement:
    """The judgement whose report names each node's profile. Raises UsageError, FileFormatError."""
    from ahc_server.profiles.match import match_session, with_profiles
    from ahc_server.profiles.read import read_profiles

    matches = match_session(session, read_profiles(folder), lambda: judgement)
    return replace(judgement, report=with_profiles(judgement.report, matches))


def exit_status(report: Report, fail_on: str | None) -> int:
    """1 where a node or a switch is as bad as ``fail_on``; else 3 where a node could not be judged; 0 without ``fail_on``."""
    if fail_on is None:
        return 0
    counts = report.counts
    switches = {each.severity for each in report.findings if each.element.startswith(("leaf:", "link:"))}
    if counts.fail or "fail" in switches or (fail_on == "warn" and (counts.warn or "warn" in switches)):
        return 1
    return 3 if counts.unknown else 0


def newest_time(session: Session) -> str:
    """When the newest data of a session came in, by the server's clock: agents' clocks prove nothing, and the same
    data must give the same report tomorrow."""
    times = [session.created_at_s]
    times += [at for step in session.steps for at in (step.started_at_s, step.ended_at_s) if at is not None]
    return datetime.fromtimestamp(max(times), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
