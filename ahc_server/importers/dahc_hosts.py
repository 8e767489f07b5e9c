"""Which machine each of DAHC's hosts is: its server knew the ends of connections, results tell of machines.

A network job's ``ip-list`` names the data address of each host, and an inventory its machine's addresses. Without network jobs
the connection's own address must do, where only one host came from it (a NAT hides all behind one).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from ahc_agent.facts import Inventory
from ahc_server.importers.dahc_metrics import Host, StepMetrics


def match_hosts(steps: Iterable[StepMetrics], inventories: Mapping[str, Inventory]) -> dict[Host, str]:
    """Host → machine, as far as it can be told; never two hosts of one machine."""
    addresses: dict[Host, str] = {}
    hosts: set[Host] = set()
    for step in steps:
        addresses |= step.address
        hosts |= step.asked | step.ran | step.start_s.keys()
    owner = _owners(inventories)
    alone = Counter(address for address, _ in hosts)
    found = {}
    for host in sorted(hosts | addresses.keys()):
        machine = owner.get(addresses.get(host, ""))
        if machine is None and alone[host[0]] == 1:
            machine = owner.get(host[0])
        if machine is not None:
            found[host] = machine
    twice = {machine for machine, count in Counter(found.values()).items() if count > 1}
    return {host: machine for host, machine in found.items() if machine not in twice}


def _owners(inventories: Mapping[str, Inventory]) -> dict[str, str]:
    """Address → the only machine that has it."""
    owners: dict[str, set[str]] = {}
    for machine, inventory in inventories.items():
        for nic in inventory.nics:
            for address in nic.addresses:
                owners.setdefault(address.partition("/")[0], set()).add(machine)
    return {address: next(iter(of)) for address, of in owners.items() if len(of) == 1}
