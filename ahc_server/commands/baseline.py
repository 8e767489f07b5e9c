"""``ahc baseline``: what a group of nodes did, kept for the next delivery of the same model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ahc_agent.errors import CannotAnswer
from ahc_server.commands.options import limits_option
from ahc_server.paths import Where
from ahc_server.store import Store

if TYPE_CHECKING:
    from ahc_server.judge.thresholds import Tables

_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
_SESSION = click.option(
    "--session", metavar="SESSION", default=None, help="Which session; by default the newest."
)


@click.group("baseline", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Keep what a group of nodes did, and hold the next delivery of the same model to it.

    \b
    Example: ahc baseline save r640-2024 --session delivery-7
             ahc baseline check r640-2024 --session delivery-8 --fail-on warn
    """


@command.command("save")
@click.argument("name")
@_SESSION
@click.option("--replace", is_flag=True, help="Write over a baseline of this name.")
@limits_option
@click.pass_obj
def save(where: Where, name: str, session: str | None, replace: bool, limits: Tables | None) -> None:
    """Make a baseline of the nodes that pass in a session, by hardware group.

    \b
    Example: ahc baseline save r640-2024 --session delivery-7
    """
    from ahc_server.history.baseline import baseline_of
    from ahc_server.history.folder import BaselineFolder
    from ahc_server.history.loading import judged
    from ahc_server.judge import wording

    with Store(where.store) as store:
        reading, verdicts = judged(store, session, limits)
    baseline = baseline_of(reading, name, verdicts)
    file = BaselineFolder(where.store).save(baseline, replace=replace)
    for group in baseline.groups:
        few = "" if group.judged else ", too few to be judged by their peers"
        click.echo(
            f"{wording.nodes_word(group.nodes)}{few}, {len(group.metrics):,} metrics: {group.hardware}"
        )
    left = len(verdicts) - sum(group.nodes for group in baseline.groups)
    click.echo(
        f"baseline {name}: {file}"
        + (f" ({wording.nodes_word(left)} that did not pass left out)" if left else "")
    )


@command.command("list")
@click.pass_obj
def list_(where: Where) -> None:
    """List the baselines.

    \b
    Example: ahc baseline list
    """
    from ahc_server.history.draw.baseline import draw_baselines
    from ahc_server.history.folder import BaselineFolder

    folder = BaselineFolder(where.store)
    click.echo(draw_baselines([folder.load(name) for name in folder.names()]), nl=False)


@command.command("show")
@click.argument("name")
@_FORMAT
@click.pass_obj
def show(where: Where, name: str, form: str) -> None:
    """Every metric of a baseline. As JSON it is what the file holds.

    \b
    Example: ahc baseline show r640-2024
    """
    from ahc_server.history.draw import json_text, text_width
    from ahc_server.history.draw.baseline import draw_baseline
    from ahc_server.history.folder import BaselineFolder

    baseline = BaselineFolder(where.store).load(name)
    click.echo(
        json_text(baseline) if form == "json" else draw_baseline(baseline, width=text_width()), nl=False
    )


@command.command("remove")
@click.argument("name")
@click.pass_obj
def remove(where: Where, name: str) -> None:
    """Remove a baseline.

    \b
    Example: ahc baseline remove r640-2024
    """
    from ahc_server.history.folder import BaselineFolder

    BaselineFolder(where.store).remove(name)
    click.echo(f"baseline {name} removed")


@command.command("check")
@click.argument("name", metavar="NAME|FILE")
@_SESSION
@_FORMAT
@click.option("--full", is_flag=True, help="All findings, all nodes.")
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail"]),
    default=None,
    help="Exit with 1 where something is so much worse; with 3 where a node could not be compared.",
)
@limits_option
@click.pass_obj
def check(
    where: Where,
    name: str,
    session: str | None,
    form: str,
    full: bool,
    fail_on: str | None,
    limits: Tables | None,
) -> None:
    """Hold a session to a baseline: finds what all nodes of a delivery share, which no peer can show.

    FILE is the path of a baseline's file (with a slash in it). Ends with 3 where no group of the session has the hardware of
    the baseline.

    \b
    Example: ahc baseline check r640-2024 --session delivery-8 --fail-on warn
    """
    from ahc_server.history.check import check as check_session
    from ahc_server.history.draw import json_text, text_width
    from ahc_server.history.draw.baseline import draw_check
    from ahc_server.history.folder import BaselineFolder
    from ahc_server.history.loading import load

    baseline = BaselineFolder(where.store).load(name)
    with Store(where.store) as store:
        checked = check_session(load(store, session), baseline, limits)
    if not any(group.compared_with for group in checked.groups):
        raise CannotAnswer(
            f"baseline {name} has no such hardware: {checked.groups[0].why if checked.groups else 'no group'}"
        )
    click.echo(
        json_text(checked) if form == "json" else draw_check(checked, width=text_width(), full=full), nl=False
    )
    status = 0
    if fail_on is not None:
        if checked.worst == "fail" or (checked.worst == "warn" and fail_on == "warn"):
            status = 1
        elif any(gap.blocking for gap in checked.gaps):
            status = 3
    if status:
        click.get_current_context().exit(status)
