"""Ramp-ups as text: each job's sum, mean and spread against the number of nodes at once, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ahc_server.judge import wording
from ahc_server.judge.features import Metric
from ahc_server.judge.model import Report
from ahc_server.judge.rampup_model import Behind, RampStep, Rampup
from ahc_server.report.layout import table, wrapped


class Named(Protocol):
    """What a metric of a ramp-up is known by."""

    @property
    def job(self) -> str: ...
    @property
    def component(self) -> str: ...
    @property
    def metric(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...


_BAR_WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"
_HEADS = ("nodes", "sum", "mean", "spread", "start jitter", "duration")
#: Quantities of other tools' tests.
_WORDS = {
    "flow_bytes_per_s": "what each node sends to its peers",
    "flow_requests_per_s": "requests that its peers answer",
}


def rampup_lines(report: Report, width: int) -> list[str]:
    """The section, empty where the session has no ramp-up."""
    ramps = report.rampups or []
    lines = ["", "Ramp-ups: a job on ever more nodes at once"] if ramps else []
    for ramp in ramps:
        lines += ["", *wrapped(f"{title(ramp)}: {ramp.growth.summary}", width, "    ", first="  ")]
        for each in ramp.behind:
            lines += wrapped(behind(each), width, "    ", first="  ")
        lines += _table(ramp)
    return lines


def metric_of(ramp: Named) -> Metric:
    """The metric that it is about, for its words and units."""
    part, _, quantity = ramp.metric.removeprefix(f"{ramp.component}.").rpartition(".")
    return Metric(ramp.component, part, quantity, ramp.unit, ramp.higher_is_better, ramp.job, 0)


def title(ramp: Named) -> str:
    """ "read_seq, disk vda, sequential reads (1M)"."""
    metric = metric_of(ramp)
    subject = (
        "" if metric.part in ("all", "tx", "rtt") else f"{wording.parts(metric.component, [metric.part])}, "
    )
    return f"{ramp.job}, {subject}{_WORDS.get(metric.quantity) or wording.what(metric)}"


def behind(each: Behind) -> str:
    """Who keeps behind, and how much."""
    who = f"hypervisor {each.host} ({wording.nodes_word(len(each.nodes))})" if each.host else each.nodes[0]
    return f"behind: {who}, {wording.percent(each.effect)}, in {each.worse} of {each.steps} steps"


def cells(ramp: Rampup, step: RampStep) -> tuple[str, ...]:
    """A step under ``heads``."""
    metric = metric_of(ramp)
    like = max((each.mean or 0.0 for each in ramp.steps), default=0.0)
    most = max((each.sum or 0.0 for each in ramp.steps), default=0.0)

    def told(value: float | None, scale: float) -> str:
        return "" if value is None else wording.quantity(metric, value, scale)

    spread = "" if step.spread is None or not step.mean else f"± {100 * step.spread / step.mean:.1f} %"
    hosts = f"{step.hosts:,}" if step.delivered == step.hosts else f"{step.hosts:,} ({step.delivered:,} came)"
    return (
        hosts,
        *((told(step.sum, most),) if adds_up(ramp) else ()),
        told(step.mean, like),
        spread,
        "" if step.start_jitter_s is None else f"{1000 * step.start_jitter_s:,.0f} ms",
        "" if step.duration_s is None else f"{step.duration_s:,.1f} s",
    )


def adds_up(ramp: Rampup) -> bool:
    return any(step.sum is not None for step in ramp.steps)


def heads(ramp: Rampup) -> tuple[str, ...]:
    """What stands over the cells of a step."""
    return _HEADS if adds_up(ramp) else (_HEADS[0], *_HEADS[2:])


def _table(ramp: Rampup) -> list[str]:
    drawn = [each.sum if adds_up(ramp) else each.mean for each in ramp.steps]
    most = max([value for value in drawn if value is not None], default=0.0)
    rows: list[Sequence[str]] = [(*heads(ramp), "")]
    for step, value in zip(ramp.steps, drawn, strict=True):
        rows.append((*cells(ramp, step), _bar((value or 0.0) / most if most else 0.0)))
    return [line.rstrip() for line in table(right_aligned(rows))]


def right_aligned(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """All but the last column to the right, as numbers stand."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [(*(cell.rjust(size) for cell, size in zip(row, widths, strict=False)), row[-1]) for row in rows]


def _bar(part: float) -> str:
    eighths = round(8 * _BAR_WIDTH * min(max(part, 0.0), 1.0))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
