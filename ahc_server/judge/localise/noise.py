"""How far flows stray where nothing is broken: Student's t, whose shape is read from the flows, and glitches.

A flow is healthy noise, or with the chance ``glitches`` it says nothing at all (uniform over four decades of e). A single bad
flow is therefore weak evidence, however bad; several that agree are strong (Lange, Little and Taylor, Robust statistical
modeling using the t distribution, JASA 84, 1989).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lgamma, log, pi

import numpy as np

from ahc_server.judge.arrays import Floats

_RANGE = 4.0
#: Degrees of freedom; of |t| the median, and the ratio of the 90 % quantile to it.
_SHAPES = np.array([2.0, 3.0, 4.0, 6.0, 10.0])
_MEDIANS = np.array([0.8165, 0.7649, 0.7407, 0.7176, 0.6998])
_RATIOS = np.array([3.576, 3.077, 2.878, 2.708, 2.590])
#: What is taken for granted before any flow was seen: spread, and how many flows that guess is worth.
_PRIOR, _PRIOR_WEIGHT = 0.015, 12.0
_LEAST_SPREAD = 0.002
_FAR = 8.0


@dataclass(frozen=True, slots=True)
class FlowNoise:
    """``scale`` of the t distribution with ``freedom`` degrees of freedom, and the chance of ``glitches``."""

    scale: float
    freedom: float
    glitches: float

    def log_density(self, away: Floats, scale: Floats | float | None = None) -> Floats:
        """ln of the density of distances from where a flow should be; ``scale`` where it is not the noise's own."""
        s = self.scale if scale is None else scale
        v = self.freedom
        front = lgamma((v + 1) / 2) - lgamma(v / 2) - 0.5 * log(v * pi)
        bulk = front - np.log(s) - (v + 1) / 2 * np.log1p((away / s) ** 2 / v)
        return np.asarray(np.logaddexp(log(1 - self.glitches) + bulk, log(self.glitches / _RANGE)))

    @property
    def error(self) -> float:
        """Standard error of the location of one flow; of k flows it is this divided by √k."""
        return float(self.scale * ((self.freedom + 3) / (self.freedom + 1)) ** 0.5)


def noise_of(away: Floats, *, prior: float = _PRIOR, like: FlowNoise | None = None) -> FlowNoise:
    """From the distances (k,) of flows that nothing explains. ``like``: noise of another class, to begin with."""
    count = len(away)
    first = prior if like is None else like.scale
    if not count:
        return FlowNoise(first, 3.0, 0.01)
    size = np.abs(away - np.median(away))
    middle = float(np.median(size))
    ratio = float(np.quantile(size, 0.9)) / max(middle, 1e-9)
    weight = min(1.0, count / 400)
    freedom = float(np.interp(ratio, _RATIOS[::-1], _SHAPES[::-1]))
    freedom = min(5.0, weight * freedom + (1 - weight) * 3.5)
    scale = middle / float(np.interp(freedom, _SHAPES, _MEDIANS))
    scale = ((count * scale**2 + _PRIOR_WEIGHT * first**2) / (count + _PRIOR_WEIGHT)) ** 0.5
    scale = max(scale, _LEAST_SPREAD)
    far = int(np.sum(away < -_FAR * scale))
    return FlowNoise(scale, freedom, min(0.2, (far + 0.5) / (count + 25)))


def widened(noise: FlowNoise, factor: float) -> FlowNoise:
    return replace(noise, scale=noise.scale * factor)


def densest(values: Floats, part: float = 0.5) -> tuple[float, float]:
    """Middle and half width of the shortest interval that holds a part of the values (Rousseeuw's shorth)."""
    ordered = np.sort(values)
    held = max(2, int(np.ceil(part * len(ordered))))
    if held >= len(ordered):
        return float(np.median(ordered)), float(np.ptp(ordered) / 2)
    widths = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
    # Of intervals that are equally short the highest: what is slow is no measure of what is usual.
    place = len(widths) - 1 - int(np.argmin(widths[::-1]))
    inside = ordered[place : place + held]
    return float(np.median(inside)), float(widths[place] / 2)


def log_chance(z: Floats) -> Floats:
    """ln of the chance that normal noise goes down to z (negative) or further (Börjesson and Sundberg, IEEE Transactions on
    Communications 27, 1979: within 0.3 %)."""
    down = np.maximum(-z, 0.0)
    tail = -np.log(0.661 * down + 0.339 * np.sqrt(down**2 + 5.51)) - down**2 / 2 - 0.5 * log(2 * pi)
    return np.asarray(tail, dtype=np.float64)
