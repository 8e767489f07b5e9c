"""``ahc release``: let machines go."""

from __future__ import annotations

from typing import Literal

import click

from ahc_agent.errors import CannotAnswer, UsageError
from ahc_server.control import Declined, Release, Released, ask
from ahc_server.paths import Where

Then = Literal["halt", "reboot", "poweroff", "wait"]

_SPOKEN = {
    None: "end as they were booted to (ahc.onsuccess=)",
    "halt": "halt",
    "reboot": "start anew",
    "poweroff": "switch themselves off",
    "wait": "wait at their consoles",
}


@click.command()
@click.argument("nodes", metavar="[NODE]...", nargs=-1)
@click.option("--all", "everyone", is_flag=True, help="All machines that are joined.")
@click.option(
    "--then",
    type=click.Choice(["reboot", "poweroff", "halt", "wait"]),
    help="What a machine does that runs the discovery ramdisk. Default: what it was booted to do (ahc.onsuccess=).",
)
@click.pass_obj
def command(where: Where, nodes: tuple[str, ...], everyone: bool, then: Then | None) -> None:
    """Tell agents to stop, by the id that reports show, serial number, UUID or MAC address.

    An agent that was started by hand just ends: `--then` is for machines that run nothing else. Prints who was told. Ends with 3
    where a machine could not be told, and tells nobody where one of them takes part in the session that is running.

    \b
    Example: ahc release SN0042 SN0043 --then poweroff
    """
    if everyone == bool(nodes):
        raise UsageError("name machines, or say --all")
    reply = ask(where.control, Release(machines=None if everyone else list(nodes), then=then or ""))
    if isinstance(reply, Declined):
        raise (UsageError if reply.exit_code == 2 else CannotAnswer)(reply.reason)
    if not isinstance(reply, Released):
        raise CannotAnswer("the server answers nonsense: is it of the same version?")
    for machine in reply.machines:
        click.echo(machine)
    click.echo(f"{len(reply.machines)} machines {_SPOKEN[then]}", err=True)
    if reply.unreached:
        raise CannotAnswer(f"could not be told: {', '.join(reply.unreached)}")
    if everyone and not reply.machines:
        raise CannotAnswer("no machine is joined")
