"""``ahc-agent inventory``: print what this machine is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import CannotAnswer, UsageError

if TYPE_CHECKING:
    from ahc_agent.facts import Inventory


@click.command(epilog="Example: ahc-agent inventory --format text")
@click.option(
    "--root",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/"),
    help="Read /proc and /sys of the tree saved in DIR instead of this machine's.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "text"]),
    default="json",
    show_default=True,
    help="JSON (ahc.inventory/1) or text for people.",
)
@click.option(
    "--lldp",
    "lldp_s",
    metavar="SECONDS",
    type=click.FloatRange(0, 600),
    default=0.0,
    help="Listen this long for the switch ports at the other ends; switches announce themselves every 30 s. Needs root.",
)
def command(root: Path, form: str, lldp_s: float) -> None:
    """Print the inventory of this machine: processors, NUMA nodes, memory, disks, network, PCI, firmware, BMC, health.

    What the machine does not tell is null; what could not be read stands in "errors". Ends with 3 where nothing at all
    could be read.
    """
    import msgspec

    from ahc_agent.facts import Inventory
    from ahc_agent.inventory import collect
    from ahc_agent.inventory.text import render

    check_root(root)
    inventory = collect(root)
    if inventory == Inventory(collected_at=inventory.collected_at, errors=inventory.errors):
        reasons = "; ".join(f"{error.collector}: {error.error}" for error in inventory.errors[:3])
        raise CannotAnswer(f"{root}: nothing could be read" + (f" ({reasons})" if reasons else ""))
    if lldp_s and root.resolve() == Path("/"):
        listen(inventory, lldp_s)
    if form == "text":
        click.echo(render(inventory), nl=False)
    else:
        click.echo(msgspec.json.format(msgspec.json.encode(inventory), indent=2))


def listen(inventory: Inventory, seconds: float) -> None:
    """Fill the neighbours of the network cards by listening; without the right to listen that is an error in it."""
    from ahc_agent.facts import CollectorError
    from ahc_agent.inventory import lldp

    try:
        lldp.hear(inventory.nics, seconds)
    except CannotAnswer as error:
        inventory.errors.append(CollectorError(collector="lldp", error=str(error)))


def check_root(root: Path) -> None:
    """Refuse a folder that is no machine's root; say which folder below it may be meant."""
    if _looks_like_a_root(root):
        return
    below = [folder.name for folder in sorted(root.iterdir()) if _looks_like_a_root(folder)]
    hint = f"; did you mean {root / below[0]}?" if below else ""
    raise UsageError(f"{root} has neither proc nor sys{hint}")


def _looks_like_a_root(folder: Path) -> bool:
    return (folder / "proc").is_dir() or (folder / "sys").is_dir()
