"""The switch that each node hangs on, as LLDP tells it, against the one that the plan names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ahc_server.judge import wording
from ahc_server.judge.model import Finding
from ahc_server.judge.wires.model import port_of
from ahc_server.session import NodeRecord
from ahc_server.switches import Switch, heard_switch, switch_of

#: Where more nodes than this part hang elsewhere, it is the plan that is wrong, or calls the switches otherwise.
_MOST = 0.5


def planned(
    meant: Mapping[str, str], records: Sequence[NodeRecord], addresses: Mapping[str, set[str]]
) -> list[Finding]:
    """Findings about nodes that hang on another switch than ``meant`` (node → its name or chassis id).

    ``addresses``: machine → those of its data card. Nodes of the plan that were not there, or heard nobody, say nothing.
    """
    heard: dict[str, Switch] = {}
    for record in records:
        switch = switch_of(record.inventory, addresses.get(record.machine, ()))
        if switch is not None and record.node in meant:
            heard[record.node] = switch
    wrong = {node: each for node, each in heard.items() if meant[node] not in (each.name, each.identity)}
    if len(wrong) > _MOST * len(heard):
        return [_plan_is_off(sorted(wrong), len(heard), wrong, meant)]
    of_node = {record.node: record for record in records}
    return [_misplaced(of_node[node], wrong, meant) for node in wrong]


def _misplaced(record: NodeRecord, wrong: Mapping[str, Switch], meant: Mapping[str, str]) -> Finding:
    node, has = record.node, wrong[record.node]
    swapped = [
        other
        for other, its in wrong.items()
        if meant[other] in (has.name, has.identity) and meant[node] in (its.name, its.identity)
    ]
    cause = f"it hangs on {has.name}, in the plan on {meant[node]}"
    text = cause
    if len(swapped) == 1:
        cause = f"its cable and that of {swapped[0]} are swapped"
        text = f"{cause}: it hangs on {has.name}, in the plan on {meant[node]}, and {swapped[0]} the other way round"
    port = _port(record, has)
    return Finding(
        element=f"node:{node}",
        nodes=[node],
        component="network",
        kind="config",
        severity="warn",
        cause=cause,
        summary=f"{node}: network: {text}; check its cable{f' ({port})' if port else ''}",
    )


def _port(record: NodeRecord, switch: Switch) -> str | None:
    for nic in record.inventory.nics if record.inventory is not None else ():
        if heard_switch(nic.lldp) == switch:
            return port_of(record, nic.name)
    return None


def _plan_is_off(
    nodes: Sequence[str], known: int, wrong: Mapping[str, Switch], meant: Mapping[str, str]
) -> Finding:
    first = nodes[0]
    return Finding(
        element=f"node:{first}",
        nodes=list(nodes),
        component="network",
        kind="config",
        severity="info",
        summary=f"{len(nodes):,} of {wording.nodes_word(known)} hang on other switches than the plan says, such as {first} on "
        f"{wrong[first].name} and not on {meant[first]}; check the plan's cabling",
    )
