"""``ahc-agent boot``: be the only program of a machine, from the kernel's hand-over to its end."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ahc_agent.errors import UsageError

#: Where a ramdisk's root is (statfs(2)): nothing that is on a disk, so that nothing of value can be harmed.
_RAM = {"rootfs", "ramfs", "tmpfs"}
_BREATH_S = 5.0
#: Where `ip netns add` puts names (ip-netns(8)).
_NAMESPACES = Path("/run/netns")


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
    from ahc_agent.boot import arguments
    from ahc_agent.boot.console import Console
    from ahc_agent.boot.ending import finish
    from ahc_agent.boot.sequence import Boot, Powers

    if rehearse is None:
        if _root_type() not in _RAM:
            raise UsageError(
                "this machine's root is on a disk: `ahc-agent boot` is for a ramdisk (see --rehearse)"
            )
        powers, console = Powers(), Console()
    else:
        if not _in_named_namespace():
            raise UsageError(
                "--rehearse: only in a network namespace of its own (ip netns add NAME; ip netns exec NAME ...)"
            )
        powers = Powers(machine=False, run=rehearse, hook=rehearse / "udhcpc", plans=rehearse, resolver=None)
        console = Console(lambda text: click.echo(text, err=True, nl=False))
    if line is None:
        line = arguments.PATH.read_text(errors="replace")
    try:
        then = Boot(arguments.read(line), console, powers).run()
    except Exception as error:
        console.trouble(f"the agent has failed: {type(error).__name__}: {error}", "It is started anew")
        time.sleep(_BREATH_S)  # init starts it anew at once, and the console is to be read
        raise
    if rehearse is not None:
        console.say("done", f"{then}, were it not a rehearsal")
        return
    finish(then, lambda sentence: console.say("done", sentence))


def _in_named_namespace() -> bool:
    own = Path("/proc/self/ns/net").stat().st_ino
    return own in {path.stat().st_ino for path in _NAMESPACES.glob("*")}


def _root_type() -> str:
    """The file system of "/", by mountinfo (proc(5)); the last one mounted there counts."""
    kinds = [
        words[words.index("-") + 1]
        for words in map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
        if words[4] == "/"
    ]
    return kinds[-1] if kinds else "unknown"
