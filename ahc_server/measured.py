"""The measurements of one task as columns: what the judge reads of them, without an object for each.

A fleet of 10,000 nodes has millions of measurements. Their names are the same on most nodes and are kept once (``names``); their
numbers stand in one block of bytes a task. Samples are kept as what the judge asks of them: how many there are, how many were
disturbed, how many of those by throttling.

Without numpy, so that the server that writes them does not carry it; ``judge.trust.numbers_of`` reads them as arrays.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from struct import unpack_from
from typing import NamedTuple

import msgspec

from ahc_agent.measure import Component, Measurement


class Name(NamedTuple):
    """What is measured. A disk's part is the node's own name for it."""

    component: Component
    part: str
    quantity: str
    unit: str
    higher_is_better: bool


Names = tuple[Name, ...]

#: Columns of numbers, by their places. ``value`` and ``ci95`` as in Measurement; ``samples``, and how many of them are marked as
#: ``disturbed``, and of those as ``throttled``; then the conditions, under their names. What is not told is NaN.
CONDITIONS = (
    "steal_fraction",
    "others_cpu_fraction",
    "involuntary_switches",
    "throttle_events",
    "frequency_hz",
    "temperature_celsius",
)
FIELDS = ("value", "ci95", "samples", "disturbed", "throttled", *CONDITIONS)
_NAN = math.nan


class Measured(msgspec.Struct, frozen=True):
    """k measurements of one task on one machine, in the order in which they were taken.

    ``fields``: those of FIELDS that any of them tells, "value" first. ``numbers``: for each field k little-endian 8-byte floats.
    ``errors``: place → why there is no value.
    """

    names: Names
    fields: tuple[str, ...]
    numbers: bytes
    errors: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.names)

    @property
    def known(self) -> int:
        """How many have a value."""
        return sum(not math.isnan(value) for value in _floats(self.numbers[: 8 * len(self.names)]))

    def has_value(self, place: int) -> bool:
        """Whether the measurement at a place has a value."""
        (value,) = unpack_from("<d", self.numbers, 8 * place)
        return not math.isnan(value)


NOTHING = Measured((), ("value",), b"")


def measured_of(measurements: Sequence[Measurement]) -> Measured:
    """Measurements as columns."""
    if not measurements:
        return NOTHING
    names = tuple(Name(m.component, m.part, m.quantity, m.unit, m.higher_is_better) for m in measurements)
    columns: dict[str, Sequence[float | None]] = {"value": [m.value for m in measurements]}
    columns["ci95"] = [m.ci95 for m in measurements]
    if any(m.samples for m in measurements):
        marks = [[s.disturbed for s in m.samples if s.disturbed] for m in measurements]
        columns["samples"] = [len(m.samples) for m in measurements]
        columns["disturbed"] = [len(each) for each in marks]
        columns["throttled"] = [sum(mark.startswith("throttl") for mark in each) for each in marks]
    if any(m.conditions is not None for m in measurements):
        for field in CONDITIONS:
            columns[field] = [getattr(m.conditions, field, None) for m in measurements]
    errors = {
        place: m.error for place, m in enumerate(measurements) if m.value is None and m.error is not None
    }
    return measured(names, columns, errors)


def measured(names: Names, columns: Mapping[str, Sequence[float | None]], errors: dict[int, str]) -> Measured:
    """From lists: a field that no measurement tells is left out."""
    numbers = array("d")
    fields = []
    for field, column in columns.items():
        if field == "value" or any(each is not None for each in column):
            numbers.extend(_NAN if each is None else each for each in column)
            fields.append(field)
    if sys.byteorder == "big":
        numbers.byteswap()
    return Measured(names, tuple(fields), numbers.tobytes(), errors)


def is_told(measurements: Sequence[Measurement]) -> bool:
    """Whether the columns tell all that there is: no samples, no conditions, nothing of how the measurement ended."""
    return not any(
        m.samples or m.conditions or m.stop or m.duration_s or (m.error and m.value is not None)
        for m in measurements
    )


def measurements_of(taken: Measured) -> list[Measurement]:
    """As measurements again; exact where ``is_told`` was true of them."""
    numbers = _floats(taken.numbers)
    count = len(taken)
    told = {field: numbers[place * count : (place + 1) * count] for place, field in enumerate(taken.fields)}
    ci95 = told.get("ci95")
    return [
        Measurement(
            component=name.component,
            part=name.part,
            quantity=name.quantity,
            unit=name.unit,
            higher_is_better=name.higher_is_better,
            value=_known(told["value"][place]),
            ci95=None if ci95 is None else _known(ci95[place]),
            error=taken.errors.get(place),
        )
        for place, name in enumerate(taken.names)
    ]


def _floats(packed: bytes) -> array[float]:
    numbers = array("d", packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
