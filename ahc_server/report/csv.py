"""The report as csv for spreadsheets: one row a finding, or one row a value."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from ahc_server.judge import Judgement
from ahc_server.report.values import every_value

_FINDINGS = (
    "severity",
    "element",
    "nodes",
    "component",
    "kind",
    "direction",
    "effect",
    "q",
    "cause",
    "summary",
)
_VALUES = ("node", "group", "verdict", "metric", "job", "hosts", "unit", "value", "expected", "effect")


def draw_csv(judgement: Judgement, *, full: bool = False) -> str:
    """One row per finding; ``full``: one row per node and metric, with the group's median."""
    if full:
        verdicts = {node.id: node.verdict for node in judgement.report.nodes}
        return _csv(
            _VALUES,
            (
                (
                    value.node,
                    value.column.group,
                    verdicts[value.node],
                    value.column.metric.name,
                    value.column.metric.job,
                    value.column.metric.hosts,
                    value.column.metric.unit,
                    value.value,
                    value.column.expected,
                    value.effect,
                )
                for value in every_value(judgement)
            ),
        )
    return _csv(
        _FINDINGS,
        (
            (
                each.severity,
                each.element,
                " ".join(each.nodes),
                each.component,
                each.kind,
                each.direction,
                each.effect,
                each.q,
                each.cause,
                each.summary,
            )
            for each in judgement.report.findings
        ),
    )


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(each) for each in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is quoted: names come from nodes and prove nothing."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value
