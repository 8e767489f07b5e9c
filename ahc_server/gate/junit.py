"""The gate's answer as JUnit XML, for continuous integration: one test case a node and check, one suite a check.

What closes is a ``failure``; what cannot be told is an ``error``, as viewers count ``skipped`` as harmless. ``skipped`` is what
somebody answers for. The form is the one of the report: see ``report.junit``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from ahc_server.gate.model import Check, Gate, Reason, Waived
from ahc_server.report.words import clean

_FLEET = "fleet"


def draw_junit(gate: Gate) -> str:
    """Ends with a line feed."""
    root = Xml.Element("testsuites")
    reasons: dict[tuple[Check, str], list[Reason]] = defaultdict(list)
    for reason in gate.reasons:
        reasons[reason.check, _case(reason)].append(reason)
    waived: dict[tuple[Check, str], list[Waived]] = defaultdict(list)
    for each in gate.waived:
        waived[each.reason.check, _case(each.reason)].append(each)
    for number, checked in enumerate(gate.checks):
        check = checked.check
        others = sorted({name for of, name in [*reasons, *waived] if of == check} - set(gate.nodes))
        names = [_FLEET, *gate.nodes, *(name for name in others if name != _FLEET)]
        _suite(root, gate, number, check, names, reasons, waived)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _case(reason: Reason) -> str:
    """A node's own name; what is no node keeps its kind before it ("leaf:sw1")."""
    return reason.element.removeprefix("node:")


def _suite(
    root: Xml.Element,
    gate: Gate,
    number: int,
    check: Check,
    names: Sequence[str],
    reasons: dict[tuple[Check, str], list[Reason]],
    waived: dict[tuple[Check, str], list[Waived]],
) -> None:
    outcomes = [_outcome(reasons.get((check, name), []), waived.get((check, name), [])) for name in names]
    suite = Xml.SubElement(
        root,
        "testsuite",
        {
            "id": str(number),
            "package": clean(gate.session),
            "name": f"gate.{check}",
            "hostname": "localhost",
            "timestamp": gate.at.removesuffix("Z"),
            "tests": str(len(names)),
            "failures": str(outcomes.count("failure")),
            "errors": str(outcomes.count("error")),
            "skipped": str(outcomes.count("skipped")),
            "time": "0",
        },
    )
    properties = Xml.SubElement(suite, "properties")
    for key, value in (("policy", gate.policy), ("step", gate.step or "any"), ("state", gate.state)):
        Xml.SubElement(properties, "property", {"name": key, "value": clean(value)})
    for name, outcome in zip(names, outcomes, strict=True):
        drawn = Xml.SubElement(
            suite, "testcase", {"classname": f"gate.{check}", "name": clean(name), "time": "0"}
        )
        if outcome == "passed":
            continue
        mine = reasons.get((check, name), [])
        lines = [f"{each.state}: {each.summary}" for each in mine]
        lines += [
            f"waived by {each.who} until {each.until} ({each.why}): {each.reason.summary}"
            for each in waived.get((check, name), [])
        ]
        kind = (mine[0].severity or mine[0].state) if mine else "waived"
        message = mine[0].summary if mine else lines[0]
        why = Xml.SubElement(drawn, outcome, {"type": kind, "message": clean(message)})
        why.text = "\n".join(map(clean, lines))
    told = (
        [*gate.notes, *(f"waiver that holds no more: {each}" for each in gate.expired)] if not number else []
    )
    Xml.SubElement(suite, "system-out").text = "\n".join(map(clean, told)) or None
    Xml.SubElement(suite, "system-err")


def _outcome(reasons: Sequence[Reason], waived: Sequence[Waived]) -> str:
    if reasons:
        return "failure" if any(each.state == "closed" for each in reasons) else "error"
    return "skipped" if waived else "passed"
