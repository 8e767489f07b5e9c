"""What a lab does once it is built: start everything, break what is to be broken, run the plan, print the report."""

from __future__ import annotations

import sys
import time

import click

from ahc_agent.errors import ServerAway
from ahc_server.control import StatusOf, ask
from ahc_server.lab.fabric import FabricNetwork
from ahc_server.lab.fleet import Fleet
from ahc_server.lab.model import Breakage, LabSpec
from ahc_server.lab.parts import Parts
from ahc_server.lab.processes import Child
from ahc_server.paths import Where
from ahc_server.plan import find_plan, read_plan
from ahc_server.plan.cabling import cabling_lines
from ahc_server.store.saved import Standing

_LOOK_S = 1.0


def run_lab(fleet: Fleet, plan: str, session: str, form: str, *, confirm: bool = False) -> int:
    """Run a plan on a fleet that was built, and print its report; returns the exit status of the two.

    Raises AhcError when server or report fail.
    """
    say(describe(fleet.spec, fleet.parts))
    for note in fleet.parts.notes:
        say(note)
    fleet.start_server()
    for node in fleet.spec.nodes:
        fleet.start_agent(node)
    later: list[Breakage] = []
    for breakage in fleet.spec.breakages:
        if breakage.fault.midway:
            later.append(breakage)
            say(f"will break {breakage.title} midway: {breakage.fault.name}, {breakage.fault.summary}")
        else:
            _break(fleet, breakage)
    status = _follow(
        fleet, fleet.start_run(_with_cabling(fleet, plan), session, confirm=confirm), session, later
    )
    if status in (0, 1):
        sys.stdout.flush()
        return fleet.start_report(session, form).wait() or status
    return status


def _follow(fleet: Fleet, run: Child, session: str, later: list[Breakage]) -> int:
    """Wait for the plan's end; break what is to be broken when half of its steps are done."""
    looked = time.monotonic()
    while run.poll() is None:
        fleet.check_server()
        time.sleep(0.1)
        if later and time.monotonic() - looked > _LOOK_S:
            looked = time.monotonic()
            if _half_done(fleet.where, session):
                while later:
                    _break(fleet, later.pop())
    for breakage in later:
        say(f"the plan was over before {breakage.title} could be broken")
    return run.returncode


def _half_done(where: Where, session: str) -> bool:
    try:
        standing = ask(where.control, StatusOf(session=session))
    except ServerAway:
        return False
    return isinstance(standing, Standing) and 2 * standing.step > standing.steps > 0


def _with_cabling(fleet: Fleet, plan: str) -> str:
    """The plan, which also says which leaf each node is meant to hang on, where there are leaves and it does not say it."""
    network = fleet.parts.network
    if not isinstance(network, FabricNetwork):
        return plan
    file = find_plan(plan)
    read = read_plan(file)
    if read.cabling:
        return plan
    own = fleet.folder / file.name
    own.write_text(f"{read.text.rstrip()}\n{cabling_lines(network.racks.of)}")
    return str(own)


def _break(fleet: Fleet, breakage: Breakage) -> None:
    say(f"broke {breakage.title}: {breakage.fault.name}, {fleet.inject(breakage)}")


def describe(spec: LabSpec, parts: Parts) -> str:
    """One sentence: the healthy fleet."""
    what = []
    line = parts.network.line_bits_per_s
    if line:
        speed = f"{line / 1e9:g} Gbit/s" if line >= 1e9 else f"{line / 1e6:g} Mbit/s"
        what.append(f"a network card of {speed}")
    if parts.cgroups is not None:
        limit = spec.health.disk
        if all(disk.device for disk in parts.disks.values()):
            what.append(f"a disk of {limit.bytes_per_s / 1e6:,.0f} MB/s and {limit.iops:,} IOPS")
        what.append(f"{spec.health.cpus:.0%} of a CPU")
    where = f" on {spec.leaves} leaf switches" if spec.leaves else ""
    each = f", each with {' and '.join(what)}" if what else ""
    return f"{len(spec.nodes)} nodes, {spec.nodes[0]} to {spec.nodes[-1]}{where}{each}"


def say(text: str) -> None:
    """Progress goes to standard error."""
    click.echo(f"lab: {text}", err=True)
