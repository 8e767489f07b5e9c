"""How a machine ends that the agent has to itself: off, anew, halted, in a person's hands, or waiting."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import termios
from collections.abc import Callable
from typing import Final, NoReturn

from ahc_agent.boot.arguments import Then

#: reboot(2)
_COMMANDS: Final[dict[Then, int]] = {
    "reboot": 0x01234567,
    "poweroff": 0x4321FEDC,
    "halt": 0xCDEF0123,
}
SENTENCES: Final[dict[Then, str]] = {
    "reboot": "the machine starts anew now",
    "poweroff": "the machine is switched off now",
    "halt": "the machine is halted now; it may be switched off",
    "shell": "a shell is on this console; `exit` starts the agent again",
    "wait": "nothing more to do; the machine may be switched off",
}


def end_machine(then: Then) -> None:
    """``halt``, ``reboot`` or ``poweroff``, at once: nothing else runs here, and nothing is mounted. Raises OSError."""
    os.sync()
    library = ctypes.CDLL(None, use_errno=True)
    library.reboot(ctypes.c_int(_COMMANDS[then] - (1 << 32 if _COMMANDS[then] >= 1 << 31 else 0)))
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def shell() -> None:
    """Become a shell on the last console (``ahc.onsuccess=shell``), in the same process: beside a shell that is another init
    would start the agent anew. Raises OSError."""
    # Init has made this process the leader of a session; a console becomes its terminal only when asked to (tty_ioctl(4)).
    # Where that is refused, the shell itself says that it has no job control.
    with contextlib.suppress(OSError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 1)
    os.execv("/bin/busybox", ["busybox", "sh", "-l"])


def finish(then: Then, say: Callable[[str], None]) -> NoReturn:
    """Do it, and say so; where it cannot be done, say why and wait for a person."""
    say(SENTENCES[then])
    try:
        if then == "shell":
            shell()
        elif then != "wait":
            end_machine(then)
    except OSError as error:
        say(f"{then} cannot be done: {error.strerror}; waiting")
    while True:
        signal.pause()
