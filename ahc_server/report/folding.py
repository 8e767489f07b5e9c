"""Many nodes, one cause: findings that say the same are one line of a report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ahc_server.judge import wording
from ahc_server.judge.model import Finding
from ahc_server.report import words

#: How many peers a node has differs between nodes that otherwise share a finding.
_PEERS = re.compile(r"\d[\d,]*(?= peers)")


@dataclass(frozen=True, slots=True)
class Line:
    """Findings that differ in their nodes, and in how much, but in nothing else; the most serious one first."""

    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Finding:
        return self.findings[0]

    @property
    def names(self) -> list[str]:
        return [words.who(each) for each in self.findings]

    def range(self) -> str:
        """ "from −12 % to −52 %", empty where they are equally bad or nothing was measured."""
        told = [wording.percent(each.effect) for each in self.findings if each.effect is not None]
        return f"from {told[-1]} to {told[0]}" if told and told[0] != told[-1] else ""

    def facts(self) -> str:
        """What is said of the worst; where it differs only in how many peers, of all: "which 247 to 249 peers have"."""
        said = words.facts(self.worst)
        if self.worst.effect is not None:
            return said
        counts = [_PEERS.findall(words.facts(each)) for each in self.findings]
        ranges = iter([_range(each) for each in zip(*counts, strict=True)])
        return _PEERS.sub(lambda _: next(ranges), said)


def _range(counts: Iterable[str]) -> str:
    ordered = sorted(set(counts), key=lambda count: int(count.replace(",", "")))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"


def fold(findings: Iterable[Finding]) -> list[Line]:
    """Findings as lines, in the order of the most serious one of each."""
    lines: dict[object, list[Finding]] = {}
    for number, finding in enumerate(findings):
        lines.setdefault(_alike(finding, number), []).append(finding)
    return [Line(tuple(each)) for each in lines.values()]


def _alike(finding: Finding, number: int) -> object:
    """Equal for findings that fold. What was measured folds by its cause only: without one, each sheep is its own."""
    of = (finding.severity, finding.component, finding.kind, finding.direction, finding.cause)
    if not finding.element.startswith("node:"):
        return number
    if finding.effect is None:
        return (*of, _PEERS.sub("", words.facts(finding)))
    return of if finding.cause is not None else number
