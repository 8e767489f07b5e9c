"""Like metrics joined: to one number a node and piece of hardware, by the judge's own rules, and to one line a kind.

The judge's evidence is made of distances from the peers. Here it is made of changes between two sessions, or of distances
from a saved baseline: the same pieces, the same names, the same limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ahc_server.history.robust import medians
from ahc_server.judge import wording
from ahc_server.judge.arrays import Floats, Ints
from ahc_server.judge.features import Metric
from ahc_server.judge.readings import readings

#: What a node has once: its parts are joined.
_OF_THE_NODE = frozenset({"compute", "memory", "cached"})
#: Parts that are also compared with the other parts of their node: row of limits, which parts, how many there must be.
_CONTRASTS: Mapping[str, tuple[tuple[str, str, int], ...]] = {
    "compute": (("socket", r"socket\d+", 2), ("core", r"core\d+", 3)),
    "memory": (("numa", r"node\d+", 2),),
}
#: Rows of the table of limits for kinds of readings that go by another name there.
_LIMITS = {"compute": "cpu"}
_KIND_TITLES = {
    "compute": "CPU",
    "memory": "memory",
    "cached": "blocks that fit the caches",
    "sequential": "disks, sequential reads",
    "sequential writes": "disks, sequential writes",
    "random": "disks, random reads",
    "random writes": "disks, random writes",
    "latency": "disks, response times",
    "tail latency": "disks, longest response times",
    "tx": "network, sending",
    "rx": "network, receiving",
    "rtt": "network, round trips",
}
_PIECE_TITLES = {
    "cpu": "CPU",
    "socket": "CPU {part} against the node's others",
    "core": "CPU {part} against the node's others",
    "memory": "memory",
    "numa": "memory of {part} against the node's other parts",
    "cached": "blocks that fit the caches",
    "sequential": "disk {part}, sequential reads",
    "sequential writes": "disk {part}, sequential writes",
    "random": "disk {part}, random reads",
    "random writes": "disk {part}, random writes",
    "latency": "disk {part}, response times",
    "tail latency": "disk {part}, longest response times",
    "tx": "network, sending",
    "rx": "network, receiving",
    "rtt": "network, round trips",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Metrics of one kind on all parts: ``limits`` is their row in the table of limits. ``columns`` (k,)."""

    title: str
    limits: str
    component: str
    columns: Ints
    is_rate: bool


def kinds_of(metrics: Sequence[Metric]) -> list[Kind]:
    """All metrics that tell something, by kind; of those that we do not know each is a kind of its own."""
    found: dict[tuple[str, str], list[int]] = {}
    for column, (metric, reading) in enumerate(zip(metrics, readings(metrics), strict=True)):
        if reading.kind == "other":
            found.setdefault(
                ("other", f"{metric.component}, {metric.part}: {wording.what(metric)}"), []
            ).append(column)
        elif reading.kind != "silent":
            found.setdefault((reading.kind, _KIND_TITLES[reading.kind]), []).append(column)
    return [
        Kind(
            title=title,
            limits=_LIMITS.get(kind, kind),
            component=metrics[columns[0]].component,
            columns=np.array(columns, dtype=np.int64),
            is_rate=all(metrics[column].higher_is_better for column in columns),
        )
        for (kind, title), columns in found.items()
    ]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Like pieces of hardware on each node, one number each.

    ``limits``: their row in the table of limits. ``parts`` (p,): their names, ``columns``: the metrics of each. ``distance``,
    ``error`` (standard), ``excuse`` (n, p). ``alone`` (n, p): where each part is told against the other parts of its node,
    its own change, None elsewhere.
    """

    limits: str
    component: str
    parts: list[str]
    columns: list[Ints]
    distance: Floats
    error: Floats
    excuse: Floats
    is_rate: bool
    alone: Floats | None = None

    @property
    def contrast(self) -> bool:
        """Whether each part is told against the other parts of its node."""
        return self.alone is not None


@dataclass(frozen=True, slots=True)
class Changes:
    """What pieces are made of: (n, m) changes, their standard errors, and what disturbances could explain of them."""

    metrics: Sequence[Metric]
    distance: Floats
    error: Floats
    excuse: Floats


def pieces_of(changes: Changes) -> list[Pieces]:
    """All pieces: the node's CPU and memory as a whole, its sockets, cores and NUMA nodes against each other, its disks, its
    card."""
    by_kind: dict[str, dict[str, list[int]]] = {}
    for column, (metric, reading) in enumerate(zip(changes.metrics, readings(changes.metrics), strict=True)):
        kind = f"other {metric.name}" if reading.kind == "other" else reading.kind
        if kind != "silent":
            by_kind.setdefault(kind, {}).setdefault(metric.part, []).append(column)
    found: list[Pieces] = []
    for kind, parts in by_kind.items():
        each = _joined(changes, kind.partition(" ")[0] if kind.startswith("other ") else kind, parts)
        if kind in _OF_THE_NODE:
            found.append(_together(each))
        else:
            found.append(each)
        for limits, pattern, least in _CONTRASTS.get(kind, ()):
            chosen = [place for place, part in enumerate(each.parts) if re.fullmatch(pattern, part)]
            if len(chosen) >= least:
                found.append(_against_others(each, chosen, limits))
    return [each for each in found if np.any(~np.isnan(each.distance))]


def _joined(changes: Changes, kind: str, parts: Mapping[str, Sequence[int]]) -> Pieces:
    """The median of each part's metrics."""
    columns = [np.array(each, dtype=np.int64) for each in parts.values()]
    layers = []
    for source in (changes.distance, changes.error, changes.excuse):
        known = np.where(np.isnan(changes.distance), np.nan, source)
        layers.append(np.stack([medians(known[:, each], 1) for each in columns], axis=1))
    metrics = [changes.metrics[column] for each in columns for column in each]
    return Pieces(
        limits=_LIMITS.get(kind, kind),
        component=metrics[0].component,
        parts=list(parts),
        columns=columns,
        distance=layers[0],
        error=np.nan_to_num(layers[1]),
        excuse=np.nan_to_num(layers[2]),
        is_rate=all(metric.higher_is_better for metric in metrics),
    )


def _together(each: Pieces) -> Pieces:
    """The median of all parts."""
    return replace(
        each,
        parts=["all"],
        columns=[np.concatenate(each.columns)],
        distance=medians(each.distance, 1)[:, None],
        error=medians(each.error, 1)[:, None],
        excuse=medians(each.excuse, 1)[:, None],
    )


def _against_others(each: Pieces, chosen: Sequence[int], limits: str) -> Pieces:
    mine = each.distance[:, list(chosen)]
    apart = np.stack(
        [mine[:, place] - medians(np.delete(mine, place, axis=1), 1) for place in range(len(chosen))], axis=1
    )
    return replace(
        each,
        limits=limits,
        parts=[each.parts[place] for place in chosen],
        columns=[each.columns[place] for place in chosen],
        distance=apart,
        error=each.error[:, list(chosen)] * 2**0.5,
        excuse=each.excuse[:, list(chosen)],
        alone=mine,
    )


def piece_title(limits: str, part: str) -> str:
    """As a person reads it; ``part`` of a disk is the node's own name for it."""
    if limits in ("cpu", "memory", "cached"):
        return _PIECE_TITLES[limits]
    spoken = re.sub(r"^(socket|core|node)(\d+)$", r"\1 \2", part).replace("node ", "NUMA node ")
    return _PIECE_TITLES[limits].format(part=spoken)
