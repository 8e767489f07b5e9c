"""Does the report name what was broken, and nothing else?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ahc_agent import programs
from ahc_server.lab.fleet import report_command
from ahc_server.lab.model import Breakage
from ahc_server.paths import Where

_REPORT_TIME_LIMIT_S = 120.0


class SeenNode(msgspec.Struct):
    """A node of the report."""

    id: str
    verdict: str


class SeenFinding(msgspec.Struct):
    """A finding of the report, as far as it is checked."""

    element: str
    component: str
    severity: str
    nodes: list[str] = []
    direction: str | None = None
    kind: str = ""


class SeenReport(msgspec.Struct):
    """``ahc.report/1``, as far as it is checked."""

    nodes: list[SeenNode]
    findings: list[SeenFinding]

    @property
    def serious(self) -> list[SeenFinding]:
        return [each for each in self.findings if each.severity != "info"]


def check(where: Where, session: str, breakages: Sequence[Breakage]) -> list[str]:
    """What the report got wrong, one sentence each: what was broken and is not named, in the component and the direction
    that it has, and what is healthy and named all the same. Empty: all right."""
    argv = report_command(where, session, "json")
    said = programs.run(argv, time_limit_s=_REPORT_TIME_LIMIT_S, ok_statuses=(0, 1)).stdout
    return compare(said, breakages)


def compare(report: bytes, breakages: Sequence[Breakage]) -> list[str]:
    """As ``check``, from the report's JSON (``ahc.report/1``). Raises msgspec.ValidationError."""
    read = msgspec.json.decode(report, type=SeenReport)
    return accused(read, breakages) + [
        wrong for breakage in breakages if (wrong := mistake(read, breakage)) is not None
    ]


def accused(read: SeenReport, breakages: Sequence[Breakage]) -> list[str]:
    """Healthy nodes that do not pass, and healthy elements between them that are named; one sentence each."""
    broken = {node for breakage in breakages for node in breakage.nodes}
    wrong = [
        f"{node.id} is healthy, but the report says {node.verdict}"
        for node in read.nodes
        if node.id not in broken and node.verdict != "pass"
    ]
    known = {element for breakage in breakages for element in elements(breakage)}
    between = ("leaf:", "link:", "pair:", "group:")
    wrong += [
        f"{each.element} is healthy, but the report names it"
        for each in read.serious
        if each.element.startswith(between) and each.element not in known and not broken & set(each.nodes)
    ]
    return wrong


def mistake(read: SeenReport, breakage: Breakage) -> str | None:
    """What the report got wrong about one fault; None: nothing."""
    title, fault = breakage.title, breakage.fault
    verdicts = {node.id: node.verdict for node in read.nodes}
    for node in breakage.nodes:
        if node not in verdicts:
            return f"{title} has {fault.name}, but {'' if title == node else node + ' '}is not in the report"
    named = [each for each in read.serious if each.element in elements(breakage)]
    passed = [node for node in breakage.nodes if verdicts[node] == "pass"]
    if passed or not named:
        return f"{title} has {fault.name}, but the report does not name it"
    right = [each for each in named if not fault.components or each.component in fault.components]
    if not right:
        blamed = ", ".join(sorted({each.component for each in named}))
        return f"{title} has {fault.name}, but the report blames its {blamed}"
    if fault.direction and not any(each.direction == fault.direction for each in right):
        return f"{title} has {fault.name}, but the report does not say {fault.direction}"
    return None


def elements(breakage: Breakage) -> tuple[str, ...]:
    """What the report may call a broken element: of two nodes that are confused, it may name each."""
    own = (f"{breakage.kind}:{breakage.name}",)
    return own + tuple(f"node:{node}" for node in breakage.nodes) if breakage.kind == "pair" else own
