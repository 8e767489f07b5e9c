"""A real agent that measures what it is told to: ``scripted_agent.py ENDPOINT KEY NAME FOLDER SPEED[,SPEED...] [WAIT]``.

Each SPEED is a factor on what a healthy disk measures, one for each time that it is measured; the last goes on. "x" fails the
task. WAIT is how many seconds a repeat (any but the first run) takes.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ahc_agent import worker
from ahc_agent.agent import Agent, Settings
from ahc_agent.facts import Cpu, Disk, Inventory, Memory, System
from ahc_agent.measure import Measurement
from ahc_agent.task import TaskContext
from ahc_agent.wire.keys import load_or_create
from ahc_agent.wire.messages import CpuTask, DiskTask, Identity, InventoryTask

INVENTORY = Inventory(
    collected_at="2026-01-01T00:00:00Z",
    system=System(vendor="Dell", product="R640"),
    cpu=Cpu(model="Xeon Gold 6130", sockets=1, cores=16, logical_present=32),
    memory=Memory(total_bytes=192 * 2**30),
    disks=[Disk(name="sda", size_bytes=960 * 10**9, rotational=False)],
)
#: What a healthy node measures.
METRICS: dict[type, tuple[tuple[str, str, str, str, float], ...]] = {
    CpuTask: (("cpu", "all", "events_per_s", "events/s", 18_800.0), ("cpu", "socket0", "events_per_s", "events/s", 1180.0)),
    DiskTask: (
        ("disk", "sda", "read_1M_bytes_per_s", "bytes/s", 520e6),
        ("disk", "sda", "randread_4k_iops", "IOPS", 48_000.0),
    ),
}  # fmt: skip


def main(endpoint: str, key: str, name: str, folder: Path, speeds: list[str], wait_s: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    runs: Counter[type] = Counter()
    scatter = random.Random(name)

    def measure(task: Any, context: TaskContext) -> dict[str, Any]:
        if runs[type(task)]:
            context.cancelled.wait(wait_s)
        speed = speeds[min(runs[DiskTask], len(speeds) - 1)] if isinstance(task, DiskTask) else "1"
        runs[type(task)] += 1
        if speed == "x":
            raise OSError("the disk did not answer")
        return {
            "measurements": [
                Measurement(
                    component=component,  # type: ignore[arg-type]
                    part=part,
                    quantity=quantity,
                    unit=unit,
                    value=value * float(speed) * scatter.gauss(1.0, 0.003),
                )
                for component, part, quantity, unit, value in METRICS[type(task)]
            ]
        }

    worker.FUNCTIONS.update(
        {InventoryTask: lambda task, context: {"inventory": INVENTORY}, CpuTask: measure, DiskTask: measure}
    )
    keys = load_or_create(folder / "key")
    Agent(
        Settings(endpoint, key, keys, Identity(name=name), addresses=["10.0.0.1/24"], spool=folder / "spool")
    ).run()


if __name__ == "__main__":
    os.umask(0o077)
    extra = float(sys.argv[6]) if len(sys.argv) > 6 else 0.0
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5].split(","), extra)
