"""``ahc history``: when something changed, over many sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ahc_server.commands.options import limits_option
from ahc_server.paths import Where
from ahc_server.store import Store

if TYPE_CHECKING:
    from ahc_server.judge.thresholds import Tables


@click.command("history")
@click.option(
    "--node",
    metavar="ID",
    default=None,
    help="Only this node, with its levels, and what it shared with others.",
)
@click.option(
    "--metric",
    "pattern",
    metavar="GLOB",
    default=None,
    help='Only metrics of such names: "disk.*.randread*".',
)
@click.option(
    "--sessions",
    "most",
    metavar="N",
    type=click.IntRange(3, 500),
    default=20,
    show_default=True,
    help="The newest N sessions.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--full", is_flag=True, help="All changes, and the levels of all nodes.")
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail"]),
    default=None,
    help="Exit with 1 where something became so much worse and still is.",
)
@limits_option
@click.pass_obj
def command(
    where: Where,
    node: str | None,
    pattern: str | None,
    most: int,
    form: str,
    full: bool,
    fail_on: str | None,
    limits: Tables | None,
) -> None:
    """When something changed: for all nodes alike, and for single nodes; and which facts changed at the same time.

    Needs three sessions at least. Ends with 3 where there are fewer.

    \b
    Example: ahc history --node CZ3323FDV8 --metric 'disk.*'
    """
    from ahc_server.history.draw import json_text, text_width
    from ahc_server.history.draw.timeline import draw_timeline
    from ahc_server.history.loading import load_newest
    from ahc_server.history.timeline import timeline

    with Store(where.store) as store:
        readings = load_newest(store, most)
    told = timeline(readings, limits, node=node, pattern=pattern, series=full or node is not None)
    click.echo(
        json_text(told) if form == "json" else draw_timeline(told, width=text_width(), full=full), nl=False
    )
    if fail_on is not None and (told.worst == "fail" or (told.worst == "warn" and fail_on == "warn")):
        click.get_current_context().exit(1)
