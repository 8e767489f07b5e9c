"""A plan for one machine without a server, schema ``ahc.tasks/1``: what `ahc.plan=` of a discovery ramdisk names.

::

    {"schema": "ahc.tasks/1", "plan": "quick", "left_out": ["network: needs a peer"],
     "tasks": [{"job": "cpu", "time_limit_s": 78.0, "task": {"kind": "cpu", "limits": {"runtime_s": 3.0}}}]}

The server compiles it from a YAML plan (``ahc_server.netboot.tasks``); the agent reads it with ``read_tasks`` and does the tasks
in order. It may come from a web server: every field is bounded, and a task that writes to disks is never taken.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ahc_agent.errors import FileFormatError
from ahc_agent.facts import Text
from ahc_agent.wire.messages import CpuTask, DiskTask, InventoryTask, MemoryTask

SCHEMA: Final = "ahc.tasks/1"

#: The longest plan has 200 jobs, of a few hundred bytes each.
LIMIT_BYTES: Final = 1024 * 1024

LocalTask = InventoryTask | CpuTask | MemoryTask | DiskTask
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class PlannedTask(msgspec.Struct, kw_only=True, frozen=True):
    """One task of one job. ``time_limit_s``: when what hangs is given up; it hurries nobody."""

    job: Name
    time_limit_s: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    task: LocalTask


class TaskList(msgspec.Struct, kw_only=True, frozen=True):
    """The whole of it. ``left_out``: jobs that one machine alone cannot do, as sentences."""

    schema: Literal["ahc.tasks/1"] = SCHEMA
    plan: Name
    tasks: Annotated[tuple[PlannedTask, ...], msgspec.Meta(max_length=1000)]
    left_out: Annotated[tuple[Text, ...], msgspec.Meta(max_length=1000)] = ()


def write_tasks(tasks: TaskList) -> bytes:
    """As JSON; equal lists give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(tasks), indent=1) + b"\n"


def read_tasks(data: bytes, file: str) -> TaskList:
    """From JSON. ``file`` is what messages call it. Raises FileFormatError."""
    if len(data) > LIMIT_BYTES:
        raise FileFormatError(file, f"longer than {LIMIT_BYTES} bytes", remedy="no plan is so long")
    try:
        found = msgspec.json.decode(data, type=TaskList)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FileFormatError(
            file, f"no {SCHEMA}: {error}", remedy="make it by `ahc netboot --plan`, or name quick or standard"
        ) from error
    if any(isinstance(each.task, DiskTask) and _writes(each.task) for each in found.tasks):
        raise FileFormatError(
            file, "writes to disks", remedy="without a server disks are only read: take the job out"
        )
    return found


def _writes(task: DiskTask) -> bool:
    return task.destructive or any("write" in pattern for pattern in task.patterns)
