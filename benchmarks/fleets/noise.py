"""How healthy machines differ: the true noise of a fleet, to draw from and to reckon with.

A value is its usual level × (1 + a sum of independent effects), each shared by all metrics of one level: the machine (its
clock, its memory, its disks' controller), a family of metrics, a socket, a core, a disk, a run, the value itself. So the
noise adds on the linear scale, is skewed and heavy-tailed in several ways, differs between machines in size, and knows
nothing of logarithms, medians or Student's t with degrees estimated, by which a judge may reckon.

Scales are those of real machines (three equal ProLiants of one delivery): 0.25 % for single cores' loops, 2.5 % for
blocks of 1 KiB, 0.1 % for 128 MiB, 0.1 to 3 % for all at once, just under 1 % for disks, times
``Weather.scale``. What lasts on sockets and disks is chosen so that an oracle reaches the goals, with little to spare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from benchmarks.fleets.platforms import CACHED_SIZES, Metric

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_T_DEGREES = 3.5
#: Part and relative size of the wider of two normal distributions.
_WIDE, _WIDER = 0.07, 3.5
_SLIGHTLY_WIDE, _SLIGHTLY_WIDER = 0.10, 2.0
_LOG_SIGMA = 0.45

#: Distributions of lasting differences between parts, and of what differs from run to run. All have variance 1.
LASTING = ("normal", "laplace", "two normals", "skewed")
FLEETING = ("t", "lognormal", "wide mixture", "laplace")


@dataclass(frozen=True, slots=True)
class Weather:
    """What one fleet's noise is like. ``scale`` multiplies all of it; ``uneven``: how much machines differ in it (sigma
    of a lognormal). ``two_modes``: all threads on blocks of 1 GiB run at one of two levels, by chance."""

    scale: float
    lasting: str
    fleeting: str
    uneven: float
    two_modes: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """One source of differences. ``level`` (m,): which draw a metric shares, −1 none. ``scale`` (m,)."""

    level: Ints
    scale: Floats
    lasting: bool


#: Per cent: (machine, family, socket, core, value) by kind and block size.
_CPU: dict[tuple[str, str], tuple[float, float, float, float, float]] = {
    ("bogomips", ""): (0.0, 0.0, 0.0, 0.0, 0.006),
    ("loops", ""): (0.25, 0.08, 0.15, 0.12, 0.25),
    ("all", ""): (0.25, 0.30, 0.0, 0.0, 0.20),
    ("core", "1K"): (0.25, 0.40, 0.15, 0.20, 2.30),
    ("core", "4K"): (0.25, 0.25, 0.15, 0.15, 0.60),
    ("core", "1M"): (0.20, 0.05, 0.15, 0.10, 0.08),
    ("core", "16M"): (0.25, 0.30, 0.20, 0.10, 0.50),
    ("core", "128M"): (0.25, 0.08, 0.20, 0.05, 0.15),
    ("core", "1G"): (0.25, 0.06, 0.20, 0.05, 0.10),
    ("core", "2G"): (0.25, 0.06, 0.20, 0.05, 0.08),
    ("threaded", "1K"): (0.25, 0.60, 0.0, 0.0, 1.3),
    ("threaded", "4K"): (0.25, 0.60, 0.0, 0.0, 1.5),
    ("threaded", "1M"): (0.25, 0.60, 0.0, 0.0, 2.3),
    ("threaded", "16M"): (0.30, 0.20, 0.0, 0.0, 0.3),
    ("threaded", "128M"): (0.30, 0.60, 0.0, 0.0, 2.5),
    ("threaded", "1G"): (0.30, 0.60, 0.0, 0.0, 3.0),
    ("forked", "1K"): (0.25, 0.15, 0.0, 0.0, 0.7),
    ("forked", "4K"): (0.25, 0.10, 0.0, 0.0, 0.15),
    ("forked", "1M"): (0.25, 0.05, 0.0, 0.0, 0.08),
    ("forked", "16M"): (0.30, 0.10, 0.0, 0.0, 0.2),
    ("forked", "128M"): (0.30, 0.05, 0.0, 0.0, 0.1),
    ("forked", "1G"): (0.30, 0.05, 0.0, 0.0, 0.1),
}
#: Per cent: (machine, disk, disk's random access, run, value) for spinning disks and for others.
_HDD = (0.30, 0.50, 0.50, 0.50, 0.10)
_SSD = (0.30, 0.40, 0.55, 0.45, 0.10)
#: The lower of two modes, and the machines in it.
_LOW_MODE, _IN_LOW_MODE = 0.53, 0.35


def effects_of(metrics: Sequence[Metric], rotational: Sequence[bool], weather: Weather) -> list[Effect]:
    """The independent effects of one platform's metrics. ``rotational`` of its disks, by number."""
    table = [
        (_HDD if rotational[metric.disk] else _SSD) if metric.disk >= 0 else _CPU[metric.kind, metric.what]
        for metric in metrics
    ]
    scale = np.array(table) / 100 * weather.scale
    is_disk = np.array([metric.disk >= 0 for metric in metrics])
    cached = [
        metric.kind in ("bogomips", "loops", "all") or metric.what in CACHED_SIZES for metric in metrics
    ]
    part = {"cpu": 0, "memory": 1, "disk": 2}
    machine = [
        part["disk" if m.disk >= 0 else "cpu" if c else "memory"]
        for m, c in zip(metrics, cached, strict=True)
    ]
    families: dict[tuple[str, str], int] = {}
    family = [families.setdefault((m.kind, m.what), len(families)) for m in metrics]

    def effect(levels: Sequence[int], column: int, where: npt.NDArray[np.bool_], lasting: bool) -> Effect:
        level = np.where(where, np.array(levels, dtype=np.int64), -1)
        return Effect(level, np.where(level >= 0, scale[:, column], 0.0), lasting)

    # A socket is one thing for its caches and another for its memory channels.
    sockets = [
        -1 if m.socket < 0 else 2 * m.socket + (0 if c else 1) for m, c in zip(metrics, cached, strict=True)
    ]
    everywhere = np.ones(len(metrics), dtype=bool)
    randoms = [metric.disk if metric.is_random else -1 for metric in metrics]
    return [
        effect(machine, 0, everywhere, True),
        effect(family, 1, ~is_disk, True),
        effect(sockets, 2, ~is_disk, True),
        effect([metric.core for metric in metrics], 3, ~is_disk, True),
        effect([metric.disk for metric in metrics], 1, is_disk, True),
        effect(randoms, 2, is_disk, True),
        effect([metric.run for metric in metrics], 3, is_disk, False),
        effect(range(len(metrics)), 4, everywhere, False),
    ]


