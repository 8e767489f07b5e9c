"""Which of a node's suspect scores make one finding, and which of them says best what is wrong.

A slow socket also pulls down the node's level, and a bad core its socket: what is told is the smallest piece that accounts for
what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ahc_server.judge.arrays import Bools
from ahc_server.judge.scores import Score

_DISK_KINDS = ("sequential", "random", "sequential writes", "random writes")
#: A disk is slow as a whole when everything it does has lost this part of what it lost on the whole.
_SHARED_LOSS = 0.5
#: A bad core is one of few, and lost so many times as much as its node.
_FEW_CORES = 0.25
#: Where the whole lost this part of what its slowest piece lost, the whole is told.
_WHOLE = 0.9
_CORE_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Sheep:
    """Scores (numbers into the group's) that make one finding of one component; ``head`` says what is wrong."""

    component: str
    head: int
    scores: tuple[int, ...]


def sheep_of(scores: Sequence[Score], place: int, flagged: Bools) -> list[Sheep]:
    """The findings that the flagged scores (s,) of the node at ``place`` make."""
    by_component: dict[str, list[int]] = {}
    for number in np.flatnonzero(flagged).tolist():
        by_component.setdefault(scores[number].component, []).append(number)
    found: list[Sheep] = []
    for component, numbers in by_component.items():
        found += (
            _disks(scores, place, numbers)
            if component == "disk"
            else [_piece(scores, place, component, numbers)]
        )
    return found


def _clearness(scores: Sequence[Score], place: int, number: int) -> tuple[float, int]:
    score = scores[number]
    bar = float(score.bar[place])
    return (float(score.distance[place]) / bar if bar else 0.0, -number)


def _piece(scores: Sequence[Score], place: int, component: str, numbers: list[int]) -> Sheep:
    def clearest(*kinds: str) -> int | None:
        mine = [number for number in numbers if scores[number].kind in kinds]
        return max(mine, key=lambda number: _clearness(scores, place, number), default=None)

    def loss(number: int | None) -> float:
        return -float(scores[number].distance[place]) if number is not None else 0.0

    core, socket, level = clearest("core"), clearest("socket", "numa"), clearest("cpu", "memory", "tx", "rx")
    unrest = clearest("throttling")
    if level is not None:
        alike = [n for n in numbers if scores[n].part == "all" and scores[n].kind == scores[level].kind]
        level = next((n for n in alike if loss(n) >= _WHOLE * loss(level)), level)
    cores = sum(score.kind == "core" for score in scores)
    few = sum(scores[number].kind == "core" for number in numbers) <= max(2, _FEW_CORES * cores)
    if core is not None and few and loss(core) > _CORE_FACTOR * max(loss(level), loss(socket)):
        head = core
    elif socket is not None and loss(socket) >= loss(level):
        head = socket
    elif level is not None:
        head = level
    else:
        head = unrest if unrest is not None else max(numbers, key=lambda n: _clearness(scores, place, n))
    return Sheep(component, head, tuple(numbers))


def _disks(scores: Sequence[Score], place: int, numbers: list[int]) -> list[Sheep]:
    """Each disk for itself, or all of them where all are slow."""
    by_part: dict[str, list[int]] = {}
    for number in numbers:
        by_part.setdefault(scores[number].part, []).append(number)
    each = [
        Sheep("disk", _disk_head(scores, place, part, mine), tuple(mine)) for part, mine in by_part.items()
    ]
    parts = {
        score.part for score in scores if score.component == "disk" and not np.isnan(score.distance[place])
    }
    if len(each) > 1 and len(each) == len(parts):
        ordered = sorted(each, key=lambda one: (scores[one.head].distance[place], one.head))
        return [Sheep("disk", ordered[len(ordered) // 2].head, tuple(numbers))]
    return each


def _disk_head(scores: Sequence[Score], place: int, part: str, flagged: list[int]) -> int:
    does = {
        score.kind: number
        for number, score in enumerate(scores)
        if score.component == "disk" and score.part == part and score.kind in (*_DISK_KINDS, "disk")
    }
    whole = does.pop("disk", None)
    base = [number for number in flagged if scores[number].kind in _DISK_KINDS]
    if whole is not None and whole in flagged:
        lost = float(scores[whole].distance[place])
        if not base or all(scores[number].distance[place] < _SHARED_LOSS * lost for number in does.values()):
            return whole
    return max(base or flagged, key=lambda number: _clearness(scores, place, number))
