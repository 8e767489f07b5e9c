"""The report as text: one screen that says who is different, how much, and what to check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import click

from ahc_agent.facts import Inventory
from ahc_server.judge import Judgement, wording
from ahc_server.judge.model import Report
from ahc_server.report import words
from ahc_server.report.folding import Line, fold
from ahc_server.report.layout import table, table_rows, wrapped
from ahc_server.report.rampup import rampup_lines
from ahc_server.report.rounds import round_lines
from ahc_server.report.values import Column, every_value, metric_rows
from ahc_server.report.words import clean

#: On one screen; more are shown in their own sections. Lines of findings, and names of nodes in one line.
_MOST_LINES = 44
_MOST_FOLDED = 12
_MOST_NAMES = 60
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
    judgement: Judgement,
    sections: Sections | None = None,
    *,
    inventories: Mapping[str, Inventory] | None = None,
    width: int = 120,
    color: bool = False,
) -> str:
    """The report in lines of at most ``width`` characters, ``color`` with terminal colours. ``inventories``: by node id, for the
    switch ports of cables."""
    show = sections or Sections()
    report = judgement.report
    lines = [*_head(report, color), *_groups(report, width, show.groups or show.full)]
    lines += _findings(report, width, color, everything=show.outliers or show.full)
    if judgement.runs:
        from ahc_server.report.network.text import network_lines

        lines += network_lines(judgement, inventories or {}, width, full=show.full)
    lines += _notes(report, width, everything=show.full)
    lines += rampup_lines(report, width)
    if show.categories or show.full:
        lines += _categories(judgement)
    if show.outliers or show.full:
        lines += _outliers(report)
    if show.full:
        lines += [*round_lines(judgement.rounds), *_every_value(judgement)]
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
                *wrapped(", ".join(map(clean, group.nodes)), width, "  "),
            ]
    alone = [node.id for node in report.nodes if node.group is None]
    if alone:
        listed = wording.listed([*map(clean, alone)], most=len(alone) if everything else _MOST_NAMES)
        lines += wrapped(f"in no group: {listed}", width, "  ")
    return lines


def _findings(report: Report, width: int, color: bool, *, everything: bool) -> list[str]:
    chosen = [each for each in report.findings if everything or words.blames(each)]
    lines = ["", "Findings, most serious first" if chosen else "No findings: nobody differs from its peers"]
    folded = fold(chosen)
    shown = folded if everything else folded[:_MOST_LINES]
    told: set[str] = set()
    rows = [_row(line, told, everything=everything) for line in shown]
    drawn = table_rows(rows, width)
    if not everything:
        drawn = _one_screen(drawn)
    for row, of_row in zip(rows, drawn, strict=False):
        lines += [of_row[0].replace(row[0], _colored(row[0], row[0].lower(), color), 1), *of_row[1:]]
    left = [name for line in folded[len(drawn) :] for name in line.names]
    if left:
        names = ", ".join(map(clean, left[:_MOST_NAMES]))
        rest = f" and {len(left) - _MOST_NAMES:,} others" if len(left) > _MOST_NAMES else ""
        lines += wrapped(f"and {len(left):,} more (--outliers): {names}{rest}", width, "    ", first="  ")
        kinds = Counter(line.worst.component for line in folded[len(drawn) :] for _ in line.names)
        if len(kinds) > 1:
            # What stands above may all be of one kind: the others must not stay unseen.
            lines.append(
                "    of these " + ", ".join(f"{many:,} of {kind}" for kind, many in kinds.most_common())
            )
    if len(report.findings) > len(chosen):
        remarks = len(report.findings) - len(chosen)
        said = "1 remark that blames" if remarks == 1 else f"{remarks:,} remarks that blame"
        lines.append(f"  and {said} nobody (--outliers)")
    return lines


def _one_screen(drawn: list[list[str]]) -> list[list[str]]:
    """As many rows as fit, and always the first."""
    used = 0
    for number, lines in enumerate(drawn):
        used += len(lines)
        if number and used > _MOST_LINES:
            return drawn[:number]
    return drawn


def _row(line: Line, told: set[str], *, everything: bool) -> tuple[str, str, str, str]:
    """Severity, who, effect, and what is said. ``told``: advice that stands above already, which is not repeated."""
    worst = line.worst
    text, cause, advice = line.facts(), words.cause(worst), words.advice(worst)
    name = words.who(worst)
    if len(line.findings) > 1:
        names = line.names
        listed = wording.listed(names, most=len(names) if everything else _MOST_FOLDED)
        name = f"{len(names):,} nodes"
        worst_of = f"{line.range()}, worst {words.who(worst)}: " if line.range() else ""
        text = f"{listed}: {worst_of}{text}"
    if cause:
        text += f". Cause: {cause}"
    if advice and (everything or advice not in told):
        told.add(advice)
        text += f"\ncheck {advice}"
    effect = "" if worst.effect is None else wording.percent(worst.effect)
    return worst.severity.upper(), name, effect, text


def _notes(report: Report, width: int, *, everything: bool) -> list[str]:
    shown = report.notes if everything else report.notes[:_MOST_NOTES]
    lines = ["", "Notes on the data"] if shown else []
    for note in shown:
        lines += wrapped(clean(note), width, "    ", first="  ")
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
            words.who(finding),
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
    rows = [("node", "metric", "value", "median of the group", "effect")]
    medians: dict[Column, str] = {}
    for value in every_value(judgement):
        column = value.column
        median = medians.get(column)
        if median is None:
            median = (
                "not judged" if column.expected is None else wording.quantity(column.metric, column.expected)
            )
            medians[column] = median
        told = wording.quantity(column.metric, value.value, column.expected)
        effect = wording.percent(value.effect) if value.effect is not None else ""
        rows.append((value.node, column.label, told, median, effect))
    return ["", "Every value", *table(rows)]


def _colored(text: str, word: str, color: bool) -> str:
    return click.style(text, fg=_COLORS[word], bold=word == "fail") if color and word in _COLORS else text
