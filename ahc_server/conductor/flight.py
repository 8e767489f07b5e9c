"""What is under way in one step: waves, groups, flights. They keep the books; the conductor decides."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from ahc_agent.wire.messages import Assign
from ahc_server.conductor.expand import Step, Unit
from ahc_server.conductor.limits import TRIES, TRIES_OF_A_PAIR
from ahc_server.rounds import History

Role = Literal["solo", "listen", "connect"]


@dataclass(slots=True)
class Group:
    """The tasks of one unit: one, or the two of a pair (connecting end first).

    ``attempt`` counts from 1. For pairs: ``ready`` is who is prepared, with its ports, ``going`` that both were told to
    start, at ``start_at_ns`` (CLOCK_MONOTONIC), ``lead_s`` ahead; ``broken`` that one end is out. ``restored``: the server was
    restarted meanwhile; a failure may be its own, and so may be a Go that nobody heard (``start_at_ns`` is 0 until this
    server sends one). ``missing``: tasks lost without a word, whose results may still come; ``spoilt``: one is over and does not
    count, so that the unit has to be measured again whatever comes.
    """

    group_id: str
    unit: Unit
    wave: int
    attempt: int
    flights: dict[Role, Flight] = field(default_factory=dict)
    ready: dict[Role, dict[str, int]] = field(default_factory=dict)
    ready_by_s: float = 0.0
    start_at_ns: int = 0
    lead_s: float = 0.0
    going: bool = False
    broken: bool = False
    restored: bool = False
    missing: set[str] = field(default_factory=set)
    spoilt: bool = False

    @property
    def is_pair(self) -> bool:
        return len(self.unit) == 2

    @property
    def roles(self) -> tuple[Role, ...]:
        """In the order of the unit."""
        return ("connect", "listen") if self.is_pair else ("solo",)

    @property
    def task_ids(self) -> tuple[str, ...]:
        """In the order of the unit."""
        return tuple(f"{self.group_id}{role[0]}" for role in self.roles)

    def lose(self, task_id: str, *, heard: bool) -> None:
        """A task does not count: its result said so (``heard``), or is missing."""
        if heard:
            self.spoilt = True
        else:
            self.missing.add(task_id)


@dataclass(slots=True)
class Flight:
    """One task on one machine, from Assign until its result came or it was given up.

    ``deadline_s``: when it is given up (monotonic). ``instance``: the start of the agent that it was given to. ``cancelled``: why
    its agent was told to call it off.
    """

    task_id: str
    machine: str
    role: Role
    group: Group
    assign: Assign
    deadline_s: float
    instance: str
    cancelled: str | None = None


@dataclass(slots=True)
class StepRun:
    """One step under way.

    ``machines``: chosen at its start. ``wave``: the number of the last wave begun, -1 before the first; ``begun``: units whose
    turn has come. A machine has one flight at a time. ``lost``: units that were lost on the way and get a further chance at the
    end of the step. ``delays``: the starts of the wave, for ``jitter_s``, the worst spread so far. ``history``: what the pairs
    brought; ``chooses``: rounds are chosen from it as the step goes, and machines whose partners are away meet each other.
    """

    step: Step
    machines: tuple[str, ...]
    units: int
    coming: Iterator[list[Unit]]
    wave: int = -1
    begun: int = 0
    done: int = 0
    groups: dict[str, Group] = field(default_factory=dict)
    flights: dict[str, Flight] = field(default_factory=dict)
    of_machine: dict[str, Flight] = field(default_factory=dict)
    lost: dict[Unit, Group] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    jitter_s: float | None = None
    history: History = field(default_factory=History)
    chooses: bool = False

    def skip_to(self, wave: int) -> None:
        """Leave out the waves up to and including this one: they were begun before a restart."""
        for _ in islice(self.coming, wave + 1):
            pass
        self.wave = wave

    def begin(self, group: Group) -> None:
        """A unit's turn has come. Rounds that are chosen may come to more units than were foreseen."""
        if group.is_pair:
            one, other = group.unit
            self.history.begin(group.group_id, group.wave, (one, other))
        if group.attempt == 1:
            self.begun += 1
            self.units = max(self.units, self.begun)

    def add(self, flight: Flight) -> None:
        group = flight.group
        self.groups[group.group_id] = group
        group.flights[flight.role] = flight
        self.flights[flight.task_id] = self.of_machine[flight.machine] = flight

    def skip(self, group: Group, *, lost: bool) -> None:
        """A unit that was not started. One whose machine was away gets a further chance."""
        self.done += 1
        if lost:
            group.spoilt = True
            self.give_up(group)

    def give_up(self, group: Group) -> None:
        """A unit is lost, this time: unless it was tried often enough, it gets a further chance."""
        if group.attempt < (TRIES_OF_A_PAIR if group.is_pair else TRIES):
            self.lost[group.unit] = group

    def land(self, flight: Flight, *, lost: bool, heard: bool) -> None:
        """A task is over, by a result (``heard``) or without."""
        group = flight.group
        del group.flights[flight.role], self.flights[flight.task_id], self.of_machine[flight.machine]
        if lost:
            group.lose(flight.task_id, heard=heard)
            self.give_up(group)
        if not group.flights:
            del self.groups[group.group_id]
            self.done += 1

    def find(self, machine: str, held: Collection[str]) -> None:
        """A machine is back and holds these results: what only they were missing from is not lost after all."""
        for group in list(self.lost.values()):
            own = dict(zip(group.unit, group.task_ids, strict=True)).get(machine)
            if own is not None and own in held:
                group.missing.discard(own)
                if not group.missing and not group.spoilt:
                    del self.lost[group.unit]

    def close_wave(self) -> None:
        """The spread of the starts of the wave that is over joins the step's."""
        if len(self.delays) > 1:
            self.jitter_s = max(self.jitter_s or 0.0, max(self.delays) - min(self.delays))
        self.delays = []
