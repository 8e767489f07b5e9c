"""Which machines a person means: by the id that reports show, or by serial number, UUID or a MAC address."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ahc_agent.errors import UsageError
from ahc_agent.order import natural_order
from ahc_agent.wire.messages import Hello
from ahc_server.ids import assign_ids


def named_machines(names: Sequence[str] | None, agents: Mapping[str, Hello]) -> list[str]:
    """Machine keys in natural order; None means all. Raises UsageError for a name that none or several of them have."""
    if names is None:
        return sorted(agents, key=natural_order)
    called: defaultdict[str, set[str]] = defaultdict(set)
    identities = {machine: hello.identity for machine, hello in agents.items()}
    for machine, (shown, _) in assign_ids(identities).items():
        called[shown.lower()].add(machine)
    ids = set(called)
    for machine, identity in identities.items():
        for name in (machine, identity.serial, identity.uuid, *identity.macs):
            if name and name.lower() not in ids:  # an id is unique, and beats another machine's serial number
                called[name.lower()].add(machine)
    found: set[str] = set()
    for name in names:
        machines = called.get(name.lower(), set())
        if len(machines) != 1:
            raise UsageError(
                f"{name!r} is {'the name of several machines' if machines else 'not joined now'}"
            )
        found |= machines
    return sorted(found, key=natural_order)
