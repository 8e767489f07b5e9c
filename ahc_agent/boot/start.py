"""Where the boot begins: is this a ramdisk, what does the kernel's command line say, and how does the machine end.

``python -m ahc_agent.boot`` is what init calls: without the command line's parser the agent is there half a second earlier on a
slow machine. ``ahc-agent boot`` is the same for people.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ahc_agent.boot import arguments
from ahc_agent.boot.console import TROUBLE_CHARACTERS, Console
from ahc_agent.boot.ending import finish
from ahc_agent.boot.sequence import HANDED_OVER, STARTED, Boot, Powers
from ahc_agent.errors import UsageError

#: Where a ramdisk's root is (proc(5), mountinfo): nothing that is on a disk, so that nothing of value can be harmed.
_RAM = {"rootfs", "ramfs", "tmpfs"}
#: Where `ip netns add` puts names (ip-netns(8)).
_NAMESPACES = Path("/run/netns")
#: Init starts the agent anew at once, and the console is to be read.
_BREATH_S = 5.0


def boot(line: str | None = None) -> None:
    """On a ramdisk, with what the kernel was told (``line`` instead). Raises UsageError anywhere else."""
    if _root_type() not in _RAM:
        raise UsageError(
            "this machine's root is on a disk: `ahc-agent boot` is for a ramdisk (see --rehearse)"
        )
    console, powers = Console(), Powers()
    then = _run(line, console, powers)
    if then == "shell":
        _leave_word(powers.run / STARTED, HANDED_OVER, console)
    finish(then, lambda sentence: console.say("done", sentence))


def rehearse(folder: Path, line: str | None = None) -> None:
    """In a network namespace, without touching the machine. ``folder``: see ``ahc-agent boot --help``. Raises UsageError."""
    own = Path("/proc/self/ns/net").stat().st_ino
    if own not in {path.stat().st_ino for path in _NAMESPACES.glob("*")}:
        raise UsageError(
            "--rehearse: only in a network namespace of its own (ip netns add NAME; ip netns exec NAME ...)"
        )
    console = Console(_to_standard_error)
    powers = Powers(
        machine=False, run=folder, hook=folder / "udhcpc", plans=folder, resolver=folder / "resolv.conf"
    )
    console.say("done", f"{_run(line, console, powers)}, were it not a rehearsal")


def _run(line: str | None, console: Console, powers: Powers) -> arguments.Then:
    if line is None:
        line = arguments.PATH.read_text(errors="replace")
    try:
        return Boot(arguments.read(line), console, powers).run()
    except Exception as error:
        why = f"the agent has failed: {type(error).__name__}: {error}"
        console.trouble(why, "It is started anew")
        _leave_word(powers.run / STARTED, why, console)
        time.sleep(_BREATH_S)
        raise


def _leave_word(file: Path, why: str, console: Console) -> None:
    """For the next agent, and the server, which it reaches."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(why[:TROUBLE_CHARACTERS])
    except OSError as error:
        console.say("trouble", f"{file} cannot be written: {error.strerror}; the server will not hear of it")


def _to_standard_error(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _root_type() -> str:
    """The file system of "/"; the last one mounted there counts."""
    kinds = [
        words[words.index("-") + 1]
        for words in map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
        if words[4] == "/"
    ]
    return kinds[-1] if kinds else "unknown"
