"""Where a group is not one population: so large a part of it differs that nobody can say which part is right.

Two such parts are told apart by one finding, with the fact that divides them where there is one; nobody is accused for being in
either. Small differences of that kind (a batch of parts, a firmware) are a remark.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.arrays import Bools
from ahc_server.judge.causes import divides
from ahc_server.judge.facts.table import FactTable
from ahc_server.judge.findings import rounded
from ahc_server.judge.model import Component, Finding
from ahc_server.judge.scores import Score
from ahc_server.judge.suspects import GroupTest

#: From this distance on two halves are worth a warning; up to it they are a remark, if that.
_MATTERS, _WORTH_A_WORD = 0.06, 0.02
#: Halves that agree on so many nodes are the same halves.
_SAME = 0.9
#: Where more than this part of a group is accused, of whatever, the others may as well be the odd ones.
_CONTAMINATED, _LEAST_NODES = 0.30, 10

_NO_FACT = "no fact that is known"
_CHECK = "compare with a baseline or with what the maker promises"


def populations(
    test: GroupTest, group: str, names: Sequence[str], table: FactTable, slow: set[int]
) -> tuple[list[Finding], set[int]]:
    """Findings about one group, and the rows that cannot be judged for it. ``names``: of the whole fleet; ``slow``: rows of
    the accused."""
    rows = test.matrix.rows
    found: list[Finding] = []
    unjudged: set[int] = set()
    for told in _divisions(test):
        first = told[0]
        assert first.halves is not None
        slower = [int(row) for row in rows[first.halves.slower]]
        if first.halves.gap < _WORTH_A_WORD:
            continue
        matters = first.halves.gap > _MATTERS
        if matters:
            unjudged.update(slower)
        found.append(_finding(told, group, names, rows.tolist(), slower, table, matters))
    is_told = any(each.severity == "warn" for each in found)
    if not is_told and len(rows) >= _LEAST_NODES and len(slow) > _CONTAMINATED * len(rows):
        found.append(_contaminated(group, names, sorted(slow), rows.tolist(), table))
    return found, unjudged


def _divisions(test: GroupTest) -> list[list[Score]]:
    """Scores with halves, those with the same halves together; the widest first in each, and of all."""
    divided = [score for score in test.scores if score.halves is not None]
    divided.sort(key=lambda score: (-_gap(score), score.component, score.part))
    found: list[list[Score]] = []
    for score in divided:
        for told in found:
            if _alike(_slower(told[0]), _slower(score)):
                told.append(score)
                break
        else:
            found.append([score])
    return found


def _gap(score: Score) -> float:
    return score.halves.gap if score.halves is not None else 0.0


def _slower(score: Score) -> Bools:
    assert score.halves is not None
    return score.halves.slower


def _alike(one: Bools, other: Bools) -> bool:
    """The same division; in sockets against each other the one half's slower is the other's faster."""
    agree = float(np.mean(one == other))
    return max(agree, 1 - agree) >= _SAME


def _finding(
    told: Sequence[Score],
    group: str,
    names: Sequence[str],
    rows: Sequence[int],
    slower: Sequence[int],
    table: FactTable,
    matters: bool,
) -> Finding:
    first = told[0]
    effect = float(np.expm1(-_gap(first)))
    cause = divides(slower, rows, table)
    parts = wording.listed(list(dict.fromkeys(score.title for score in told)), most=3)
    what = "two populations" if matters else "two levels"
    many = f"{len(slower):,} of {wording.nodes_word(len(rows))}"
    text = f"{group}: {what} in {parts}: {many} are {wording.plain_percent(effect)} slower than the others"
    divided = cause.text if cause else _NO_FACT
    if matters:
        text += (
            f"; what divides them: {divided}; which of the two is right cannot be told from here: {_CHECK}"
        )
    else:
        text += f"; what divides them: {divided}; each is judged beside its own half"
    return Finding(
        element=f"group:{group}",
        nodes=[names[row] for row in slower],
        component=_component(first),
        kind="slow",
        severity="warn" if matters else "info",
        effect=rounded(effect, 4),
        cause=cause.text if cause else None,
        summary=text,
    )


def _component(score: Score) -> Component:
    return score.component  # type: ignore[return-value]


def _contaminated(
    group: str, names: Sequence[str], slow: Sequence[int], rows: Sequence[int], table: FactTable
) -> Finding:
    cause = divides(slow, rows, table)
    return Finding(
        element=f"group:{group}",
        nodes=[names[row] for row in slow],
        component="system",
        kind="slow",
        severity="warn",
        cause=cause.text if cause else None,
        summary=f"{group}: two populations: {len(slow):,} of {wording.nodes_word(len(rows))} are slower than the rest in one "
        f"thing or another; what divides them: {cause.text if cause else _NO_FACT}; with so many, the others may as well be "
        f"the odd ones: {_CHECK}",
    )
