"""What the kernel is told where a machine belongs to the agent: reboot after a panic, and kill anything before the agent.

Sources: Documentation/admin-guide/sysctl/kernel.rst, proc(5) (``oom_score_adj``).
"""

from __future__ import annotations

import os
from pathlib import Path

from ahc_agent import programs

_SYS = Path("/proc/sys")
_DRIVERS = Path("/lib/modules")
#: An oops is a panic: what comes after it is no measurement. ``printk`` 4: the console shows the kernel's errors, not its news.
_SETTINGS = {"kernel/panic_on_oops": "1"}
#: After a panic the machine starts anew, so late that a person can read the screen; where nobody has said when (``panic=``).
_WHERE_ZERO = {"kernel/panic": "30"}
_QUIET = {"kernel/printk": "4"}
AGENT_OOM_SCORE, PROGRAMS_OOM_SCORE = -900, 500


def mismatch(drivers: Path = _DRIVERS, release: str | None = None) -> str | None:
    """The kernel whose drivers this image holds, where it is not the one that runs: kernel and image are of different builds, and
    hardly any driver can be loaded. None where they fit, or the image has no drivers at all."""
    release = os.uname().release if release is None else release
    try:
        found = sorted(path.name for path in drivers.iterdir())
    except OSError:
        return None
    return None if not found or release in found else ", ".join(found)


def prepare(debug: bool) -> list[str]:
    """Answers with what could not be set, as sentences; what this kernel does not have is left out."""
    wrong = []
    for name, value in (_SETTINGS | _WHERE_ZERO | ({} if debug else _QUIET)).items():
        path = _SYS / name
        try:
            if path.exists() and (name not in _WHERE_ZERO or path.read_text().strip() == "0"):
                path.write_text(value)
        except OSError as error:
            wrong.append(f"{path} cannot be set: {error.strerror}")
    try:
        Path("/proc/self/oom_score_adj").write_text(str(AGENT_OOM_SCORE))
        programs.oom_score_of_programs = PROGRAMS_OOM_SCORE
    except OSError as error:
        wrong.append(f"oom_score_adj cannot be set: {error.strerror}")
    return wrong
