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


def check(where: Where, session: str, breakages: Sequence[Breakage], leaves: Sequence[str] = ()) -> list[str]:
    """What the report got wrong, one sentence each: what was broken and is not named, in the component and the direction
    that it has, and what is healthy and named all the same. Empty: all right. ``leaves``: all there are."""
    argv = report_command(where, session, "json")
    said = programs.run(argv, time_limit_s=_REPORT_TIME_LIMIT_S, ok_statuses=(0, 1)).stdout
    return compare(said, breakages, leaves)


def compare(report: bytes, breakages: Sequence[Breakage], leaves: Sequence[str] = ()) -> list[str]:
    """As ``check``, from the report's JSON (``ahc.report/1``). Raises msgspec.ValidationError."""
    read = msgspec.json.decode(report, type=SeenReport)
    wrong = [
        f"{name} is healthy, but the report says {said}" for name, said in accused(read, breakages, leaves)
    ]
    return wrong + [each for breakage in breakages if (each := mistake(read, breakage, leaves)) is not None]


def accused(
    read: SeenReport, breakages: Sequence[Breakage], leaves: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Healthy nodes that do not pass, and healthy elements between them that are named: name, and what is said of it."""
    broken = {node for breakage in breakages for node in breakage.nodes}
    wrong = [
        (node.id, node.verdict) for node in read.nodes if node.id not in broken and node.verdict != "pass"
    ]
    known = {element for breakage in breakages for element in elements(breakage, leaves)}
    between = ("leaf:", "link:", "pair:", "group:")
    wrong += [
        (each.element, each.severity)
        for each in read.serious
        if each.element.startswith(between) and each.element not in known and not broken & set(each.nodes)
    ]
    return wrong


def mistake(read: SeenReport, breakage: Breakage, leaves: Sequence[str] = ()) -> str | None:
    """What the report got wrong about one fault; None: nothing."""
    title, fault = breakage.title, breakage.fault
    verdicts = {node.id: node.verdict for node in read.nodes}
    for node in breakage.nodes:
        if node not in verdicts:
            return f"{title} has {fault.name}, but {'' if title == node else node + ' '}is not in the report"
    named = [each for each in read.serious if each.element in elements(breakage, leaves)]
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


def elements(breakage: Breakage, leaves: Sequence[str] = ()) -> tuple[str, ...]:
    """What the report may call a broken element: of two nodes that are confused, it may name each; of two leaves nobody can
    tell whose uplink it is, and the link between them is named."""
    own = (f"{breakage.kind}:{breakage.name}",)
    if breakage.kind == "pair":
        return own + tuple(f"node:{node}" for node in breakage.nodes)
    if breakage.kind == "leaf" and len(leaves) == 2:
        return (*own, f"link:{leaves[0]}-{leaves[1]}")
    return own
