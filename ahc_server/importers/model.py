"""What an importer works on, and what it yields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_server.measured import NOTHING, Measured, measured_of, measurements_of

#: One line of eDeploy's: kind ("cpu"), part ("logical_3"), item ("loops_per_sec"), value; None is a value that was lost.
Row = tuple[str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class Source:
    """One document: a file's text, and what it is as JSON (None where it is none).

    ``file`` is its name for people, ``at_unix_s`` when it was last written, ``stem`` names a machine that has no other name.
    """

    file: str
    text: str
    json: Any
    at_unix_s: float
    stem: str


@dataclass(slots=True)
class Imported:
    """One machine as a file tells of it. ``taken``: its measurements, as columns where there is nothing else to them.
    ``remarks``: what could not be taken, one sentence each."""

    inventory: Inventory
    taken: Measured | list[Measurement] = NOTHING
    remarks: list[str] = field(default_factory=list)

    @property
    def columns(self) -> Measured:
        return self.taken if isinstance(self.taken, Measured) else measured_of(self.taken)

    @property
    def measurements(self) -> list[Measurement]:
        return measurements_of(self.taken) if isinstance(self.taken, Measured) else self.taken


@dataclass(frozen=True, slots=True)
class Format:
    """One format. ``knows`` looks at the content only and does not raise; ``read`` raises FileFormatError."""

    name: str
    knows: Callable[[Source], bool]
    read: Callable[[Source], Imported]


class Unrecognised(FileFormatError):
    """The content is of no format that we know: beside results in a folder that is no mistake."""
