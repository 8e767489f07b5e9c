"""How far a flow is from what is usual, in steps that a person tells apart at a glance.

The steps are by lightness, so that they can be told apart without colours; nothing measured is blank, and no connection is a
step of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints

Witness = Literal["rate", "rtt"]

BLANK: Final = -1
FASTER: Final = 0
USUAL: Final = 1
DEAD: Final = 6


@dataclass(frozen=True, slots=True)
class Level:
    """``rate``, ``rtt``: what it means for bandwidth and for round trips. ``glyph``: one character of text."""

    glyph: str
    rate: str
    rtt: str

    def told(self, witness: Witness) -> str:
        return self.rate if witness == "rate" else self.rtt


#: By the numbers that ``level_of`` gives.
LEVELS: Final[Sequence[Level]] = (
    Level("+", "over 10 % more than usual", "over 20 % shorter than usual"),
    Level("·", "as usual", "as usual"),
    Level("░", "7 to 15 % less", "25 to 50 % longer"),
    Level("▒", "15 to 30 % less", "up to 2.5 times as long"),
    Level("▓", "30 to 60 % less", "up to 5 times as long"),
    Level("█", "over 60 % less", "over 5 times as long"),
    Level("X", "no connection", "no connection"),
)
#: Where one level ends and the next begins: ln of the value against the usual, negative is worse.
_BOUNDS: Final[dict[Witness, Floats]] = {
    "rate": np.log([1.10, 0.93, 0.85, 0.70, 0.40]),
    "rtt": -np.log([0.80, 1.25, 1.50, 2.50, 5.00]),
}


def level_of(away: Floats, dead: Bools, witness: Witness) -> Ints:
    """Level of each distance (ln, negative is worse; NaN is blank), of the same shape."""
    level = np.digitize(np.nan_to_num(away), _BOUNDS[witness]).astype(np.int64)
    level[np.isnan(away)] = BLANK
    level[dead] = DEAD
    return level
