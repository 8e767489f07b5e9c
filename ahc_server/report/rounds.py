"""Rounds of network tests as text (``--full``)."""

from __future__ import annotations

from collections.abc import Sequence

from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.judge.rounds import Round
from ahc_server.report.layout import table
from ahc_server.report.rampup import right_aligned

_HEADS = (
    "job",
    "nodes",
    "round",
    "pairs",
    "across racks",
    "at once",
    "of line speed",
    "start jitter",
    "clock ±",
    "",
)
_RATE = Metric("network", "flow", "bytes_per_s", "bytes/s", True, "", 0)


def round_lines(rounds: Sequence[Round]) -> list[str]:
    """The section, empty where there were none."""
    if not rounds:
        return []
    most = max(each.sum_bytes_per_s or 0.0 for each in rounds)
    rows = [_HEADS, *(_cells(each, most) for each in rounds)]
    return [
        "",
        "Rounds: pairs that ran at the same time",
        *(line.rstrip() for line in table(right_aligned(rows))),
    ]


def _cells(each: Round, most: float) -> tuple[str, ...]:
    total, line = each.sum_bytes_per_s, each.line_bytes_per_s
    return (
        each.job,
        f"{each.hosts:,}",
        f"{each.round:,}",
        f"{each.pairs:,}",
        "" if each.across is None else f"{each.across:,}",
        "" if total is None else wording.quantity(_RATE, total, most),
        "" if total is None or line is None else f"{100 * total / line:.0f} %",
        _milliseconds(each.start_jitter_s),
        _milliseconds(each.clock_error_s),
        "",
    )


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:,.1f} ms"
