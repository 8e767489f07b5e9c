"""Changes over sessions as text."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.history.model import Series, Timeline
from ahc_server.judge import wording
from ahc_server.report.layout import table, wrapped
from ahc_server.report.words import clean

_MOST_POINTS = 40


def draw_timeline(timeline: Timeline, *, width: int = 120, full: bool = False) -> str:
    """Lines of at most ``width`` characters; levels of series may be wider."""
    first, last = timeline.sessions[0], timeline.sessions[-1]
    lines = [
        f"{len(timeline.sessions):,} sessions, {clean(first.session)} ({first.data_up_to[:10]}) to "
        f"{clean(last.session)} ({last.data_up_to[:10]}); {wording.nodes_word(timeline.nodes)}, {timeline.metrics:,} metrics"
    ]
    shown = timeline.points if full else timeline.points[:_MOST_POINTS]
    lines += ["", "Changes, most serious first" if shown else "No change that matters"]
    lines += table([(each.severity.upper(), each.summary) for each in shown], width)
    if len(timeline.points) > len(shown):
        lines.append(f"  and {len(timeline.points) - len(shown):,} more (--full)")
    if timeline.series:
        lines += ["", "Levels, relative to the median of all sessions; negative is worse"]
        lines += _levels([each.session for each in timeline.sessions], timeline.series)
    if timeline.notes:
        lines += ["", "Notes"]
        for note in timeline.notes:
            lines += wrapped(clean(note), width, "    ", first="  ")
    return "\n".join(lines) + "\n"


def _levels(sessions: Sequence[str], series: Sequence[Series]) -> list[str]:
    rows = [("node", "what", *sessions)]
    rows += [
        (each.node, each.title, *("" if value is None else wording.percent(value) for value in each.values))
        for each in series
    ]
    return table(rows)
