"""``ahc discover``: power nodes on from the network, and see who joins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import CannotAnswer
from ahc_server.commands.bmc import ask_targets, targets_of
from ahc_server.commands.options import at_once_option, credentials_option, time_limit_option
from ahc_server.paths import Where

if TYPE_CHECKING:
    from ahc_agent.wire.messages import Identity
    from ahc_server.bmc.discover import Discovered
    from ahc_server.bmc.model import Answer
    from ahc_server.control import Agents

#: A server may be restarted while nodes boot.
_GIVE_UP_S = 120.0


@click.command("discover")
@click.argument("nodes", metavar="NODES", type=click.Path(dir_okay=False, path_type=Path))
@credentials_option
@click.option(
    "--restart", is_flag=True, help="Restart nodes that are on; without it they are left as they are."
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86400),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for agents to join.",
)
@at_once_option
@time_limit_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def command(
    where: Where,
    nodes: Path,
    credentials: Path | None,
    restart: bool,
    wait_s: float,
    at_once: int,
    time_limit: float,
    form: str,
) -> None:
    """Boot the nodes of NODES (instackenv.json, or the same keys as YAML) from the network, and wait for their agents.

    Needs a server (`ahc serve`) and something that boots the discovery ramdisk. Each machine that joins is checked to be the one
    whose BMC was asked: by MAC address, serial, UUID, or its BMC's GUID. Ends with 1 where one did not join or is another one,
    with 3 where a BMC could not be asked.

    \b
    Example: ahc discover instackenv.json --wait 600
    """
    from ahc_server.bmc import ask
    from ahc_server.bmc.discover import left_behind, watch_arrivals

    targets = targets_of(nodes, (), credentials)
    joined = _agents(where, 0.0)
    before = dict(joined.instances)

    def agents() -> Mapping[str, Identity]:
        nonlocal joined
        joined = _agents(where, _GIVE_UP_S)
        return joined.identities

    def lasting() -> frozenset[str]:
        return frozenset(name for name, instance in joined.instances.items() if before.get(name) == instance)

    answered: list[Answer] = []
    try:
        act = ask.to_network(restart=restart)
        started = ask_targets(targets, act, at_once, time_limit + ask.SETTLE_S, answered.append)
        found = watch_arrivals(
            targets,
            started,
            agents,
            lambda some: ask_targets(some, ask.status(), at_once, time_limit),
            before=frozenset(before),
            wait_s=wait_s,
            told=lambda sentence: click.echo(sentence, err=True),
            lasting=lasting,
        )
    except (KeyboardInterrupt, CannotAnswer):
        click.echo("discovery ends early; what was done stays done:", err=True)
        for sentence in left_behind(targets, answered):
            click.echo(sentence, err=True)
        raise
    _show(found, form)


def _agents(where: Where, give_up_s: float) -> Agents:
    """Who is joined. Raises ServerAway; one that restarts is waited for."""
    from ahc_server.control import Agents, ListAgents
    from ahc_server.watch import ask_patiently

    reply = ask_patiently(where, ListAgents(), give_up_s)
    if not isinstance(reply, Agents):
        raise CannotAnswer("the server answers nonsense: is it of the same version?")
    return reply


def _show(found: Discovered, form: str) -> None:
    from ahc_server.bmc.model import Arrivals
    from ahc_server.bmc.table import columns

    arrivals = found.arrivals
    if form == "json":
        import msgspec

        data = msgspec.json.encode(Arrivals(nodes=arrivals, strangers=found.strangers))
        click.echo(msgspec.json.format(data, indent=2).decode())
    else:
        rows = [("node", "outcome", "machine", "why")]
        rows += [(each.node, each.outcome, each.machine or "", each.why) for each in arrivals]
        joined = sum(each.outcome == "joined" for each in arrivals)
        for line in (*columns(rows), f"{joined} of {len(arrivals)} nodes joined"):
            click.echo(line)
        if found.strangers:
            click.echo(f"joined meanwhile, and no node of the file: {', '.join(found.strangers)}")
    outcomes = {each.outcome for each in arrivals}
    if outcomes & {"silent", "locked", "untold"}:
        raise click.exceptions.Exit(3)
    if outcomes != {"joined"}:
        raise click.exceptions.Exit(1)
