"""A fleet as a Session in memory: what the import of its ``.hw`` files yields, without the files.

Facts and the names of metrics come from the importer's own tables, so there is one mapping of eDeploy's words to ours.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import TaskOutcome
from ahc_server.importers.facts import inventory_of
from ahc_server.importers.metrics import Target, target
from ahc_server.importers.session import identity_of
from ahc_server.importers.tree import Tree
from ahc_server.session import NodeRecord, OutcomeRecord, Session
from benchmarks.fleets import hw
from benchmarks.fleets.generate import Fleet
from benchmarks.fleets.platforms import Metric, Platform, metrics_of

_WHEN = 1_700_000_000.0
_COLLECTED = "2023-11-14T22:13:20Z"


def named(metric: Metric) -> Target:
    """Our name of one of eDeploy's metrics."""
    found = target(*metric.key)
    if found is None:
        raise LookupError(f"the importer has no name for {metric.key}")
    return found


@lru_cache
def _columns(platform: Platform) -> list[tuple[int, Target]]:
    return [(column, named(metric)) for column, metric in enumerate(metrics_of(platform))]


def session_of(fleet: Fleet) -> Session:
    """The whole fleet; nodes in the order of their serials, one run a node."""
    nodes: list[NodeRecord] = []
    outcomes: list[OutcomeRecord] = []
    for group in fleet.groups:
        columns = _columns(group.platform)
        for row, node in enumerate(group.nodes):
            inventory = inventory_of(Tree(hw.facts(node)), _COLLECTED)
            identity = identity_of(inventory, node.serial)
            machine = identity.machine
            nodes.append(NodeRecord(machine, node.serial, identity, inventory))
            values = group.values[row].tolist()
            taken = [
                Measurement(
                    component=name.component,
                    part=name.part,
                    quantity=name.quantity,
                    unit=name.unit,
                    higher_is_better=name.higher_is_better,
                    value=values[column] * name.scale,
                )
                for column, name in columns
                if not np.isnan(values[column])
            ]
            outcome = TaskOutcome(
                status="ok", started_at_unix_s=_WHEN, inventory=inventory, measurements=taken
            )
            outcomes.append(OutcomeRecord(node.serial, machine, "import", "inventory", 1, 1, outcome))
    nodes.sort(key=lambda record: record.node)
    outcomes.sort(key=lambda record: record.task_id)
    return Session(f"fleet {fleet.seed}", "import", "done", _WHEN, nodes, outcomes)
