"""What a measurement is: its name, its samples, and the conditions under which they were taken.

A metric's full name is ``component.part.quantity``: ``cpu.socket0.events_per_s``,
``memory.node1.write_1M_bytes_per_s``, ``disk.sdb.randread_4k_iops``. The part names the piece of hardware, so
that within-node structure (one core, one disk) stays visible to the judge; the unit stands at the end
of the quantity.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ahc_agent.facts import Finite as Finite
from ahc_agent.facts import Text

Component = Literal["cpu", "memory", "numa", "disk", "network", "health", "system"]
Stop = Literal["converged", "time", "samples", "cancelled"]


class Conditions(msgspec.Struct, kw_only=True, frozen=True):
    """What disturbed a run. Differences between its start and end; ``None`` where the machine does not tell.

    ``steal_fraction``: CPU time taken by the hypervisor, as a part of all CPU time (``/proc/stat``).
    ``others_cpu_fraction``: CPU time used by processes other than the benchmark, as a part of all.
    ``involuntary_switches``: of the benchmark's own processes.
    ``throttle_events``: rise of the thermal throttle counters.
    ``frequency_hz``: mean of the CPUs in use, read at the end; ``temperature_celsius``: the hottest, at the end.
    """

    steal_fraction: Finite | None = None
    others_cpu_fraction: Finite | None = None
    involuntary_switches: int | None = None
    throttle_events: int | None = None
    frequency_hz: int | None = None
    temperature_celsius: Finite | None = None


class Sample(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One observation. ``disturbed`` says by what (``"steal 0.12"``); empty means undisturbed."""

    value: Finite
    at_s: Finite = 0.0
    disturbed: Text = ""


class Measurement(msgspec.Struct, kw_only=True, frozen=True):
    """One metric of one node.

    ``value`` is the mean of the undisturbed samples (of all where fewer than three are), ``None`` with an ``error``
    where there is no measurement. ``ci95`` is the half width of the 95 % confidence interval of the mean, in the
    metric's unit. ``higher_is_better`` tells the judge which side is the bad one.
    """

    component: Component
    part: Text
    quantity: Text
    unit: Text
    higher_is_better: bool = True
    value: Finite | None = None
    ci95: Finite | None = None
    samples: Annotated[list[Sample], msgspec.Meta(max_length=4096)] = []
    stop: Stop | None = None
    duration_s: Finite = 0.0
    conditions: Conditions | None = None
    error: Text | None = None

    @property
    def name(self) -> str:
        """Full name, ``component.part.quantity``."""
        return f"{self.component}.{self.part}.{self.quantity}"
