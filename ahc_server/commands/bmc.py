"""``ahc bmc``: out-of-band control of nodes over IPMI and Redfish."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ahc_agent.errors import UsageError
from ahc_server.commands.options import at_once_option, credentials_option, time_limit_option
from ahc_server.paths import Where

if TYPE_CHECKING:
    from ahc_server.bmc.ask import Act
    from ahc_server.bmc.model import Answer
    from ahc_server.bmc.target import Target

_F = TypeVar("_F", bound=Callable[..., Any])

_WHO = (
    click.option(
        "--nodes",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Nodes and their BMCs: instackenv.json, or the same keys as YAML.",
    ),
    click.option(
        "--bmc",
        "addresses",
        metavar="ADDRESS",
        multiple=True,
        help="A BMC (HOST, HOST:PORT), over IPMI; may be given several times.",
    ),
    credentials_option,
    at_once_option,
    time_limit_option,
    click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True),
)


def _who(function: _F) -> _F:
    """The options that say whom to ask, and how."""
    for option in reversed(_WHO):
        function = option(function)
    return function


@click.group("bmc")
def command() -> None:
    """Ask and control the BMCs of nodes: IPMI, or Redfish where a node's pm_type says so.

    Passwords come from the nodes file, a credentials file of mode 0600 or the environment, never from the command line. Ends with
    3 where a BMC did not answer or let nobody in, with 1 where one did not do what was asked.

    \b
    Example: ahc bmc status --nodes instackenv.json
    """


@command.command("status")
@_who
def status(**who: Any) -> None:
    """Power state, next boot device, firmware, UUID.

    \b
    Example: ahc bmc status --bmc 10.0.0.17
    """
    from ahc_server.bmc import ask

    _answer("status", ask.status(), who)


@command.command("power")
@click.argument("action", type=click.Choice(["on", "off", "cycle", "reset"]))
@click.option(
    "--soft",
    "soft_s",
    type=click.FloatRange(0, 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="off: how long the operating system may take to shut down before power is cut; 0 cuts at once.",
)
@_who
def power(action: str, soft_s: float, **who: Any) -> None:
    """Switch power, and read back that it is so.

    "off" asks the operating system to shut down first. "cycle" and "reset" do not ask it.

    \b
    Example: ahc bmc power off --nodes instackenv.json --soft 120
    """
    from ahc_server.bmc import ask

    extra_s = ask.SETTLE_S + (soft_s if action == "off" else 0)
    _answer("power", ask.power(action, soft_s=soft_s), who, extra_s)


@command.command("boot-device")
@click.argument("device", type=click.Choice(["network", "disk", "cd", "setup", "default"]), required=False)
@click.option("--always", is_flag=True, help="For every start, not only the next one.")
@_who
def boot_device(device: str | None, always: bool, **who: Any) -> None:
    """Tell from what nodes start next, or set it.

    \b
    Example: ahc bmc boot-device network --nodes instackenv.json
    """
    from ahc_server.bmc import ask

    _answer("boot-device", ask.boot_device(device, always=always), who)


@command.command("sensors")
@_who
def sensors(**who: Any) -> None:
    """Temperatures, fans, voltages, power supplies.

    \b
    Example: ahc bmc sensors --bmc 10.0.0.17 --format json
    """
    from ahc_server.bmc import ask

    _answer("sensors", ask.sensors(), who)


@command.command("sel")
@click.option("--clear", is_flag=True, help="Empty the log once it is read; what came meanwhile is not lost.")
@_who
def sel(clear: bool, **who: Any) -> None:
    """The system event log, decoded.

    \b
    Example: ahc bmc sel --nodes instackenv.json
    """
    from ahc_server.bmc import ask

    _answer("sel", ask.events(clear=clear), who)


@command.command("identify")
@click.argument("state", type=click.Choice(["on", "off"]))
@click.option("--seconds", type=click.IntRange(1, 255), help="on: for so long.")
@_who
def identify(state: str, seconds: int | None, **who: Any) -> None:
    """Switch the light by which a machine is found in its rack.

    \b
    Example: ahc bmc identify on --seconds 120 --bmc 10.0.0.17
    """
    from ahc_server.bmc import ask

    _answer("identify", ask.identify(on=state == "on", seconds=seconds), who)


@command.command("fru")
@_who
def fru(**who: Any) -> None:
    """What the replaceable parts say of themselves: maker, product, serial number.

    \b
    Example: ahc bmc fru --bmc 10.0.0.17
    """
    from ahc_server.bmc import ask

    _answer("fru", ask.frus(), who)


@command.command("collect")
@click.option(
    "--session", "name", metavar="NAME", required=True, help="The session that keeps what they say."
)
@_who
@click.pass_obj
def collect(where: Where, /, name: str, **who: Any) -> None:
    """Keep sensors and event logs in a session, where the judge reads them.

    A BMC's machine is found by MAC address, UUID, serial or BMC address. What is kept is replaced when it is asked for again.

    \b
    Example: ahc bmc collect --session rack7 --nodes instackenv.json
    """
    from datetime import UTC, datetime

    from ahc_server.bmc import ask
    from ahc_server.bmc.collect import sort_out
    from ahc_server.store import Store

    targets = targets_of(who["nodes"], who["addresses"], who["credentials"])
    with Store(where.store) as store:
        session = store.load_session(name)
    answers = ask_targets(targets, ask.everything(), who["at_once"], who["time_limit"])
    found = sort_out(session, targets, answers, datetime.now(UTC).isoformat(timespec="seconds"))
    with Store(where.store, write=True) as store, store.transaction():
        store.add_out_of_band(store.members(name).number, found.said)
    for sentence in found.left_out:
        click.echo(f"not kept: {sentence}", err=True)
    click.echo(
        f"kept what {len(found.said)} of {len(targets)} BMCs said; see: ahc report --session {name}", err=True
    )
    show("collect", answers, who["form"], at_least=3 if found.left_out else 0)


def targets_of(nodes: Path | None, addresses: tuple[str, ...], credentials: Path | None) -> list[Target]:
    """The BMCs that the options name. Raises UsageError."""
    from ahc_server.bmc.credentials import read_credentials
    from ahc_server.bmc.nodes import from_addresses, read_nodes

    if (nodes is None) == (not addresses):
        raise UsageError("name the BMCs: either --nodes FILE, or --bmc ADDRESS (one or more)")
    logins = read_credentials(credentials)
    if nodes is None:
        return from_addresses(addresses, logins)
    targets, warnings = read_nodes(nodes, logins)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    return targets


def ask_targets(
    targets: list[Target],
    act: Act,
    at_once: int,
    time_limit_s: float,
    heard: Callable[[Answer], None] = lambda _: None,
) -> list[Answer]:
    """All of them; ``heard`` hears each answer as it comes. Progress on standard error where that is a terminal."""
    import sys

    from ahc_server.bmc.ask import Ask
    from ahc_server.bmc.link import load
    from ahc_server.bmc.workers import ask_all

    load(targets)
    done = 0

    def told(answer: Answer) -> None:
        nonlocal done
        done += 1
        heard(answer)
        if sys.stderr.isatty():
            click.echo(f"\r{done} of {len(targets)} BMCs", nl=done == len(targets), err=True)

    return ask_all(targets, Ask(act), at_once=at_once, time_limit_s=time_limit_s, told=told)


def exit_code(answers: list[Answer]) -> int:
    """3 where one could not be asked, 1 where one did not do it, else 0."""
    troubles = {answer.failure.trouble for answer in answers if answer.failure is not None}
    if troubles - {"refused"}:
        return 3
    return 1 if troubles else 0


def _answer(action: str, act: Act, who: dict[str, Any], extra_s: float = 0.0) -> None:
    targets = targets_of(who["nodes"], who["addresses"], who["credentials"])
    show(action, ask_targets(targets, act, who["at_once"], who["time_limit"] + extra_s), who["form"])


def show(action: str, answers: list[Answer], form: str, at_least: int = 0) -> None:
    """Print them, and end with their exit code (or ``at_least``) where it is not 0."""
    if form == "json":
        import msgspec

        from ahc_server.bmc.model import Answers

        text = msgspec.json.format(msgspec.json.encode(Answers(action=action, nodes=answers)), indent=2)
        click.echo(text.decode())
    else:
        from ahc_server.bmc.table import draw

        click.echo(draw(action, answers), nl=False)
    code = max(at_least, exit_code(answers))
    if code:
        raise click.exceptions.Exit(code)
