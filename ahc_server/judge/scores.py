"""Scores: what is judged. A few robust numbers per node and piece of hardware, each read from many metrics.

The 112 bandwidth metrics of one node are one piece of evidence about its cores and its memory, and not 112 chances to be
unlucky.
"""

from __future__ import annotations

from dataclasses import dataclass

from ahc_server.judge.outliers import Floats, Ints


@dataclass(frozen=True, slots=True)
class Score:
    """One judged quantity of one piece of hardware, for the n nodes of a group.

    ``kind``: its row in the table of limits. ``component`` and ``part``: the piece ("cpu", "socket0"). ``title``: as a person
    reads it. ``columns``: the metrics that it is read from. ``distance`` (n,): ln(value / what the peers make one
    expect), negative is worse, NaN where not measured. ``bar`` (n,): the distance below which a node is accused;
    NaN where nobody can be judged.
    """

    kind: str
    component: str
    part: str
    title: str
    columns: Ints
    distance: Floats
    bar: Floats
