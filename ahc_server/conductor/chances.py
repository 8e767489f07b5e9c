"""Units beyond those that were planned: a further chance for what was lost, another partner for who would be idle."""

from __future__ import annotations

from collections.abc import Mapping

from ahc_server.conductor.expand import Unit
from ahc_server.conductor.flight import Group, StepRun
from ahc_server.conductor.model import Node


def further_chances(run: StepRun, nodes: Mapping[str, Node]) -> list[Group]:
    """Lost units whose machines are all there again, as many as may run together."""
    again: list[Group] = []
    taken: set[str] = set()
    for unit, group in run.lost.items():
        own = [nodes[machine] for machine in unit]
        hosts = {node.host for node in own}
        if taken.isdisjoint(hosts) and all(node.lost is None for node in own):
            taken |= hosts
            again.append(group)
    return again


def partnerless(run: StepRun, nodes: Mapping[str, Node], wave: list[Unit]) -> list[Unit]:
    """Where rounds are chosen: those of a wave whose partners are away, two by two. They would be idle otherwise."""
    if not run.chooses:
        return []
    there = [[machine for machine in unit if nodes[machine].lost is None] for unit in wave]
    alone = [ends[0] for ends in there if len(ends) == 1]
    return list(zip(alone[::2], alone[1::2], strict=False))
