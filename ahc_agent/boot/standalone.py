"""A machine without a server: it does a list of tasks (``ahc.tasks/1``) and makes one result of them (``ahc.bench/1``)."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ahc_agent.bench.standalone import Answer
from ahc_agent.boot.console import Console
from ahc_agent.boot.telling import Telling
from ahc_agent.boot.upload import fetch
from ahc_agent.errors import FileFormatError
from ahc_agent.facts import CollectorError, Inventory
from ahc_agent.inventory.lldp import Ear
from ahc_agent.measure import Measurement
from ahc_agent.wire.messages import Assign, InventoryTask, Message, Progress, Result
from ahc_agent.wire.tasks import LIMIT_BYTES, PlannedTask, TaskList, read_tasks
from ahc_agent.worker import Worker

_TURN_S = 0.5
_INVENTORY = PlannedTask(job="inventory", time_limit_s=300.0, task=InventoryTask())
#: The console is told how far a task is not more often than this.
_PROGRESS_S = 10.0


class Alone(Answer, kw_only=True):
    """The result: ``ahc.bench/1``, and what it was made by."""

    plan: str
    session: str | None = None


def load_tasks(plan: str, folder: Path) -> TaskList:
    """A plan by its name in the image, its path, or its http(s) address; ``folder`` holds the image's. Raises FileFormatError,
    or WebError (try again)."""
    if plan.startswith(("http://", "https://")):
        return read_tasks(fetch(plan, LIMIT_BYTES), plan)
    path = Path(plan) if plan.startswith("/") else folder / f"{plan}.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        there = ", ".join(sorted(each.stem for each in folder.glob("*.json"))) or "none"
        raise FileFormatError(
            str(path), error.strerror or str(error), remedy=f"plans in this image: {there}"
        ) from error
    return read_tasks(data, str(path))


def do_tasks(
    tasks: TaskList, console: Console, turn: Callable[[], object], machine: str
) -> tuple[Inventory, list[Measurement]]:
    """One after the other; ``turn`` is called at least twice a second. What fails is told, and is in the inventory's errors."""
    planned = list(tasks.tasks)
    if not any(isinstance(each.task, InventoryTask) for each in planned):
        planned.insert(0, _INVENTORY)
    ear = Ear()
    worker = Worker(machine, None, ear.tell)
    telling = Telling(console)
    inventory: Inventory | None = None
    found: list[Measurement] = []
    errors: list[CollectorError] = []
    try:
        for number, each in enumerate(planned, 1):
            task_id = f"{number}-{each.job}"
            telling.begins(task_id, each.task, f" ({each.job}, {number} of {len(planned)})")
            worker.assign(Assign(task_id=task_id, task=each.task, time_limit_s=each.time_limit_s))
            result = _end_of(worker, console, turn, ear)
            telling.ended(result)
            outcome = result.outcome
            inventory = outcome.inventory or inventory
            found += outcome.measurements
            if outcome.status != "ok":
                errors.append(
                    CollectorError(
                        collector=each.job, error=f"{outcome.status}: {outcome.error or ''}"[:4096]
                    )
                )
    finally:
        worker.stop(_TURN_S)
        worker.close()
        ear.close()
    if inventory is None:
        inventory = Inventory(collected_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    inventory.errors += errors + [CollectorError(collector="boot", error=text) for text in console.troubles]
    return inventory, found


def result_of(tasks: TaskList, session: str | None, inventory: Inventory, found: list[Measurement]) -> bytes:
    """As JSON, which ``ahc import`` reads."""
    answer = Alone(inventory=inventory, measurements=found, plan=tasks.plan, session=session)
    return msgspec.json.format(msgspec.json.encode(answer), indent=1) + b"\n"


def _end_of(worker: Worker, console: Console, turn: Callable[[], object], ear: Ear) -> Result:
    """Wait for the end of the task under way."""
    say_at_s = time.monotonic() + _PROGRESS_S
    while True:
        select.select([worker.wake_fd], [], [], _TURN_S)
        turn()
        ear.listen()
        now = time.monotonic()
        worker.expire(now)
        messages: list[Message] = worker.collect()
        for message in messages:
            if isinstance(message, Result):
                return message
            if isinstance(message, Progress) and now >= say_at_s:
                say_at_s = now + _PROGRESS_S
                console.say("work", f"{message.fraction:.0%} {message.note}")
