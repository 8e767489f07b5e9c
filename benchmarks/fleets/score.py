"""What a judge's answers are worth against the labels.

A node is *accused* where a finding of severity ``warn`` or ``fail`` names it, other than "not-measured" (a gap in the data is
no guilt) and other than a finding about a whole group. A broken node counts as found where it is accused at all; its
component is right where the first (most serious) finding about it names one of the fault's components.

F1 and recall count the faults that an oracle can see (``oracle``): a fault that is found although the oracle could not see it
counts neither for nor against. Fleets of two populations are left out of both: their larger half is right by definition, and
one finding about the group is asked for instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ahc_server.judge.model import Report
from benchmarks.fleets.generate import Fleet, Label

#: Fleets of up to this many nodes are tiny.
TINY = 4
_TWO_POPULATIONS = "two populations"


@dataclass(slots=True)
class Answer:
    """What a judge says of a fleet: ``accused``, node → components, the most serious first.

    ``loud``: something above ``info`` was said, and ``loud_of_gaps``: only of what was not measured. ``populations``: the
    nodes of each finding that tells two populations apart.
    """

    accused: dict[str, list[str]] = field(default_factory=dict)
    loud: bool = False
    loud_of_gaps: bool = False
    populations: list[frozenset[str]] = field(default_factory=list)


def answer_of(report: Report) -> Answer:
    """The answer in a report."""
    answer = Answer()
    guilty = False
    for finding in report.findings:
        if finding.severity == "info":
            continue
        answer.loud = True
        if finding.kind == "not-measured":
            continue
        guilty = True
        if finding.element.startswith("group:"):
            if _TWO_POPULATIONS in f"{finding.summary} {finding.cause or ''}":
                answer.populations.append(frozenset(finding.nodes))
            continue
        for node in finding.nodes:
            answer.accused.setdefault(node, []).append(finding.component)
    answer.loud_of_gaps = answer.loud and not guilty
    return answer


@dataclass(frozen=True, slots=True)
class Case:
    """One label and what became of it."""

    fleet: int
    scenario: str
    nodes: int
    label: Label
    found: bool
    right: bool
    named: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One fleet, scored. ``false_alarms``: healthy nodes that were accused, with the components named."""

    fleet: int
    scenario: str
    nodes: int
    healthy: int
    false_alarms: dict[str, list[str]]
    cases: list[Case]
    loud: bool
    loud_of_gaps: bool
    populations: bool
    populations_told: bool
    legitimate_parts: bool

    @property
    def fault_free(self) -> bool:
        return self.healthy == self.nodes


def score(fleet: Fleet, answer: Answer) -> Result:
    """Score the answer to one fleet."""
    names = [node.serial for node in fleet.nodes]
    false_alarms = {n: answer.accused[n] for n in names if n not in fleet.labels and n in answer.accused}
    cases = []
    for name, label in fleet.labels.items():
        named = tuple(answer.accused.get(name, ()))
        right = bool(named) and named[0] in label.components
        cases.append(Case(fleet.seed, fleet.scenario.name, len(names), label, bool(named), right, named))
    return Result(
        fleet=fleet.seed,
        scenario=fleet.scenario.name,
        nodes=len(names),
        healthy=len(names) - len(fleet.labels),
        false_alarms=false_alarms,
        cases=cases,
        loud=answer.loud,
        loud_of_gaps=answer.loud_of_gaps,
        populations=bool(fleet.populations),
        populations_told=len(answer.populations) == 1 and _told(answer.populations[0], fleet),
        legitimate_parts=bool(fleet.notes),
    )


