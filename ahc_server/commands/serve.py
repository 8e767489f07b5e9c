"""``ahc serve``: the server that agents join."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import click

from ahc_agent.errors import UsageError
from ahc_server.paths import Where


@click.command()
@click.option(
    "--bind",
    default="tcp://*:5570",
    show_default=True,
    metavar="ENDPOINT",
    help="Where agents join: tcp://HOST:PORT.",
)
@click.option(
    "--authorized-keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Admit only agents whose public keys this file lists. Without it every agent that knows the server's key.",
)
@click.option(
    "--allow-destructive",
    is_flag=True,
    help="Run plans that say `destructive: true`: what is on the disks of the nodes may be lost.",
)
@click.option(
    "--heartbeat",
    type=click.FloatRange(0.2, 600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often agents show that they are alive; after three missed ones a node counts as lost.",
)
@click.pass_obj
def command(
    where: Where, bind: str, authorized_keys: Path | None, allow_destructive: bool, heartbeat: float
) -> None:
    """Serve agents and plans until told to stop (Ctrl-C, SIGTERM). One server to a store.

    Prints the endpoint, the server's public key, and the kernel arguments that an agent on a ramdisk needs.
    A session that a killed server left unfinished goes on.

    \b
    Example: ahc serve --bind tcp://10.0.0.1:5570
    """
    from ahc_agent.wire.keys import fingerprint, read_authorized_keys
    from ahc_server.server import Options, announced_host, serve

    stop = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal stop
        stop = True

    def started(endpoint: str, public_key: str) -> None:
        address = f"tcp://{announced_host(bind)}:{endpoint.rpartition(':')[2]}"
        click.echo(f"endpoint: {address}")
        click.echo(f"public key: {public_key}")
        click.echo(f"kernel arguments: ahc.server={address} ahc.key={public_key}")
        click.echo(f"join with: ahc-agent join {address} --server-key '{public_key}'")
        click.echo(
            f"key fingerprint: {fingerprint(public_key)} (boot scripts of `ahc netboot` show the same)"
        )

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    options = Options(
        bind=checked_bind(bind),
        authorized_keys=None if authorized_keys is None else read_authorized_keys(authorized_keys),
        allow_destructive=allow_destructive,
        heartbeat_s=heartbeat,
    )
    serve(where, options, started=started, stopping=lambda: stop)


def checked_bind(text: str) -> str:
    """Where to listen, as an operator typed it; raises UsageError. libzmq would take port 99999 for 34463."""
    found = re.fullmatch(r"tcp://(\*|[\w.\-]+|\[[0-9a-fA-F:.]+(%[\w.\-]+)?\]):(\*|\d{1,5})", text)
    if not found or (found[3] != "*" and int(found[3]) > 65535):
        raise UsageError(f"--bind {text!r}: tcp://HOST:PORT is meant, tcp://*:5570 for example")
    return text