def draw(rng: np.random.Generator, effects: Sequence[Effect], nodes: int, weather: Weather) -> Floats:
    """Healthy machines' values relative to their usual levels, shape (nodes, m)."""
    metrics = len(effects[0].level)
    relative = np.ones((nodes, metrics))
    unrest = np.exp(weather.uneven * rng.standard_normal(nodes))[:, None]
    for effect in effects:
        levels = int(effect.level.max(initial=-1)) + 1
        if not levels:
            continue
        kind = weather.lasting if effect.lasting else weather.fleeting
        drawn = _draw(rng, kind, (nodes, levels))
        if not effect.lasting:
            drawn = drawn * unrest
        relative += np.where(effect.level >= 0, drawn[:, effect.level] * effect.scale, 0.0)
    return np.maximum(relative, 0.05)


def modes(rng: np.random.Generator, metrics: Sequence[Metric], nodes: int, weather: Weather) -> Floats:
    """Factors (nodes, m) of what runs at one of two levels by chance, as all threads on 1 GiB blocks do."""
    factors = np.ones((nodes, len(metrics)))
    low = rng.random(nodes) < _IN_LOW_MODE
    if weather.two_modes:
        for column, metric in enumerate(metrics):
            if (metric.kind, metric.what) == ("threaded", "1G"):
                factors[low, column] = _LOW_MODE
    return factors


def covariance(metrics: Sequence[Metric], effects: Sequence[Effect], weather: Weather) -> Floats:
    """True covariance (m, m) of the relative values: effects, rounding, and modes as noise of their size."""
    total = np.zeros((len(metrics), len(metrics)))
    for effect in effects:
        same = (effect.level[:, None] == effect.level[None, :]) & (effect.level >= 0)[:, None]
        total += np.where(same, effect.scale[:, None] * effect.scale[None, :], 0.0)
    rounding = np.array([metric.step / metric.usual for metric in metrics]) ** 2 / 12
    total[np.diag_indices(len(metrics))] += rounding
    for column, metric in enumerate(metrics):
        if weather.two_modes and (metric.kind, metric.what) == ("threaded", "1G"):
            total[column, column] += (1 - _LOW_MODE) ** 2 * _IN_LOW_MODE * (1 - _IN_LOW_MODE)
    return total


def _draw(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Floats:
    """Draws of variance 1 and mean 0. "skewed" and "lognormal" reach far down and little up."""
    match kind:
        case "normal":
            return rng.standard_normal(shape)
        case "laplace":
            return rng.laplace(scale=2**-0.5, size=shape)
        case "t":
            return np.asarray(rng.standard_t(_T_DEGREES, shape) / (_T_DEGREES / (_T_DEGREES - 2)) ** 0.5)
        case "two normals":
            return _mixture(rng, shape, _SLIGHTLY_WIDE, _SLIGHTLY_WIDER)
        case "wide mixture":
            return _mixture(rng, shape, _WIDE, _WIDER)
        case "skewed":
            return np.asarray((4.0 - rng.gamma(4.0, 1.0, shape)) / 2.0)
        case "lognormal":
            variance = np.expm1(_LOG_SIGMA**2) * np.exp(_LOG_SIGMA**2)
            drawn = rng.lognormal(0.0, _LOG_SIGMA, shape)
            return np.asarray((np.exp(_LOG_SIGMA**2 / 2) - drawn) / variance**0.5)
    raise ValueError(kind)


def _mixture(rng: np.random.Generator, shape: tuple[int, int], wide: float, wider: float) -> Floats:
    factor = np.where(rng.random(shape) < wide, wider, 1.0)
    return np.asarray(rng.standard_normal(shape) * factor / (1 - wide + wide * wider**2) ** 0.5)


def lower_quantile(lasting: str, p: float) -> float:
    """How far below its mean a lasting effect of variance 1 reaches with probability ``p``; positive."""
    match lasting:
        case "normal":
            return float(-stats.norm.ppf(p))
        case "laplace":
            return float(-stats.laplace.ppf(p, scale=2**-0.5))
        case "skewed":
            return float((stats.gamma.isf(p, 4.0) - 4.0) / 2.0)
        case "two normals":
            narrow = (1 - _SLIGHTLY_WIDE + _SLIGHTLY_WIDE * _SLIGHTLY_WIDER**2) ** -0.5

            def tail(x: float) -> float:
                wide = stats.norm.sf(x / narrow / _SLIGHTLY_WIDER)
                return float(_SLIGHTLY_WIDE * wide + (1 - _SLIGHTLY_WIDE) * stats.norm.sf(x / narrow) - p)

            return float(optimize.brentq(tail, 0.0, 30.0))
    raise ValueError(lasting)
