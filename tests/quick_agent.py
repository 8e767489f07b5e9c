"""A real agent whose measurements take milliseconds: ``quick_agent.py ENDPOINT KEY NAME FOLDER SECONDS``.

Writes ``did`` (task id and a value that no other run has) and ``acked`` (task id) into FOLDER, line by line.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from ahc_agent import worker
from ahc_agent.agent import Agent, Settings
from ahc_agent.facts import Inventory
from ahc_agent.measure import Measurement
from ahc_agent.task import TaskContext
from ahc_agent.wire.keys import load_or_create
from ahc_agent.wire.messages import (
    Ack,
    CpuTask,
    FromServer,
    Identity,
    InventoryTask,
    PairOutcome,
    PairTask,
    Result,
    TaskOutcome,
)
from ahc_agent.wire.outbox import Outbox


def main(endpoint: str, key: str, name: str, folder: Path, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    numbers = itertools.count(time.time_ns())

    def measure(task: Any, context: TaskContext) -> dict[str, Any]:
        context.cancelled.wait(random.uniform(0, seconds))
        value = float(next(numbers) % 2**52)
        return {
            "measurements": [Measurement(component="cpu", part="all", quantity="n", unit="1", value=value)]
        }

    def inventory(task: Any, context: TaskContext) -> dict[str, Any]:
        return {"inventory": Inventory(collected_at=str(next(numbers)))}

    def pair(task: PairTask, context: TaskContext) -> dict[str, Any]:
        context.ready({"bulk": 4000} if task.role == "listen" else {})
        context.wait_go(30.0)
        context.cancelled.wait(random.uniform(0, seconds))
        outcome = PairOutcome(pair_id=task.pair_id, role=task.role, peer=task.peer, connected=True)
        return {"pair": outcome}

    worker.FUNCTIONS.update({InventoryTask: inventory, CpuTask: measure, PairTask: pair})
    did, acked = (open(folder / file, "a", buffering=1) for file in ("did", "acked"))  # noqa: SIM115, PTH123

    class Noted(Agent):
        def _obey(self, message: FromServer) -> None:
            if isinstance(message, Ack):
                acked.write(f"{message.task_id}\n")
            super()._obey(message)

    class NotedOutbox(Outbox):
        def put(self, result: Result) -> None:
            did.write(f"{result.task_id} {told(result.outcome)}\n")
            super().put(result)

    keys = load_or_create(folder / "key")
    identity = Identity(name=name)
    agent = Noted(Settings(endpoint, key, keys, identity, addresses=["10.0.0.1/24"], spool=folder / "spool"))
    agent._outbox = NotedOutbox(folder / "spool")
    agent.run()


def told(outcome: TaskOutcome) -> str:
    """What tells one run of a task from another."""
    if outcome.inventory is not None:
        return outcome.inventory.collected_at
    if outcome.measurements:
        return str(outcome.measurements[0].value)
    return outcome.status


if __name__ == "__main__":
    os.umask(0o077)
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), float(sys.argv[5]))
