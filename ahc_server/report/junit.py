"""The report as JUnit XML: what continuous integration shows, one test case a node and component.

There is no standard; this keeps to what Ant's ``junitreport`` writes and its schema (JUnit.xsd of Windy Road) demands,
which all readers take: no attributes but the known ones, no ``system-out`` inside a test case, and one failure each,
since Jenkins keeps only one.

A finding that blames a node is a ``failure``, its ``type`` says whether it is "fail" or "warn". What should have been
judged and could not be is an ``error``: GitLab, Jenkins and GitHub's viewers count a ``skipped`` case as harmless. ``skipped``
is only what no verdict hangs on: a metric that too few peers have, of a node that passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

import numpy as np

from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Finding, NodeVerdict
from ahc_server.report import words
from ahc_server.report.words import clean

_ALONE = "no group"


@dataclass(frozen=True, slots=True)
class _Case:
    """``outcome`` is "passed", "failure", "error" or "skipped"; ``kind``, ``message``, ``text`` say why."""

    name: str
    outcome: str
    kind: str = ""
    message: str = ""
    text: str = ""


def draw_junit(judgement: Judgement) -> str:
    """One suite per group; ends with a line feed."""
    root = Xml.Element("testsuites")
    cases = _cases(judgement)
    suite_of = {node.id: node.group or _ALONE for node in judgement.report.nodes}
    remarks: dict[str, list[str]] = {}
    for finding in judgement.report.findings:
        if not words.blames(finding):
            for suite in dict.fromkeys(suite_of[name] for name in finding.nodes):
                remarks.setdefault(suite, []).append(finding.summary)
    for number, (suite, mine) in enumerate(cases.items()):
        _suite(root, judgement, number, suite, mine, remarks.get(suite, []))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _suite(
    root: Xml.Element,
    judgement: Judgement,
    number: int,
    name: str,
    cases: Sequence[_Case],
    told: Sequence[str],
) -> None:
    counted = {each: sum(case.outcome == each for case in cases) for each in ("failure", "error", "skipped")}
    report = judgement.report
    at = datetime.fromisoformat(report.generated_at).astimezone(UTC)
    suite = Xml.SubElement(
        root,
        "testsuite",
        {
            "id": str(number),
            "package": clean(report.session),
            "name": name,
            "hostname": "localhost",
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S"),
            "tests": str(len(cases)),
            "failures": str(counted["failure"]),
            "errors": str(counted["error"]),
            "skipped": str(counted["skipped"]),
            "time": "0",
        },
    )
    properties = Xml.SubElement(suite, "properties")
    hardware = next((group.hardware for group in report.groups if group.id == name), "")
    Xml.SubElement(properties, "property", {"name": "hardware", "value": clean(hardware)})
    for case in cases:
        drawn = Xml.SubElement(suite, "testcase", {"classname": name, "name": clean(case.name), "time": "0"})
        if case.outcome != "passed":
            why = Xml.SubElement(drawn, case.outcome, {"type": case.kind, "message": clean(case.message)})
            why.text = "\n".join(map(clean, case.text.splitlines())) or None
    Xml.SubElement(suite, "system-out").text = "\n".join(map(clean, told)) or None
    Xml.SubElement(suite, "system-err")


def _cases(judgement: Judgement) -> dict[str, list[_Case]]:
    """Cases by suite: the groups in their order, then the nodes in no group."""
    report = judgement.report
    about: dict[str, list[Finding]] = {}
    of_group: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.element.startswith("group:"):
            of_group.setdefault(words.who(finding), []).append(finding)
        elif words.blames(finding):
            for name in finding.nodes:
                about.setdefault(name, []).append(finding)
    measured = _measured(judgement)
    suites: dict[str, list[_Case]] = {group.id: [] for group in report.groups}
    for group, found in of_group.items():
        suites[group] += _blamed(f"group {group}", [each for each in found if words.blames(each)])
    for node in report.nodes:
        suites.setdefault(node.group or _ALONE, []).extend(
            _of_node(node, about.get(node.id, []), measured.get(node.id, {}))
        )
    return suites


def _measured(judgement: Judgement) -> dict[str, dict[str, bool]]:
    """Of each node, the components that it has values of: whether any of them could be judged."""
    found: dict[str, dict[str, bool]] = {}
    for test in judgement.tests:
        there = ~np.isnan(test.matrix.value)
        names = [judgement.nodes[int(row)] for row in test.matrix.rows]
        found |= {name: {} for name in names}
        components = np.array([metric.component for metric in test.metrics], dtype=str)
        for component in sorted(set(components.tolist())):
            mine = there[:, components == component]
            judged = mine & test.found.judged[components == component]
            for place in np.flatnonzero(mine.any(axis=1)).tolist():
                found[names[place]][component] = bool(judged[place].any())
    return found


def _of_node(node: NodeVerdict, found: Sequence[Finding], measured: dict[str, bool]) -> list[_Case]:
    cases = _blamed(node.id, found)
    blamed = {each.component for each in found}
    for component, judged in sorted(measured.items()):
        if component in blamed:
            continue
        name = f"{node.id} {component}"
        if judged:
            cases.append(_Case(name, "passed"))
        else:
            outcome = "error" if node.verdict == "unknown" else "skipped"
            cases.append(
                _Case(name, outcome, "not judged", "not judged: too few peers, or they differ too much")
            )
    if node.verdict == "unknown" and all(case.outcome == "passed" for case in cases):
        # No finding says why: it must not look fine all the same.
        cases.append(_Case(f"{node.id} verdict", "error", "unknown", f"{node.id} could not be judged"))
    return sorted(cases, key=lambda case: case.name)


def _blamed(name: str, found: Sequence[Finding]) -> list[_Case]:
    """A case per component that findings are about: failed where one of them accuses, else not told."""
    by_component: dict[str, list[Finding]] = {}
    for each in found:
        by_component.setdefault(each.component, []).append(each)
    cases = []
    for component, mine in by_component.items():
        accusing = [each for each in mine if each.kind != "not-measured"]
        told = accusing or mine
        cases.append(
            _Case(
                name=f"{name} {component}",
                outcome="failure" if accusing else "error",
                kind=told[0].severity if accusing else "not-measured",
                message=told[0].summary,
                text="\n".join(line for each in mine for line in _lines(each)),
            )
        )
    return cases


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity}: {finding.summary}"
    if words.cause(finding):
        yield f"cause: {finding.cause}"
    for each in finding.metrics:
        value, expected = (
            f"{number:.6g}" if number is not None else "?" for number in (each.value, each.expected)
        )
        effect = f" ({wording.percent(each.effect)})" if each.effect is not None else ""
        yield f"  {each.name}: {value} {each.unit}, expected {expected}{effect}"
