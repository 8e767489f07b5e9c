"""Power nodes on from the network, and see which machines join: the ones whose BMCs were asked, others, or none.

::

    silent, locked      its BMC does not answer, or lets nobody in                     nothing was done
    no-power            its BMC took the command, and power did not come on
    never               power is on, and no machine joined that is this one            boot order, DHCP, image, network
    off-again           power went off again before it joined
    another             the machine behind this BMC is not the one of the nodes file
    untold              nothing is known by which it could be told
    joined
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ahc_agent.wire.messages import Identity
from ahc_server.bmc.ask import WAS_ON
from ahc_server.bmc.model import Answer, Arrival, Outcome, Trouble
from ahc_server.bmc.target import Target
from ahc_server.bmc.whose import Found, Known, is_address, machine_of, mismatch, spellings

#: How a BMC's failure is called here.
_OUTCOME: dict[Trouble, Outcome] = {
    "silent": "silent",
    "locked": "locked",
    "refused": "no-power",
    "cannot": "no-power",
    "mistake": "silent",
}

Agents = Callable[[], Mapping[str, Identity]]
Power = Callable[[list[Target]], list[Answer]]


@dataclass(frozen=True, slots=True)
class Discovered:
    """One arrival for each target, in their order; ``strangers``: machines that joined meanwhile and are nobody's."""

    arrivals: list[Arrival]
    strangers: list[str]


def watch_arrivals(
    targets: Sequence[Target],
    started: Sequence[Answer],
    agents: Agents,
    power: Power,
    *,
    before: frozenset[str],
    wait_s: float,
    told: Callable[[str], None],
    lasting: Callable[[], frozenset[str]] = frozenset,
    poll_s: float = 1.0,
) -> Discovered:
    """Wait up to ``wait_s`` for the machines of the BMCs that were asked to start them (``started``, in the targets' order).

    ``agents``: who is joined now; ``before``: who was, at first; ``power``: asks BMCs for their power state. ``told`` hears of
    each machine when it joins. ``lasting``: machines whose agents run since before; one that was started now is not there
    by such an agent.
    """
    awaited = {
        place
        for place, (target, answer) in enumerate(zip(targets, started, strict=True))
        if answer.failure is None and (_can_be_told(target, answer) or is_address(target.host))
    }
    found: dict[int, Found] = {}
    here: Mapping[str, Identity] = {}
    deadline = time.monotonic() + wait_s
    while True:
        here = agents()
        machines = {machine: Known(identity, identity.bmc_address) for machine, identity in here.items()}
        old = lasting()
        anew = {machine: known for machine, known in machines.items() if machine not in old}
        for place in sorted(awaited - found.keys()):
            answer = started[place]
            whose = machine_of(targets[place], answer.uuid, machines if answer.said == WAS_ON else anew)
            if whose.machine is not None or whose.conflict is not None:
                found[place] = whose
                told(
                    f"{targets[place].node}: joined as {whose.machine}"
                    if whose.machine
                    else f"{targets[place].node}: {whose.conflict}"
                )
        if len(found) == len(awaited) or time.monotonic() >= deadline:
            break
        time.sleep(min(poll_s, max(0.0, deadline - time.monotonic())))
    missing = sorted(awaited - found.keys())
    now = dict(zip(missing, power([targets[place] for place in missing]), strict=True)) if missing else {}
    arrivals = [
        _arrival(target, started[place], found.get(place), now.get(place), here, wait_s)
        for place, target in enumerate(targets)
    ]
    known = {whose.machine for whose in found.values()}
    return Discovered(arrivals, sorted(machine for machine in here if machine not in known | before))


def left_behind(targets: Sequence[Target], answered: Sequence[Answer]) -> list[str]:
    """What discovery that ends early leaves, in sentences: nothing that was done is undone. ``answered``: the BMCs that were done
    with by then, in any order."""
    nodes: dict[str, list[str]] = {}
    known = {answer.node: answer for answer in answered}
    for target in targets:
        answer = known.get(target.node)
        if answer is None:
            what = "not asked, or its BMC was just being asked (may have been powered on)"
        elif answer.failure is not None:
            what = f"nothing is known to have been done ({_OUTCOME[answer.failure.trouble]})"
        else:
            what = f"{answer.said}, and left so"
        nodes.setdefault(what, []).append(target.node)
    return [f"{what}: {', '.join(names)}" for what, names in nodes.items()]


def _can_be_told(target: Target, answer: Answer) -> bool:
    """Whether every machine says of itself by what it could be known; the address of its BMC not every machine can tell."""
    return bool(
        target.macs or target.serial or target.uuid or spellings(answer.uuid) or target.node != target.address
    )


def _arrival(
    target: Target,
    started: Answer,
    found: Found | None,
    now: Answer | None,
    here: Mapping[str, Identity],
    wait_s: float,
) -> Arrival:
    def end(outcome: Outcome, why: str, machine: str | None = None) -> Arrival:
        return Arrival(node=target.node, address=target.address, outcome=outcome, why=why, machine=machine)

    if started.failure is not None:
        return end(_OUTCOME[started.failure.trouble], started.failure.problem)
    if found is not None and found.machine is not None:
        wrong = mismatch(target, here[found.machine], found.by)
        known_by = f"known by the {' and the '.join(found.by)}"
        if wrong is not None:
            return end("another", f"{known_by}, but {wrong}", found.machine)
        return end("joined", f"{started.said}; {known_by}", found.machine)
    if found is not None:
        return end("another", found.conflict or "")
    if now is None:
        return end("untold", "nothing to know its machine by: give mac, uuid or serial in the nodes file")
    if now.failure is not None:
        return end("never", f"did not join within {wait_s:g} s, and its BMC: {now.failure.problem}")
    if now.power == "off":
        return end("off-again", f"{started.said}, and power is off again: it did not start, or shut down")
    if not _can_be_told(target, started):
        return end(
            "untold",
            f"{started.said}, power is on, and no machine that joined within {wait_s:g} s says that its BMC is at"
            f" {target.host}: give mac, uuid or serial in the nodes file",
        )
    return end(
        "never",
        f"{started.said}, power is on, and it did not join within {wait_s:g} s: check boot order, DHCP, the image, and its"
        " way to the server",
    )
