"""The report as text: one screen that says who is different, how much, and what to check."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Finding, Report
from ahc_server.report.values import every_value, metric_labels, metric_rows

#: On one screen; more are shown in their own sections.
_MOST_FINDINGS = 40
_MOST_GROUPS = 8
_MOST_NOTES = 6
_COLORS = {"fail": "red", "warn": "yellow", "info": "cyan", "unknown": "magenta", "pass": "green"}


@dataclass(frozen=True, slots=True)
class Sections:
    """What to draw beside the one screen; eDeploy's words: groups of identical systems, categories, outliers."""

    groups: bool = False
    categories: bool = False
    outliers: bool = False
    full: bool = False


def draw_text(
    judgement: Judgement, sections: Sections | None = None, *, width: int = 120, color: bool = False
) -> str:
    """The report in lines of at most ``width`` characters, ``color`` with terminal colours."""
    show = sections or Sections()
    report = judgement.report
    lines = [*_head(report, color), *_groups(report, width, show.groups or show.full)]
    lines += _findings(report, width, color, everything=show.outliers or show.full)
    lines += _notes(report, width, everything=show.full)
    if show.categories or show.full:
        lines += _categories(judgement)
    if show.outliers or show.full:
        lines += _outliers(report)
    if show.full:
        lines += _every_value(judgement)
    return "\n".join(lines) + "\n"


def _head(report: Report, color: bool) -> list[str]:
    counts = report.counts
    verdicts = (
        ("pass", counts.passed),
        ("warn", counts.warn),
        ("fail", counts.fail),
        ("unknown", counts.unknown),
    )
    told = ", ".join(
        _colored(f"{count:,} {verdict}", verdict if count else "", color) for verdict, count in verdicts
    )
    return [
        f"Session {clean(report.session)}, data up to {report.generated_at}",
        f"{wording.nodes_word(counts.nodes)}: {told}",
    ]


def _groups(report: Report, width: int, everything: bool) -> list[str]:
    verdict_of = {node.id: node.verdict for node in report.nodes}
    lines = ["", "Groups of comparable nodes"]
    shown = report.groups if everything else report.groups[:_MOST_GROUPS]
    lines += table([(group.id, wording.nodes_word(group.size), group.hardware) for group in shown], width)
    if len(report.groups) > len(shown):
        lines.append(f"  and {len(report.groups) - len(shown)} more (--groups)")
    if everything:
        for group in shown:
            counted = Counter(verdict_of[node] for node in group.nodes)
            told = ", ".join(
                f"{counted[each]:,} {each}" for each in ("pass", "warn", "fail", "unknown") if counted[each]
            )
            lines += [
                "",
                f"Group {group.id}: {told}",
                *_wrapped(", ".join(map(clean, group.nodes)), width, "  "),
            ]
    alone = [node.id for node in report.nodes if node.group is None]
    if alone:
        lines += _wrapped(f"in no group: {', '.join(map(clean, alone))}", width, "  ")
    return lines


def _findings(report: Report, width: int, color: bool, *, everything: bool) -> list[str]:
    chosen = [
        each
        for each in report.findings
        if everything or each.severity != "info" or each.kind == "not-measured"
    ]
    shown = chosen if everything else chosen[:_MOST_FINDINGS]
    lines = ["", "Findings, most serious first" if shown else "No findings: nobody differs from its peers"]
    rows = [
        (
            each.severity.upper(),
            _who(each),
            "" if each.effect is None else wording.percent(each.effect),
            _said(each),
        )
        for each in shown
    ]
    drawn = table(rows, width)
    if color:
        for number, line in enumerate(drawn):
            word = line.split(maxsplit=1)[0]
            if line.startswith(f"  {word}") and word.lower() in _COLORS:
                drawn[number] = line.replace(word, _colored(word, word.lower(), True), 1)
    lines += drawn
    if len(chosen) > len(shown):
        lines.append(f"  and {len(chosen) - len(shown):,} more (--outliers)")
    if len(report.findings) > len(chosen):
        rest = len(report.findings) - len(chosen)
        said = "1 remark that blames" if rest == 1 else f"{rest:,} remarks that blame"
        lines.append(f"  and {said} nobody (--outliers)")
    return lines


def _who(finding: Finding) -> str:
    return finding.element.partition(":")[2]


