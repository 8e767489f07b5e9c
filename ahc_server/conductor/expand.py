"""From a plan and the nodes that are there to steps, and from a step to waves of units.

A unit is what is measured together: one machine, or a pair (connecting end first). A wave is what runs at the same
time. Everything is a pure function of plan and nodes, so that a restarted server finds the same waves again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ahc_agent.wire.messages import AnyTask, Hello, InventoryTask, PairTask
from ahc_server import pairing
from ahc_server.conductor.model import Node
from ahc_server.plan.model import Job, Plan
from ahc_server.rounds import LEAST_IN_BUDGET, LEAST_ROUNDS, History, Policy, is_chosen
from ahc_server.store.repeats import RepeatPlanned

Unit = tuple[str, ...]

INVENTORY = Job(name="inventory", component="inventory", task=InventoryTask(), affinity="any")


@dataclass(frozen=True, slots=True)
class Step:
    """A job at one host count; ``hosts`` None is every node, honouring affinity.

    A repeat of an earlier step runs on ``machines``, of which those ``apart`` do not meet each other in pairs.
    """

    number: int
    job: Job
    hosts: int | None
    machines: tuple[str, ...] | None = None
    apart: frozenset[str] = frozenset()


def steps_of(plan: Plan, repeats: Sequence[RepeatPlanned] = ()) -> list[Step]:
    """The steps of a plan in order, then what was to be repeated; the inventory comes first, said or not."""
    jobs = list(plan.jobs)
    if jobs[0].component != "inventory" or jobs[0].hosts is not None:
        jobs.insert(0, INVENTORY)
    wanted = [(job, count) for job in jobs for count in (job.hosts.counts() if job.hosts else (None,))]
    steps = [Step(number, job, count) for number, (job, count) in enumerate(wanted)]
    return steps + [_again(steps[planned.of_step], planned) for planned in repeats]


def _again(step: Step, planned: RepeatPlanned) -> Step:
    """The same measurement on a few machines: at once where they ran at once, and each of its pairs."""
    count = None if step.hosts is None else len(planned.machines)
    job = replace(step.job, arity=None)
    return Step(planned.step, job, count, planned.machines, frozenset(planned.apart))


def choose(step: Step, nodes: Sequence[Node]) -> tuple[str, ...]:
    """The machines of a step, in order: the first ones of a fair spread where so many are asked."""
    job = step.job
    if step.machines is not None:
        there = {node.machine for node in nodes}
        return tuple(machine for machine in step.machines if machine in there)
    hosts = {node.machine: node.host for node in nodes}
    names = [
        node.machine
        for node in nodes
        if not job.affinity_hosts
        or node.hello.identity.physical_host in job.affinity_hosts
        or node.host in job.affinity_hosts
    ]
    if step.hosts is not None and job.affinity == "fair":
        names = pairing.spread(names, hosts.__getitem__, job.affinity_count)
    elif job.affinity_count is not None:
        few = set(pairing.spread(names, hosts.__getitem__, job.affinity_count))
        names = [name for name in names if name in few]
    return tuple(names[: step.hosts])


def units(step: Step, machines: Sequence[str]) -> int:
    """How many units a step has; where its rounds are chosen as it goes, how many it has at least."""
    if step.job.component != "network":
        return len(machines)
    if chooses(step, machines):
        rounds, every = step.job.rounds, len(machines) - 1 + len(machines) % 2
        if isinstance(rounds, int):
            least = rounds
        elif rounds == "bisection":
            least = step.job.most_rounds
        else:
            least = LEAST_ROUNDS if step.job.budget_s is None else LEAST_IN_BUDGET
            least = min(least, step.job.most_rounds)
        return min(least, every) * (len(machines) // 2)
    if step.job.arity is not None:
        return sum(map(len, pairing.group_rounds(machines, step.job.arity)))
    return _pairs(len(machines)) - _pairs(len(step.apart.intersection(machines)))


def _pairs(machines: int) -> int:
    return machines * (machines - 1) // 2


def chooses(step: Step, machines: Sequence[str]) -> bool:
    """Whether the step's rounds are chosen as it goes. What is measured again is: each of its pairs."""
    job = step.job
    return (
        job.component == "network"
        and job.arity is None
        and step.machines is None
        and is_chosen(job.rounds, len(machines))
    )


