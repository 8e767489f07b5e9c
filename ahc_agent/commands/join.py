"""``ahc-agent join``: join a server and obey it until told to stop."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterable
from pathlib import Path

import click

from ahc_agent.errors import UsageError
from ahc_agent.task import Device

_KERNEL_ARGUMENTS = "/proc/cmdline"


@click.command(
    epilog="Example: ahc-agent join tcp://10.0.0.1:5570 --server-key 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'"
)
@click.argument("endpoint", required=False)
@click.option("--server-key", metavar="KEY", help="The server's public key, as `ahc serve` prints it.")
@click.option("--id", "name", metavar="NAME", help="What to call this machine, instead of its serial number.")
@click.option(
    "--physical-host", metavar="NAME", help="What this machine shares with others on the same hardware."
)
@click.option(
    "--disk",
    "disks",
    metavar="[NAME=]PATH",
    multiple=True,
    help="Measure this disk and no others (repeatable).",
)
@click.option(
    "--address",
    "addresses",
    metavar="IP",
    multiple=True,
    help="Where other agents reach this one (repeatable).",
)
@click.option(
    "--spool",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep results here until the server has them, and the agent's key: a killed agent loses nothing.",
)
@click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The agent's own secret key, made when absent. Default: agent.key in the spool, else a new key each time.",
)
@click.option(
    "--once", is_flag=True, help="Do not come back when the server is away or refuses: exit with 3."
)
def command(
    endpoint: str | None,
    server_key: str | None,
    name: str | None,
    physical_host: str | None,
    disks: tuple[str, ...],
    addresses: tuple[str, ...],
    spool: Path | None,
    key_file: Path | None,
    once: bool,
) -> None:
    """Join the server at ENDPOINT (tcp://HOST:PORT) and obey it until told to stop.

    Without ENDPOINT and --server-key they are taken from the kernel command line: ahc.server= and ahc.key=. A server that is
    away is tried again for ever. Ends with 0 when the server or a signal (TERM, INT) says so.
    """
    from ahc_agent.agent import Agent, Settings
    from ahc_agent.boot.arguments import values
    from ahc_agent.identity import own_addresses, program_versions, read_identity
    from ahc_agent.wire.keys import load_or_create, new_pair, public_key

    if endpoint is None or server_key is None:
        booted_with = values(_read_kernel_arguments())
        endpoint = endpoint or booted_with.get("ahc.server")
        server_key = server_key or booted_with.get("ahc.key")
    if endpoint is None or server_key is None:
        raise UsageError(
            "where is the server? Give ENDPOINT and --server-key, or boot with ahc.server= and ahc.key= (ahc serve prints both)"
        )
    endpoint = checked_endpoint(endpoint)
    key_file = key_file or (spool / "agent.key" if spool is not None else None)
    settings = Settings(
        endpoint=endpoint,
        server_key=public_key(server_key),
        keys=load_or_create(key_file) if key_file is not None else new_pair(),
        identity=read_identity(name=checked_name(name), physical_host=physical_host),
        addresses=[checked_address(text) for text in addresses] or own_addresses(endpoint),
        programs=program_versions(),
        only_disks=parse_disks(disks),
        spool=spool,
        once=once,
    )
    Agent(settings, say).run()


def say(text: str) -> None:
    """One line for a person in front of the machine (and its serial console)."""
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def checked_endpoint(text: str) -> str:
    """An endpoint as an operator typed it; raises UsageError."""
    endpoint = text if "://" in text else f"tcp://{text}"
    found = re.fullmatch(r"tcp://([\w.\-]+|\[[0-9a-fA-F:.]+(%[\w.\-]+)?\]):(\d{1,5})", endpoint)
    if not found or not 0 < int(found[3]) < 65536:
        raise UsageError(
            f"{text!r} is no endpoint: tcp://HOST:PORT is meant, tcp://10.0.0.1:5570 for example"
        )
    return endpoint


def checked_name(name: str | None) -> str | None:
    """An operator's name for a machine; raises UsageError for one that would break reports."""
    if name is not None and not re.fullmatch(r"[\w.:\-]{1,128}", name):
        raise UsageError(f"--id {name!r}: letters, digits and . : _ - only, at most 128")
    return name


def checked_address(text: str) -> str:
    """An address, with or without prefix length; raises UsageError."""
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        raise UsageError(f"--address {text!r} is no IP address: 10.0.0.7 or 10.0.0.7/24 is meant") from None
    return text


def parse_disk(text: str) -> Device:
    """``NAME=PATH``, or a path alone, whose last part is the name; raises UsageError."""
    name, equals, path = text.partition("=")
    device = Device(name, path) if equals else Device(Path(text).name, text)
    if not device.name or not Path(device.path).is_absolute():
        raise UsageError(f"--disk {text!r}: [NAME=]PATH is meant, disk0=/dev/sdb for example")
    return device


def parse_disks(texts: Iterable[str]) -> tuple[Device, ...] | None:
    """All of them; None for none given. Raises UsageError for a name given twice."""
    disks = tuple(parse_disk(text) for text in texts)
    if len({disk.name for disk in disks}) < len(disks):
        raise UsageError("--disk: two disks have the same name")
    return disks or None


def _read_kernel_arguments() -> str:
    try:
        return Path(_KERNEL_ARGUMENTS).read_text(errors="replace")
    except OSError:
        return ""
