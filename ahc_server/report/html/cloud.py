"""Many points as one path: a few bytes a node, and the same places for the same data."""

from __future__ import annotations

import numpy as np

from ahc_server.judge.arrays import Floats
from ahc_server.report.html.markup import Markup, tag

#: Turns of the golden ratio spread points evenly: neighbours in value never share their height.
_GOLDEN = 0.618033988749895
_WIDTH, _HEIGHT = 1000, 100


def heights(values: Floats, low: float = 0.0, high: float = 1.0) -> Floats:
    """A height for each of n values between ``low`` and ``high``, so that points of like value do not hide each other."""
    rank = np.empty(len(values))
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    return np.asarray(low + (high - low) * ((rank + 0.5) * _GOLDEN % 1.0), dtype=np.float64)


def cloud(x: Floats, y: Floats) -> str:
    """Data of a path with a dot at each place (per cent, 0 to 1) of a box of 1000 × 100; a place is drawn once."""
    across = np.rint(x * _WIDTH / 100).astype(np.int64)
    down = np.rint(y * _HEIGHT).astype(np.int64)
    places = np.unique(np.stack([across, down], axis=1), axis=0)
    return "".join(f"M{a} {b}h0" for a, b in places.tolist())


def stretched(data: str, class_: str) -> Markup:
    """The path in a box that fills its parent; strokes keep their width (``vector-effect`` in the style)."""
    return tag(
        "svg",
        tag("path", d=data, class_=class_),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
        overflow="visible",
    )
