"""Measurements in the form of ``hardware-detect``: rows of component, device, item, value.

Inspection rules (and the hook ``extra-hardware``) compare whole numbers only, so values are scaled: bytes become KiB, and a rate
that is so slow that rounding would change it by more than 0.1 % is told in thousandths. The end of an item says its unit, in the
vocabulary of eDeploy, which ``ahc import`` reads back: ``read_1M_KBps``, ``randread_4k_IOps``, ``events_per_sec``,
``events_per_sec_x1000``.
"""

from __future__ import annotations

from collections.abc import Iterable

from ahc_agent.measure import Measurement

Row = tuple[str, str, str, int]

#: Our ending, theirs, and how many of ours are one of theirs.
_ENDINGS = (
    ("bytes_per_s", "KBps", 1024.0),
    ("iops", "IOps", 1.0),
    ("per_s", "per_sec", 1.0),
)
_PRECISE_FROM = 500


def rows(measurements: Iterable[Measurement]) -> list[Row]:
    """A row for each measurement that has a value."""
    return [_row(each, each.value) for each in measurements if each.value is not None]


def _row(measurement: Measurement, value: float) -> Row:
    item = measurement.quantity
    for ending, theirs, factor in _ENDINGS:
        if item.endswith(ending):
            item, value = item.removesuffix(ending) + theirs, value / factor
            break
    if abs(value) < _PRECISE_FROM and value != round(value):
        item, value = f"{item}_x1000", value * 1000
    return measurement.component, measurement.part, item, round(value)