def _told(told: frozenset[str], fleet: Fleet) -> bool:
    """Whether a finding draws the line where it is: it names the one part or the other, or the whole group."""
    everybody = {node.serial for node in fleet.nodes}
    for part in (set(fleet.populations), everybody - fleet.populations):
        if len(told & part) >= 0.9 * len(part) and len(told - part) <= 0.1 * len(part):
            return True
    return told >= everybody


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``value`` None: nothing to count. ``at_most``: small is good, and ``goal`` the most."""

    name: str
    value: float | None
    goal: float
    counts: str
    at_most: bool = False

    @property
    def reached(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def figures(results: Iterable[Result]) -> list[Figure]:
    """All figures that there are goals for."""
    results = list(results)
    cases = [case for result in results if not result.populations for case in result.cases]
    visible = [case for case in cases if case.label.visible]
    alarms = sum(len(r.false_alarms) for r in results if not r.populations)
    found = [case for case in visible if case.found]
    missed = len(visible) - len(found)
    told = [result.populations_told for result in results if result.populations]
    quiet = [r for r in results if r.fault_free and r.nodes >= 12]
    gaps = sum(r.loud_of_gaps for r in quiet)
    parts = [r for r in results if r.legitimate_parts]
    legitimate = [r for r in parts if len(r.false_alarms) > 0.1 * r.healthy]
    lines = [
        _per_thousand("false alarms per 1,000 healthy nodes, pooled", results, 1.0),
        _per_thousand("  in all-healthy fleets", [r for r in results if r.fault_free], 0.2),
        _rate("fault-free fleets (≥ 12 nodes) without a word above info", [not r.loud for r in quiet], 0.95),
        Figure("  of the others, those with words about gaps only", None, 0.0, f"{gaps} of {len(quiet)}"),
        Figure(
            "legitimate parts of fleets flagged",
            float(len(legitimate)),
            0.0,
            f"of {len(parts)} fleets",
            at_most=True,
        ),
        Figure(
            "F1 on what an oracle can see",
            2 * len(found) / (2 * len(found) + alarms + missed) if visible else None,
            0.93,
            f"{len(found)} found, {missed} missed, {alarms} false",
        ),
        _rate("recall of what an oracle can see", [case.found for case in visible], 0.92),
        _rate(
            "  without tiny and contaminated fleets",
            [c.found for c in visible if c.nodes > TINY and c.scenario != "contaminated"],
            0.97,
        ),
        _rate("component named right, of those found", [case.right for case in cases if case.found], 0.98),
    ]
    lines += [_class(name, which, goal, cases) for name, which, goal in CLASSES]
    lines += [
        _rate(
            "contamination up to 30 %: recall",
            [case.found for case in visible if case.scenario == "contaminated"],
            0.90,
        ),
        _rate("beyond: one finding that tells two populations", told, 1.0),
        _per_thousand(
            "3 – 4 nodes: false alarms per 1,000", [r for r in results if 3 <= r.nodes <= TINY], 2000 / 57
        ),
        _per_thousand("1 – 2 nodes: false alarms per 1,000", [r for r in results if r.nodes <= 2], 0.0),
        _rate(
            "1 – 2 nodes: recall of what an oracle can see", [c.found for c in visible if c.nodes <= 2], 0.0
        ),
    ]
    return lines


def _of(kind: str, *sizes: float) -> Callable[[Label], bool]:
    return lambda label: label.kind == kind and (not sizes or label.size in sizes)


#: The goals by class: recall over all such faults in fleets of five and more, seen by an oracle or not.
CLASSES: tuple[tuple[str, Callable[[Label], bool], float], ...] = (
    ("bad core", _of("bad core"), 1.0),
    ("missing DIMM", _of("missing DIMM"), 1.0),
    ("configuration drift", lambda label: label.kind.startswith("drift"), 1.0),
    ("any 30 % fault", lambda label: label.size >= 0.30, 1.0),
    ("2 % slow socket", _of("slow socket", 0.02), 0.80),
    ("5 % slow CPU", _of("slow CPU", 0.05), 0.80),
    ("5 % slow disk", _of("slow disk", 0.05), 0.60),
    ("10 % random IOPS only", _of("random IOPS only", 0.10), 0.90),
    ("throttling of 3 % and more", _of("throttling"), 0.90),
)


def _class(name: str, which: Callable[[Label], bool], goal: float, cases: list[Case]) -> Figure:
    mine = [case for case in cases if which(case.label) and case.nodes > TINY]
    seen = sum(case.label.visible for case in mine)
    figure = _rate(f"recall: {name}", [case.found for case in mine], goal)
    return Figure(figure.name, figure.value, goal, f"{figure.counts}, oracle {seen}")


def _rate(name: str, outcomes: list[bool], goal: float) -> Figure:
    value = sum(outcomes) / len(outcomes) if outcomes else None
    return Figure(name, value, goal, f"{sum(outcomes)} of {len(outcomes)}")


def _per_thousand(name: str, results: list[Result], goal: float) -> Figure:
    healthy = sum(result.healthy for result in results)
    alarms = sum(len(result.false_alarms) for result in results)
    value = 1000 * alarms / healthy if healthy else None
    return Figure(name, value, goal, f"{alarms} of {healthy}", at_most=True)
