"""A second fabric, built otherwise: streams over a graph of cards, leaves and spines, each link with its own load.

Every flow is several streams. A hash sends each over one of the spines (equal-cost multi-path), so that links are loaded unevenly
without a fault. Streams share links by weights (no two TCP connections get the same), lose rate to loss as 1/√p (Mathis and
others, Computer Communication Review 27, 1997), and round trips grow with the queues on their way, u / (1 − u) packets at a load
u (Kleinrock, Queueing Systems, 1975). Rates in Gbit/s, times in µs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.networks.fabric import Floats, Ints

#: Links whose shares differ by less than this fill up together.
_STEP = 0.004
_PACKET_GBIT = 1500 * 8 / 1e9
#: A link is never so full that its queue has no end.
_FULLEST = 0.93
#: Mathis' constant, and a segment in Gbit.
_MATHIS, _SEGMENT_GBIT = 1.22, 1448 * 8 / 1e9


@dataclass(slots=True)
class Clos:
    """``tx``, ``rx``, ``delay_us``, ``loss`` (n,) of cards and cables; ``leaf`` (n,); ``up``, ``down`` (leaves, spines), 0 is
    no link; ``policed``: (a, b) → the part that is left of that pair's flows."""

    leaf: Ints
    tx: Floats
    rx: Floats
    up: Floats
    down: Floats
    delay_us: Floats
    hop_us: float
    loss: Floats
    dead: npt.NDArray[np.bool_]
    policed: dict[tuple[int, int], float]


@dataclass(frozen=True, slots=True)
class Streams:
    """Of j flows with s streams each: ``hashed`` (j, s), whole numbers of the hash; ``weight`` (j, s)."""

    source: Ints
    destination: Ints
    hashed: Ints
    weight: Floats


def spines(clos: Clos, streams: Streams) -> Ints:
    """Which spine each stream (j, s) takes: those that both leaves have a link to."""
    one, other = clos.leaf[streams.source], clos.leaf[streams.destination]
    usable = (clos.up[one] > 0) & (clos.down[other] > 0)
    order = np.argsort(~usable, axis=1, kind="stable")
    place = streams.hashed % np.maximum(np.sum(usable, axis=1), 1)[:, None]
    return np.asarray(np.take_along_axis(order, place, axis=1))


def measure(clos: Clos, streams: Streams) -> tuple[Floats, Floats]:
    """Rate and round trip (j,) of flows that run at once, without the noise of measuring; 0 and NaN without a connection."""
    source, destination = streams.source, streams.destination
    nodes, (leaves, count) = len(clos.leaf), clos.up.shape
    shape = streams.hashed.shape
    capacity = np.concatenate([clos.tx, clos.rx, clos.up.ravel(), clos.down.ravel(), [1e9]])
    one, other = clos.leaf[source][:, None], clos.leaf[destination][:, None]
    spine = spines(clos, streams)
    uplink = 2 * nodes + one * count + spine
    downlink = 2 * nodes + leaves * count + other * count + spine
    nowhere = len(capacity) - 1
    path = np.stack(
        [
            np.broadcast_to(source[:, None], shape),
            np.broadcast_to(nodes + destination[:, None], shape),
            np.where(one != other, uplink, nowhere),
            np.where(one != other, downlink, nowhere),
        ]
    ).reshape(4, -1)
    alive = np.repeat(~(clos.dead[source] | clos.dead[destination]), shape[1])
    usual_us = 2 * float(np.median(clos.delay_us)) + clos.hop_us
    lost = np.maximum(clos.loss[source], clos.loss[destination])
    with np.errstate(divide="ignore"):
        most = _MATHIS * _SEGMENT_GBIT / (usual_us * 1e-6 * np.sqrt(lost))
    rate = fill(capacity, path, streams.weight.ravel(), np.repeat(most, shape[1]), alive)
    load: Floats = np.sum([np.bincount(links, rate, len(capacity)) for links in path], axis=0)
    queue_us = _queue_us(capacity, load)
    flow_path = path.reshape(4, *shape)[:, :, 0]
    back = np.stack([destination, nodes + source])
    times = clos.delay_us[source] + clos.delay_us[destination]
    times = times + np.where(one[:, 0] != other[:, 0], clos.hop_us, 0.0)
    times = times + queue_us[flow_path].sum(axis=0) + queue_us[back].sum(axis=0)
    total = rate.reshape(shape).sum(axis=1)
    for (a, b), part in clos.policed.items():
        total[(source == a) & (destination == b)] *= part
    return total, np.where(alive.reshape(shape)[:, 0], times, np.nan)


def _queue_us(capacity: Floats, load: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        used = np.nan_to_num(np.minimum(load / capacity, _FULLEST))
        return np.where(capacity > 0, used / (1 - used) * _PACKET_GBIT / capacity * 1e6, 0.0)


def fill(capacity: Floats, path: Ints, weight: Floats, most: Floats, alive: npt.NDArray[np.bool_]) -> Floats:
    """Weighted max-min shares of streams over their links (links of one, streams), none above its own ``most``: the tightest
    link is filled, its streams are settled, then the next."""
    rate = np.zeros(len(weight))
    free = capacity.astype(np.float64).copy()
    is_open = alive.copy()
    while np.any(is_open):
        wanted = sum(np.bincount(links[is_open], weight[is_open], len(capacity)) for links in path)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(wanted > 0, np.maximum(free, 0.0) / wanted, np.inf)
        tightest = np.minimum(np.min(share[path], axis=0), most / weight)
        bar = float(np.min(tightest[is_open])) * (1 + _STEP) + 1e-9
        settled = is_open & (tightest <= bar)
        rate[settled] = weight[settled] * tightest[settled]
        for links in path:
            free -= np.bincount(links[settled], rate[settled], len(capacity))
        is_open &= ~settled
    return rate
