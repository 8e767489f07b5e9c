"""``ahc compare``: the same fleet before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import UsageError
from ahc_server.commands.options import limits_option, output_option
from ahc_server.paths import Where
from ahc_server.report.output import write_whole
from ahc_server.store import Store

if TYPE_CHECKING:
    from ahc_server.history.model import Comparison
    from ahc_server.judge.thresholds import Tables


@click.command("compare")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "html"]), default="text", show_default=True
)
@output_option
@click.option(
    "--full", is_flag=True, help="Everything: what did not change, every metric, every node and fact."
)
@click.option(
    "--fail-on",
    type=click.Choice(["warn", "fail"]),
    default=None,
    help="Exit with 1 where something became so much worse; with 3 where a node of BEFORE could not be compared.",
)
@limits_option
@click.pass_obj
def command(
    where: Where,
    before: str,
    after: str,
    form: str,
    output: Path | None,
    full: bool,
    fail_on: str | None,
    limits: Tables | None,
) -> None:
    """What changed between two sessions: for all nodes alike, and who changed otherwise.

    Each node is compared with itself, so nodes of different hardware may stand beside each other. Ends with 3 where the two
    sessions have nothing in common.

    \b
    Example: ahc compare before-kernel-6.12 after-kernel-6.12 --fail-on warn
    Example: ahc compare mtu-1500 mtu-9000 --format html --output mtu.html
    """
    from ahc_server.history.compare import compare
    from ahc_server.history.loading import load

    if before == after:
        raise UsageError(f"{before} twice: name the session before and the session after")
    with Store(where.store) as store:
        first, second = (load(store, name, flows=True) for name in (before, after))
        comparison = compare(first, second, limits, every=full)
    drawn = _drawn(comparison, form, full=full, terminal=output is None)
    if output is None:
        click.echo(drawn, nl=False)
    else:
        write_whole(output, drawn)
    status = 0
    if fail_on is not None:
        worst = comparison.worst
        if worst == "fail" or (worst == "warn" and fail_on == "warn"):
            status = 1
        elif any(gap.blocking for gap in comparison.gaps):
            status = 3
    if status:
        click.get_current_context().exit(status)


def _drawn(comparison: Comparison, form: str, *, full: bool, terminal: bool) -> str:
    if form == "json":
        from ahc_server.history.draw import json_text

        return json_text(comparison)
    if form == "html":
        from ahc_server.history.draw.page import draw_page

        return draw_page(comparison)
    from ahc_server.history.draw import PIPE_WIDTH, text_width
    from ahc_server.history.draw.comparison import draw_comparison

    return draw_comparison(comparison, width=text_width() if terminal else PIPE_WIDTH, full=full)
