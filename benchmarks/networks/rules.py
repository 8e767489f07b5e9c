"""What a localiser is measured against: fixed thresholds on the medians of a node's flows. And the whole way over the store."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ahc_server.judge.arrays import Bools, Floats, Ints
from ahc_server.judge.localise import Network as Measured
from benchmarks.networks.generate import Network
from benchmarks.networks.read import network_of
from benchmarks.networks.score import Answer

#: Rates below, and round trips above this part of the fleet's median are bad.
_RATE, _TIME = 0.85, 1.4


def threshold(network: Network) -> list[Answer]:
    """A node is bad when the median of what it sends or receives is 15 % below that of the fleet, or its round trips are 40 %
    above. Knows nothing of racks."""
    of = network_of(network.document)
    return _nodes(of, of.flows.rate / np.median(of.flows.rate[of.flows.rate > 0]), network.names)


def threshold_by_leaf(network: Network) -> list[Answer]:
    """The same, flows inside racks and across each against their own median; leaves first, then nodes against what their leaf
    leaves them. Without a topology as above."""
    of = network_of(network.document)
    if not np.any(of.leaf >= 0):
        return threshold(network)
    flows = of.flows
    one, other = of.leaf[flows.source], of.leaf[flows.destination]
    across = one != other
    part = flows.rate.copy()
    for kind in (across, ~across):
        if np.any(kind):
            part[kind] /= np.median(flows.rate[kind])
    answers = []
    usual = np.ones(len(part))
    for leaf, name in enumerate(of.leaves):
        sent, received = across & (one == leaf), across & (other == leaf)
        slow = [_median(part, sent) < _RATE, _median(part, received) < _RATE]
        if any(slow):
            members = tuple(network.names[row] for row in np.flatnonzero(of.leaf == leaf).tolist())
            answers.append(Answer(f"leaf:{name}", members, _way(*slow)))
            for side in (sent, received):
                usual[side] = np.minimum(usual[side], _median(part, side))
    return answers + _nodes(of, part / np.maximum(usual, 1e-9), network.names)


def _nodes(of: Measured, part: Floats, names: list[str]) -> list[Answer]:
    answers = []
    times = of.flows.rtt_us
    late = _TIME * float(np.nanmedian(times)) if np.any(~np.isnan(times)) else np.inf
    for row, name in enumerate(names):
        sent, received = of.flows.source == row, of.flows.destination == row
        slow = [_median(part, sent) < _RATE, _median(part, received) < _RATE]
        if any(slow) or _median(times, (sent | received) & ~np.isnan(times)) > late:
            answers.append(Answer(f"node:{name}", (name,), _way(*slow)))
    return answers


def _median(values: Floats, among: Bools | Ints) -> float:
    return float(np.median(values[among])) if np.any(among) else float("nan")


def _way(sends: bool, receives: bool) -> str | None:
    return None if sends == receives else "tx" if sends else "rx"


def imported(network: Network) -> list[Answer]:
    """The whole way: written to a file, ``ahc import``, ``ahc report --format json``. What the report warns of counts."""
    with tempfile.TemporaryDirectory() as folder:
        file, store = Path(folder) / "pairs.json", Path(folder) / "store.db"
        file.write_text(json.dumps(network.document), encoding="utf-8")
        _ahc(store, "import", str(file), "--session", "net")
        report: dict[str, Any] = json.loads(_ahc(store, "report", "--session", "net", "--format", "json"))
    return [
        Answer(each["element"], tuple(each["nodes"]), each["direction"])
        for each in report["findings"]
        if each["severity"] != "info"
        and each["kind"] != "not-measured"
        and not each["element"].startswith("group:")
    ]


def _ahc(store: Path, *words: str) -> str:
    from ahc_server.cli import group

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        group.main(["--store", str(store), *words], "ahc", standalone_mode=False)
    return said.getvalue()
