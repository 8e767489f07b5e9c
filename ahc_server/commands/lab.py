"""``ahc lab``: a fleet in a box on this machine, with faults on purpose."""

from __future__ import annotations

import datetime
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click

from ahc_agent.errors import UsageError
from ahc_server.lab import check as checking
from ahc_server.lab import show
from ahc_server.lab.fabric import racks
from ahc_server.lab.faults import FAULTS
from ahc_server.lab.fleet import Fleet
from ahc_server.lab.model import LabSpec, node_names, parse_breakages
from ahc_server.paths import Where

_SHOW_CURSOR = "\x1b[?25h"
_FAULTS_HELP = "\n".join(f"  {fault.name:<11} {fault.summary}" for fault in FAULTS.values())


@click.command(
    "lab",
    epilog=f"\b\nFaults:\n{_FAULTS_HELP}\nA slow one may say what is left of the healthy speed: slow-disk:0.25\n\n"
    "\b\nExample: ahc lab --nodes 6 --break n3=slow-disk --break n5=slow-nic",
)
@click.option("--nodes", "count", default=6, show_default=True, metavar="N", help="How many nodes: n1 to nN.")
@click.option(
    "--break",
    "breaks",
    multiple=True,
    metavar="ELEMENT=FAULT",
    help="Break a node (n3=slow-disk), a leaf (leaf:leaf2=slow-uplink) or a pair (may be repeated).",
)
@click.option(
    "--leaves",
    default=0,
    metavar="L",
    help="Hang the nodes on so many leaf switches below a spine; their cards are slow enough for all to work at once.",
)
@click.option("--plan", default="quick", show_default=True, help="Name of a shipped plan, or a file.")
@click.option(
    "--session", default=None, metavar="NAME", help="Name of the session [default: lab and the time]."
)
@click.option(
    "--format",
    "form",
    default="text",
    show_default=True,
    type=click.Choice(["text", "json"]),
    help="Format of the report.",
)
@click.option(
    "--check", is_flag=True, help="End with 1 unless the report names the broken nodes, and no other."
)
@click.option("--confirm", is_flag=True, help="Measure the suspects again, as `ahc run --confirm` does.")
@click.option(
    "--plain",
    is_flag=True,
    help="Use no namespaces, loop devices and control groups, as where the machine allows none.",
)
@click.option(
    "--logs",
    default=None,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the logs of the server and the agents here.",
)
@click.pass_context
def command(
    ctx: click.Context,
    count: int,
    breaks: tuple[str, ...],
    leaves: int,
    plan: str,
    session: str | None,
    form: str,
    check: bool,
    confirm: bool,
    plain: bool,
    logs: Path | None,
) -> None:
    """A fleet in a box: a server and N agents on this machine, some broken on purpose, and the report that finds them.

    Every node is a real agent with its own address, disk and share of CPU; every figure is measured. As root, nodes are
    network namespaces with loop devices and control groups; without such rights they share the loopback
    interface and have files for disks, and faults are injected by other means, which the lab says. The results go
    to the store (--store); all else is removed at the end, also after Ctrl-C or a kill.
    """
    where = ctx.obj
    assert isinstance(where, Where)
    nodes = node_names(count)
    if leaves and plain:
        raise UsageError("--leaves needs network namespaces, which --plain does without")
    switches = racks(nodes, leaves).leaves if leaves else ()
    breakages = parse_breakages(breaks, nodes, FAULTS, switches)
    spec = LabSpec(nodes, breakages, plain=plain, leaves=leaves)
    session = session or datetime.datetime.now(tz=datetime.UTC).strftime("lab-%Y%m%d-%H%M%S")
    deaf = _end_on_signals()
    with Fleet(spec, where, logs) as fleet:
        try:
            status = show.run_lab(fleet, plan, session, form, confirm=confirm)
        finally:
            deaf()
            # A progress bar that is killed cannot show the cursor again. (Nothing is written where there is no terminal.)
            click.echo(_SHOW_CURSOR, nl=False, err=True)
    if check and status in (0, 1):
        wrong = checking.check(where, session, breakages, switches)
        for sentence in wrong:
            show.say(sentence)
        if not wrong:
            show.say(
                f"the report names what was broken, and nothing else ({len(breakages)} in {count} nodes)"
            )
        status = 1 if wrong else status
    ctx.exit(status)


def _end_on_signals() -> Callable[[], None]:
    """Let SIGTERM and SIGHUP end the program as Ctrl-C does: by an exception, so that the fleet is taken down.

    Returns a function that makes the program deaf to all three, for the time of taking it down.
    """

    def end(number: int, frame: object) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)

    def deaf() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    return deaf