def _said(finding: Finding) -> str:
    """The summary without the name that stands in the column before it, and the cause where it is not in there."""
    text = finding.summary.removeprefix(_who(finding)).removeprefix(":").lstrip()
    if finding.cause and finding.cause.removeprefix("its ") not in text:
        text += f". Cause: {finding.cause}"
    return text


def _notes(report: Report, width: int, *, everything: bool) -> list[str]:
    shown = report.notes if everything else report.notes[:_MOST_NOTES]
    lines = ["", "Notes on the data"] if shown else []
    for note in shown:
        lines += _wrapped(clean(note), width, "    ", first="  ")
    if len(report.notes) > len(shown):
        lines.append(f"  and {len(report.notes) - len(shown):,} more (--full)")
    return lines


def _categories(judgement: Judgement) -> list[str]:
    lines: list[str] = []
    rows_by: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for row in metric_rows(judgement):
        judged = row.expected is not None and row.spread is not None and row.worst_effect is not None
        cells = ("not judged", "", "", "")
        if row.expected is not None and row.spread is not None and row.worst_effect is not None and judged:
            cells = (
                wording.quantity(row.metric, row.expected),
                f"± {100 * row.spread:.1f} %",
                row.worst,
                wording.percent(row.worst_effect),
            )
        rows_by.setdefault((row.group, row.metric.component), []).append(
            (row.label, f"{row.nodes:,}", *cells)
        )
    for (group, component), rows in rows_by.items():
        lines += ["", f"Group {group}, category {component}"]
        lines += table([("metric", "nodes", "median", "spread", "worst", "effect"), *rows])
    return lines


def _outliers(report: Report) -> list[str]:
    rows = [
        (
            _who(finding),
            evidence.name,
            f"{evidence.value:.6g}" if evidence.value is not None else "",
            f"{evidence.expected:.6g}" if evidence.expected is not None else "",
            evidence.unit,
            wording.percent(evidence.effect) if evidence.effect is not None else "",
            f"{finding.q:.1g}" if finding.q is not None else "",
        )
        for finding in report.findings
        for evidence in finding.metrics
    ]
    lines = ["", "Outliers, metric by metric"]
    if not rows:
        return [*lines, "  none"]
    return [*lines, *table([("node", "metric", "value", "expected", "unit", "effect", "q"), *rows])]


def _every_value(judgement: Judgement) -> list[str]:
    labels = {
        (group.id, metric): label
        for group, test in zip(judgement.report.groups, judgement.tests, strict=True)
        for metric, label in zip(test.metrics, metric_labels(test.metrics), strict=True)
    }
    rows = [
        (
            value.node,
            labels[value.group, value.metric],
            wording.quantity(value.metric, value.value, value.expected),
            wording.quantity(value.metric, value.expected) if value.expected is not None else "not judged",
            wording.percent(value.effect) if value.effect is not None else "",
        )
        for value in every_value(judgement)
    ]
    return ["", "Every value", *table([("node", "metric", "value", "median of the group", "effect"), *rows])]


def table(rows: Iterable[Sequence[str]], width: int | None = None) -> list[str]:
    """Aligned columns, two spaces apart; with ``width`` the last column is wrapped to it."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not cleaned:
        return []
    widths = [max(len(row[column]) for row in cleaned) for column in range(len(cleaned[0]) - 1)]
    indent = 2 + sum(widths) + 2 * len(widths)
    lines = []
    for row in cleaned:
        start = "  " + "".join(cell.ljust(size) + "  " for cell, size in zip(row, widths, strict=False))
        if width is None:
            lines.append((start + row[-1]).rstrip())
        elif indent + 30 > width:
            lines += [start.rstrip(), *_wrapped(row[-1], width, "      ")]
        else:
            lines += _wrapped(row[-1], width, " " * indent, first=start) or [start.rstrip()]
    return lines


def _wrapped(text: str, width: int, indent: str, first: str | None = None) -> list[str]:
    wrapped = textwrap.wrap(
        text.replace(" %", "\N{NO-BREAK SPACE}%"),
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped]


def clean(text: str) -> str:
    """Text from nodes, without what could move a terminal's cursor."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


def _colored(text: str, word: str, color: bool) -> str:
    return click.style(text, fg=_COLORS[word], bold=word == "fail") if color and word in _COLORS else text
