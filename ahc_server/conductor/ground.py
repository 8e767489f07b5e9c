"""The ground that the conductor stands on: its nodes, the step under way, and how tasks end.

Every way out of a task leads through here: a node that is gone, an end of a pair that has nothing to do any more, a time
limit that passed.
"""

from __future__ import annotations

from collections.abc import Iterable

from ahc_agent.facts import Inventory
from ahc_agent.wire.messages import Assign, Cancel, Go, Hello
from ahc_server.conductor.flight import Flight, Group, StepRun
from ahc_server.conductor.limits import (
    CANCEL_S,
    GRACE_S,
    PARTNER_S,
    READY_S,
    REJOIN_S,
    SILENT_TASKS,
    parts_of,
)
from ahc_server.conductor.model import Node, Now, Output, Send
from ahc_server.store import records
from ahc_server.store.records import TaskState
from ahc_server.switches import switch_of


class Ground:
    """The books of one session. ``_awaited``: participants that a restarted server has not heard of yet."""

    def __init__(self, participants: Iterable[tuple[str, Hello]]) -> None:
        self._nodes = {
            machine: Node(machine, position, hello) for position, (machine, hello) in enumerate(participants)
        }
        self._run: StepRun | None = None
        self._awaited: set[str] = set()
        self._awaited_until_s: float | None = None
        self._out = Output()
        self._now = Now(0.0, 0.0)

    # ── nodes ──────────────────────────────────────────────────────────────────────────────────────

    def _gone(self, machine: str, reason: str) -> None:
        node = self._nodes.get(machine)
        if node is None or node.lost is not None:
            return
        node.lost = reason
        self._awaited.discard(machine)
        self._keep(records.ParticipantState(machine, reason))
        flight = self._run.of_machine.get(machine) if self._run is not None else None
        if flight is not None:
            self._end(flight, "lost", reason)

    def _there_again(self, node: Node) -> None:
        node.silent_tasks = 0
        if node.lost is not None:
            node.lost = None
            self._keep(records.ParticipantState(node.machine, None))

    def _learn(self, machine: str, inventory: Inventory) -> None:
        """What an inventory tells of a node: how many parts it has, and which switch it hangs on."""
        node = self._nodes[machine]
        node.parts = parts_of(inventory)
        switch = switch_of(inventory, node.hello.addresses)
        node.leaf = None if switch is None else switch.identity

    # ── ends ───────────────────────────────────────────────────────────────────────────────────────

    def _end(self, flight: Flight, state: TaskState, reason: str) -> None:
        """A task ends without a result of its own."""
        assert self._run is not None
        self._keep(records.TaskChanged(flight.task_id, state, reason))
        self._run.land(flight, lost=state == "lost", heard=False)
        self._break(flight.group, f"{flight.machine}, the other end, is out: {reason}")

    def _break(self, group: Group, why: str, but: Flight | None = None) -> None:
        """One end of a pair is out: the other has nothing to do any more. What it has seen stands, and so does why."""
        group.broken = True
        for flight in group.flights.values():
            if flight is not but and not flight.cancelled:
                flight.cancelled = why
                flight.deadline_s = min(flight.deadline_s, self._now.monotonic_s + CANCEL_S)
                self._send(flight.machine, Cancel(task_id=flight.task_id))

    # ── the clock ──────────────────────────────────────────────────────────────────────────────────

    def _begin_waiting(self) -> None:
        """The first turn after a restart: time limits begin anew. Nobody is held responsible before he could have joined."""
        self._awaited_until_s = self._now.monotonic_s + REJOIN_S
        for flight in self._run.flights.values() if self._run is not None else ():
            alone = len(flight.group.flights) < len(flight.group.unit)
            within_s = PARTNER_S if alone else flight.assign.time_limit_s + GRACE_S
            flight.deadline_s = self._awaited_until_s + within_s

    def _watch_the_clock(self) -> None:
        now = self._now.monotonic_s
        if self._awaited_until_s is not None and now > self._awaited_until_s:
            for machine in sorted(self._awaited):
                self._gone(machine, "did not come back after the server was restarted")
        if self._run is None:
            return
        for group in list(self._run.groups.values()):
            if group.is_pair and not group.going and not group.broken and now > group.ready_by_s:
                self._not_ready(group)
            for flight in list(group.flights.values()):
                if now > flight.deadline_s:
                    self._silent(flight)

    def _not_ready(self, group: Group) -> None:
        for flight in [flight for role, flight in group.flights.items() if role not in group.ready]:
            self._send(flight.machine, Cancel(task_id=flight.task_id))
            self._end(flight, "timeout", f"not ready for its pair within {READY_S:g} s")

    def _silent(self, flight: Flight) -> None:
        node = self._nodes[flight.machine]
        if flight.cancelled:
            self._end(
                flight, "cancelled", f"called off, and nothing was heard of it since: {flight.cancelled}"
            )
        else:
            self._send(flight.machine, Cancel(task_id=flight.task_id))
            within = f"{flight.assign.time_limit_s + GRACE_S:.0f} s"
            if flight.group.is_pair and len(flight.group.flights) == 1:
                within = f"{PARTNER_S:g} s of that of the other end"
            # Of a pair that was under way when the server was killed, nobody knows whose fault it is: it may meet anew.
            own = not (flight.group.restored and flight.group.is_pair)
            self._end(flight, "timeout" if own else "lost", f"no result within {within}")
        node.silent_tasks += 1
        if node.silent_tasks >= SILENT_TASKS:
            self._gone(flight.machine, f"let {SILENT_TASKS} tasks in a row pass without a word")

    # ── what goes out ──────────────────────────────────────────────────────────────────────────────

    def _keep(self, record: records.Record) -> None:
        self._out.records.append(record)

    def _send(self, machine: str, message: Assign | Go | Cancel) -> None:
        self._out.sends.append(Send(machine, message))
