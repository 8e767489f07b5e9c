"""Does the report name what was broken, and nothing else?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ahc_agent import programs
from ahc_server.lab.fleet import report_command
from ahc_server.lab.model import Breakage
from ahc_server.paths import Where

_REPORT_TIME_LIMIT_S = 120.0


class _Node(msgspec.Struct):
    id: str
    verdict: str


class _Finding(msgspec.Struct):
    element: str
    component: str
    severity: str
    nodes: list[str] = []


class _Report(msgspec.Struct):
    nodes: list[_Node]
    findings: list[_Finding]


def check(where: Where, session: str, breakages: Sequence[Breakage]) -> list[str]:
    """What the report got wrong, one sentence each: broken nodes that it does not name, in the component that was broken,
    and healthy nodes that it does. Empty: all right."""
    argv = report_command(where, session, "json")
    said = programs.run(argv, time_limit_s=_REPORT_TIME_LIMIT_S, ok_statuses=(0, 1)).stdout
    return compare(said, breakages)


def compare(report: bytes, breakages: Sequence[Breakage]) -> list[str]:
    """As ``check``, from the report's JSON (``ahc.report/1``). Raises msgspec.ValidationError."""
    read = msgspec.json.decode(report, type=_Report)
    verdicts = {node.id: node.verdict for node in read.nodes}
    broken = {breakage.node for breakage in breakages}
    wrong = [
        f"{node} is healthy, but the report says {verdict}"
        for node, verdict in verdicts.items()
        if node not in broken and verdict != "pass"
    ]
    for breakage in breakages:
        node, fault = breakage.node, breakage.fault
        seen = {
            finding.component
            for finding in read.findings
            if finding.element == f"node:{node}" and finding.severity != "info"
        }
        if node not in verdicts:
            wrong.append(f"{node} has {fault.name}, but is not in the report")
        elif verdicts[node] == "pass" or not seen:
            wrong.append(f"{node} has {fault.name}, but the report does not name it")
        elif fault.components and not seen & set(fault.components):
            wrong.append(f"{node} has {fault.name}, but the report blames its {', '.join(sorted(seen))}")
    return wrong