def waves(
    step: Step,
    machines: Sequence[str],
    host_of: Callable[[str], str],
    *,
    history: History | None = None,
    racks: Mapping[str, str] | None = None,
    seed: str = "",
    spent_s: Callable[[], float] = lambda: 0.0,
) -> Iterator[list[Unit]]:
    """What runs at the same time, one wave after the other.

    A step with a count runs its machines at once, as asked. Without one, no two units of a wave share a physical
    host unless the job says ``affinity: any``. Where rounds are chosen, each is asked for when the one before is over, and
    follows from ``history``, ``racks`` (machine → switch) and ``seed``; ``spent_s`` says how long the step has lasted.
    """
    job = step.job
    free = step.hosts is not None or job.affinity == "any" or job.component == "inventory"

    def taken(unit: Unit) -> set[str]:
        return set(unit) if free else {host_of(machine) for machine in unit}

    if job.component != "network":
        yield from pairing.waves(_units([(machine,) for machine in machines]), taken)
        return
    if chooses(step, machines):
        policy = Policy(
            machines, f"{seed} {step.number}", job.rounds, job.most_rounds, racks or {}, job.budget_s
        )
        seen = history or History()
        begun = 0
        for number in count():
            chosen = policy.next_round(number, seen.before(begun), spent_s())
            if chosen is None:
                return
            for wave in pairing.waves(_units(chosen), taken, job.parallel):
                begun += 1
                yield wave
    grouped = job.arity is not None
    for one in pairing.group_rounds(machines, job.arity or 2) if grouped else pairing.rounds(machines):
        meeting = [pair for pair in one if not step.apart.issuperset(pair)]
        yield from pairing.waves(_units(meeting), taken, job.parallel)


def _units(units: Sequence[Unit]) -> Sequence[Unit]:
    """Machines and pairs alike are units."""
    return units


def data_addresses(first: Hello, second: Hello, networks: Sequence[str]) -> tuple[str, str] | None:
    """Where two nodes reach each other: (address of the first, of the second), or None.

    With ``networks``: in the first of these in which both have an address. Otherwise two addresses of one subnet where
    there are such, else the best of each.
    """
    ours, theirs = _interfaces(first), _interfaces(second)
    for text in networks:
        network = ipaddress.ip_network(text)
        a = next((one for one in ours if one.ip in network), None)
        b = next((one for one in theirs if one.ip in network), None)
        if a is not None and b is not None:
            return str(a.ip), str(b.ip)
    if networks:
        return None
    for a in ours:
        for b in theirs:
            if a.version == b.version and a.network.prefixlen < a.network.max_prefixlen and b.ip in a.network:
                return str(a.ip), str(b.ip)
    for a in ours:
        for b in theirs:
            if a.version == b.version:
                return str(a.ip), str(b.ip)
    return None


def _interfaces(hello: Hello) -> list[ipaddress.IPv4Interface | ipaddress.IPv6Interface]:
    """The addresses that an agent told; what is none is left out (agents are not trusted)."""
    out = []
    for text in hello.addresses:
        try:
            out.append(ipaddress.ip_interface(text))
        except ValueError:
            continue
    return out


def pair_tasks(
    pattern: AnyTask, unit_id: str, unit: Unit, addresses: tuple[str, str], token: str
) -> tuple[PairTask, PairTask]:
    """Both ends of a pair: (connecting, listening)."""
    assert isinstance(pattern, PairTask)
    fields = {name: getattr(pattern, name) for name in pattern.__struct_fields__} | {
        "pair_id": unit_id,
        "token": token,
    }
    here, there = addresses
    connect = fields | {"role": "connect", "peer": unit[1], "address": here, "peer_address": there}
    listen = fields | {"role": "listen", "peer": unit[0], "address": there, "peer_address": here}
    return PairTask(**connect), PairTask(**listen)
