"""``ahc run``: hand a plan to the server and watch it to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ahc_agent.errors import UsageError
from ahc_server import watch
from ahc_server.commands.options import limits_option
from ahc_server.control import Submit
from ahc_server.paths import Where
from ahc_server.plan import find_plan, read_plan

if TYPE_CHECKING:
    from ahc_server.judge.thresholds import Tables


@click.command()
@click.argument("plan", metavar="PLAN")
@click.option(
    "--session", metavar="NAME", help="Name of the session. Default: from the plan's name and the time."
)
@click.option(
    "--nodes",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Run on N nodes; wait until there are so many.",
)
@click.option(
    "--wait-nodes",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for nodes that the plan needs.",
)
@click.option(
    "--give-up",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a server that went away in the middle.",
)
@click.option(
    "--confirm",
    is_flag=True,
    help="Then measure the suspects again, beside as many healthy peers, and join both runs.",
)
@limits_option
@click.pass_obj
def command(
    where: Where,
    plan: str,
    session: str | None,
    nodes: int | None,
    wait_nodes: float,
    give_up: float,
    confirm: bool,
    limits: Tables | None,
) -> None:
    """Run PLAN (a YAML file, or a shipped plan: quick, standard, network) on the agents that are there.

    Prints the session's name. Ctrl-C ends the watching, not the plan.

    \b
    Example: ahc run quick --session rack7 --nodes 40 --confirm
    """
    if limits is not None and not confirm:
        raise UsageError("--limits is what --confirm judges by: say both, or give it to `ahc report`")
    path = find_plan(plan)
    text = read_plan(path).text
    name, machines = watch.submit(
        where, Submit(plan=text, file=str(path), session=session, nodes=nodes), wait_nodes
    )
    click.echo(f"session {name}: {len(machines)} nodes", err=True)
    try:
        standing = watch.follow(where, name, give_up)
    except KeyboardInterrupt:
        click.echo(
            f"the plan goes on; `ahc sessions` shows how it stands, `ahc sessions --stop {name}` ends it",
            err=True,
        )
        raise click.Abort from None
    watch.tell_end(standing)
    click.echo(name)
    if confirm:
        from ahc_server.commands.confirm import confirm as measure_again

        measure_again(where, name, wait_nodes, give_up, limits)
