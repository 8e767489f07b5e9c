"""Quantities as people write them ("64 GiB", "2.4 GHz", "10 Gbit/s"), and as answers show them.

A fact's dimension follows from the end of its name (``_bytes``, ``_hz``, ``_mbps``), where units stand throughout.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ahc_server.report.words import clean

Number = int | float

_DECIMAL = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_BYTES = {f"{prefix}B": factor for prefix, factor in {"": 1, "K": 1000, **_DECIMAL, **_BINARY}.items()}

#: Dimension → unit → how many of the fact's own unit it is.
UNITS: dict[str, dict[str, float]] = {
    "bytes": {**_BYTES, "bytes": 1},
    "bytes/s": {f"{unit}/s": factor for unit, factor in {**_BYTES, "bytes": 1}.items()},
    "Hz": {f"{prefix}Hz": factor for prefix, factor in {"": 1, **_DECIMAL}.items()},
    "Mbit/s": {"kbit/s": 1e-3, "Mbit/s": 1, "Gbit/s": 1e3, "Tbit/s": 1e6},
    "MT/s": {"MT/s": 1},
    "GT/s": {"GT/s": 1},
    "us": {"us": 1, "µs": 1, "ms": 1e3, "s": 1e6},
    "°C": {"°C": 1, "celsius": 1},
    "%": {"%": 1},
    "h": {"h": 1, "days": 24},
    "IOPS": {"IOPS": 1},
    "events/s": {"events/s": 1},
    "": {},
}
#: End of a name → dimension, the first that fits.
_ENDS = (
    ("_bytes_per_s", "bytes/s"),
    ("_events_per_s", "events/s"),
    ("_iops", "IOPS"),
    ("_bytes", "bytes"),
    ("_hz", "Hz"),
    ("_mbps", "Mbit/s"),
    ("_mtps", "MT/s"),
    ("_gtps", "GT/s"),
    ("_us", "us"),
    ("_celsius", "°C"),
    ("_percent", "%"),
    ("_hours", "h"),
)
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-zµ°%/]{0,16})")
#: A longer text of a node is cut where it is shown.
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fact's value is. ``unit``: a key of UNITS; ``is_binary``: shown in GiB and not in GB; ``choices``: the only texts
    that it can be, where they are known."""

    of: Literal["text", "number", "flag"]
    unit: str = ""
    is_binary: bool = False
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For errors: what is expected."""
        if self.of != "number":
            return {"text": "text", "flag": "true or false"}[self.of]
        units = [unit for unit in UNITS[self.unit] if unit[:1] not in "kP"][:12]
        return f"a number (units: {', '.join(units)})" if units else "a number"


TEXT = Kind("text")
NUMBER = Kind("number")
FLAG = Kind("flag")


def unit_of(name: str) -> str:
    """The dimension that a name of a fact or a metric's quantity tells."""
    last = name.rpartition(".")[2]
    return next((unit for end, unit in _ENDS if f"_{last}".endswith(end)), "")


def quantity(text: str, unit: str) -> Number | None:
    """A number with a unit of the dimension (or none: the fact's own). None: it is no such quantity."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        return None
    factor = UNITS[unit].get(match[2]) if match[2] else 1
    if factor is None:
        return None
    number = float(match[1]) * factor
    return int(number) if number == int(number) and abs(number) < 2**53 else number


def show(value: object, kind: Kind) -> str:
    """A value as an answer shows it."""
    if value is None:
        return "not told"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _show_number(value, kind)
    text = clean(str(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _show_number(value: Number, kind: Kind) -> str:
    if kind.unit in ("bytes", "bytes/s"):
        steps = _BINARY if kind.is_binary else _DECIMAL
        for prefix, factor in reversed(steps.items()):
            if abs(value) >= factor:
                return f"{value / factor:.4g} {prefix}{'B/s' if kind.unit == 'bytes/s' else 'B'}"
        return f"{value:.4g} {'B/s' if kind.unit == 'bytes/s' else 'B'}"
    if kind.unit == "Hz" and abs(value) >= 10**6:
        return f"{value / 10**9:.4g} GHz" if abs(value) >= 10**9 else f"{value / 10**6:.4g} MHz"
    if kind.unit == "Mbit/s" and abs(value) >= 1000:
        return f"{value / 1000:.4g} Gbit/s"
    number = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{number} {kind.unit}".strip()
