"""``ahc sessions``: what the store holds."""

from __future__ import annotations

from datetime import datetime

import click

from ahc_agent.errors import CannotAnswer
from ahc_server.control import Declined, StopSession, ask
from ahc_server.paths import Where
from ahc_server.store import Store
from ahc_server.store.moments import is_moment
from ahc_server.store.saved import SessionSummary

_COLUMNS = ("session", "plan", "state", "started", "took", "nodes", "lost", "results")


@click.command()
@click.option("--stop", metavar="NAME", help="End a running session early; what it has measured stays.")
@click.pass_obj
def command(where: Where, stop: str | None) -> None:
    """List the sessions of the store, newest first.

    \b
    Example: ahc sessions
    """
    if stop is not None:
        reply = ask(where.control, StopSession(session=stop))
        if isinstance(reply, Declined):
            raise CannotAnswer(reply.reason)
        click.echo(f"session {stop} ends", err=True)
        return
    with Store(where.store) as store:
        rows = [_COLUMNS, *map(_row, store.sessions())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(one: SessionSummary) -> tuple[str, ...]:
    if is_moment(one.created_at_s) and is_moment(one.ended_at_s):
        started = datetime.fromtimestamp(one.created_at_s).strftime("%Y-%m-%d %H:%M:%S")
        took = "" if one.ended_at_s is None else f"{max(0.0, one.ended_at_s - one.created_at_s):.0f} s"
    else:
        started = took = "unknown"
    return (one.name, one.plan, one.state, started, took, str(one.nodes), str(one.lost), str(one.results))
