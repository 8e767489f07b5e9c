"""What a localiser's answers are worth against the labels.

An answer counts where it is a finding of severity ``warn`` or ``fail`` that is neither a gap nor about a group. It is right
where it names the element of a label; where the network came without a topology nobody can know a leaf's name: there a finding
about a leaf is right when half of all nodes that it or the label names are named by both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.networks.generate import Network

_ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """``element`` as in the report, ``nodes`` by name."""

    element: str
    nodes: tuple[str, ...]
    direction: str | None


@dataclass(slots=True)
class Result:
    """One network, scored. ``found`` and ``wanted`` count labels that can be seen, ``right`` and ``said`` answers."""

    seed: int
    scenario: str
    told: bool
    healthy: int
    found: int = 0
    wanted: int = 0
    right: int = 0
    said: int = 0
    ways: int = 0
    ways_right: int = 0
    false_nodes: int = 0
    missed: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    seconds: float = 0.0
    flows: int = 0


def score(network: Network, answers: Sequence[Answer]) -> Result:
    names = network.names
    sick = {
        names[row] for label in network.labels if label.element.startswith("node:") for row in label.nodes
    }
    told = bool(network.document.get("topology"))
    result = Result(network.seed, network.scenario, told, len(names) - len(sick))
    open_answers = list(dict.fromkeys(answers))
    missed = []
    for label in network.labels:
        nodes = {names[row] for row in label.nodes}
        hits = [each for each in open_answers if _is_same(label.element, nodes, each, told)]
        result.found += bool(hits) and label.visible
        result.wanted += label.visible
        result.right += len(hits[:1])
        if hits and label.element.startswith("node:"):
            result.ways += 1
            result.ways_right += hits[0].direction == label.direction
            if hits[0].direction != label.direction:
                missed.append(
                    f"way of {label.kind} {label.element} {label.direction} {label.size:.2f}: {hits[0].direction}"
                )
        if not hits and label.visible:
            missed.append(f"{label.kind} {label.element} {label.direction} {label.size:.2f}")
        open_answers = [each for each in open_answers if each not in hits[:1]]
    wrong = open_answers
    result.said = result.right + len(wrong)
    result.false_nodes = sum(
        each.element.startswith("node:") and not sick & set(each.nodes) for each in wrong
    )
    result.missed = tuple(missed)
    result.wrong = tuple(f"{each.element} {each.direction} ({len(each.nodes)})" for each in wrong)
    return result


def _is_same(element: str, nodes: set[str], answer: Answer, told: bool) -> bool:
    if answer.element == element:
        return True
    both_leaves = element.startswith("leaf:") and answer.element.startswith("leaf:")
    if both_leaves and not told:
        named = set(answer.nodes)
        return len(named & nodes) >= _ALIKE * len(named | nodes)
    return element.startswith("pair:") and answer.element.startswith("pair:") and set(answer.nodes) == nodes


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    counts: str
    value: float | None
    goal: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        if self.value is None:
            return True
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def figures(results: Sequence[Result]) -> list[Figure]:
    def ratio(
        name: str, got: int, of: int, goal: float, *, factor: float = 1.0, at_most: bool = False
    ) -> Figure:
        return Figure(name, f"{got} / {of}", factor * got / of if of else None, goal, at_most)

    lines = []
    for title, some in (
        ("", list(results)),
        (" with topology", [each for each in results if each.told]),
        (" without", [each for each in results if not each.told]),
    ):
        lines += [
            ratio(
                f"precision of elements{title}", sum(r.right for r in some), sum(r.said for r in some), 0.95
            ),
            ratio(
                f"recall of elements{title}", sum(r.found for r in some), sum(r.wanted for r in some), 0.95
            ),
        ]
    return [
        *lines,
        ratio("direction right", sum(r.ways_right for r in results), sum(r.ways for r in results), 0.98),
        ratio(
            "false nodes per 1,000 healthy",
            sum(r.false_nodes for r in results),
            sum(r.healthy for r in results),
            1.0,
            factor=1000.0,
            at_most=True,
        ),
        ratio(
            "healthy networks silent",
            sum(not r.said for r in results if r.scenario.endswith("healthy")),
            sum(r.scenario.endswith("healthy") for r in results),
            0.99,
        ),
    ]
