"""What hardware says of its health that only means something beside what its peers say.

Counters that all machines have a little of (throttling, links that went down), sensors whose alarms are wrong on a whole model of
machines, fans of which some are not fitted, PCI Express links that are narrower than the card because the slot is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from ahc_agent.facts import Inventory, Sensor
from ahc_server.judge import wording
from ahc_server.judge.facts.pcie import Link, links_of
from ahc_server.judge.health import Ill
from ahc_server.judge.model import Component, Finding

#: A counter is told when a node's is this much higher than its peers' median, and this high at all.
_FACTOR = 10
_THROTTLED_LEAST, _LINK_CHANGES_LEAST = 100, 20
_LEAST_PEERS = 2
#: Groups in which a rare link is told as drift: here only what the devices themselves could do is left to compare with.
_SMALL_GROUP = 5
#: A fan that turns (rpm).
_TURNS = 300


def beside_peers(
    rows: Sequence[int], group: str, names: Sequence[str], inventories: Sequence[Inventory | None]
) -> list[Finding]:
    """Findings about the nodes of one group, ``rows`` of the fleet's ``names`` and ``inventories``."""
    known = {row: each for row in rows if (each := inventories[row]) is not None}
    ills = [*_throttled(known), *_flapping(known), *_sensors(known)]
    return [ill.finding(names[row]) for row, ill in ills] + _narrow_links(known, group, names)


def _throttled(known: Mapping[int, Inventory]) -> Iterator[tuple[int, Ill]]:
    """Nodes that slowed themselves down for heat far more often than their peers."""
    counts = {
        row: sum(t.count for t in each.health.throttle) for row, each in known.items() if each.health.throttle
    }
    for row, count, usual in _many_more(counts, _THROTTLED_LEAST):
        ill = Ill("cpu", "all", "CPU", "check fans, heat sinks, air flow and the power limit")
        said = f"slowed down for heat {count:,} times since boot where its {len(counts) - 1:,} peers did {usual:,.0f} times"
        ill.add("warn", said, "throttle_events", count, "events", usual)
        yield row, ill


def _flapping(known: Mapping[int, Inventory]) -> Iterator[tuple[int, Ill]]:
    """Cards whose link went up and down far more often than any card's of the peers usually does."""
    counts: dict[int, int] = {}
    worst: dict[int, str] = {}
    for row, each in known.items():
        told = [(nic.carrier_changes, nic.name) for nic in each.nics if nic.carrier_changes is not None]
        if told:
            counts[row], worst[row] = max(told)
    for row, count, usual in _many_more(counts, _LINK_CHANGES_LEAST):
        ill = Ill("network", worst[row], worst[row], "check its cable, transceiver and switch port")
        said = f"its link changed {count:,} times since boot where its {len(counts) - 1:,} peers' did {usual:,.0f} times"
        ill.add("warn", said, "carrier_changes", count, "events", usual)
        yield row, ill


def _many_more(counts: Mapping[int, int], least: int) -> Iterator[tuple[int, int, float]]:
    """Row, count and the peers' median, of those that count far more than their peers."""
    if len(counts) <= _LEAST_PEERS:
        return
    ordered = np.sort(np.fromiter(counts.values(), dtype=np.int64))
    # Whoever is left out, the median of the others is no less than this.
    lower = int(ordered[(len(ordered) - 2) // 2])
    for row, count in counts.items():
        if count < least or count <= _FACTOR * lower:
            continue
        place = int(np.searchsorted(ordered, count))
        usual = float(np.median(np.delete(ordered, place)))
        if count > _FACTOR * usual:
            yield row, count, usual


def _sensors(known: Mapping[int, Inventory]) -> Iterator[tuple[int, Ill]]:
    """Sensors that raise an alarm, and fans that stand still, where those of most peers do not."""
    wrong: dict[tuple[str, str], dict[int, Sensor]] = defaultdict(dict)
    right: dict[tuple[str, str], int] = defaultdict(int)
    for row, each in known.items():
        for sensor in each.health.sensors:
            key = sensor.chip or "", sensor.name
            stands = sensor.kind == "fan" and sensor.value is not None and sensor.value < _TURNS
            if sensor.alarm or stands:
                wrong[key][row] = sensor
            elif sensor.alarm is not None or sensor.value is not None:
                right[key] += 1
    ills: dict[int, Ill] = {}
    for key, of_nodes in sorted(wrong.items()):
        if right[key] < _LEAST_PEERS or right[key] <= len(of_nodes):
            continue
        for row, sensor in of_nodes.items():
            ill = ills.setdefault(
                row, Ill("health", "sensors", "sensors", "check the part that the sensor watches")
            )
            value = "" if sensor.value is None else f" ({wording.number(sensor.value)} {sensor.unit})"
            what = f"fan {sensor.name} stands still" if not sensor.alarm else f"{sensor.name} raises an alarm"
            said = f"{what}{value}, which on {right[key]:,} peers it does not"
            ill.add("warn", said, sensor.name, sensor.value or 0, sensor.unit)
    yield from sorted(ills.items())


def _narrow_links(known: Mapping[int, Inventory], group: str, names: Sequence[str]) -> list[Finding]:
    """PCI Express links below what their device can do: told of the node where its peers' are better or it has none; where most
    nodes have it so, it is the machine's make, and a remark."""
    told: dict[str, dict[int, list[Link]]] = defaultdict(dict)
    for row, each in known.items():
        for link in links_of(each.pci):
            told[link.title].setdefault(row, []).append(link)
    found: list[Finding] = []
    for title, of_nodes in sorted(told.items()):
        degraded = {
            row: bad
            for row, links in of_nodes.items()
            if (bad := [each for each in links if each.is_degraded])
        }
        if not degraded:
            continue
        if len(of_nodes) > _LEAST_PEERS and 2 * len(degraded) > len(of_nodes):
            found.append(_made_so(title, group, degraded, len(of_nodes), names))
        elif len(of_nodes) < _SMALL_GROUP:
            # Without peers a low speed may be the board's generation; that lanes are missing is worth a look.
            alone = len(of_nodes) <= _LEAST_PEERS
            found += [
                _narrow(names[row], [link for link in bad if link.is_narrow or not alone])
                for row, bad in degraded.items()
                if not alone or any(link.is_narrow for link in bad)
            ]
    return found


def _narrow(node: str, links: Iterable[Link]) -> Finding:
    links = list(links)
    first = links[0]
    ill = Ill(
        first.component,
        first.address,
        first.title,
        "check whether it sits firmly in a slot with as many lanes",
    )
    for link in links:
        said = f"PCIe link of {link.address} runs as {link.said()} and could as {link.said_at_most()}"
        ill.add("warn", said, "link_width", link.width or 0, "lanes", link.width_max or 0)
    return ill.finding(node)


def _made_so(
    title: str, group: str, degraded: Mapping[int, list[Link]], having: int, names: Sequence[str]
) -> Finding:
    link = next(iter(degraded.values()))[0]
    return Finding(
        element=f"group:{group}",
        nodes=[names[row] for row in degraded],
        component=cast(Component, link.component),
        kind="health",
        severity="info",
        summary=f"{group}: {title} run as {link.said()} and could as {link.said_at_most()} on {len(degraded):,} of "
        f"{having:,} nodes: their slots may have no more lanes",
    )
