"""``ahc``: the command line of the server and of everyone who asks it."""

from __future__ import annotations

from pathlib import Path

import click

from ahc_agent.console import LazyGroup, run_main, set_up_logging
from ahc_server import __version__
from ahc_server.paths import Where, default_store

COMMANDS = {
    "baseline": (
        "ahc_server.commands.baseline",
        "command",
        "what a delivery did, kept for the next of the same model",
    ),
    "bmc": ("ahc_server.commands.bmc", "command", "power, boot device, sensors and event log of nodes' BMCs"),
    "compare": ("ahc_server.commands.compare", "command", "the same fleet before and after"),
    "confirm": (
        "ahc_server.commands.confirm",
        "command",
        "measure a session's suspects again, and join both runs",
    ),
    "discover": ("ahc_server.commands.discover", "command", "boot nodes from the network, and see who joins"),
    "gate": ("ahc_server.commands.gate", "command", "may this fleet, or this node, be deployed?"),
    "history": ("ahc_server.commands.history", "command", "when something changed, over many sessions"),
    "import": ("ahc_server.commands.import_", "command", "take results of others into the store"),
    "lab": ("ahc_server.commands.lab", "command", "a fleet in a box on this machine, with faults on purpose"),
    "match": ("ahc_server.commands.match", "command", "sort nodes into hardware profiles, and say why"),
    "netboot": ("ahc_server.commands.netboot", "command", "boot machines from the network into the ramdisk"),
    "release": (
        "ahc_server.commands.release",
        "command",
        "let machines go: off, anew, or as they were booted to",
    ),
    "report": ("ahc_server.commands.report", "command", "who is different, how much, and why"),
    "run": ("ahc_server.commands.run", "command", "run a plan on the agents that are there"),
    "serve": ("ahc_server.commands.serve", "command", "the server that agents join"),
    "sessions": ("ahc_server.commands.sessions", "command", "list what the store holds"),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--store",
    metavar="URL",
    envvar="AHC_STORE",
    default=None,
    help="SQLite file (a path or sqlite:///PATH). Default: ahc/ahc.db under the XDG state folder.",
)
@click.option("-v", "--verbose", count=True, help="Log what happens to standard error; twice for everything.")
@click.version_option(__version__, prog_name="ahc")
@click.pass_context
def group(ctx: click.Context, store: str | None, verbose: int) -> None:
    """Automatic Health Check: find the black sheep of a fleet before you deploy on it.

    \b
    Example: ahc lab --nodes 6 --break n3=slow-disk
    """
    set_up_logging(verbose)
    ctx.obj = Where.of(store) if store is not None else Where(Path(default_store()))


def main() -> None:
    """Entry point."""
    run_main(group, "ahc")
