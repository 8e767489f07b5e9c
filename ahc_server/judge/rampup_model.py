"""A ramp-up as data: one job on ever more machines at once, and what that did to it. Part of ``ahc.report/1``, as ``rampups``.

Values are in the metric's unit. A machine's value is what it measured of the metric ("all" of its parts where that was measured,
else the mean of its parts); where it drives several flows at once, their sum.
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: What becomes of the sum: it "grows" with every machine; from some number on it "slows", "stops" or "falls"; "unknown": too
#: few steps or too much noise to say.
GrowthKind = Literal["grows", "slows", "stops", "falls", "unknown"]


class RampStep(msgspec.Struct, kw_only=True, frozen=True):
    """One number of machines at once.

    ``hosts``: how many were to run; ``delivered``: how many have a value. ``spread``: standard deviation over the machines, None
    of fewer than two. ``sum``: what all of them did together, None where adding makes no sense (times). ``start_jitter_s``:
    latest minus earliest start; ``duration_s``: from the first start to the last end.
    """

    hosts: int
    delivered: int
    mean: float | None
    sum: float | None
    spread: float | None
    low: float | None
    high: float | None
    start_jitter_s: float | None
    duration_s: float | None


class Growth(msgspec.Struct, kw_only=True, frozen=True):
    """Where the sum stops growing. None: not known.

    ``hosts``: the number of machines from which on its slope is another, and the interval that the data cannot tell apart from
    it; ``before``, ``after``: what one more machine adds, in the metric's unit; ``most``: the largest sum, ``most_hosts``: where.
    """

    kind: GrowthKind
    hosts: float | None = None
    hosts_low: float | None = None
    hosts_high: float | None = None
    before: float | None = None
    after: float | None = None
    most: float | None = None
    most_hosts: int | None = None
    summary: str


class Behind(msgspec.Struct, kw_only=True, frozen=True):
    """Machines that keep behind those beside them in the same steps: one node, or all nodes of a hypervisor (``host``).

    ``effect``: relative to the others, negative is worse; ``steps``: in how many steps this was seen, ``worse`` of these;
    ``q``: rate of false ones among all that are as clear.
    """

    host: str | None
    nodes: list[str]
    effect: float
    steps: int
    worse: int
    q: float


class Rampup(msgspec.Struct, kw_only=True, frozen=True):
    """One metric of one job, step by step, fewest machines first."""

    job: str
    component: str
    metric: str
    unit: str
    higher_is_better: bool
    steps: list[RampStep]
    growth: Growth
    behind: list[Behind]
