"""``ahc-agent``: the command line of a node."""

from __future__ import annotations

import click

from ahc_agent import __version__
from ahc_agent.console import LazyGroup, run_main, set_up_logging

COMMANDS = {
    "bench": (
        "ahc_agent.commands.bench",
        "command",
        "measure this machine's CPU, memory and disks, no server",
    ),
    "boot": (
        "ahc_agent.commands.boot",
        "command",
        "be the only program of a machine: a discovery ramdisk calls it",
    ),
    "inventory": ("ahc_agent.commands.inventory", "command", "print what this machine is made of"),
    "join": ("ahc_agent.commands.join", "command", "join a server and obey it until told to stop"),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", count=True, help="Log what happens to standard error; twice for everything.")
@click.version_option(__version__, prog_name="ahc-agent")
def group(verbose: int) -> None:
    """Inventory, benchmarks and pairwise network tests of this machine.

    \b
    Example: ahc-agent inventory --format text
    """
    set_up_logging(verbose)


def main() -> None:
    """Entry point."""
    run_main(group, "ahc-agent")
