"""Whether a session is whole: what its own books say against what is there.

The judge judges what there is. The gate also asks whether all is there that was begun, once each: what was lost on the way
could have been what stood against a node.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property

from ahc_agent.order import natural_order
from ahc_server.flows import integers
from ahc_server.gate.planned import absent, unmet
from ahc_server.judge.model import Report
from ahc_server.measured import Measured, Names
from ahc_server.rounds.untried import untried
from ahc_server.session import OutcomeRecord, Session, StepRecord

#: Sessions that an import made begin their plan so: their steps' times are those of the oldest file.
_IMPORTED = "# imported"
_OVER = "done"


#: Whom it concerns (a node, the two of a pair, nobody: then the session as a whole), and what is not whole.
Gap = tuple[tuple[str, ...], str]


class Books:
    """A session by machine and step."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.node_of = {record.machine: record.node for record in session.nodes}
        self.steps: dict[int, StepRecord] = {step.step: step for step in session.steps}

    @cached_property
    def again(self) -> set[int]:
        """Steps that measured something a second time: they show doubts, and are not asked for."""
        return {step.step for step in self.session.steps if step.repeat}

    @cached_property
    def first(self) -> list[OutcomeRecord]:
        """What the plan itself brought."""
        return [each for each in self.session.outcomes if each.step not in self.again]

    # ── is all there? ──────────────────────────────────────────────────────────────────────────────

    def gaps(self, report: Report) -> Iterator[Gap]:
        """What is not whole, in a fixed order whatever that of the data. ``report``: the judge's."""
        session = self.session
        if session.state != _OVER:
            yield (), f"the session is {session.state}: it may lack results"
        if not session.nodes:
            yield (), "the session has no nodes"
        yield from (((), text) for text in self._doubled(report))
        yield from (((), text) for text in self._strangers())
        yield from (((), text) for text in self._steps())
        yield from self._nodes()
        yield from self._pairs()

    def _doubled(self, report: Report) -> Iterator[str]:
        told: list[tuple[str, list[str]]] = [
            ("machine", [record.machine for record in self.session.nodes]),
            ("node id", [record.node for record in self.session.nodes]),
            ("step", [str(step.step) for step in self.session.steps]),
            ("task", [each.task_id for each in self.session.outcomes]),
            ("verdict", [node.id for node in report.nodes]),
        ]
        flows = [f"{each.step} round {each.wave}" for each in self.session.flows]
        told.append(("round of flows, step", flows))
        for what, names in told:
            for name in sorted(name for name, count in Counter(names).items() if count > 1):
                yield f"the {what} {name} is there more than once"
        judged, there = {node.id for node in report.nodes}, {record.node for record in self.session.nodes}
        for node in sorted(there ^ judged):
            yield f"{node} is in {'the session' if node in there else 'the report'} alone"

    def _strangers(self) -> Iterator[str]:
        strangers = {each.machine for each in self.session.outcomes} - set(self.node_of)
        strangers |= {name for table in self.session.flows for name in table.machines} - set(self.node_of)
        for machine in sorted(strangers):
            yield f"results of {machine}, which is not in the session"
        for table in self.session.flows:
            if not table.is_sound:
                yield f"step {table.step}: the flows of round {table.wave} cannot be read"

    def _steps(self) -> Iterator[str]:
        there: dict[int, set[str]] = defaultdict(set)
        for each in self.session.outcomes:
            there[each.step].add(each.machine)
        for table in self.session.flows:
            there[table.step].update(table.machines)
        if not self.steps:
            yield "no step of the session is known"
        jobs = [step.job for number, step in self.steps.items() if number not in self.again]
        yield from absent(self.session.plan, jobs)
        first = [step for number, step in self.steps.items() if number not in self.again]
        yield from unmet(self.session.plan, first, self._there())
        for number in sorted(set(there) - set(self.steps)):
            yield f"results of step {number}, which the session does not have"
        for number, step in sorted(self.steps.items()):
            if number in self.again:
                continue
            if step.state != _OVER:
                yield f"step {number} ({step.job}) is {step.state}"
            have = len(there[number])
            if have < step.hosts:
                yield f"step {number} ({step.job}) ran on {step.hosts:,} nodes, results are of {have:,}"
            if step.started_at_s is None:
                yield f"step {number} ({step.job}): nobody knows when it ran"

    def _there(self) -> dict[int, int]:
        """Step → machines or pairs of which a result came, whatever it says."""
        told: dict[int, set[str]] = defaultdict(set)
        for each in self.first:
            pair = each.outcome.pair
            told[each.step].add(each.unit or (each.task_id if pair is None else pair.pair_id))
        return {step: len(units) for step, units in told.items()}

    def _nodes(self) -> Iterator[Gap]:
        failed: dict[str, dict[int, str]] = defaultdict(dict)
        delivered: set[tuple[str, int]] = set()
        for each in self.first:
            if each.outcome.status == "ok":
                delivered.add((each.machine, each.step))
            else:
                said = f"{each.job}: {each.outcome.error or f'the task ended as {each.outcome.status}'}"
                # The first by its words, so that the order of the data does not choose.
                failed[each.machine][each.step] = min(failed[each.machine].get(each.step, said), said)
        for table in self.session.flows:
            delivered.update((machine, table.step) for machine in table.machines)
        seen = {machine for machine, _ in delivered}
        for record in sorted(self.session.nodes, key=lambda record: record.node):
            if record.inventory is None:
                yield (record.node,), "no inventory came in"
            if record.machine not in seen:
                yield (record.node,), "no result came in"
            for step, said in sorted(failed[record.machine].items()):
                if (record.machine, step) not in delivered:
                    yield (record.node,), f"step {step} brought no result: {said}"

    def _pairs(self) -> Iterator[Gap]:
        """Pairs that were to meet and did not, and those of which one end alone is there."""
        for each in untried(self.session):
            nodes = tuple(sorted((self.node_of.get(end, end) for end in each.ends), key=natural_order))
            yield nodes, f"step {each.step} ({each.job}) brought no result: {each.why}"
        ends = Counter(
            (each.step, each.unit) for each in self.first if each.component == "network" and each.unit
        )
        for step, count in sorted(Counter(step for (step, _), number in ends.items() if number < 2).items()):
            yield (), f"step {step}: of {count:,} pairs one end alone is there"

    # ── when was what measured? ────────────────────────────────────────────────────────────────────

    def taken(self, what: str) -> dict[str, float | None]:
        """Node → when ``what`` was measured last (Unix seconds, by the server's clock); None where nobody knows. Nodes that do
        not have it are left out. ``what``: as in a policy's ``measured``."""
        newest: dict[str, float | None] = {}

        def note(machine: str, at_s: float | None) -> None:
            node = self.node_of.get(machine)
            if node is not None:
                known = newest.get(node)
                newest[node] = at_s if known is None else known if at_s is None else max(known, at_s)

        has = _asked(what)
        for each in self.first:
            if each.outcome.status == "ok" and has(each):
                note(each.machine, self._at(each))
        if what == "network":
            for table in self.session.flows:
                if table.is_sound and table.step not in self.again:
                    step = self.steps.get(table.step)
                    for place in {*integers(table.source), *integers(table.destination)}:
                        note(table.machines[place], None if step is None else step.started_at_s)
        return newest

    def _at(self, outcome: OutcomeRecord) -> float | None:
        """When a step began, by the server's clock. An import's files may be older than its first ones."""
        step = self.steps.get(outcome.step)
        if step is None or step.started_at_s is None:
            return None
        if self.session.plan.startswith(_IMPORTED):
            return min(step.started_at_s, outcome.outcome.started_at_unix_s)
        return step.started_at_s

    @property
    def newest_s(self) -> float:
        """When the newest data came in, by the server's clock, Unix seconds."""
        times = [self.session.created_at_s]
        for step in self.session.steps:
            times += [at for at in (step.started_at_s, step.ended_at_s) if at is not None]
        return max(times)


def _asked(what: str) -> Callable[[OutcomeRecord], bool]:
    """Whether an outcome has what is asked: an inventory, any value of a component, a metric of a name."""
    if what == "inventory":
        return lambda each: each.outcome.inventory is not None
    places: dict[int, tuple[Names, list[int]]] = {}

    def has(each: OutcomeRecord) -> bool:
        pair = each.outcome.pair
        if what == "network" and pair is not None and pair.connected and (pair.flows or pair.round_trips):
            return True
        columns = each.columns
        # Nodes of one kind share their names; kept beside the places, so that the key stays theirs.
        kept = places.get(id(columns.names))
        if kept is None or kept[0] is not columns.names:
            kept = places[id(columns.names)] = columns.names, _places(columns, what)
        return bool(kept[1]) and _any_value(columns, kept[1])

    return has


def _places(columns: Measured, what: str) -> list[int]:
    if "." not in what:
        return [place for place, name in enumerate(columns.names) if name.component == what]
    return [
        place
        for place, name in enumerate(columns.names)
        if fnmatchcase(f"{name.component}.{name.part}.{name.quantity}", what)
    ]


def _any_value(columns: Measured, places: list[int]) -> bool:
    return any(map(columns.has_value, places))
