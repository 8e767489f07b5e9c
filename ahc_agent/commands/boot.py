"""``ahc-agent boot``: be the only program of a machine, from the kernel's hand-over to its end."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(epilog="Example: ahc-agent boot (as init's only program; see docs/ramdisk-boot.md)")
@click.option(
    "--arguments",
    "line",
    metavar="TEXT",
    help="Take this instead of the kernel's command line (/proc/cmdline).",
)
@click.option(
    "--rehearse",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="In a network namespace: find cards, addresses and the server as on a ramdisk, but leave drivers, clock,"
    " watchdog, kernel and power alone. DIR holds the DHCP hook (udhcpc), and gets what else would stand under /run/ahc.",
)
def command(line: str | None, rehearse: Path | None) -> None:
    """Set up the machine's drivers, cards and clock, join the server (or measure alone), and end the machine as told.

    For a discovery ramdisk, which the machine booted from; it refuses to run anywhere else.
    """
    from ahc_agent.boot import start

    if rehearse is None:
        start.boot(line)
    else:
        start.rehearse(rehearse, line)
