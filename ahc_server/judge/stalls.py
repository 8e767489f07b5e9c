"""Bulk transfers that stall: flows so slow that not even one full packet is under way at a time.

TCP keeps at least one packet under way, so that a flow moves a packet in each round trip. Where the flows of most nodes move less
while small packets go back and forth quickly, large ones are lost or held back: a path whose MTU is smaller than the ends take
it for (tunnels, VLANs), or heavy loss. Told of imported flows (netperf's stream and request-response), whose round trip is the
time of one request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ahc_server.judge import wording
from ahc_server.judge.findings import rounded, significant
from ahc_server.judge.model import Evidence, Finding
from ahc_server.judge.trust import numbers_of
from ahc_server.measured import Names
from ahc_server.session import Session

#: What a packet of Ethernet carries of TCP's data, in bytes.
PACKET_BYTES = 1448.0
_STREAM, _REQUESTS = "flow_bytes_per_s", "flow_requests_per_s"
_LEAST_NODES = 3


def stalled_flows(session: Session, node_of: Mapping[str, str], group_of: Mapping[str, str]) -> list[Finding]:
    """A finding for each group whose flows stall. ``node_of``: machine → display id; ``group_of``: display id → group."""
    seen: dict[str, dict[str, dict[str, list[float]]]] = {}
    # Most nodes report the same metrics in the same order: which of them are flows is looked up once.
    flows_of: dict[Names, list[tuple[int, str]]] = {}
    for outcome in session.outcomes:
        node = node_of.get(outcome.machine)
        group = None if node is None else group_of.get(node)
        taken = outcome.columns
        flows = flows_of.get(taken.names)
        if flows is None:
            flows = flows_of[taken.names] = _flows(taken.names)
        if node is None or group is None or not flows:
            continue
        values = numbers_of(taken, "value")
        if values is None:
            continue
        for place, quantity in flows:
            if (value := float(values[place])) > 0:
                by_node = seen.setdefault(group, {}).setdefault(quantity, defaultdict(list))
                by_node[node].append(value)
    found = [
        _finding(group, of[_STREAM], of[_REQUESTS]) for group, of in sorted(seen.items()) if len(of) == 2
    ]
    return [each for each in found if each is not None]


def _flows(names: Names) -> list[tuple[int, str]]:
    """Places and quantities of the flows among the measurements of a task."""
    return [
        (place, name.quantity)
        for place, name in enumerate(names)
        if name.component == "network" and name.quantity in (_STREAM, _REQUESTS)
    ]


def _finding(
    group: str, streams: Mapping[str, Sequence[float]], requests: Mapping[str, Sequence[float]]
) -> Finding | None:
    nodes = sorted(streams.keys() & requests.keys())
    if len(nodes) < _LEAST_NODES:
        return None
    rate = float(np.median([np.median(streams[node]) for node in nodes]))
    answered = float(np.median([np.median(requests[node]) for node in nodes]))
    if rate >= PACKET_BYTES * answered:
        return None
    part = rate / (PACKET_BYTES * answered)
    mbit = f"{wording.number(rate * 8 / 1e6)} Mbit/s"
    return Finding(
        element=f"group:{group}",
        nodes=nodes,
        component="network",
        kind="slow",
        severity="warn",
        effect=rounded(part - 1.0, 4),
        metrics=[
            Evidence(
                name=f"network.tx.{_STREAM}",
                value=significant(rate, 6),
                expected=significant(PACKET_BYTES * answered, 6),
                unit="bytes/s",
                effect=rounded(part - 1.0, 4),
            )
        ],
        cause="large packets are lost or held back on the way, small ones are not",
        summary=f"{group}: network: flows of {mbit} where {wording.number(answered)} small requests a second are answered: not "
        f"one full packet in a round trip; check the MTU of the whole path (tunnels and VLANs too), and loss",
    )
