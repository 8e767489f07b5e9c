"""The machine's clock, where its battery is empty: no earlier than the image, and the server's once it is known.

TLS certificates and the time stamps of results need a clock that is about right; measurements never use it.
"""

from __future__ import annotations

import time
from pathlib import Path

import ahc_agent

#: Unix seconds; written into the image when it is built.
_BUILT_AT = Path("/usr/share/ahc/built-at")
#: A clock that is wrong by less is left alone: setting it would do more harm than good to a run.
TOLERANCE_S = 60.0


def built_at_s(file: Path = _BUILT_AT) -> float:
    """When the image was made, in Unix seconds; the date of the agent's own files where that is not told."""
    try:
        return float(int(file.read_text().strip()))
    except (OSError, ValueError):
        return Path(ahc_agent.__file__).stat().st_mtime


def correct(no_earlier_s: float, server_s: float | None = None) -> float | None:
    """What the clock should be set to (Unix seconds); None where it can stay.

    ``no_earlier_s``: it cannot be earlier than this. ``server_s``: the server's clock now.
    """
    now = time.time()
    if server_s is not None and server_s >= no_earlier_s:
        return server_s if abs(now - server_s) > TOLERANCE_S else None
    return no_earlier_s if now < no_earlier_s else None


def set_clock(unix_s: float) -> None:
    """Raises OSError where this may not be done."""
    time.clock_settime(time.CLOCK_REALTIME, unix_s)


def text(unix_s: float) -> str:
    """For a sentence."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(unix_s))
