"""Measurements as a table for a person."""

from __future__ import annotations

from collections.abc import Iterable

from ahc_agent.bench.standalone import Answer
from ahc_agent.measure import Measurement

_HEAD = ("metric", "value", "± 95 %", "samples", "time", "ended by")
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
#: Units that are shown as they are, without a prefix.
_PLAIN = {"us", "IOPS", "events/s"}


def render(answer: Answer) -> str:
    """One row per measurement, then what disturbed, then what could not be measured. Ends with a newline."""
    measured = [each for each in answer.measurements if each.value is not None]
    lines = _table([_HEAD, *(_row(each) for each in measured)]) if measured else []
    # A run's percentiles share its conditions: the rates alone tell them.
    rates = [each for each in measured if each.higher_is_better]
    notes = [f"{each.name}: {note}" for each in rates if (note := _conditions(each))]
    failed = [f"{each.name}: {each.error}" for each in answer.measurements if each.value is None]
    for title, body in (("Disturbed", notes), ("Not measured", failed)):
        if body:
            lines += ["", f"{title}:", *(f"  {line}" for line in body)]
    return "\n".join(lines) + "\n"


def quantity(value: float, unit: str) -> str:
    """A value with its unit: "24.3 Gbytes/s", "4655 events/s"."""
    if unit not in _PLAIN:
        for factor, prefix in _PREFIXES:
            if value >= factor:
                return (
                    f"{value / factor:.3g} {prefix}{unit}"
                    if value / factor < 100
                    else f"{value / factor:.0f} {prefix}{unit}"
                )
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _row(each: Measurement) -> tuple[str, ...]:
    assert each.value is not None
    disturbed = sum(bool(sample.disturbed) for sample in each.samples)
    known = f"{each.ci95 / each.value:.1%}" if each.ci95 is not None and each.value else "-"
    count = f"{len(each.samples)}" + (f" ({disturbed} disturbed)" if disturbed else "")
    return (
        each.name,
        quantity(each.value, each.unit),
        known,
        count,
        f"{each.duration_s:.1f} s",
        each.stop or "-",
    )


def _conditions(each: Measurement) -> str:
    """What was not as it should be during the run."""
    seen = each.conditions
    if seen is None or not any(sample.disturbed for sample in each.samples):
        return ""
    told = (
        ("steal", seen.steal_fraction, "{:.0%} of CPU time taken by the hypervisor"),
        ("others", seen.others_cpu_fraction, "{:.0%} of CPU time used by other processes"),
        ("throttle", seen.throttle_events, "{} thermal throttle events"),
    )
    return ", ".join(form.format(value) for _, value, form in told if value and value >= 0.005)


def _table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
