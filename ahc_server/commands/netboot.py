"""``ahc netboot``: a folder that boots machines from the network, and servers for it in a lab."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahc_agent.errors import UsageError
from ahc_server.paths import Where

if TYPE_CHECKING:
    from ahc_server.netboot import folder
    from ahc_server.netboot.dnsmasq import Lan
    from ahc_server.netboot.interface import Interface

_PORT, _HTTP_PORT = 5570, 8080


@dataclass(frozen=True, slots=True)
class _Serving:
    """What belongs to ``--serve``."""

    interface: str | None
    leases: str | None
    proxy: bool
    any_network: bool


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--image",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with vmlinuz and initramfs, as `make ramdisk` leaves it: ramdisk/out/full.",
)
@click.option(
    "--server",
    metavar="ENDPOINT",
    help="Where machines join: tcp://HOST:PORT. With --serve by default the interface's address.",
)
@click.option("--key", metavar="KEY", help="The server's public key. Default: that of the store's server.")
@click.option(
    "--http",
    metavar="URL",
    help="Where machines fetch the folder. With --serve by default the interface's address, port 8080.",
)
@click.option("--console", metavar="TTY", help="A serial console besides the screen: ttyS0, ttyS1,115200.")
@click.option(
    "--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="A kernel argument (repeatable)."
)
@click.option("--session", metavar="NAME", help="Machines take part in this session only.")
@click.option(
    "--plan",
    metavar="PLAN",
    help="Machines run this plan alone (a file, quick, standard) and join no server.",
)
@click.option("--upload", is_flag=True, help="Machines send their results to DIR/uploads, for `ahc import`.")
@click.option(
    "--sign",
    "signer",
    metavar="PEM",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sign the image with this key and certificate; iPXE starts it only if it trusts them (imgverify).",
)
@click.option(
    "--serve", is_flag=True, help="Serve the folder: DHCP, TFTP, HTTP, on one interface, until Ctrl-C."
)
@click.option("--interface", metavar="NAME", help="The interface to serve on, and no other.")
@click.option(
    "--range", "leases", metavar="FROM,TO", help="Addresses to lease. Default: half of the network."
)
@click.option("--proxy", is_flag=True, help="Another DHCP server gives addresses; only tell what to boot.")
@click.option(
    "--yes-this-network",
    "any_network",
    is_flag=True,
    help="Give addresses even where this machine's default route leads.",
)
@click.pass_obj
def command(
    where: Where,
    directory: Path,
    image: Path,
    server: str | None,
    key: str | None,
    http: str | None,
    console: str | None,
    arguments: tuple[str, ...],
    session: str | None,
    plan: str | None,
    upload: bool,
    signer: Path | None,
    serve: bool,
    interface: str | None,
    leases: str | None,
    proxy: bool,
    any_network: bool,
) -> None:
    """Write DIR with image, boot scripts (iPXE, GRUB, PXELINUX), dnsmasq.conf and a README.txt that says what to do with it.

    With --serve machines on that interface boot from here at once.

    \b
    Example: ahc netboot /srv/ahc --image ramdisk/out/full --serve --interface eth1 --upload
    """
    from ahc_agent.wire.tasks import write_tasks
    from ahc_server.netboot import folder, tasks, values

    serving = _Serving(interface, leases, proxy, any_network)
    card, lan = _lan(serving) if serve else _no_lan(serving)
    if http is None and card is None:
        raise UsageError(
            "--http URL: say where machines will fetch the folder, http://10.0.0.1:8080 for example"
        )
    base = values.url(http or f"http://{card.address if card else ''}:{_HTTP_PORT}")
    if card is not None and base.host != str(card.address):
        raise UsageError(f"--http {http}: with --serve it is http://{card.address}:PORT, of {card.name}")
    if card is not None and base.scheme != "http":
        raise UsageError("--serve: only http:// is served; put a web server in front for https://")
    if server is None and plan is None:
        if card is None:
            raise UsageError(
                "--server ENDPOINT: say where machines join (or --plan, for machines that join nobody)"
            )
        server = f"{card.address}:{_PORT}"
    listed = None if plan is None else tasks.task_list(plan)
    wanted = folder.Wanted(
        image=image,
        http=base,
        server=None if server is None else values.endpoint(server),
        key=None if server is None else values.key(key or _own_key(where)),
        console=None if console is None else values.console(console),
        arguments=tuple(values.argument(each) for each in arguments),
        session=None if session is None else values.session(session),
        plan=None if listed is None else write_tasks(listed),
        upload=upload,
        lan=lan,
        signer=signer,
    )
    remarks = [] if listed is None else [f"left out of the plan: {each}" for each in listed.left_out]
    if listed is not None and server is not None:
        remarks.append(f"machines that are given a plan measure alone: they will not join {wanted.server}")
    remarks += _check(card, serving) if card is not None else []
    written = folder.write(directory, wanted)
    for remark in remarks + written.remarks:
        click.echo(remark, err=True)
    click.echo(f"folder: {directory} ({len(written.files)} files; README.txt says what to do with them)")
    click.echo(f"kernel arguments: {written.command_line}")
    if wanted.key is not None:
        from ahc_agent.wire.keys import fingerprint

        click.echo(f"key fingerprint: {fingerprint(wanted.key)}")
    if card is not None:
        _serve(written, wanted, card)


def _no_lan(serving: _Serving) -> tuple[None, None]:
    if serving != _Serving(None, None, False, False):
        raise UsageError("--interface, --range, --proxy and --yes-this-network belong to --serve")
    return None, None


def _lan(serving: _Serving) -> tuple[Interface, Lan]:
    from ahc_server.netboot import dnsmasq
    from ahc_server.netboot import interface as interfaces

    if serving.interface is None:
        raise UsageError("--serve: say on which --interface")
    if serving.proxy and serving.leases is not None:
        raise UsageError("--range: with --proxy the other DHCP server gives addresses")
    card = interfaces.read(serving.interface)
    place = (card.address, card.network)
    leases = None
    if not serving.proxy:
        leases = (
            dnsmasq.usual_range(*place)
            if serving.leases is None
            else dnsmasq.range_of(serving.leases, *place)
        )
    return card, dnsmasq.Lan(card.name, *place, leases, advertise=leases is not None)


def _check(card: Interface, serving: _Serving) -> list[str]:
    from ahc_server.netboot import lab

    return lab.check(card, lab.Rights(serving.proxy, serving.any_network))


def _own_key(where: Where) -> str:
    try:
        return where.public_key.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        raise UsageError(
            f"no server has made its key yet ({where.public_key}): start `ahc serve` once, or give --key"
        ) from None


def _serve(written: folder.Written, wanted: folder.Wanted, card: Interface) -> None:
    from ahc_server.netboot import lab

    stop = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    lab.serve(
        written,
        wanted,
        card,
        say=lambda sentence: click.echo(sentence, err=True),
        started=lambda: click.echo(
            f"serving on {card.name}, {card.address}: machines may be switched on", err=True
        ),
        stopping=lambda: stop,
    )
