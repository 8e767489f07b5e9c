"""What runs now, and how it ended, in sentences for a console; for an agent with a server as for one without."""

from __future__ import annotations

from ahc_agent.boot.console import Console
from ahc_agent.wire.messages import (
    AnyTask,
    CpuTask,
    DiskTask,
    InventoryTask,
    MemoryTask,
    PairTask,
    Result,
    TaskOutcome,
)

_KINDS: dict[type, str] = {
    InventoryTask: "the inventory",
    CpuTask: "the CPUs",
    MemoryTask: "the memory",
    DiskTask: "the disks",
}
_CHECKS = {
    "refused": "Nothing is written to a disk that could hold data",
    "timeout": "A part that hangs may be broken: see what the kernel says (ahc.debug=1)",
}


def what(task: AnyTask) -> str:
    """What a task measures."""
    if isinstance(task, PairTask):
        return f"the network with {task.peer}"
    return _KINDS[type(task)]


class Telling:
    """Remembers what was begun, by task id, to say how it ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: dict[str, str] = {}

    def begins(self, task_id: str, task: AnyTask, more: str = "") -> None:
        self._begun[task_id] = what(task)
        self._console.say("work", f"{what(task)}: begins{more}")

    def ended(self, result: Result) -> None:
        name = self._begun.pop(result.task_id, None)
        if name is None:
            return  # refused before it was begun, or told already
        outcome = result.outcome
        wrong = _wrong(outcome)
        if outcome.status == "cancelled":
            self._console.say("work", f"{name}: called off after {outcome.duration_s:.1f} s")
        elif wrong is not None:
            # The outcome tells the server, or the result.
            self._console.trouble(f"{name}: {wrong}", _CHECKS.get(outcome.status, ""), kept=False)
        else:
            self._console.say("work", f"{name}: done in {outcome.duration_s:.1f} s")


def _wrong(outcome: TaskOutcome) -> str | None:
    """What is wrong with an outcome; None where nothing is."""
    if outcome.status != "ok":
        return f"{outcome.status}: {outcome.error or 'no reason was given'}"
    if outcome.pair is not None and outcome.pair.error is not None:
        return outcome.pair.error
    failed = [each for each in outcome.measurements if each.value is None]
    if failed:
        return f"{len(failed)} of {len(outcome.measurements)} could not be measured ({failed[0].name}: {failed[0].error})"
    return None
