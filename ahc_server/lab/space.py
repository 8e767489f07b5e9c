"""Network namespaces from outside: run the tools that configure them, in a namespace that has no name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ahc_agent import programs

_TIME_LIMIT_S = 20.0


def path_of(space: int) -> str:
    """What a namespace's open descriptor is called for other programs."""
    return f"/proc/{os.getpid()}/fd/{space}"


def run_in(space: int, argv: Sequence[str], stdin: bytes | None = None) -> None:
    """Run a program in the namespace behind a descriptor. Raises ProgramError."""
    programs.run(["nsenter", f"--net={path_of(space)}", "--", *argv], time_limit_s=_TIME_LIMIT_S, stdin=stdin)


def ip_batch(space: int, lines: Sequence[str]) -> None:
    """Commands of ip(8), one a line, in one process. Raises ProgramError."""
    run_in(space, ["ip", "-batch", "-"], "".join(f"{line}\n" for line in lines).encode())


def tc_batch(space: int, lines: Sequence[str]) -> None:
    """Commands of tc(8), one a line, in one process. Raises ProgramError."""
    run_in(space, ["tc", "-batch", "-"], "".join(f"{line}\n" for line in lines).encode())
