"""Which of a node's suspect scores says best what is wrong: the smallest piece that accounts for what is seen."""

from __future__ import annotations

import numpy as np
import pytest

from ahc_server.judge.scores import Score
from ahc_server.judge.sheep import Sheep, sheep_of
from tests.score_helpers import score

Told = list[tuple[str, str, str]]


def told(scores: list[Score], flagged: list[bool] | None = None) -> Told:
    """Component, kind and part of the head of every finding. All scores below their bars are flagged, if not said otherwise."""
    flags = [bool(each.distance[0] < each.bar[0]) for each in scores] if flagged is None else flagged
    found: list[Sheep] = sheep_of(scores, 0, np.array(flags))
    return [(each.component, scores[each.head].kind, scores[each.head].part) for each in found]


def cores(*away: float, bar: float = -0.06) -> list[Score]:
    return [score("core", "cpu", f"core{n}", each, bar=bar) for n, each in enumerate(away)]


LEVEL = ("cpu", "cpu", "all")
SOCKET = ("cpu", "socket", "socket1")
CORE = ("cpu", "core", "core0")
UNREST = ("cpu", "throttling", "all")


@pytest.mark.parametrize(
    ("level", "socket", "unrest", "away", "head"),
    [
        # A node that is slow as a whole.
        (-0.20, 0.0, 0.0, [0.0] * 8, LEVEL),
        # A slow socket takes half of its loss from the level of the node.
        (-0.05, -0.10, 0.0, [0.0] * 8, SOCKET),
        (-0.10, -0.10, 0.0, [0.0] * 8, SOCKET),
        (-0.30, -0.10, 0.0, [0.0] * 8, LEVEL),
        # A bad core, and what it takes from its socket and its node.
        (0.0, 0.0, 0.0, [-0.5, *[0.0] * 7], CORE),
        (-0.06, -0.12, 0.0, [-0.5, *[0.0] * 7], CORE),
        # It lost less than twice what the socket lost: it is one of the socket's.
        (-0.06, -0.12, 0.0, [-0.2, *[0.0] * 7], SOCKET),
        # Two threads of one core.
        (0.0, 0.0, 0.0, [-0.5, 0.0, 0.0, 0.0, -0.4, 0.0, 0.0, 0.0], CORE),
        # Half of all cores is no bad core.
        (-0.10, 0.0, -0.2, [-0.5] * 4 + [0.0] * 4, LEVEL),
        (0.0, 0.0, -0.2, [-0.5] * 4 + [0.0] * 4, UNREST),
        (0.0, 0.0, -0.2, [0.0] * 8, UNREST),
        (-0.10, 0.0, -0.2, [0.0] * 8, LEVEL),
    ],
)
def test_of_a_cpu(level: float, socket: float, unrest: float, away: list[float], head: object) -> None:
    scores = [
        score("cpu", "cpu", "all", level),
        score("socket", "cpu", "socket0", -socket),
        score("socket", "cpu", "socket1", socket),
        score("throttling", "cpu", "all", unrest),
        *cores(*away),
    ]
    assert told(scores) == [head]


def test_of_two_bad_cores_the_clearer_one_leads_and_both_are_told_of() -> None:
    scores = cores(-0.3, 0.0, 0.0, -0.6, 0.0, 0.0, 0.0, 0.0)
    [found] = sheep_of(scores, 0, np.array([each.distance[0] < each.bar[0] for each in scores]))
    assert scores[found.head].part == "core3"
    assert found.scores == (0, 3)


@pytest.mark.parametrize(
    ("level", "numa", "cached", "head"),
    [(-0.4, -0.2, 0.0, "memory"), (-0.2, -0.4, 0.0, "numa"), (-0.2, 0.0, -0.5, "memory"), (0.0, 0.0, -0.2, "cached")],
)  # fmt: skip
def test_of_memory(level: float, numa: float, cached: float, head: str) -> None:
    scores = [
        score("memory", "memory", "all", level),
        score("numa", "memory", "node1", numa),
        score("cached", "memory", "all", cached),
    ]
    assert [kind for _, kind, _ in told(scores)] == [head]


def test_components_are_findings_of_their_own() -> None:
    scores = [
        score("cpu", "cpu", "all", -0.2),
        score("tx", "network", "tx", -0.3),
        score("rx", "network", "rx", -0.5),
        score("memory", "memory", "all", 0.0),
    ]
    assert told(scores) == [LEVEL, ("network", "rx", "rx")]


# ── disks ────────────────────────────────────────────────────────────────────────────────────────


def disk(part: str, reads: float, random: float, writes: float, whole: float | None = None) -> list[Score]:
    """``whole``: the middle of the three, where it is not told."""
    return [
        score("sequential", "disk", part, reads),
        score("random", "disk", part, random),
        score("sequential writes", "disk", part, writes),
        score("disk", "disk", part, (reads + random + writes) / 3 if whole is None else whole),
    ]


@pytest.mark.parametrize(
    ("reads", "random", "writes", "head"),
    [
        (-0.30, -0.28, -0.33, "disk"),
        # Not one of them is clear for itself.
        (-0.045, -0.04, -0.04, "disk"),
        (0.0, -0.40, 0.0, "random"),
        # What it does best lost less than half of what it lost on the whole.
        (-0.40, -0.35, -0.02, "sequential"),
    ],
)
def test_a_disk_is_slow_as_a_whole_where_everything_it_does_is(
    reads: float, random: float, writes: float, head: str
) -> None:
    scores = disk("sda", reads, random, writes)
    for each in scores:
        each.bar[0] = -0.03 if each.kind == "disk" else -0.05
    assert told(scores) == [("disk", head, "sda")]


def test_slow_disks_are_findings_of_their_own() -> None:
    scores = [*disk("sda", -0.3, -0.3, -0.3), *disk("sdb", 0, 0, 0), *disk("sdc", 0.0, -0.5, 0.0)]
    assert told(scores) == [("disk", "disk", "sda"), ("disk", "random", "sdc")]


def test_where_all_disks_of_a_node_are_slow_it_is_one_finding() -> None:
    scores = [*disk("sda", -0.3, -0.3, -0.3), *disk("sdb", -0.4, -0.4, -0.4), *disk("sdc", -0.5, -0.5, -0.5)]
    assert told(scores) == [("disk", "disk", "sdb")]
    [found] = sheep_of(scores, 0, np.ones(12, dtype=bool))
    assert len(found.scores) == 12


def test_a_disk_that_this_node_does_not_have_is_none_of_its_disks() -> None:
    absent = [score("sequential", "disk", "sdc", float("nan"))]
    both = [*disk("sda", -0.3, -0.3, -0.3), *disk("sdb", -0.4, -0.4, -0.4)]
    assert len(told([*both, *absent])) == 1
    assert len(told([*both, score("sequential", "disk", "sdc", 0.0)])) == 2


def test_nothing_flagged_is_nothing_to_tell() -> None:
    assert told([score("cpu", "cpu", "all", -0.2)], [False]) == []
