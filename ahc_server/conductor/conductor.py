"""The state machine: events and the time go in, records (for the store) and messages (for the agents) come out.

No I/O, no clock, no randomness of its own. What it needs after ``kill -9`` it finds in the store, because records are
on the disk before messages go out.

The life of a task: *assigned* → (pairs: *going*) → *done*, *failed*, *cancelled* as its result says; *lost* when its machine is
gone; *timeout* when it says nothing. A unit that was lost on the way, or whose machine was away at its turn, gets a second
chance at the end of its step, and a pair a third, if its machines are there again; the tasks before are then marked *again* and
no longer count. No step waits for anybody beyond a time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ahc_agent.wire.messages import Cancel, Go, Hello, Progress, Ready, TaskOutcome
from ahc_server.conductor.chances import further_chances, partnerless
from ahc_server.conductor.expand import Step, Unit, choose, chooses, steps_of, units, waves
from ahc_server.conductor.flight import Flight, StepRun
from ahc_server.conductor.ground import Ground
from ahc_server.conductor.limits import DESERTED_S, GRACE_S, LEAD_EACH_S, LEAD_S, PARTNER_S, READY_S
from ahc_server.conductor.model import Now, Output
from ahc_server.conductor.outcomes import STATE_OF, explained, late_result
from ahc_server.conductor.prepare import prepare
from ahc_server.conductor.repeat import repeated_machines
from ahc_server.conductor.restore import restore_history, restore_tasks
from ahc_server.hub.events import Event, Joined, Lost, Said
from ahc_server.plan.model import Plan
from ahc_server.rounds import History
from ahc_server.store import records
from ahc_server.store.repeats import RepeatPlanned
from ahc_server.store.saved import SavedSession, Standing

#: Units that cannot run are written down; no more of them in one turn.
_SKIPS_PER_TURN = 2000
#: Time limits are looked at so often.
_CLOCK_S = 0.2


class Conductor(Ground):
    """Runs one session. ``uid`` begins all task ids; ``token`` makes the one-time tokens of pairs (hexadecimal)."""

    def __init__(
        self,
        name: str,
        uid: str,
        plan: Plan,
        participants: Iterable[tuple[str, Hello]],
        *,
        token: Callable[[], str],
        repeats: Sequence[RepeatPlanned] = (),
    ) -> None:
        super().__init__(participants)
        self.name = name
        self.state: records.SessionState = "running"
        self._uid = uid
        self._token = token
        self._steps = steps_of(plan, repeats)
        self._begun = 0
        self._deserted_until_s: float | None = None
        self._clock_due_s = 0.0
        self._skips = 0

    @classmethod
    def restored(cls, saved: SavedSession, plan: Plan, *, token: Callable[[], str]) -> Conductor:
        """Go on where a killed server stopped, or where something is to be repeated.

        The machines of the last repeat are then its nodes: whether the others are there is of no matter.
        """
        wanted = repeated_machines(saved.repeats)
        there = [each for each in saved.participants if wanted is None or each[0] in wanted]
        participants = [(machine, hello) for machine, hello, _ in there]
        self = cls(saved.name, saved.uid, plan, participants, token=token, repeats=saved.repeats)
        self.state = "stopping" if saved.state == "stopping" else "running"
        for machine, _, lost in there:
            self._nodes[machine].lost = lost
        for machine in self._nodes.keys() & saved.inventories.keys():
            self._learn(machine, saved.inventories[machine])
        self._awaited = {machine for machine, node in self._nodes.items() if node.lost is None}
        self._begun = len(saved.steps)
        if saved.steps and saved.steps[-1].step not in saved.ended:
            begun = saved.steps[-1]
            self._run = self._step_run(self._steps[begun.step], begun.machines, begun.at_s)
            restore_history(self._run, saved.tasks, saved.pairs)
            self._run.skip_to(max((row.wave for row in saved.tasks), default=-1))
            restore_tasks(self._run, saved, self._nodes)
        return self

    # ── the turn ───────────────────────────────────────────────────────────────────────────────────

    def step(self, events: Iterable[Event], now: Now) -> Output:
        """Take what happened, and what time it is; answer what to keep and what to send."""
        self._now, self._out, self._skips = now, Output(), 0
        if self._awaited and self._awaited_until_s is None:
            self._begin_waiting()
        for event in events:
            if isinstance(event, Joined):
                self._joined(event)
            elif isinstance(event, Lost):
                self._gone(event.machine, event.reason)
            else:
                self._said(event)
        if now.monotonic_s >= self._clock_due_s:
            self._clock_due_s = now.monotonic_s + _CLOCK_S
            self._watch_the_clock()
        self._advance()
        output, self._out = self._out, Output()  # results are large: they are the caller's now
        return output

    def stop(self, now: Now) -> Output:
        """End the session early: cancel what is under way; what was measured stays."""
        if self.state == "running":
            self.state = "stopping"
        output = self.step([], now)
        output.records.insert(0, records.SessionChanged("stopping", now.unix_s))
        return output

    @property
    def over(self) -> bool:
        return self.state in ("done", "stopped")

    @property
    def machines(self) -> frozenset[str]:
        """Who takes part and is not lost."""
        return frozenset(machine for machine, node in self._nodes.items() if node.lost is None)

    def standing(self) -> Standing:
        """How far it is."""
        standing = Standing(
            session=self.name,
            state=self.state,
            step=self._begun,
            steps=len(self._steps),
            nodes=len(self._nodes),
            lost={machine: node.lost for machine, node in self._nodes.items() if node.lost is not None},
            waiting=f"{len(self._awaited)} nodes to join again" if self._awaited else "",
        )
        if self._run is not None:
            standing.job = self._run.step.job.name
            standing.component = self._run.step.job.component
            standing.hosts = len(self._run.machines)
            standing.done, standing.units = self._run.done, self._run.units
        return standing

    # ── events ─────────────────────────────────────────────────────────────────────────────────────

    def _joined(self, event: Joined) -> None:
        node, hello = self._nodes.get(event.machine), event.hello
        if node is None:
            return
        node.hello = hello
        self._keep(records.ParticipantSeen(event.machine, hello))
        self._there_again(node)
        self._awaited.discard(event.machine)
        flight = self._run.of_machine.get(event.machine) if self._run is not None else None
        if self._run is not None and self._run.lost:
            self._run.find(event.machine, set(hello.unacknowledged))
        if hello.busy is not None and (flight is None or flight.task_id != hello.busy):
            self._send(event.machine, Cancel(task_id=hello.busy))
        if flight is not None:
            self._meet_again(flight, hello)

    def _meet_again(self, flight: Flight, hello: Hello) -> None:
        """A machine with a task of ours said Hello: is it still at it?"""
        group = flight.group
        if flight.task_id in hello.unacknowledged:
            return  # its result is on the way
        if flight.task_id == hello.busy:
            if group.broken or flight.cancelled:
                self._send(flight.machine, Cancel(task_id=flight.task_id))
            elif group.start_at_ns:
                # The first may have got lost with the connection; a second means nothing.
                self._send_go(flight)
        elif hello.instance != flight.instance:
            self._end(flight, "lost", "the agent was started anew in the middle of the task")
        elif group.going or group.broken or flight.cancelled or (group.restored and group.is_pair):
            self._end(flight, "lost", "the agent knows nothing of the task any more")
        else:
            self._send(flight.machine, flight.assign)  # it never arrived

    def _said(self, event: Said) -> None:
        message = event.message
        if isinstance(message, Progress):
            return
        if event.machine in self._nodes:
            self._there_again(self._nodes[event.machine])
        flight = self._run.flights.get(message.task_id) if self._run is not None else None
        if flight is not None and flight.machine != event.machine:
            flight = None
        if isinstance(message, Ready):
            if flight is not None and flight.group.is_pair and not flight.group.start_at_ns:
                self._ready(flight, message)
            return
        if flight is not None:
            self._result(flight, message.outcome)
        late = late_result(event.machine, message.task_id, message.outcome, self._now.unix_s)
        self._out.sends += late.sends
        if flight is None:
            self._out.records += late.records

    def _ready(self, flight: Flight, message: Ready) -> None:
        group = flight.group
        if message.error is not None:
            why = f"{flight.machine}, the other end, could not prepare: {message.error}"
            self._break(group, why, but=flight)  # its own result follows and says why
            return
        group.ready[flight.role] = message.ports
        if group.going:
            # The server that was killed had told the pair to start, but this end has not heard it: they start anew, where the
            # other end says the same.
            if len(group.flights) < len(group.unit):
                self._break(
                    group, "its Go was lost with the server that was killed, and the other end is over"
                )
            group.going = False
            group.ready_by_s = max(self._now.monotonic_s, self._awaited_until_s or 0.0) + READY_S

    def _result(self, flight: Flight, outcome: TaskOutcome) -> None:
        assert self._run is not None
        if outcome.inventory is not None:
            self._learn(flight.machine, outcome.inventory)
        group, state = flight.group, STATE_OF[outcome.status]
        met = outcome.pair is None or outcome.pair.connected
        if group.restored and group.is_pair and not (state == "done" and met):
            state = "lost"  # not its own failure: the server was restarted in the middle of it
        elif state == "cancelled" and not flight.cancelled:
            state = "lost"  # the agent was told to end
        elif state == "done":
            self._run.delays.append(outcome.start_delay_s)
        if outcome.pair is not None and (met or state != "lost"):
            self._run.history.hear(group.group_id, flight.machine, outcome.pair)
        outcome = explained(outcome, flight.cancelled)
        self._keep(records.ResultCame(flight.task_id, flight.machine, outcome, state, self._now.unix_s))
        self._run.land(flight, lost=state == "lost", heard=True)
        # An end that waits for its Go while the other is over waits in vain, however well that one says it fared.
        if not (state == "done" and met and group.going) and not flight.cancelled:
            self._break(group, f"{flight.machine}, the other end, is out: {outcome.error or 'no connection'}")
        for other in group.flights.values():
            other.deadline_s = min(other.deadline_s, self._now.monotonic_s + PARTNER_S)

    # ── going on ───────────────────────────────────────────────────────────────────────────────────

    def _advance(self) -> None:
        while not self.over:
            if self.state == "stopping" and self._run is not None:
                for group in self._run.groups.values():
                    self._break(group, "the session was stopped")
            if self._run is not None and self._run.groups:
                self._start_pairs()
                return
            if self.state == "stopping":
                self._end_step()
                self._finish("stopped")
                return
            if self._awaited or self._is_deserted():
                return
            if self._skips > _SKIPS_PER_TURN:
                self._out.more = True
                return
            self._go_on()

    def _go_on(self) -> None:
        """Nothing is under way: the next wave, or else the next step, or else the end."""
        if self._run is not None:
            self._run.close_wave()
            if not self._begin_wave(self._run):
                self._end_step()
        elif self._begun < len(self._steps):
            self._begin_step(self._steps[self._begun])
        else:
            self._finish("done")

    def _is_deserted(self) -> bool:
        """Nobody is there; wait a little for somebody to come back."""
        if any(node.lost is None for node in self._nodes.values()):
            self._deserted_until_s = None
            return False
        if self._deserted_until_s is None:
            self._deserted_until_s = self._now.monotonic_s + DESERTED_S
        return self._now.monotonic_s < self._deserted_until_s

    def _finish(self, state: records.SessionState) -> None:
        self.state = state
        self._keep(records.SessionChanged(state, self._now.unix_s))

    def _begin_step(self, step: Step) -> None:
        self._begun += 1
        machines = choose(step, [node for node in self._nodes.values() if node.lost is None])
        self._run = self._step_run(step, machines, self._now.unix_s)
        job = step.job
        self._keep(
            records.StepStarted(
                step.number, job.name, job.component, len(machines), machines, self._now.unix_s
            )
        )

    def _step_run(self, step: Step, machines: tuple[str, ...], began_unix_s: float) -> StepRun:
        history = History()
        racks = {machine: leaf for machine in machines if (leaf := self._nodes[machine].leaf) is not None}
        coming = waves(
            step,
            machines,
            lambda each: self._nodes[each].host,
            history=history,
            racks=racks,
            seed=self._uid,
            # Rounds that were begun before a restart are found again whatever they took: there is no time yet.
            spent_s=lambda: max(0.0, self._now.unix_s - began_unix_s),
        )
        at_least = units(step, machines)
        return StepRun(step, machines, at_least, coming, history=history, chooses=chooses(step, machines))

    def _end_step(self) -> None:
        if self._run is not None:
            self._run.close_wave()
            run = self._run
            self._keep(records.StepEnded(run.step.number, self._now.unix_s, run.jitter_s, run.begun))
            self._run = None

    def _begin_wave(self, run: StepRun) -> bool:
        """Start the next wave, or give lost units a further chance. False when the step has nothing left."""
        if any(self._nodes[machine].lost is None for machine in run.machines):
            wave = next(run.coming, None)
            if wave is not None:
                run.wave += 1
                for unit in [*wave, *partnerless(run, self._nodes, wave)]:
                    self._begin_unit(run, unit, attempt=1)
                return True
        again = further_chances(run, self._nodes)
        if again:
            run.wave += 1
        for group in again:
            del run.lost[group.unit]
            run.done -= 1
            for task_id in group.task_ids:
                self._keep(records.TaskChanged(task_id, "again", "lost on the way, and done again"))
            self._begin_unit(run, group.unit, group.attempt + 1)
        return bool(again)

    def _begin_unit(self, run: StepRun, unit: Unit, attempt: int) -> None:
        nodes = [self._nodes[machine] for machine in unit]
        group, why_not, assigns = prepare(self._uid, run, nodes, attempt, self._token)
        run.begin(group)
        state, reason = why_not or ("assigned", None)
        for task_id, role, machine in zip(group.task_ids, group.roles, unit, strict=True):
            number = run.step.number
            self._keep(
                records.TaskRow(
                    task_id, number, run.wave, machine, group.group_id, role, attempt, state, reason
                )
            )
        if why_not is not None:
            run.skip(group, lost=state == "lost")
            self._skips += 1
            return
        group.ready_by_s = self._now.monotonic_s + READY_S
        for role, node, assign in reversed(list(zip(group.roles, nodes, assigns, strict=True))):
            deadline = self._now.monotonic_s + assign.time_limit_s + GRACE_S
            run.add(Flight(assign.task_id, node.machine, role, group, assign, deadline, node.hello.instance))
            self._send(node.machine, assign)

    def _start_pairs(self) -> None:
        """All pairs of a wave start together: when everyone is prepared, or out."""
        assert self._run is not None
        waiting = [g for g in self._run.groups.values() if g.is_pair and not g.going and not g.broken]
        if not waiting or any(len(group.ready) < 2 for group in waiting):
            return
        starting: list[Flight] = []
        lead_s = LEAD_S + 2 * len(waiting) * LEAD_EACH_S
        for group in waiting:
            group.going = True
            group.lead_s = lead_s
            group.start_at_ns = round((self._now.monotonic_s + lead_s) * 1e9)
            starting += group.flights.values()  # the listening end first, as they were added
        for flight in starting:
            self._keep(records.TaskChanged(flight.task_id, "going"))
            self._send_go(flight)

    def _send_go(self, flight: Flight) -> None:
        group = flight.group
        ports = group.ready.get("listen", {})
        go = Go(task_id=flight.task_id, delay_s=group.lead_s, start_at_ns=group.start_at_ns, ports=ports)
        self._send(flight.machine, go)
