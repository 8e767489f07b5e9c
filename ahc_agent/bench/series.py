"""From samples to a ``Measurement``: one place where value, interval and errors are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ahc_agent.bench.sampling import Run, estimate
from ahc_agent.measure import Component, Measurement, Sample


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured: a metric's name in parts, its unit, and which side is good."""

    component: Component
    part: str
    quantity: str
    unit: str
    higher_is_better: bool = True

    def failed(self, error: str) -> Measurement:
        """No measurement, and why."""
        return Measurement(
            component=self.component,
            part=self.part,
            quantity=self.quantity,
            unit=self.unit,
            higher_is_better=self.higher_is_better,
            error=error[:1000],
        )

    def measured(self, samples: Sequence[Sample], run: Run[Any]) -> Measurement:
        """The mean of the samples that count, or the error of the run."""
        if run.error is not None:
            return self.failed(run.error)
        if not samples:
            return self.failed("no sample was taken within the time limit")
        found = estimate(samples)
        return Measurement(
            component=self.component,
            part=self.part,
            quantity=self.quantity,
            unit=self.unit,
            higher_is_better=self.higher_is_better,
            value=found.mean,
            ci95=found.half_width,
            samples=list(samples),
            stop=run.stop,
            duration_s=run.duration_s,
            conditions=run.conditions,
        )
