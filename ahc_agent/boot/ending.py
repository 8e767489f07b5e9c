"""How a machine ends that the agent has to itself: off, anew, halted, in a person's hands, or waiting."""

from __future__ import annotations

import ctypes
import os
import signal
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
    """Become a shell on the last console (``ahc.onsuccess=shell``). The agent is gone after this. Raises OSError."""
    os.execv("/bin/busybox", ["busybox", "setsid", "-c", "busybox", "sh", "-l"])


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
