"""A network's document as the localiser takes it, and its culprits as answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ahc_server.judge.localise import Answer as Told
from ahc_server.judge.localise import Culprit, Flows, Network
from benchmarks.networks.score import Answer

_BYTES = 1e9 / 8


def network_of(document: dict[str, Any]) -> Network:
    row_of = {name: row for row, name in enumerate(document["nodes"])}
    rows = [
        (number, row_of[a], row_of[b], gbps * _BYTES, np.nan if us is None else us)
        for number, one in enumerate(document["rounds"])
        for a, b, gbps, us in one
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 5
    number, source, destination = (np.array(each, dtype=np.int64) for each in columns[:3])
    rate, rtt_us = (np.array(each, dtype=np.float64) for each in columns[3:])
    flows = Flows(number, source, destination, rate, rtt_us)
    topology = document.get("topology") or {}
    leaves = sorted(set(topology.values()))
    number_of = {leaf: number for number, leaf in enumerate(leaves)}
    leaf = np.array(
        [number_of[topology[name]] if name in topology else -1 for name in row_of], dtype=np.int64
    )
    return Network(len(row_of), flows, leaf, leaves)


def answers_of(told: Told, names: list[str]) -> list[Answer]:
    return [
        Answer(element(each, names), tuple(names[row] for row in each.nodes), each.way)
        for each in told.culprits
    ]


def element(each: Culprit, names: list[str]) -> str:
    if each.kind in ("leaf", "link"):
        return f"{each.kind}:{'-'.join(each.leaves) or names[each.nodes[0]]}"
    return f"{each.kind}:{'-'.join(names[row] for row in each.nodes[:2])}"
