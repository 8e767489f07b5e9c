"""Where the time goes between power-on and registered, read from the console."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ahc_agent.errors import CannotAnswer
from ramdisk.machines.guest import Line


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a boot; ``begin_s`` counts from power-on."""

    name: str
    begin_s: float
    duration_s: float


#: What ends each stage, in their order. The firmware gives over when iPXE says its name, the network boot is over when iPXE
#: has the initramfs, the kernel when it starts the first program, and so on.
ENDS: tuple[tuple[str, str], ...] = (
    ("firmware", r"iPXE .*-- |iPXE initialising"),
    ("iPXE and DHCP", r"boot\.ipxe"),
    ("download", r"Linux version"),
    ("kernel", r"the kernel has started, the agent follows"),
    ("userspace", r"\d boot  "),
    ("agent", r"joined the server"),
)


def stages(lines: Sequence[Line], started_at_s: float) -> list[Stage]:
    """The stages of one boot. Raises CannotAnswer where a stage's end does not show."""
    found: list[Stage] = []
    begin, place = started_at_s, 0
    for name, pattern in ENDS:
        ends = next(
            (index for index, line in enumerate(lines[place:], place) if re.search(pattern, line.text)), None
        )
        if ends is None:
            raise CannotAnswer(f"the end of the stage {name!r} ({pattern}) does not show on the console")
        found.append(Stage(name, begin - started_at_s, lines[ends].at_s - begin))
        begin, place = lines[ends].at_s, ends
    return found


def table(boots: Sequence[Sequence[Stage]]) -> str:
    """Medians over boots, as text: seconds and share of the whole."""
    from statistics import median

    names = [stage.name for stage in boots[0]]
    middle = [median(boot[index].duration_s for boot in boots) for index in range(len(names))]
    whole = sum(middle)
    rows = [
        f"{name:<16}{seconds:8.2f} s{seconds / whole:7.0%}"
        for name, seconds in zip(names, middle, strict=True)
    ]
    return "\n".join([*rows, f"{'registered after':<16}{whole:8.2f} s"])
