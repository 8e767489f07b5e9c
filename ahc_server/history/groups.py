"""Who is judged together when each node is compared with itself."""

from __future__ import annotations

import numpy as np

from ahc_server.judge.arrays import Ints
from ahc_server.judge.groups import Grouping

#: Groups of fewer nodes are judged together: their changes can be compared though their hardware cannot.
_LEAST_GROUP = 5


def groups_of(grouping: Grouping, rows: Ints) -> list[tuple[str, Ints]]:
    """The report's groups of some rows by name; "rest" is what is in groups too small, "all" if there is nothing else."""
    groups: list[tuple[str, Ints]] = []
    rest = [np.intersect1d(grouping.alone, rows)]
    for number, group in enumerate(grouping.groups):
        mine = np.intersect1d(group, rows)
        if len(mine) >= _LEAST_GROUP:
            groups.append((f"g{number + 1}", mine))
        else:
            rest.append(mine)
    left = np.sort(np.concatenate(rest))
    if len(left):
        groups.append(("rest" if groups else "all", left))
    return groups
