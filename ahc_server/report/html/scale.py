"""The axis that all strips share: how far from the peers, stretched so that 1 % and 90 % can both be read.

Positions are areas' per cent (0 to 100) of asinh(distance / 0.03): linear up to 3 %, logarithmic beyond.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.arrays import Floats

_LINEAR = 0.03
#: Marks at these differences, and which of them a narrow screen may leave out.
_MARKS = (
    -0.999,
    -0.99,
    -0.9,
    -0.75,
    -0.5,
    -0.2,
    -0.1,
    -0.05,
    -0.02,
    0.0,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    3.0,
    9.0,
)
_MINOR = frozenset({-0.999, -0.75, -0.2, -0.05, -0.02, 0.02, 0.05, 0.2, 1.0, 9.0})
#: At least this much is shown, in each direction.
_LEAST = (-0.1, 0.05)
#: Room beyond the outermost marks, in per cent of the width.
_EDGE = 3.0


@dataclass(frozen=True, slots=True)
class Scale:
    """From ``low`` to ``high``, distances on the logarithmic scale."""

    low: float
    high: float

    def at(self, distance: Floats) -> Floats:
        """Per cent of the width, of an array of any shape; what lies beyond the ends is put on them."""
        low, high = np.arcsinh(self.low / _LINEAR), np.arcsinh(self.high / _LINEAR)
        stretched = np.arcsinh(np.clip(distance, self.low, self.high) / _LINEAR)
        return np.asarray(_EDGE + (100 - 2 * _EDGE) * (stretched - low) / (high - low), dtype=np.float64)

    def one(self, distance: float) -> float:
        return float(self.at(np.array([distance]))[0])

    def marks(self) -> list[tuple[float, str, bool]]:
        """(position, what it says, whether a narrow screen leaves it out) of each mark."""
        inside = [each for each in _MARKS if self.low - 1e-9 <= np.log1p(each) <= self.high + 1e-9]
        return [(self.one(float(np.log1p(each))), _mark(each), each in _MINOR) for each in inside]


def _mark(difference: float) -> str:
    sign = "+" if difference > 0 else wording.MINUS
    return f"{sign}{100 * abs(difference):g} %" if difference else "peers"


def scale_of(distances: Iterable[Floats]) -> Scale:
    """A scale that holds all these, up to the ends of the axis; it starts and ends at a mark."""
    low, high = np.log1p(_LEAST[0]), np.log1p(_LEAST[1])
    for each in distances:
        known = each[~np.isnan(each)]
        if len(known):
            low, high = min(low, known.min()), max(high, known.max())
    marks = np.log1p(np.array(_MARKS))
    below, above = marks[marks <= low + 1e-9], marks[marks >= high - 1e-9]
    return Scale(
        float(below[-1]) if len(below) else float(marks[0]),
        float(above[0]) if len(above) else float(marks[-1]),
    )


def as_percent(distance: float) -> str:
    """A distance as it is said: −36 %, of the speed that the peers make one expect."""
    return wording.percent(float(np.expm1(distance)))
