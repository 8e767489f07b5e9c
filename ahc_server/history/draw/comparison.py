"""A comparison as text: one screen."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.draw.networks import network_lines
from ahc_server.history.draw.rampups import ramp_lines
from ahc_server.history.model import Comparison, FactChange, Gap, MetricChange, NodeChange, SharedChange
from ahc_server.judge import wording
from ahc_server.report.layout import table, wrapped
from ahc_server.report.words import clean

#: On one screen; ``--full`` shows all.
_MOST_NODES = 40
_MOST_FACTS = 12
_MOST_GAPS = 8
_MOST_NAMES = 6


def draw_comparison(comparison: Comparison, *, width: int = 120, full: bool = False) -> str:
    """Lines of at most ``width`` characters."""
    lines = _head(comparison, width)
    lines += _shared(comparison.shared, width, full=full)
    lines += _changed(comparison.changed, width, full=full)
    lines += _facts(comparison.facts, len(comparison.nodes), width, full=full)
    lines += _gaps(comparison.gaps, width, full=full)
    lines += ramp_lines(comparison.rampups or [], width)
    lines += network_lines(comparison.networks or [], width, full=full)
    if comparison.notes:
        lines += ["", "Notes"]
        for note in comparison.notes:
            lines += wrapped(clean(note), width, "    ", first="  ")
    if comparison.every:
        lines += ["", "Every metric, medians", *_every(comparison.every)]
    return "\n".join(lines) + "\n"


def _head(comparison: Comparison, width: int) -> list[str]:
    before, after = comparison.before, comparison.after
    rows = [
        ("before", before.session, f"data up to {before.data_up_to}, {wording.nodes_word(before.nodes)}"),
        ("after", after.session, f"data up to {after.data_up_to}, {wording.nodes_word(after.nodes)}"),
    ]
    return ["Compared", *table(rows, width), verdict(comparison)]


def verdict(comparison: Comparison) -> str:
    """What it comes to, in one line."""
    slower = {each.node for each in comparison.changed if each.severity != "info"}
    told = {each.node for each in comparison.changed} - slower
    shared = [each for each in comparison.shared if each.matters]
    nodes = f"{wording.nodes_word(len(comparison.nodes))} in both, {comparison.metrics:,} metrics"
    bad = [element for each in comparison.networks or [] for element in each.came]
    if not slower and not told and not shared and not bad:
        sum_up = "no difference that matters" if comparison.metrics else "no metric in both"
    else:
        parts = [
            f"{len(shared):,} shared change{'s' if len(shared) != 1 else ''}" if shared else "",
            f"{wording.nodes_word(len(slower))} worse than the others" if slower else "",
            f"{wording.nodes_word(len(told))} told for information" if told else "",
            f"{len(bad):,} element{'s' if len(bad) != 1 else ''} of the network newly bad" if bad else "",
        ]
        sum_up = ", ".join(each for each in parts if each)
    return f"{nodes}: {sum_up}"


def _shared(shared: Sequence[SharedChange], width: int, *, full: bool) -> list[str]:
    """The shared changes that matter; with ``full`` the others too."""
    chosen = [each for each in shared if each.matters or full]
    if not chosen:
        return []
    several = len({each.group for each in shared}) > 1
    rows = [
        (
            each.severity.upper() if each.matters else "",
            (f"{each.group}: " if several else "") + each.summary + (carried(each) if each.matters else ""),
        )
        for each in chosen
    ]
    return ["", "What changed for many nodes alike", *table(rows, width)]


def carried(each: SharedChange) -> str:
    """The metrics, where they are few: a change of one metric is not one of all."""
    names = [metric.name for metric in each.metrics]
    return f"; measured by {wording.listed(names, most=2)}" if names else ""


def _changed(changed: Sequence[NodeChange], width: int, *, full: bool) -> list[str]:
    if not changed:
        return []
    shown = changed if full else changed[:_MOST_NODES]
    rows = [(each.severity.upper(), each.node, each.summary.removeprefix(f"{each.node}: ")) for each in shown]
    lines = ["", "Nodes that changed otherwise than their peers", *table(rows, width)]
    if len(changed) > len(shown):
        lines.append(f"  and {len(changed) - len(shown):,} more (--full)")
    return lines


def _facts(facts: Sequence[FactChange], nodes: int, width: int, *, full: bool) -> list[str]:
    if not facts:
        return []
    shown = facts if full else facts[:_MOST_FACTS]
    rows = [(who(each.nodes, nodes), f"{each.name}: {from_to(each)}") for each in shown]
    lines = ["", "Facts that changed", *table(rows, width)]
    if len(facts) > len(shown):
        lines.append(f"  and {len(facts) - len(shown):,} more (--full)")
    return lines


def from_to(each: FactChange) -> str:
    if each.before is None:
        return f"new, {each.after}"
    if each.after is None:
        return f"gone, was {each.before}"
    return f"{each.before} → {each.after}"


def who(names: Sequence[str], nodes: int) -> str:
    if len(names) == nodes and nodes > 1:
        return f"all {nodes:,} nodes"
    return names[0] if len(names) == 1 else f"{len(names):,} nodes"


def _gaps(gaps: Sequence[Gap], width: int, *, full: bool) -> list[str]:
    lines = ["", "Not compared"] if gaps else []
    for gap in gaps if full else gaps[:_MOST_GAPS]:
        names = wording.listed(gap.nodes, most=len(gap.nodes) if full else _MOST_NAMES)
        said = clean(f"{gap.what}: {names}" if gap.nodes else gap.what)
        lines += wrapped(said, width, "    ", first="  ")
    if not full and len(gaps) > _MOST_GAPS:
        lines.append(f"  and {len(gaps) - _MOST_GAPS:,} more (--full)")
    return lines


def _every(metrics: Sequence[MetricChange]) -> list[str]:
    rows = [("metric", "before", "after", "unit", "change, negative is worse")]
    rows += [
        (
            each.name,
            "" if each.before is None else f"{each.before:.6g}",
            "" if each.after is None else f"{each.after:.6g}",
            each.unit,
            "" if each.change is None else wording.percent(each.change),
        )
        for each in metrics
    ]
    return table(rows)
