"""Baselines, and sessions against them, as text."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.baseline import Baseline, BaselineMetric
from ahc_server.history.check import Check
from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.report.layout import table, wrapped
from ahc_server.report.words import clean

_MOST_FINDINGS = 40


def draw_baselines(baselines: Sequence[Baseline]) -> str:
    """One line each."""
    if not baselines:
        return "No baselines (`ahc baseline save NAME` makes one of the newest session)\n"
    rows = [("name", "from session", "data up to", "nodes", "hardware")]
    rows += [
        (
            each.name,
            each.session,
            each.data_up_to,
            f"{sum(group.nodes for group in each.groups):,}",
            "; ".join(group.hardware for group in each.groups),
        )
        for each in baselines
    ]
    return "\n".join(line.removeprefix("  ") for line in table(rows)) + "\n"


def draw_baseline(baseline: Baseline, *, width: int = 120) -> str:
    """All groups with all metrics."""
    lines = [
        f"Baseline {clean(baseline.name)}, of session {clean(baseline.session)}, data up to {baseline.data_up_to}"
    ]
    for group in baseline.groups:
        made = f"{wording.nodes_word(group.nodes)}{'' if group.judged else ', too few to be judged by their peers'}"
        lines += ["", *wrapped(clean(f"{group.hardware} ({made})"), width, "  ", first="")]
        rows = [("metric", "median", "spread", "nodes", "job")]
        rows += [
            (each.name, _value(each), f"± {100 * each.spread:.1f} %", f"{each.nodes:,}", each.job)
            for each in group.metrics
        ]
        lines += table(rows)
    return "\n".join(lines) + "\n"


def _value(each: BaselineMetric) -> str:
    metric = Metric(each.component, each.part, each.quantity, each.unit, each.higher_is_better, each.job, 0)
    return wording.quantity(metric, each.median)


def draw_check(check: Check, *, width: int = 120, full: bool = False) -> str:
    """One screen: what differs from the baseline, of groups and of nodes."""
    side = check.session
    lines = [
        f"Session {clean(side.session)} ({wording.nodes_word(side.nodes)}, data up to {side.data_up_to}) against baseline "
        f"{clean(check.baseline)}, made from {clean(check.made_from)}"
    ]
    rows = [
        (
            each.id,
            wording.nodes_word(len(each.nodes)),
            each.hardware if each.compared_with else f"{each.hardware}: not compared",
        )
        for each in check.groups
    ]
    lines += table(rows, width)
    compared = any(each.compared_with for each in check.groups)
    shown = check.findings if full else check.findings[:_MOST_FINDINGS]
    if compared:
        lines += [
            "",
            "Findings, most serious first" if shown else "No difference from the baseline that matters",
        ]
    lines += table([(each.severity.upper(), _said(each.summary, each.cause)) for each in shown], width)
    if len(check.findings) > len(shown):
        lines.append(f"  and {len(check.findings) - len(shown):,} more (--full)")
    if check.gaps:
        lines += ["", "Not compared"]
        for gap in check.gaps:
            names = wording.listed(gap.nodes, most=len(gap.nodes) if full else 6)
            lines += wrapped(
                clean(f"{gap.what} ({names})" if gap.nodes else gap.what), width, "    ", first="  "
            )
    if check.notes:
        lines += ["", "Notes"]
        for note in check.notes:
            lines += wrapped(clean(note), width, "    ", first="  ")
    return "\n".join(lines) + "\n"


def _said(summary: str, cause: str | None) -> str:
    return summary if cause is None or cause in summary else f"{summary}. Cause: {cause}"
